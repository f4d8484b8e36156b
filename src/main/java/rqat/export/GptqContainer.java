package rqat.export;

import static rqat.export.SafetensorsContainer.module;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Set;
import java.util.SequencedMap;
import java.util.function.Supplier;
import rqat.format.CodedWeight;
import rqat.io.BitPacking;
import rqat.io.DataType;
import rqat.io.TensorSource;
import rqat.run.Manifest;
import tools.jackson.databind.node.ObjectNode;

/// The layout of AutoGPTQ and GPTQModel: of a map of K inputs and N outputs with groups of G inputs
///
/// | tensor | type, shape | |
/// |---|---|---|
/// | `qweight` | I32 `[K * bits / 32, N]` | codes of each output as one dense stream down a column ([BitPacking]) |
/// | `qzeros` | I32 `[K / G, N * bits / 32]` | zero points of each group as one dense stream along a row |
/// | `scales` | `[K / G, N]` | |
///
/// Symmetric grids are labelled version 1 (`gptq`), which stores zero points less 1 and which everybody reads; others version 2 (`gptq_v2`), because version 1 has
/// no zero point 0. `g_idx`, the group of each input, is left out: without activation order all readers derive it, and in small maps it costs a
/// quarter of a bit per weight.
///
/// @param bits 0 for the bits of the grid, or 4 or 8 for steps in a symmetric grid of that many
record GptqContainer(int bits) implements SafetensorsContainer {
    private static final Set<Integer> WIDTHS = Set.of(2, 3, 4, 8);
    /// AutoGPTQ's kernels, and three bits of K or N in whole words.
    private static final int MULTIPLE = 32;

    @Override
    public Recoded fit(CodedWeight weight, Supplier<CodedWeight> source) {
        Recoded recoded = Recoded.of(weight, bits, source);
        if (!WIDTHS.contains(recoded.bits())) throw new Unfit("%s has %d bits; GPTQ's kernels have 2, 3, 4 and 8".formatted(weight.name(), recoded.bits()));
        recoded.require("GPTQ", "columns", recoded.columns(), MULTIPLE);
        recoded.require("GPTQ", "rows", recoded.rows(), MULTIPLE);
        return recoded;
    }

    @Override
    public SequencedMap<String, TensorSource> tensors(Recoded weight, DataType scaleType) {
        var tensors = new LinkedHashMap<String, TensorSource>();
        String module = module(weight.name());
        tensors.put(module + ".qweight", PackedTensors.codes(weight, DataType.I32, true));
        tensors.put(module + ".qzeros", PackedTensors.zeros(weight, weight.symmetric() ? -1 : 0, false));
        tensors.put(module + ".scales", PackedTensors.scalesByGroup(weight, scaleType));
        return tensors;
    }

    /// The object of `quantize_config.json`, which stands in `config.json` too.
    ObjectNode configuration(ObjectNode node, CommonGrid grid, List<String> unquantised) {
        node.put("bits", grid.bits());
        node.put("group_size", grid.signedGroupSize());
        node.put("desc_act", false);
        node.put("sym", grid.symmetric());
        node.put("lm_head", false);
        node.put("quant_method", "gptq");
        node.put("checkpoint_format", grid.symmetric() ? "gptq" : "gptq_v2");
        node.put("pack_dtype", "int32");
        node.putObject("meta").putArray("quantizer").add("rqat:" + Manifest.VERSION);
        if (!unquantised.isEmpty()) {
            ObjectNode dynamic = node.putObject("dynamic");
            for (String module : unquantised) dynamic.putObject("-:^" + module.replace(".", "\\.") + "$");
        }
        return node;
    }

    @Override
    public void describe(ObjectNode config, CommonGrid grid, List<String> unquantised) {
        configuration(config.putObject("quantization_config"), grid, unquantised);
    }
}
