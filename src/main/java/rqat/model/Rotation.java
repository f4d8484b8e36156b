package rqat.model;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Tensors;

/// The rotary position embedding of one forward pass (Su et al. 2021, the half-split form that Hugging Face checkpoints use): dimension `i` of
/// the first half and dimension `i` of the second are the coordinates of one plane, turned by the same angle.
///
/// @param cosine `[B or 1, 1, T, D]` in the compute dtype, the two halves alike
/// @param sine   like `cosine`, the first half negated
public record Rotation(Tensor cosine, Tensor sine) {

    /// Angles for `positions [B or 1, T]` (int64) times `inverseFrequencies [D / 2]` (float32), with cosines and sines times `factor`, computed in float32 and rounded once
    /// to `type`.
    static Rotation of(Tensor positions, Tensor inverseFrequencies, double factor, ScalarType type) {
        Tensor angles = positions.to(ScalarType.Float).unsqueeze(-1).mul(inverseFrequencies).unsqueeze(1);
        var scale = new Scalar(factor);
        Tensor cosine = angles.cos().mul(scale).to(type), sine = angles.sin().mul(scale).to(type);
        return new Rotation(
                Tensors.cat(java.util.List.of(cosine, cosine), -1), Tensors.cat(java.util.List.of(sine.neg(), sine), -1));
    }

    /// Rotates `x [B, heads, T, D]`. Rolling by half the width puts beside each coordinate the other one of its plane.
    Tensor apply(Tensor x) {
        return torch.addcmul(x.mul(cosine), x.roll(new long[] {x.size(3) / 2}, new long[] {3}), sine);
    }
}
