package rqat.recipe;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.io.SafetensorsWriter;
import rqat.io.TensorSource;
import rqat.model.ModelConfig;
import rqat.quant.QuantisedModel;
import rqat.quant.ScaleMode;
import rqat.run.Metrics;
import rqat.run.TensorBoardWriter;
import rqat.tensor.HostTensors;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.train.Objective;
import rqat.train.ResumableRun;
import rqat.train.Student;
import rqat.train.Trainer;

/// What every training stage does around its objective: load the student, train it or go on after its last checkpoint, save it.
final class TrainingRun {
    private TrainingRun() {}

    /// Trains the model in `model` into the stage's directory.
    static void run(Session.Work work, Optimisation optimisation, Path model, Function<Student, Objective> objective) {
        try (QuantisedModel student = QuantisedModel.load(model)) {
            if (optimisation.learnScales() && student.scaleMode() == ScaleMode.STATIC) student.scaleMode(ScaleMode.LEARNED);
            var quantisation = new Student.Quantisation(student.grids(), student.scaleMode(), student.maskRule());
            train(work, optimisation, student.config(), student.latents(), quantisation, objective);
            student.save(work.directory(), ScalarType.Float, model, Map.of());
        }
    }

    /// Trains full-precision `latents` in place and writes them in `type` as the checkpoint of the stage's directory.
    static void pretrain(
            Session.Work work,
            Optimisation optimisation,
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            ScalarType type,
            Function<Student, Objective> objective) {
        train(work, optimisation, config, latents, Student.Quantisation.NONE, objective);
        var weights = new LinkedHashMap<String, TensorSource>();
        latents.forEach((name, latent) -> weights.put(
                name,
                TensorSource.of(
                        HostTensors.dataType(type), Tensors.shape(latent), () -> Scope.get(() -> HostTensors.toHost(latent.to(type))))));
        SafetensorsWriter.writeCheckpoint(
                work.directory(), weights, Map.of("format", "pt"), SafetensorsWriter.DEFAULT_MAXIMUM_SHARD_BYTES);
    }

    private static void train(
            Session.Work work,
            Optimisation optimisation,
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            Student.Quantisation quantisation,
            Function<Student, Objective> objective) {
        try (var student = new Student(config, latents, quantisation, optimisation.student());
                var adam = optimisation.adam(student)) {
            new ResumableRun(work.directory(), work.stage().checkpoints(), optimisation.checkpointEvery(), work.name(), work.progress())
                    .run(new Trainer(student, objective.apply(student), adam, optimisation.schedule(), optimisation.clip()));
        }
        TensorBoardWriter.write(work.directory(), Metrics.read(work.directory().resolve("metrics.jsonl")));
    }
}
