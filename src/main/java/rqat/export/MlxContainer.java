package rqat.export;

import static rqat.export.SafetensorsContainer.module;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Set;
import java.util.SequencedMap;
import java.util.function.Supplier;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.io.BitPacking;
import rqat.io.DataType;
import rqat.io.TensorSource;
import tools.jackson.databind.node.ObjectNode;

/// The affine layout of MLX: `weight = scale * code + bias` with `bias = -scale * zero`. Of a map of K inputs and N outputs with groups of G inputs: `weight` U32
/// `[N, K * bits / 32]`, the codes of each row as one dense stream ([BitPacking]); `scales` and `biases` `[N, K / G]`. MLX knows groups of 128, 64 and 32; larger
/// ones repeat their scale.
///
/// @param groupSize G, the same for all maps
record MlxContainer(int groupSize) implements SafetensorsContainer {
    private static final Set<Integer> WIDTHS = Set.of(2, 3, 4, 5, 6, 8);
    private static final List<Integer> GROUPS = List.of(128, 64, 32);

    /// With the largest groups of which those of all weights are multiples.
    static MlxContainer of(CodedModel model) {
        for (int size : GROUPS) {
            boolean divides = model.codedNames().stream().map(model::coded).allMatch(weight -> weight.spec().groupColumns(weight.columns()) % size == 0);
            if (divides) return new MlxContainer(size);
        }
        return new MlxContainer(GROUPS.getLast());
    }

    @Override
    public Recoded fit(CodedWeight weight, Supplier<CodedWeight> source) {
        Recoded recoded = Recoded.of(weight, source);
        if (!WIDTHS.contains(recoded.bits())) throw new Unfit("%s has %d bits; MLX has 2, 3, 4, 5, 6 and 8".formatted(weight.name(), recoded.bits()));
        if (recoded.groupColumns() % groupSize != 0) {
            throw new Unfit("%s has groups of %d columns; MLX has %s and multiples of them".formatted(weight.name(), recoded.groupColumns(), GROUPS));
        }
        return recoded;
    }

    /// What is stored as the bias of a group whose scale is stored as `scale`.
    static float bias(float scale, int zero, DataType type) {
        return type.round(-scale * zero);
    }

    @Override
    public SequencedMap<String, TensorSource> tensors(Recoded weight, DataType scaleType) {
        var tensors = new LinkedHashMap<String, TensorSource>();
        int groups = weight.columns() / groupSize;
        int repeated = groups / weight.groups();
        String module = module(weight.name());
        tensors.put(module + ".weight", PackedTensors.codes(weight, DataType.U32, false));
        tensors.put(module + ".scales", PackedTensors.byRow(weight, scaleType, groups, (open, row, group) -> open.scale(row, group / repeated)));
        tensors.put(module + ".biases", PackedTensors.byRow(weight, scaleType, groups, (open, row, group) ->
                bias(scaleType.round(open.scale(row, group / repeated)), open.zero(row, group / repeated), scaleType)));
        return tensors;
    }

    @Override
    public void values(Recoded.Codes weight, DataType scaleType, int row, float[] into) {
        int[] codes = new int[into.length];
        weight.codes(row, codes);
        Recoded grid = weight.grid();
        for (int group = 0, column = 0; group < grid.groups(); group++) {
            float scale = scaleType.round(weight.scale(row, group));
            float bias = bias(scale, weight.zero(row, group), scaleType);
            for (int end = column + grid.groupColumns(); column < end; column++) into[column] = scale * codes[column] + bias;
        }
    }

    @Override
    public void describe(ObjectNode config, CommonGrid grid, List<String> unquantised) {
        // Maps without `scales` are left alone by MLX's loader.
        for (String key : List.of("quantization", "quantization_config")) {
            ObjectNode node = config.putObject(key);
            node.put("group_size", groupSize);
            node.put("bits", grid.bits());
        }
    }

    @Override
    public boolean hasCommonGroups() {
        return false;
    }

    @Override
    public String metadata() {
        return "mlx";
    }
}
