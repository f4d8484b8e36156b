package rqat.quant;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Tensors;

/// The dtype in which an export format stores scales. Scales take its precision before anything is divided by them, so that the codes
/// fit the numbers that will be served.
public enum ScaleType {
    // Up to 2^119 so that every code times the scale is finite.
    FLOAT32(ScalarType.Float, Float.MIN_NORMAL, 0x1p119),
    BFLOAT16(ScalarType.BFloat16, Float.MIN_NORMAL, 0x1p119),
    FLOAT16(ScalarType.Half, 0x1p-24, 65504);

    private final ScalarType type;
    private final double smallest;
    private final double largest;

    ScaleType(ScalarType type, double smallest, double largest) {
        this.type = type;
        this.smallest = smallest;
        this.largest = largest;
    }

    /// `scale` (float32) rounded to this dtype, at least its smallest and at most its largest usable value, as float32; NaN stays NaN. A new tensor.
    public Tensor round(Tensor scale) {
        return Tensors.clamp(scale, smallest, largest).to(type).to(ScalarType.Float);
    }
}
