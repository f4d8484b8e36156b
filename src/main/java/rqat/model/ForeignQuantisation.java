package rqat.model;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import rqat.Failure;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;

/// Whether another tool has quantised the model of a directory: what its configuration says, and what the names of its tensors give away. Whoever can read a layout asks
/// [#declared] first; whoever needs plain weights calls [#refuse].
public final class ForeignQuantisation {
    /// Files beside `config.json` in which older tools say what they did, with the method that each stands for.
    private static final SequencedMap<String, String> SIDE_FILES = new LinkedHashMap<>();

    /// What tensors of full precision are never called: the end of a name, the method. The first that fits counts.
    private static final SequencedMap<String, String> TENSORS = new LinkedHashMap<>();

    static {
        SIDE_FILES.put("quantize_config.json", "gptq");
        SIDE_FILES.put("quant_config.json", "awq");
        SIDE_FILES.put("hf_quant_config.json", "modelopt");
        TENSORS.put(".g_idx", "gptq");
        TENSORS.put(".qzeros", "gptq or awq");
        TENSORS.put(".qweight", "gptq or awq");
        TENSORS.put(".weight_packed", "compressed-tensors");
        TENSORS.put(".weight_scale_inv", "fp8");
        TENSORS.put(".weight.absmax", "bitsandbytes");
        TENSORS.put(".weight_format", "bitsandbytes");
        TENSORS.put(".SCB", "bitsandbytes");
        TENSORS.put(".weight_scale", "fp8 or int8");
        TENSORS.put(".input_scale", "fp8 or int8");
        TENSORS.put(".biases", "mlx");
        TENSORS.put(".scales", "mlx");
    }

    private ForeignQuantisation() {}

    /// What a directory says of its weights.
    ///
    /// @param method   `gptq`, `awq`, `compressed-tensors`, `fp8`, `bitsandbytes`, `mlx`, ..., or `unknown`
    /// @param settings the object that says so, in the words of the tool
    public record Declared(String method, JsonNode settings) {}

    /// What `config.json` or a file beside it declares; empty where weights are plain.
    public static Optional<Declared> declared(Path directory) {
        JsonNode config = JsonFiles.read(directory.resolve("config.json"));
        for (String key : new String[] {"quantization_config", "compression_config", "quantization"}) {
            JsonNode settings = config.path(key);
            if (settings.isObject() && !settings.isEmpty()) return Optional.of(new Declared(method(key, settings), settings));
        }
        for (String name : SIDE_FILES.keySet()) {
            Path file = directory.resolve(name);
            if (Files.isRegularFile(file)) return Optional.of(new Declared(SIDE_FILES.get(name), JsonFiles.read(file)));
        }
        return Optional.empty();
    }

    private static String method(String key, JsonNode quantisation) {
        String method = quantisation.path("quant_method").asString(quantisation.path("method").asString(""));
        if (!method.isEmpty()) return method;
        if (key.equals("compression_config") || quantisation.has("config_groups")) return "compressed-tensors";
        if (quantisation.has("load_in_4bit") || quantisation.has("load_in_8bit")) return "bitsandbytes";
        // mlx-lm writes its settings under both keys.
        boolean mlx = key.equals("quantization") || quantisation.has("group_size") && quantisation.has("bits") && !quantisation.has("sym");
        return mlx ? "mlx" : "unknown";
    }

    /// The method that the names of tensors give away; empty where they are those of plain weights.
    static Optional<String> method(Set<String> tensors) {
        return TENSORS.entrySet().stream().filter(entry -> tensors.stream().anyMatch(name -> name.endsWith(entry.getKey()))).map(Map.Entry::getValue).findFirst();
    }

    /// Refuses a model whose weights are another tool's codes.
    ///
    /// @throws Failure BAD_FILE with the method
    public static void refuse(Path directory) {
        declared(directory).ifPresent(declared -> {
            throw refusal(directory, declared.method());
        });
    }

    static Failure refusal(Path directory, String method) {
        return Failure.badFile(("%s: already quantised by %s; weights in full precision are needed here. Take the model that it was made from, or, where `rqat export` reads"
                        + " the layout, `rqat export %s OUT --format hf` writes its dequantised weights")
                .formatted(directory, Failure.quote(method), directory));
    }
}
