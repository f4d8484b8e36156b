package rqat.model;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.HostTensor;

/// Proves that the tensors of a checkpoint are those that `config.json` promises, without reading their values, but for a tied head that is stored a second time.
public final class StoredWeights {
    private static final String HEAD = "lm_head.weight";
    private static final String EMBEDDED = "embed_tokens.weight";
    /// Rotary frequencies and angles, which old checkpoints store and which the configuration implies.
    private static final Pattern BUFFER = Pattern.compile("(.*\\.)?(rotary_emb|rotary_pos_emb)\\.(original_)?(inv_freq|cos_cached|sin_cached|cos_cache|sin_cache)|rope\\.freqs");
    /// What wrappers of PyTorch put into names, and who they are.
    private static final List<Map.Entry<String, String>> WRAPPERS = List.of(
            Map.entry("_orig_mod.", "torch.compile"),
            Map.entry("module.", "DistributedDataParallel or DeepSpeed"),
            Map.entry("_fsdp_wrapped_module.", "FSDP"),
            Map.entry("_checkpoint_wrapped_module.", "activation checkpointing"),
            Map.entry("base_model.", "PEFT"),
            Map.entry("language_model.", "a model of text and images"));
    private static final int CHUNK = 1 << 20;

    private StoredWeights() {}

    /// The stored tensors of [ModelConfig#tensors], in their order. A tied model may have stored its one matrix under the name of the head.
    ///
    /// @param stored all tensors of the checkpoint
    /// @throws Failure BAD_FILE when a tensor is missing, unknown, or of the wrong shape or type, or a second copy of a tied head differs
    public static SequencedMap<String, HostTensor> of(Path directory, ModelConfig config, Map<String, HostTensor> stored) {
        SequencedMap<String, long[]> expected = config.tensors();
        var weights = new LinkedHashMap<String, HostTensor>();
        expected.forEach((name, shape) -> {
            HostTensor tensor = stored.get(name);
            if (tensor == null && config.tiedEmbeddings() && name.equals(ModelConfig.EMBEDDING)) tensor = stored.get(HEAD);
            weights.put(name, checked(directory, config, name, shape, tensor, stored));
        });
        for (String name : stored.keySet()) {
            boolean head = config.tiedEmbeddings() && name.equals(HEAD);
            if (!expected.containsKey(name) && !head && !isBuffer(name)) {
                throw Failure.badFile(("%s: tensor %s is not part of a %s model as config.json describes it; refusing to ignore a weight. %s")
                        .formatted(directory, Failure.quote(name), config.family(),
                                reason(config, stored).orElse("Check model_type, num_hidden_layers and the bias flags.")));
            }
        }
        if (config.tiedEmbeddings()) requireOneHead(directory, stored);
        return weights;
    }

    /// Whether a tensor is no weight but a buffer of the rotary embedding.
    public static boolean isBuffer(String name) {
        return BUFFER.matcher(name).matches();
    }

    /// Refuses a tied model whose stored head is another matrix than its embedding: which of the two the model was trained with, nobody can know.
    ///
    /// @throws Failure BAD_FILE when both are there and their values differ
    public static void requireOneHead(Path directory, Map<String, HostTensor> stored) {
        HostTensor head = stored.get(HEAD), embedding = stored.get(ModelConfig.EMBEDDING);
        if (head == null || embedding == null || same(head, embedding)) return;
        throw Failure.badFile(("%s: config.json ties the head to the embedding (tie_word_embeddings), but the checkpoint holds a `%s` that differs from `%s`."
                        + " If the head is the model's own, set tie_word_embeddings to false, or remove it from the checkpoint")
                .formatted(directory, HEAD, ModelConfig.EMBEDDING));
    }

    private static boolean same(HostTensor a, HostTensor b) {
        if (a.equals(b)) return true;
        if (!Arrays.equals(a.shape(), b.shape()) || !a.type().isFloating() || !b.type().isFloating()) return false;
        for (long start = 0; start < a.elementCount(); start += CHUNK) {
            long count = Math.min(CHUNK, a.elementCount() - start);
            float[] left = values(a, start, count), right = values(b, start, count);
            for (int i = 0; i < count; i++) {
                if (left[i] != right[i]) return false;
            }
        }
        return true;
    }

    private static float[] values(HostTensor tensor, long start, long count) {
        int width = tensor.type().byteSize();
        return new HostTensor(tensor.type(), new long[] {count}, tensor.data().asSlice(start * width, count * width)).toFloats();
    }

    private static HostTensor checked(
            Path directory, ModelConfig config, String name, long[] shape, @Nullable HostTensor tensor, Map<String, HostTensor> stored) {
        if (tensor == null) {
            ForeignQuantisation.method(stored.keySet()).ifPresent(method -> {
                throw ForeignQuantisation.refusal(directory, method);
            });
            String advice = name.equals(HEAD)
                    ? "Set tie_word_embeddings to true in config.json if the head is the embedding."
                    : "The checkpoint is incomplete or belongs to another config.json.";
            throw Failure.badFile("%s: tensor `%s` is missing (config.json says %s, %d layers). %s"
                    .formatted(directory, name, config.family(), config.layers(), reason(config, stored).orElse(advice)));
        }
        if (!Arrays.equals(shape, tensor.shape())) {
            throw Failure.badFile("%s: tensor `%s` has shape %s; config.json implies %s"
                    .formatted(directory, name, Arrays.toString(tensor.shape()), Arrays.toString(shape)));
        }
        if (!tensor.type().isFloating()) {
            throw Failure.badFile("%s: tensor `%s` is %s; expected F32, F16 or BF16 (an already quantised checkpoint cannot be a source)"
                    .formatted(directory, name, tensor.type()));
        }
        return tensor;
    }

    /// Why names do not fit, where a prefix is the reason.
    private static Optional<String> reason(ModelConfig config, Map<String, HostTensor> stored) {
        for (String name : stored.keySet()) {
            for (Map.Entry<String, String> wrapper : WRAPPERS) {
                if (("." + name).contains("." + wrapper.getKey())) {
                    return Optional.of("Its tensors have names such as %s: `%s` is what %s puts there; save the model inside the wrapper again, or rename the tensors"
                            .formatted(Failure.quote(name), wrapper.getKey(), wrapper.getValue()));
                }
            }
        }
        if (stored.containsKey(ModelConfig.EMBEDDING)) return Optional.empty();
        return stored.keySet().stream().filter(name -> name.endsWith(EMBEDDED)).findFirst().map(name -> {
            String prefix = name.substring(0, name.length() - EMBEDDED.length());
            return "Its tensors begin with %s where `model.` is expected (the embedding is %s); save it as a model for causal language modelling, or rename the tensors"
                    .formatted(Failure.quote(prefix), Failure.quote(name));
        });
    }
}
