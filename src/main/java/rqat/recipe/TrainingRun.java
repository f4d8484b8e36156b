package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import rqat.format.Provenance;
import rqat.format.ScaleMode;
import rqat.io.AtomicFiles;
import rqat.quant.ModelDirectory;
import rqat.quant.QuantisedModel;
import rqat.run.Metrics;
import rqat.run.MlflowRun;
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

    private static @Nullable MlflowRun mlflow(Session.Work work) {
        if (work.mlflow() == null) return null;
        var tags = Map.of("rqat.stage", work.made().stage(), "rqat.seed", String.valueOf(work.made().seed()), "rqat.settings", work.made().settings().toString());
        return MlflowRun.follow(work.mlflow(), work.name(), tags, work.directory(), Duration.ofSeconds(5), warning -> System.err.println("rqat: " + warning));
    }

    /// Where a stage keeps the model that it had after `steps` steps.
    static Path snapshot(Path stage, int steps) {
        return stage.resolve("snapshots").resolve("step-%08d".formatted(steps));
    }

    /// Trains `model` in place, logging into the stage's directory and telling `listener` of every step.
    static void train(
            Session.Work work, Optimisation optimisation, QuantisedModel model, Function<Student, Objective> objective, Trainer.Listener listener) {
        try (var student = new Student(model, optimisation.student(work.compute(), model));
                var adam = optimisation.adam(student);
                var mlflow = mlflow(work)) {
            new ResumableRun(work.directory(), work.stage().checkpoints(), optimisation.checkpointEvery(), work.name(), work.progress())
                    .run(new Trainer(student, objective.apply(student), adam, optimisation.schedule(), optimisation.clip()), listener);
            if (mlflow != null) mlflow.finished();
        }
        TensorBoardWriter.write(work.directory(), Metrics.read(work.directory().resolve("metrics.jsonl")));
    }
}
