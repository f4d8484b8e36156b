package rqat.export;

import java.util.EnumMap;
import java.util.Map;
import java.util.Set;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.HostBuffer;
import rqat.io.HostTensor;

/// What every possible dtype would change, measured on all values before anything is written.
///
/// A container gives a reader `served` values in float32. An engine that computes in a 16-bit dtype rounds them once more. So nothing changes where the served value is the
/// trained one, or becomes it by that rounding: a model that was trained in bfloat16 has weights `bfloat16(scale * (code - zero))`.
final class Survey {
    private static final Set<DataType> HALVES = Set.of(DataType.F16, DataType.BF16);

    private final Map<DataType, Change> weights = new EnumMap<>(DataType.class);
    private final Map<DataType, Change> products = new EnumMap<>(DataType.class);

    /// What readers get for a row of a weight whose scales are of a type.
    @FunctionalInterface
    interface Served {
        void values(DataType scaleType, int row, float[] into);
    }

    /// Adds a weight.
    ///
    /// @param types what scales may be rounded to
    void add(CodedModel model, CodedWeight weight, Set<DataType> types, Served served) {
        float[] values = new float[weight.columns()], exact = new float[weight.columns()];
        model.value(weight.name()).lend(trained -> {
            for (int row = 0; row < weight.rows(); row++) {
                float[] wanted = row(trained, row, values.length);
                weight.dequantise(row, exact);
                for (DataType type : types) {
                    served.values(type, row, values);
                    Change change = weights.getOrDefault(type, Change.NONE);
                    for (int column = 0; column < values.length; column++) {
                        float value = values[column];
                        if (value == wanted[column] || HALVES.contains(type) && type.round(value) == wanted[column]) continue;
                        change = change.or(Change.of(weight.name(), wanted[column], value));
                    }
                    weights.put(type, change);
                }
                for (DataType type : HALVES) {
                    Change change = products.getOrDefault(type, Change.NONE);
                    for (float value : exact) {
                        if (type.round(value) != value) change = change.or(Change.of(weight.name(), value, type.round(value)));
                    }
                    products.put(type, change);
                }
            }
            trained.unload();
        });
    }

    /// Adds what another survey found.
    void add(Survey other) {
        other.weights.forEach((type, change) -> weights.merge(type, change, Change::or));
        other.products.forEach((type, change) -> products.merge(type, change, Change::or));
    }

    private static float[] row(HostTensor matrix, int row, int columns) {
        return matrix.part((long) row * columns, columns).toFloats();
    }

    /// The largest change of a weight when scales are of `type`.
    Change weights(DataType type) {
        return weights.getOrDefault(type, Change.NONE);
    }

    /// The largest change that rounding `scale * (code - zero)` to `type` makes, F16 or BF16: what an engine does that computes in it.
    Change products(DataType type) {
        return products.getOrDefault(type, Change.NONE);
    }

    /// The largest change when a tensor's values are rounded to `type`.
    static Change rounding(String name, HostTensor tensor, DataType type) {
        if (tensor.type() == type || type == DataType.F32) return Change.NONE;
        Change[] largest = {Change.NONE};
        HostBuffer.eachPart(tensor, (_, values) -> {
            for (float value : values) {
                if (type.round(value) != value) largest[0] = largest[0].or(Change.of(name, value, type.round(value)));
            }
        });
        return largest[0];
    }
}
