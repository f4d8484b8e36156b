package rqat.quant;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Second-order statistics of the inputs of a linear map: `H = 2 / n * sum x x^T` over all tokens of n sequences, the Hessian of its
/// squared output error. Summed in float64 (the reference sums in float32).
public final class Hessian implements AutoCloseable {
    private final Tensor sum;
    private long sequences;

    /// Zero, for inputs of `columns` channels on the device of `place`.
    public Hessian(Place place, long columns) {
        sum = Scope.own(() -> Tensors.zeros(place.as(ScalarType.Double), columns, columns));
    }

    /// Adds the inputs `[B, T, C]` of B sequences without padding.
    public void add(Tensor inputs) {
        Grad.off(() -> Scope.run(() -> {
            Tensor tokens = inputs.reshape(-1, inputs.size(-1)).to(ScalarType.Double);
            sum.addmm_(tokens.t(), tokens);
        }));
        sequences += inputs.size(0);
    }

    /// `[C, C]`, float64, in the surrounding scope.
    public Tensor mean() {
        if (sequences == 0) throw new IllegalStateException("no inputs were added");
        return Grad.off(() -> Scope.keep(() -> sum.mul(new Scalar(2.0 / sequences))));
    }

    @Override
    public void close() {
        sum.close();
    }
}
