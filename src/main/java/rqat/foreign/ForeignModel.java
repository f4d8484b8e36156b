package rqat.foreign;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import rqat.Failure;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.format.Description;
import rqat.io.Checkpoint;
import rqat.io.DataType;
import rqat.io.GgufFile;
import rqat.io.HostBuffer;
import rqat.io.HostTensor;
import rqat.io.TensorSource;
import rqat.model.ForeignQuantisation;
import rqat.model.ModelConfig;
import rqat.model.StoredWeights;
import tools.jackson.databind.JsonNode;

/// Model directories in which another tool keeps its codes, as [CodedModel]s.
public final class ForeignModel {
    private static final String READ = "GPTQ, AWQ (gemm), compressed-tensors (pack-quantized, int-quantized), MLX and GGUF";

    private ForeignModel() {}

    /// What `directory` is quantised by as a word for messages (`gptq`, `gguf`); empty where its weights are plain, or ours.
    public static Optional<String> method(Path directory) {
        if (isGguf(directory)) return Optional.of("gguf");
        return ForeignQuantisation.declared(directory).map(ForeignQuantisation.Declared::method);
    }

    private static boolean isGguf(Path directory) {
        return Files.isRegularFile(directory.resolve(GgufDirectory.WEIGHTS))
                && !Files.exists(directory.resolve("model.safetensors"))
                && !Files.exists(directory.resolve("model.safetensors.index.json"));
    }

    /// Opens any model directory: ours, one with plain weights, or one in another tool's layout.
    ///
    /// @throws Failure BAD_FILE when its method is none that we read, or tensors are missing, unknown, or of other types or shapes than they should be
    public static CodedModel open(Path directory) {
        ModelConfig config = ModelConfig.load(directory);
        if (method(directory).isEmpty()) return CodedModel.open(directory);
        if (isGguf(directory)) return openGguf(directory, config);
        Checkpoint checkpoint = Checkpoint.open(directory);
        try {
            var tensors = new Tensors(directory, checkpoint.tensors());
            return ofLayout(config, tensors, layout(directory, tensors), checkpoint);
        } catch (RuntimeException | Error e) {
            checkpoint.close();
            throw e;
        }
    }

    private static CodedModel openGguf(Path directory, ModelConfig config) {
        GgufFile file = GgufFile.open(directory.resolve(GgufDirectory.WEIGHTS));
        try {
            var weights = new GgufWeights(file, config);
            Set<String> maps = Description.maps(config).keySet();
            var coded = new LinkedHashMap<String, Supplier<CodedWeight>>();
            var values = new LinkedHashMap<String, TensorSource>();
            for (String name : config.tensors().keySet()) {
                if (maps.contains(name) && weights.isCoded(name)) coded.put(name, () -> weights.coded(name));
                values.put(name, weights.values(name));
            }
            return new CodedModel(config, null, coded, values, new LinkedHashMap<>(), List.of(file));
        } catch (RuntimeException | Error e) {
            file.close();
            throw e;
        }
    }

    private static Layout layout(Path directory, Tensors tensors) {
        ForeignQuantisation.Declared declared = ForeignQuantisation.declared(directory).orElseThrow();
        String method = declared.method();
        JsonNode quantisation = declared.settings();
        return switch (method) {
            case "gptq" -> GptqLayout.of(tensors, quantisation);
            case "awq" -> AwqLayout.of(tensors, quantisation);
            case "compressed-tensors" -> CompressedTensorsLayout.of(tensors, quantisation);
            case "mlx" -> MlxLayout.of(tensors, quantisation);
            case "auto-round", "auto_round" -> autoRound(tensors, quantisation);
            default -> throw Failure.badFile("%s: quantised by %s, which rqat does not read; it reads %s. Take the unquantised model instead"
                    .formatted(directory, Failure.quote(method), READ));
        };
    }

