package rqat.generate.torch;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// A random decoder of any family, small enough to generate in milliseconds, whose next-token distributions are neither flat nor certain.
record TinyModel(ModelConfig config, SequencedMap<String, Tensor> tensors) implements AutoCloseable {
    static final int VOCABULARY = 61;
    static final int CONTEXT = 96;

    static TinyModel of(ModelConfig.Family family, long seed, ScalarType type) {
        int heads = family == ModelConfig.Family.LLAMA ? 3 : 4, keyValueHeads = family == ModelConfig.Family.LLAMA ? 3 : 2;
        var config = new ModelConfig(
                family, VOCABULARY, 24, 40, 2, heads, keyValueHeads, 8, CONTEXT, 1e-6,
                new Rope(10_000, new Rope.None()), family == ModelConfig.Family.QWEN3,
                family == ModelConfig.Family.QWEN2, false, false, family != ModelConfig.Family.LLAMA);
        var tensors = new LinkedHashMap<String, Tensor>();
        config.tensors().forEach((name, shape) -> {
            var random = new RandomStream(Seeds.mix(seed, Seeds.ofString(name)));
            int size = 1;
            for (long length : shape) size *= (int) length;
            float[] values = new float[size];
            for (int i = 0; i < size; i++) {
                values[i] = (float) (shape.length == 1 ? 1 + 0.3 * random.nextGaussian() : 0.35 * random.nextGaussian());
            }
            tensors.put(name, Scope.own(() -> Cpu.of(values, shape).to(type)));
        });
        return new TinyModel(config, tensors);
    }

    Decoder decoder() {
        return new Decoder(config, new Weights(tensors));
    }

    Decoder decoder(Sites sites) {
        return new Decoder(config, new Weights(tensors), sites);
    }

    /// `count` requests with prompts of 1 to 20 tokens, some of them samples of one prompt.
    static List<Request> requests(int count, Sampling sampling, long seed) {
        var random = new RandomStream(seed);
        var requests = new ArrayList<Request>();
        int[] prompt = {};
        for (int i = 0; i < count; i++) {
            if (i == 0 || random.nextInt(3) > 0) {
                prompt = new int[1 + random.nextInt(20)];
                for (int t = 0; t < prompt.length; t++) prompt[t] = random.nextInt(VOCABULARY);
            }
            requests.add(new Request(prompt.clone(), sampling, random.nextLong()));
        }
        return requests;
    }

    /// The log-probabilities of `completion` after `prompt` by one forward pass over the whole sequence, without any cache.
    static float[] score(Decoder decoder, int[] prompt, int[] completion, double temperature) {
        int[] all = new int[prompt.length + completion.length];
        System.arraycopy(prompt, 0, all, 0, prompt.length);
        System.arraycopy(completion, 0, all, prompt.length, completion.length);
        return Grad.off(() -> Scope.get(() -> {
            Tensor hidden = decoder.hidden(Cpu.of(all, 1, all.length));
            Tensor logits = decoder.logits(hidden.select(0, 0).narrow(0, prompt.length - 1, completion.length)).to(ScalarType.Float);
            Tensor logProbabilities = torch.log_softmax(logits.div(new Scalar(temperature)), -1);
            return Tensors.floats(logProbabilities.gather(1, Cpu.of(completion, completion.length, 1)));
        }));
    }

    @Override
    public void close() {
        tensors.values().forEach(Tensor::close);
    }
}
