package rqat.foreign;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.IntUnaryOperator;
import rqat.Failure;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.GgmlType;
import rqat.io.GgufFile;
import rqat.io.GgufTensor;
import rqat.io.HostBuffer;
import rqat.io.HostTensor;
import rqat.io.TensorSource;
import rqat.model.Linear;
import rqat.model.ModelConfig;

/// The tensors of a GGUF file under their Hugging Face names. llama.cpp's Llama has the rows of the query and key maps in another order, pairs of a rotation side by side;
/// here they are back where the checkpoint has them.
final class GgufWeights {
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final GgufFile file;
    private final ModelConfig config;
    private final SequencedMap<String, String> names;

    /// @throws Failure BAD_FILE when a tensor is missing, unknown, or of a shape that the configuration does not imply
    GgufWeights(GgufFile file, ModelConfig config) {
        this.file = file;
        this.config = config;
        this.names = GgufNames.of(config);
        Map<String, long[]> shapes = config.tensors();
        names.forEach((name, stored) -> {
            GgufTensor tensor = file.tensors().get(stored);
            if (tensor == null) throw bad(stored, "is missing");
            if (!Arrays.equals(tensor.shape(), shapes.get(name))) throw bad(stored, "is %s; the metadata imply %s".formatted(tensor, Arrays.toString(shapes.get(name))));
        });
        Set<String> known = new LinkedHashSet<>(names.values());
        known.add(GgufNames.ROTARY_FACTORS);
        for (String stored : file.tensors().keySet()) {
            if (!known.contains(stored)) {
                throw bad(stored, "is no part of a %s model as the metadata describe it; refusing to ignore a weight".formatted(config.family()));
            }
        }
    }

    private GgufTensor tensor(String name) {
        return file.tensors().get(names.get(name));
    }

    /// Whether the weight of a linear map is on a grid.
    boolean isCoded(String name) {
        GgufTensor tensor = tensor(name);
        return tensor.type().isQuantised() && (tensor.type() != GgmlType.Q4_1 || hasZeroPoints(tensor));
    }

    /// Whether every block's minimum is an integer multiple of minus its scale.
    private static boolean hasZeroPoints(GgufTensor tensor) {
        for (long at = 0; at < tensor.data().byteSize(); at += GgmlType.Q4_1.blockBytes()) {
            if (MlxLayout.zero(half(tensor.data(), at), half(tensor.data(), at + 2), 4) == null) return false;
        }
        return true;
    }

    private static float half(MemorySegment data, long at) {
        return Float.float16ToFloat(data.get(SHORT, at));
    }

    /// The coded weight `name`, a scale for each block.
    CodedWeight coded(String name) {
        CodedWeight weight = coded(file.path(), name, tensor(name), row -> storedRow(name, row));
        tensor(name).data().unload();
        return weight;
    }

    /// @param storedRow where the file has a row
    static CodedWeight coded(Path path, String name, GgufTensor tensor, IntUnaryOperator storedRow) {
        GgmlType type = tensor.type();
        int rows = Math.toIntExact(tensor.shape()[0]), columns = Math.toIntExact(tensor.shape()[1]);
        int length = type.blockLength(), blocks = columns / length;
        int bits = switch (type) {
            case Q2_0 -> 2;
            case Q4_0, Q4_1 -> 4;
            case Q8_0 -> 8;
            case F32, F16, BF16 -> throw new IllegalArgumentException(name + " is " + type);
        };
        byte[] bytes = new byte[type.blockBytes()];
        var assembly = new Assembly(path, name, bits, rows, columns, length);
        for (int row = 0; row < rows; row++) {
            int stored = storedRow.applyAsInt(row);
            for (int block = 0; block < blocks; block++) {
                long at = ((long) stored * blocks + block) * type.blockBytes();
                float scale = half(tensor.data(), at);
                assembly.scale(row, block, scale);
                assembly.zero(row, block, switch (type) {
                    case Q2_0 -> 1;
                    case Q4_0 -> 8;
                    case Q4_1 -> MlxLayout.zero(scale, half(tensor.data(), at + 2), 4);
                    default -> 128;
                });
                MemorySegment.copy(tensor.data(), ValueLayout.JAVA_BYTE, at, bytes, 0, bytes.length);
                for (int i = 0; i < length; i++) assembly.code(row, block * length + i, code(type, bytes, i));
            }
        }
        return assembly.weight(DataType.F16);
    }

    /// The code of element `i` of a block.
    private static int code(GgmlType type, byte[] block, int i) {
        return switch (type) {
            case Q4_0 -> block[2 + i % 16] >> i / 16 * 4 & 15;
            case Q4_1 -> block[4 + i % 16] >> i / 16 * 4 & 15;
            case Q2_0 -> block[2 + i / 4] >> i % 4 * 2 & 3;
            case Q8_0 -> block[2 + i] + 128;
            case F32, F16, BF16 -> throw new IllegalArgumentException("codes of " + type);
        };
    }

    /// The values of any tensor: in its own type, or dequantised in float32.
    TensorSource values(String name) {
        GgufTensor tensor = tensor(name);
        if (tensor.type().isQuantised()) {
            long[] shape = tensor.shape();
            int columns = Math.toIntExact(shape[shape.length - 1]);
            return HostBuffer.source(DataType.F32, buffer -> {
                float[] values = new float[columns];
                for (int row = 0; row < tensor.data().byteSize() / tensor.type().byteSize(columns); row++) {
                    dequantise(tensor, storedRow(name, row), values);
                    for (int i = 0; i < columns; i++) buffer.setFloat((long) row * columns + i, values[i]);
                }
            }, shape);
        }
        DataType type = DataType.named(tensor.type().name()).orElseThrow();
        var stored = new HostTensor(type, tensor.shape(), tensor.data());
        if (!isReordered(name)) return stored;
        long rowBytes = stored.byteSize() / stored.shape()[0];
        return HostBuffer.source(type, buffer -> {
            for (int row = 0; row < stored.shape()[0]; row++) {
                MemorySegment.copy(stored.data(), storedRow(name, row) * rowBytes, buffer.data(), row * rowBytes, rowBytes);
            }
        }, stored.shape());
    }

    private static void dequantise(GgufTensor tensor, int row, float[] into) {
        GgmlType type = tensor.type();
        long at = row * type.byteSize(into.length);
        byte[] block = new byte[type.blockBytes()];
        for (int from = 0; from < into.length; from += type.blockLength(), at += type.blockBytes()) {
            float scale = half(tensor.data(), at);
            MemorySegment.copy(tensor.data(), ValueLayout.JAVA_BYTE, at, block, 0, block.length);
            for (int i = 0; i < type.blockLength(); i++) {
                int code = code(type, block, i);
                into[from + i] = switch (type) {
                    case Q4_0 -> scale * (code - 8);
                    case Q4_1 -> scale * code + half(tensor.data(), at + 2);
                    case Q2_0 -> scale * (code - 1);
                    default -> scale * (code - 128);
                };
            }
        }
    }

    private boolean isReordered(String name) {
        return config.family() == ModelConfig.Family.LLAMA && (name.contains(".self_attn.q_proj.") || name.contains(".self_attn.k_proj."));
    }

    /// Where the file has row `row` of a tensor.
    private int storedRow(String name, int row) {
        if (!isReordered(name)) return row;
        int width = config.headDimension(), head = row / width, half = row % width / (width / 2), pair = row % (width / 2);
        return head * width + 2 * pair + half;
    }

    private Failure bad(String stored, String what) {
        return Failure.badFile("%s: tensor %s %s".formatted(file.path(), Failure.quote(stored), what));
    }
}
