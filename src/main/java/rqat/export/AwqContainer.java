package rqat.export;

import static rqat.export.SafetensorsContainer.module;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Supplier;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.HostBuffer;
import rqat.io.TensorSource;
import tools.jackson.databind.node.ObjectNode;

/// The GEMM layout of AutoAWQ, which has 4 bits only; codes and zero points of 2 and 3 bits stand in them as they are. Of a map of K inputs and N outputs with groups of
/// G inputs: `qweight` I32 `[K, N / 8]`, `qzeros` I32 `[K / G, N / 8]`, `scales` `[K / G, N]`. A word holds eight outputs in the order 0, 2, 4, 6, 1, 3, 5, 7 from
/// its low end.
record AwqContainer() implements SafetensorsContainer {
    private static final int BITS = 4;
    private static final int IN_WORD = 8;
    /// The nibble of output i of a word.
    private static final int[] NIBBLE = {0, 4, 1, 5, 2, 6, 3, 7};

    @Override
    public Recoded fit(CodedWeight weight, Supplier<CodedWeight> source) {
        Recoded recoded = Recoded.of(weight, source);
        if (recoded.bits() > BITS) throw new Unfit("%s has %d bits; AWQ has %d".formatted(weight.name(), recoded.bits(), BITS));
        recoded.require("AWQ", "rows", recoded.rows(), IN_WORD);
        return recoded;
    }

    @Override
    public SequencedMap<String, TensorSource> tensors(Recoded weight, DataType scaleType) {
        var tensors = new LinkedHashMap<String, TensorSource>();
        int columns = weight.columns(), groups = weight.groups(), words = weight.rows() / IN_WORD;
        String module = module(weight.name());
        tensors.put(module + ".qweight", HostBuffer.source(DataType.I32, buffer -> {
            Recoded.Codes open = weight.open();
            int[] codes = new int[columns];
            int[] column = new int[columns];
            for (int word = 0; word < words; word++) {
                Arrays.fill(column, 0);
                for (int i = 0; i < IN_WORD; i++) {
                    open.codes(word * IN_WORD + i, codes);
                    for (int k = 0; k < columns; k++) column[k] |= codes[k] << BITS * NIBBLE[i];
                }
                for (int k = 0; k < columns; k++) buffer.setWord((long) k * words + word, column[k]);
            }
        }, columns, words));
        tensors.put(module + ".qzeros", HostBuffer.source(DataType.I32, buffer -> {
            Recoded.Codes open = weight.open();
            for (int group = 0; group < groups; group++) {
                for (int word = 0; word < words; word++) {
                    int packed = 0;
                    for (int i = 0; i < IN_WORD; i++) packed |= open.zero(word * IN_WORD + i, group) << BITS * NIBBLE[i];
                    buffer.setWord((long) group * words + word, packed);
                }
            }
        }, groups, words));
        tensors.put(module + ".scales", PackedTensors.scalesByGroup(weight, scaleType));
        return tensors;
    }

    @Override
    public void describe(ObjectNode config, CommonGrid grid, List<String> unquantised) {
        ObjectNode node = config.putObject("quantization_config");
        node.put("quant_method", "awq");
        node.put("bits", BITS);
        node.put("group_size", grid.signedGroupSize());
        node.put("zero_point", true);
        node.put("version", "gemm");
        if (unquantised.isEmpty()) node.putNull("modules_to_not_convert");
        else unquantised.forEach(node.putArray("modules_to_not_convert")::add);
    }
}