    private static Layout autoRound(Tensors tensors, JsonNode quantisation) {
        String packing = quantisation.path("packing_format").asString("");
        if (packing.contains("awq")) return AwqLayout.of(tensors, quantisation);
        if (packing.contains("gptq")) return new GptqLayout(tensors, GptqLayout.Reading.VERSION_1, quantisation.path("sym").asBoolean(true), GptqLayout.label(quantisation));
        throw Failure.badFile("%s: AutoRound's packing %s, which rqat does not read; it reads auto_round:auto_gptq and auto_round:auto_awq"
                .formatted(tensors.directory(), Failure.quote(packing)));
    }

    private static CodedModel ofLayout(ModelConfig config, Tensors tensors, Layout layout, Checkpoint checkpoint) {
        Set<String> maps = Description.maps(config).keySet();
        var coded = new LinkedHashMap<String, Supplier<CodedWeight>>();
        var values = new LinkedHashMap<String, TensorSource>();
        var used = new LinkedHashSet<String>();
        config.tensors().forEach((name, shape) -> {
            String module = name.endsWith(".weight") ? name.substring(0, name.length() - ".weight".length()) : name;
            if (tensors.has(module + "." + layout.mark()) && shape.length == 2) {
                layout.parts().forEach(part -> used.add(module + "." + part));
                Supplier<CodedWeight> weight = () -> read(tensors, layout, module, shape);
                if (maps.contains(name)) coded.put(name, weight);
                values.put(name, dequantised(weight, shape));
            } else {
                used.add(name);
                values.put(name, plain(tensors, name, shape));
            }
        });
        for (String name : tensors.tensors().keySet()) {
            // Some tools store the tied head a second time, or a bias of zeros for maps that have none.
            boolean implied = name.startsWith("lm_head.") || StoredWeights.isBuffer(name) || isEmptyBias(tensors, name);
            if (!used.contains(name) && !implied) throw tensors.bad(name, "is no part of a %s model as config.json describes it; refusing to ignore a weight".formatted(config.family()));
        }
        if (config.tiedEmbeddings()) StoredWeights.requireOneHead(tensors.directory(), tensors.tensors());
        return new CodedModel(config, null, coded, values, new LinkedHashMap<>(), List.of(checkpoint));
    }

    private static CodedWeight read(Tensors tensors, Layout layout, String module, long[] shape) {
        CodedWeight weight = layout.read(module, Math.toIntExact(shape[0]), Math.toIntExact(shape[1]));
        for (String part : layout.parts()) {
            HostTensor tensor = tensors.find(module + "." + part);
            if (tensor != null) tensor.unload();
        }
        return weight;
    }

    /// Older quantisers give every map a bias.
    private static boolean isEmptyBias(Tensors tensors, String name) {
        HostTensor tensor = tensors.find(name);
        if (!name.endsWith(".bias") || tensor == null || !tensor.type().isFloating()) return false;
        for (float value : tensor.toFloats()) {
            if (value != 0) return false;
        }
        return true;
    }

    private static TensorSource plain(Tensors tensors, String name, long[] shape) {
        HostTensor stored = tensors.find(name);
        if (stored == null) throw tensors.bad(name, "is missing");
        if (!Arrays.equals(stored.shape(), shape) || !stored.type().isFloating()) {
            throw tensors.bad(name, "is %s; expected F32, F16 or BF16 %s".formatted(stored, Arrays.toString(shape)));
        }
        return stored;
    }

    private static TensorSource dequantised(Supplier<CodedWeight> weight, long[] shape) {
        return HostBuffer.source(DataType.F32, buffer -> {
            CodedWeight coded = weight.get();
            float[] values = new float[coded.columns()];
            for (int row = 0; row < coded.rows(); row++) {
                coded.dequantise(row, values);
                for (int column = 0; column < values.length; column++) buffer.setFloat((long) row * values.length + column, values[column]);
            }
        }, shape);
    }
}
