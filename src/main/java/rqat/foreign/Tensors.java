package rqat.foreign;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.DataType;
import rqat.io.HostTensor;

/// The tensors of a checkpoint, asked for by name, type and shape.
///
/// @param directory where they are, for messages
record Tensors(Path directory, Map<String, HostTensor> tensors) {
    static final List<DataType> WORDS = List.of(DataType.I32, DataType.U32);
    static final List<DataType> FLOATS = List.of(DataType.F16, DataType.BF16, DataType.F32);

    boolean has(String name) {
        return tensors.containsKey(name);
    }

    @Nullable HostTensor find(String name) {
        return tensors.get(name);
    }

    /// A matrix that must be there.
    ///
    /// @throws Failure BAD_FILE when it is missing, of another type, or no matrix
    HostTensor matrix(String name, List<DataType> types) {
        HostTensor tensor = tensors.get(name);
        if (tensor == null) throw bad(name, "is missing");
        if (!types.contains(tensor.type()) || tensor.shape().length != 2) throw bad(name, "is %s; expected a matrix of %s".formatted(tensor, types));
        return tensor;
    }

    /// A matrix of one shape.
    HostTensor matrix(String name, List<DataType> types, long rows, long columns) {
        HostTensor tensor = matrix(name, types);
        if (!Arrays.equals(tensor.shape(), new long[] {rows, columns})) {
            throw bad(name, "is %s; expected shape [%d, %d]".formatted(tensor, rows, columns));
        }
        return tensor;
    }

    Failure bad(String name, String what) {
        return Failure.badFile("%s: tensor %s %s".formatted(directory, Failure.quote(name), what));
    }
}
