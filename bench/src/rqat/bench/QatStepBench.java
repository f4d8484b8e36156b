package rqat.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.data.TokenSequence;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.model.Weights;
import rqat.quant.ClipSearch;
import rqat.quant.Grid;
import rqat.run.RandomStream;
import rqat.tensor.Scope;
import rqat.tensor.Torch;
import rqat.train.Adam;
import rqat.train.ChunkedHead;
import rqat.train.DistillationObjective;
import rqat.train.Divergence;
import rqat.train.Initialiser;
import rqat.train.Schedule;
import rqat.train.Student;
import rqat.train.Teacher;
import rqat.train.Trainer;

/// What quantisation-aware training costs: a distillation step with every linear on a 3-bit grid against the identical step without
/// quantisation, in turns, for a small and a larger batch. Target: at least 0.9 of the speed.
///
/// Arguments: steps of each (15), FLOAT32, FAST_FLOAT32 or BFLOAT16 (FAST_FLOAT32).
public final class QatStepBench {
    private static final int WARM_UP = 2;

    public static void main(String[] arguments) {
        int steps = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 15;
        Torch.compute(arguments.length > 1 ? Torch.Compute.valueOf(arguments[1]) : Torch.Compute.FAST_FLOAT32);
        var config = new ModelConfig(
                ModelConfig.Family.QWEN3, 1024, 192, 512, 6, 6, 2, 32, 1024, 1e-6,
                new Rope(10_000, new Rope.None()), true, false, false, false, true);
        System.out.printf("model of %,d parameters%n", config.parameters());
        for (int batch : new int[] {4, 16}) {
            for (ScaleMode mode : ScaleMode.values()) compare(config, batch, 200, mode, steps);
        }
    }

    private static void compare(ModelConfig config, int batch, int length, ScaleMode mode, int steps) {
        SequencedMap<String, Tensor> teacher = Initialiser.random(config, 1);
        SequencedMap<String, Tensor> plainLatents = Initialiser.random(config, 1);
        SequencedMap<String, Tensor> quantisedLatents = Initialiser.random(config, 1);
        var grids = new LinkedHashMap<String, Grid>();
        var spec = new GridSpec(3, 64, false, ScaleType.BFLOAT16);
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                Scope.run(() -> grids.put(name, Grid.fit(spec, quantisedLatents.get(name), ClipSearch.NONE).copy()));
            }
        }
        var random = new RandomStream(7);
        var sequences = new ArrayList<TokenSequence>();
        for (int i = 0; i < batch; i++) {
            int[] ids = new int[length];
            for (int t = 0; t < length; t++) ids[t] = random.nextInt(config.vocabularySize());
            sequences.add(TokenSequence.all(ids));
        }
        var objective = new DistillationObjective(
                _ -> sequences,
                4,
                ChunkedHead.chunkFor(config.vocabularySize()),
                new Teacher(new Decoder(config, new Weights(teacher)), new Divergence.ForwardKl(), 1));
        var options = new Student.Options(ScalarType.Float, false, Set.of());
        try (var plain = new Student(config, plainLatents, options);
                var quantised = new Student(
                        config, quantisedLatents, Student.Quantisation.weightsOnly(grids, mode, MaskRule.HALF_STEP), options);
                var plainAdam = adam(plain);
                var quantisedAdam = adam(quantised)) {
            double plainTime = Double.MAX_VALUE;
            double quantisedTime = Double.MAX_VALUE;
            for (int step = 0; step < WARM_UP + steps; step++) {
                double plainStep = seconds(new Trainer(plain, objective, plainAdam, new Schedule(0, step + 1, 1), 1), step);
                double quantisedStep = seconds(new Trainer(quantised, objective, quantisedAdam, new Schedule(0, step + 1, 1), 1), step);
                if (step < WARM_UP) continue;
                plainTime = Math.min(plainTime, plainStep);
                quantisedTime = Math.min(quantisedTime, quantisedStep);
            }
            System.out.printf(
                    "%2d x %d tokens, %-7s scales: plain step %.1f ms, quantised step %.1f ms, relative speed %.3f (target 0.9)%n",
                    batch, length, mode, plainTime * 1e3, quantisedTime * 1e3, plainTime / quantisedTime);
        }
        for (var latents : List.of(teacher, plainLatents, quantisedLatents)) latents.values().forEach(Tensor::close);
        grids.values().forEach(Grid::close);
    }

    private static Adam adam(Student student) {
        return new Adam(
                Adam.Settings.DEFAULT,
                List.of(new Adam.Group(1e-6, student.parameters()), new Adam.Group(1e-6, student.scales())));
    }

    /// Processor time of this thread (one thread an operation) in one step. The fastest of many is reported: other work on the machine only
    /// ever adds to it.
    private static double seconds(Trainer trainer, int step) {
        double start = Meter.processorSeconds();
        trainer.run(step, (_, _) -> {});
        return Meter.processorSeconds() - start;
    }
}
