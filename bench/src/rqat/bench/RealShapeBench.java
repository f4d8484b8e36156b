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
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.torch.TorchSteps;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.model.Weights;
import rqat.quant.ClipSearch;
import rqat.quant.Gptq;
import rqat.quant.Grid;
import rqat.quant.QuantisedModel;
import rqat.quant.Quantiser;
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

/// Qwen3-0.6B's true shape with random weights: speed, peak memory, and the share of what large matrix products reach on this machine in this
/// run. Linux only: reads the peak resident size from /proc.
///
///     bench/run RealShapeBench distil [THREADS]     a KD-QAT step at 3 bits, 2 sequences of 1,024 tokens
///     bench/run RealShapeBench gptq [THREADS]       GPTQ at 3 bits with 8 windows of 512 tokens
///     bench/run RealShapeBench sample [THREADS]     64 sequences of 32 new tokens after 32, batch 64 beside one at a time
public final class RealShapeBench {
    private static final ModelConfig CONFIG = new ModelConfig(
            ModelConfig.Family.QWEN3, 151_936, 1024, 3072, 28, 16, 8, 128, 40_960, 1e-6,
            new Rope(1_000_000, new Rope.None()), true, false, false, false, true);

    public static void main(String[] arguments) {
        String what = arguments.length > 0 ? arguments[0] : "distil";
        int threads = arguments.length > 1 ? Integer.parseInt(arguments[1]) : Runtime.getRuntime().availableProcessors();
        Torch.compute(Torch.Compute.BFLOAT16);
        Torch.threads(threads);
        System.out.printf("Qwen3-0.6B shape, %,d parameters, bfloat16, %d threads%n", CONFIG.parameters(), threads);
        switch (what) {
            case "distil" -> distil();
            case "gptq" -> gptq();
            case "sample" -> sample();
            default -> throw new IllegalArgumentException(what + " is not one of distil, gptq, sample");
        }
        System.out.printf("peak memory %.2f GiB%n", Meter.residentPeak() / 1024);
    }

