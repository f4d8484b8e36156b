package rqat.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.torch.TorchSteps;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.model.Weights;
import rqat.run.RandomStream;
import rqat.tensor.Scope;
import rqat.tensor.Torch;
import rqat.train.Initialiser;

/// What continuous batching gives: sampling 100 tokens after each of many prompts of about 100 tokens, groups of 8 samples a prompt, in a
/// batch against one sequence at a time, and as a share of what matrix products and memory alone would allow on this machine in this run
/// (products at the speed of a large one; every key and value of the cache, and the weights once a step, at the speed of a sum).
/// Target: 10,000 tokens a second and core for the batch of 64.
///
/// Arguments: dtypes to run of FP32, FAST (float32 with fast products), BF16 (FP32 BF16).
public final class RolloutBench {
    private static final int NEW_TOKENS = 100, GROUP = 8, REQUESTS = 256;

    private static final ModelConfig CONFIG = new ModelConfig(
            ModelConfig.Family.QWEN3, 512, 128, 384, 4, 4, 2, 32, 2048, 1e-6,
            new Rope(10_000, new Rope.None()), true, false, false, false, true);

    private enum Run {
        FP32(ScalarType.Float, Torch.Compute.FLOAT32),
        FAST(ScalarType.Float, Torch.Compute.FAST_FLOAT32),
        BF16(ScalarType.BFloat16, Torch.Compute.FLOAT32);

        final ScalarType type;
        final Torch.Compute products;

        Run(ScalarType type, Torch.Compute products) {
            this.type = type;
            this.products = products;
        }
    }

    public static void main(String[] arguments) {
        Torch.threads(1);
        System.out.printf("model of %,d parameters, one thread%n", CONFIG.parameters());
        List<String> names = arguments.length > 0 ? List.of(arguments) : List.of("FP32", "BF16");
        for (String name : names) measure(Run.valueOf(name));
    }

    private static void measure(Run run) {
        Torch.compute(run.products);
        var tensors = new LinkedHashMap<String, Tensor>();
        Initialiser.random(CONFIG, 1).forEach((name, latent) -> {
            tensors.put(name, Scope.own(() -> latent.to(run.type)));
            latent.close();
        });
        var decoder = new Decoder(CONFIG, new Weights(tensors));
        tokensPerSecond(decoder, 64);
        double multiplications = 0, bandwidth = 0;
        double one = 0;
        double[] batched = new double[3];
        int[] sizes = {16, 64, 128};
        for (int round = 0; round < 3; round++) {
            multiplications = Math.max(multiplications, Meter.multiplicationsPerSecond(run.type, 512, 8, Meter::processorSeconds));
            bandwidth = Math.max(bandwidth, Meter.bytesPerSecond(16 << 20, Meter::processorSeconds));
            one = Math.max(one, tokensPerSecond(decoder, 1));
            for (int i = 0; i < sizes.length; i++) batched[i] = Math.max(batched[i], tokensPerSecond(decoder, sizes[i]));
        }
        System.out.printf(
                "%s: products %.0f GFLOP/s, memory %.1f GB/s; one sequence at a time %,.0f tokens/s%n",
                run, 2e-9 * multiplications, 1e-9 * bandwidth, one);
        for (int i = 0; i < sizes.length; i++) {
            double limit = limit(sizes[i], run.type == ScalarType.Float ? 4 : 2, multiplications, bandwidth);
            System.out.printf(
                    "  batch %3d: %,7.0f tokens/s, %5.1f times one at a time, %.2f of the limit of %,.0f%n",
                    sizes[i], batched[i], batched[i] / one, batched[i] / limit, limit);
        }
        tensors.values().forEach(Tensor::close);
    }

    /// Tokens a second if a step took only its products and its reading of memory.
    private static double limit(int batch, int bytes, double multiplications, double bandwidth) {
        double meanLength = 100 + NEW_TOKENS / 2.0;
        double cachePerToken = 2.0 * CONFIG.layers() * CONFIG.keyValueHeads() * CONFIG.headDimension() * bytes;
        double scores = 2.0 * CONFIG.layers() * CONFIG.heads() * CONFIG.headDimension() * meanLength;
        double prompt = 100.0 / NEW_TOKENS / GROUP; // prompt tokens computed for each new one
        double products = (CONFIG.parameters() + scores + prompt * CONFIG.parameters()) / multiplications;
        double memory = (cachePerToken * meanLength + (double) CONFIG.parameters() * bytes / batch) / bandwidth;
        return 1 / (products + memory);
    }

    private static double tokensPerSecond(Decoder decoder, int batch) {
        var random = new RandomStream(7);
        var requests = new ArrayList<Request>();
        int count = batch == 1 ? GROUP : REQUESTS;
        int[] prompt = {};
        var sampling = new Sampling(1, 1, 0, NEW_TOKENS, Set.of());
        for (int i = 0; i < count; i++) {
            if (i % GROUP == 0) {
                prompt = new int[80 + random.nextInt(41)];
                for (int t = 0; t < prompt.length; t++) prompt[t] = random.nextInt(CONFIG.vocabularySize());
            }
            requests.add(new Request(prompt, sampling, i));
        }
        double began = Meter.processorSeconds();
        List<Completion> completions = new LocalGenerator(() -> new TorchSteps(decoder, 1 << 20), batch).generate(requests, Listener.NONE);
        double seconds = Meter.processorSeconds() - began;
        return completions.stream().mapToLong(completion -> completion.tokens().length).sum() / seconds;
    }
}
