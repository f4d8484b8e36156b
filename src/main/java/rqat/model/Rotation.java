package rqat.model;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Tensors;

/// The rotary position embedding of one forward pass (Su et al. 2021, the half-split form that Hugging Face checkpoints use).
///
/// @param cosine `[B or 1, 1, T, D / 2]` in the compute dtype
/// @param sine   like `cosine`
public record Rotation(Tensor cosine, Tensor sine) {

    /// Angles for `positions [B or 1, T]` (int64) times `inverseFrequencies [D / 2]` (float32), computed in float32 and rounded once to `type`.
    static Rotation of(Tensor positions, Tensor inverseFrequencies, ScalarType type) {
        Tensor angles = positions.to(ScalarType.Float).unsqueeze(-1).mul(inverseFrequencies).unsqueeze(1);
        return new Rotation(angles.cos().to(type), angles.sin().to(type));
    }

    /// Rotates `x [B, heads, T, D]`.
    Tensor apply(Tensor x) {
        long half = x.size(3) / 2;
        Tensor first = x.narrow(3, 0, half);
        Tensor second = x.narrow(3, half, half);
        return Tensors.cat(
                java.util.List.of(
                        first.mul(cosine).sub(second.mul(sine)), second.mul(cosine).add(first.mul(sine))),
                3);
    }
}