    private static void distil() {
        int batch = 2, length = 1024, steps = 3;
        SequencedMap<String, Tensor> teacher = bfloat16(Initialiser.random(CONFIG, 1));
        SequencedMap<String, Tensor> latents = Initialiser.random(CONFIG, 2);
        var grids = new LinkedHashMap<String, Grid>();
        for (int layer = 0; layer < CONFIG.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                Scope.run(() -> grids.put(
                        name, Grid.fit(new GridSpec(3, 128, false, ScaleType.BFLOAT16), latents.get(name), ClipSearch.NONE).copy()));
            }
        }
        var random = new RandomStream(7);
        List<TokenSequence> sequences = new ArrayList<>();
        for (int i = 0; i < batch; i++) sequences.add(TokenSequence.all(tokens(random, length)));
        var objective = new DistillationObjective(
                _ -> sequences,
                1,
                ChunkedHead.chunkFor(CONFIG.vocabularySize()),
                new Teacher(new Decoder(CONFIG, new Weights(teacher)), new Divergence.ForwardKl(), 1));
        try (var student = new Student(
                        CONFIG,
                        latents,
                        Student.Quantisation.weightsOnly(grids, ScaleMode.STATIC, MaskRule.HALF_STEP),
                        new Student.Options(ScalarType.BFloat16, true, Set.of()));
                var adam = new Adam(Adam.Settings.DEFAULT, List.of(new Adam.Group(1e-6, student.parameters())))) {
            double best = Double.MAX_VALUE, products = 0;
            for (int step = 0; step < steps; step++) {
                double began = Meter.seconds();
                new Trainer(student, objective, adam, new Schedule(0, step + 1, 1), 1).run(step, (_, _) -> {});
                best = Math.min(best, Meter.seconds() - began);
                products = Math.max(products, Meter.multiplicationsPerSecond(ScalarType.BFloat16, 2048, 4, Meter::seconds));
                System.out.printf("step %d: %.1f s%n", step + 1, best);
            }
            // Teacher forwards; student forwards twice (blocks are computed again) and backwards, which is two forwards' work.
            double work = 5.0 * CONFIG.parameters() * batch * length + 5.0 * attention(length) * batch;
            System.out.printf(
                    "KD-QAT step of %d x %d tokens: %.1f s, %.0f tokens/s; products at %.0f GFLOP/s of %.0f (share %.2f)%n",
                    batch, length, best, batch * length / best, 2e-9 * work / best, 2e-9 * products, work / best / products);
        }
    }

    private static void gptq() {
        var random = new RandomStream(7);
        int[][] windows = new int[8][];
        for (int i = 0; i < windows.length; i++) windows[i] = tokens(random, 512);
        double began = Meter.seconds();
        try (QuantisedModel model = Initialiser.model(CONFIG, 1)) {
            System.out.printf("random weights made in %.0f s%n", Meter.seconds() - began);
            double start = Meter.seconds();
            Quantiser.quantise(model, Gptq.paper(3), windows, ScalarType.BFloat16, step -> {
                        if (step.done() % 28 == 0) System.out.printf("%d of %d maps, %.0f s%n", step.done(), step.total(), Meter.seconds() - start);
                    })
                    .close();
            System.out.printf("GPTQ with %d windows of 512 tokens: %.0f s%n", windows.length, Meter.seconds() - start);
        }
    }

    private static void sample() {
        SequencedMap<String, Tensor> weights = bfloat16(Initialiser.random(CONFIG, 1));
        var decoder = new Decoder(CONFIG, new Weights(weights));
        int length = 32, fresh = 32;
        double one = tokensPerSecond(decoder, 1, 1, length, fresh);
        double batched = tokensPerSecond(decoder, 64, 64, length, fresh);
        double products = 0, bandwidth = 0;
        // The best of some: a limit that something else on the machine lowered would flatter.
        for (int i = 0; i < 8; i++) {
            products = Math.max(products, Meter.multiplicationsPerSecond(ScalarType.BFloat16, 2048, 4, Meter::seconds));
            bandwidth = Math.max(bandwidth, Meter.bytesPerSecond(64 << 20, Meter::seconds));
        }
        double bytes = 2.0 * CONFIG.parameters();
        System.out.printf(
                "one at a time %.1f tokens/s, %.2f of the %.1f that reading the weights at %.1f GB/s allows%n",
                one, one / (bandwidth / bytes), bandwidth / bytes, 1e-9 * bandwidth);
        double limit = 64 / (bytes / bandwidth + 64 * (1.0 + length / (double) fresh) * CONFIG.parameters() / products);
        System.out.printf(
                "batch 64: %.0f tokens/s, %.1f times one at a time, %.2f of the %.0f that memory and products at %.0f GFLOP/s allow%n",
                batched, batched / one, batched / limit, limit, 2e-9 * products);
    }

    private static double tokensPerSecond(Decoder decoder, int count, int batch, int length, int fresh) {
        var random = new RandomStream(3);
        var requests = new ArrayList<Request>();
        var sampling = new Sampling(1, 0.95, 0, fresh, Set.of());
        for (int i = 0; i < count; i++) requests.add(new Request(tokens(random, length), sampling, i));
        double began = Meter.seconds();
        List<Completion> completions = new LocalGenerator(() -> TorchSteps.within(decoder, 4), batch)
                .generate(requests, Listener.NONE);
        return completions.stream().mapToLong(completion -> completion.tokens().length).sum() / (Meter.seconds() - began);
    }

    private static int[] tokens(RandomStream random, int length) {
        int[] tokens = new int[length];
        for (int t = 0; t < length; t++) tokens[t] = random.nextInt(CONFIG.vocabularySize());
        return tokens;
    }

    /// Multiplications of scores and mixing in one causal pass over `length` tokens.
    private static double attention(int length) {
        return (double) CONFIG.layers() * CONFIG.heads() * CONFIG.headDimension() * length * length;
    }

    private static SequencedMap<String, Tensor> bfloat16(SequencedMap<String, Tensor> latents) {
        var narrow = new LinkedHashMap<String, Tensor>();
        latents.forEach((name, latent) -> {
            narrow.put(name, Scope.own(() -> latent.to(ScalarType.BFloat16)));
            latent.close();
        });
        return narrow;
    }
}
