package rqat.export;

import static rqat.export.SafetensorsContainer.module;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Supplier;
import rqat.format.CodedWeight;
import rqat.io.BitPacking;
import rqat.io.DataType;
import rqat.io.HostBuffer;
import rqat.io.TensorSource;
import tools.jackson.databind.node.ObjectNode;

/// The `pack-quantized` layout of compressed-tensors from version 0.18: of a map of K inputs and N outputs with groups of G inputs
///
/// | tensor | type, shape | |
/// |---|---|---|
/// | `weight_packed` | I32 `[N, ceil(K * bits / 32)]` | the codes of each row as one dense stream ([BitPacking]) |
/// | `weight_scale` | `[N, K / G]` | |
/// | `weight_zero_point` | I32 `[ceil(N * bits / 32), K / G]` | asymmetric grids: the zero points of each group as one dense stream down a column |
/// | `weight_shape` | I64 `[2]` | N, K |
///
/// The library counts codes from `-2^(bits - 1)` and adds that again when it packs, so what is stored are codes from 0. Version 0.17 packed other bits
/// than 2, 4 and 8 without crossing words; readers tell the two apart by the width of `weight_packed`.
///
/// @param bits 0 for the bits of the grid, or 4 or 8 for steps in a symmetric grid of that many
record CompressedTensorsContainer(int bits) implements SafetensorsContainer {
    /// The version whose layout this is.
    private static final String VERSION = "0.18.0";

    @Override
    public Recoded fit(CodedWeight weight, Supplier<CodedWeight> source) {
        return Recoded.of(weight, bits, source);
    }

    @Override
    public SequencedMap<String, TensorSource> tensors(Recoded weight, DataType scaleType) {
        var tensors = new LinkedHashMap<String, TensorSource>();
        String module = module(weight.name());
        tensors.put(module + ".weight_packed", PackedTensors.codes(weight, DataType.I32, false));
        tensors.put(module + ".weight_scale", PackedTensors.byRow(weight, scaleType, weight.groups(), Recoded.Codes::scale));
        if (!weight.symmetric()) tensors.put(module + ".weight_zero_point", PackedTensors.zeros(weight, 0, true));
        tensors.put(module + ".weight_shape", HostBuffer.source(DataType.I64, buffer -> {
            buffer.setLong(0, weight.rows());
            buffer.setLong(1, weight.columns());
        }, 2));
        return tensors;
    }

    @Override
    public void describe(ObjectNode config, CommonGrid grid, List<String> unquantised) {
        ObjectNode node = config.putObject("quantization_config");
        ObjectNode group = node.putObject("config_groups").putObject("group_0");
        group.putArray("targets").add("Linear");
        ObjectNode weights = group.putObject("weights");
        weights.put("num_bits", grid.bits());
        weights.put("type", "int");
        weights.put("symmetric", grid.symmetric());
        weights.put("strategy", grid.groupSize() == 0 ? "channel" : "group");
        if (grid.groupSize() == 0) weights.putNull("group_size");
        else weights.put("group_size", grid.groupSize());
        weights.put("dynamic", false);
        weights.putNull("actorder");
        weights.putNull("block_structure");
        weights.put("observer", "minmax");
        weights.putObject("observer_kwargs");
        group.putNull("input_activations");
        group.putNull("output_activations");
        group.put("format", "pack-quantized");
        node.put("format", "pack-quantized");
        node.putNull("global_compression_ratio");
        var ignored = node.putArray("ignore").add("lm_head");
        unquantised.forEach(ignored::add);
        node.putNull("kv_cache_scheme");
        node.put("quant_method", "compressed-tensors");
        node.put("quantization_status", "compressed");
        node.put("version", VERSION);
    }
}
