package rqat.export;

import java.util.Set;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.DataType;

/// How a model leaves.
///
/// @param type  of scales, of plain tensors and of dequantised weights: F16, BF16 or F32; null for the narrowest that changes nothing
/// @param containerBits bits of the container where it may have more than the codes: 4 or 8 for `gptq` and `compressed-tensors`, 4 for `awq`, 2, 4 or 8 for `gguf`, 16 or 32 for
///                      a `gguf` of dequantised weights; 0 for the container's own choice
/// @param lossy whether values may change, which is then reported; otherwise such an export is refused
public record ExportSettings(ExportFormat format, @Nullable DataType type, int containerBits, boolean lossy) {
    private static final Set<DataType> TYPES = Set.of(DataType.F16, DataType.BF16, DataType.F32);

    /// Checks what goes together.
    ///
    /// @throws Failure USAGE when it does not
    public ExportSettings {
        if (type != null && !TYPES.contains(type)) throw Failure.usage("dtype %s; expected float16, bfloat16 or float32".formatted(type));
        Set<Integer> bits = switch (format) {
            case GPTQ, COMPRESSED_TENSORS -> Set.of(0, 4, 8);
            case AWQ -> Set.of(0, 4);
            case GGUF -> Set.of(0, 2, 4, 8, 16, 32);
            case HF, MLX -> Set.of(0);
        };
        if (!bits.contains(containerBits)) {
            throw Failure.usage("container bits of %d; %s".formatted(containerBits, bits.size() == 1
                    ? format.label() + " has no choice of them"
                    : "expected one of %s for %s".formatted(bits.stream().filter(each -> each > 0).sorted().toList(), format.label())));
        }
    }

    /// The format with everything else left to it.
    public static ExportSettings of(ExportFormat format) {
        return new ExportSettings(format, null, 0, false);
    }
}
