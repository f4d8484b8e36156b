package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Function;
import rqat.format.Provenance;
import rqat.format.ScaleMode;
import rqat.io.AtomicFiles;
import rqat.quant.ModelDirectory;
import rqat.quant.QuantisedModel;
import rqat.run.Metrics;
import rqat.run.TensorBoardWriter;
import rqat.train.Objective;
import rqat.train.ResumableRun;
import rqat.train.Student;
import rqat.train.Trainer;

/// What every training stage does around its objective: load the student, train it or go on after its last checkpoint, save it.
final class TrainingRun {
    private TrainingRun() {}

    /// Trains the model in `model` into the stage's directory.
    static void run(Session.Work work, Optimisation optimisation, Path model, Function<Student, Objective> objective) {
        try (QuantisedModel student = ModelDirectory.load(model)) {
            Provenance provenance = student.provenance().then(work.made());
            if (optimisation.learnScales() && student.scaleMode() == ScaleMode.STATIC) student.scaleMode(ScaleMode.LEARNED);
            train(work, optimisation, student, objective, (step, _) -> {
                int done = (int) step + 1;
                Path snapshot = snapshot(work.directory(), done);
                if (optimisation.snapshots().noneMatch(kept -> kept == done) || Files.exists(snapshot)) return;
                AtomicFiles.writeDirectory(snapshot, directory -> ModelDirectory.save(student, directory, work.compute().type(), model, provenance));
            });
            ModelDirectory.save(student, work.directory(), work.compute().type(), model, provenance);
        }
    }

    /// Where a stage keeps the model that it had after `steps` steps.
    static Path snapshot(Path stage, int steps) {
        return stage.resolve("snapshots").resolve("step-%08d".formatted(steps));
    }

    /// Trains `model` in place, logging into the stage's directory and telling `listener` of every step.
    static void train(
            Session.Work work, Optimisation optimisation, QuantisedModel model, Function<Student, Objective> objective, Trainer.Listener listener) {
        try (var student = new Student(model, optimisation.student(work.compute(), model));
                var adam = optimisation.adam(student)) {
            new ResumableRun(work.directory(), work.stage().checkpoints(), optimisation.checkpointEvery(), work.name(), work.progress())
                    .run(new Trainer(student, objective.apply(student), adam, optimisation.schedule(), optimisation.clip()), listener);
        }
        TensorBoardWriter.write(work.directory(), Metrics.read(work.directory().resolve("metrics.jsonl")));
    }
}
