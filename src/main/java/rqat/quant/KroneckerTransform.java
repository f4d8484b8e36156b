package rqat.quant;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// A linear map of the last axis with the structure that Hadamard transforms, head rotations and FlatQuant's matrices share: the axis is
/// seen as `shards` matrices X of a rows and b columns, and each becomes `left^T X right`. As a row vector that is `x (left kron right)`.
///
/// @param left  `[a, a]`, or `[shards, a, a]` for a matrix per shard; null for none
/// @param right `[b, b]` or `[shards, b, b]`; null for none
public record KroneckerTransform(@Nullable Tensor left, @Nullable Tensor right) {

    /// `x [..., shards a b]` transformed, of the same shape and dtype, in which everything is computed.
    public Tensor apply(Tensor x) {
        return Scope.keep(() -> {
            long width = x.size(-1), shards = shards();
            long b = right != null ? right.size(-1) : left != null ? width / (shards * left.size(-1)) : width;
            long a = width / (shards * b);
            Tensor matrices = x.reshape(-1, shards, a, b).transpose(0, 1);
            if (right != null) matrices = times(matrices, right);
            if (left != null) matrices = times(matrices.transpose(2, 3), left).transpose(2, 3);
            return matrices.transpose(0, 1).reshape(Tensors.shape(x));
        });
    }

    /// The transform that undoes this one on the other side of a product: `apply(x) . inverseTransposed().apply(w) = x . w`. Inverses are
    /// computed in float64; the matrices are float64.
    public KroneckerTransform inverseTransposed() {
        return new KroneckerTransform(inverseTransposed(left), inverseTransposed(right));
    }

    private static @Nullable Tensor inverseTransposed(@Nullable Tensor matrix) {
        return matrix == null ? null : matrix.to(ScalarType.Double).inverse().transpose(-2, -1);
    }

    private long shards() {
        if (left != null && left.dim() == 3) return left.size(0);
        return right != null && right.dim() == 3 ? right.size(0) : 1;
    }

    /// `x [shards, N, r, c]` times `matrix [c, c]` or `[shards, c, c]`.
    private static Tensor times(Tensor x, Tensor matrix) {
        long shards = x.size(0), rows = x.size(1), r = x.size(2), c = x.size(3);
        Tensor cast = matrix.to(x.scalar_type());
        Tensor product = matrix.dim() == 3
                ? x.reshape(shards, rows * r, c).bmm(cast)
                : x.reshape(shards * rows * r, c).mm(cast);
        return product.view(shards, rows, r, c);
    }
}
