package rqat.quant;

import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import rqat.format.ActivationSpec;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Fake quantisation of activations, keys and values: rounds each token to a grid made from its own values, so a token's result depends on
/// no other token and on no batch neighbour.
///
///     high = max(max x, 0) clip sigmoid(clipHigh)       low = min(min x, 0) clip sigmoid(clipLow)
///     asymmetric: scale = (high - low) / (2^bits - 1),  zero = round(-low / scale)
///     symmetric:  scale = max(-low, high) / (2^(bits-1) - 1),  zero = 0
///     result = scale (clamp(round(x / scale) + zero) - zero)
///
/// This is the run-time quantiser of the code base behind the paper's post-training rows (methods note 2.2), except that everything is
/// float32 (it computes in bfloat16 when serving).
///
/// Under gradients rounding is straight-through, with the mask on the rounded code; the scale is differentiated with respect to its
/// extremes and the clip logits, the zero point is constant.
///
/// @param spec     the format
/// @param groups   parts of equal width of the last axis, each with a scale of its own
/// @param clipHigh `[groups]` or null: logit of a learned part of the upper end
/// @param clipLow  `[groups]` or null, like `clipHigh`
public record ActivationQuantiser(ActivationSpec spec, int groups, @Nullable Tensor clipHigh, @Nullable Tensor clipLow) {

    /// `x [..., width]` on its grids, of the same shape and dtype (float32, or float64 for exact comparisons).
    public Tensor apply(Tensor x) {
        return Scope.keep(() -> {
            Tensor values = x.reshape(-1, groups, x.size(-1) / groups);
            Tensor scale, zero;
            Tensor low = clipped(smallest(values).clamp_max(new Scalar(0.0)), clipLow);
            Tensor high = clipped(largest(values).clamp_min(new Scalar(0.0)), clipHigh);
            if (spec.symmetric()) {
                Tensor bound = torch.maximum(low.neg(), high);
                Tensor maximum = constant(bound, spec.maximum());
                scale = bound.where(bound.ne(new Scalar(0.0)), maximum).div(maximum);
                zero = null;
            } else {
                Tensor empty = high.eq(low);
                high = high.where(empty.logical_not(), constant(high, 1));
                Tensor bottom = low.where(empty.logical_not(), constant(low, -1));
                scale = high.sub(bottom).div(constant(high, spec.maximum()));
                Tensor step = scale;
                zero = Grad.off(() -> torch.rsub(bottom.div(step).round_(), new Scalar(0.0)));
            }
            return rounded(values, scale, zero).view(Tensors.shape(x));
        });
    }

    /// The largest value of each row, `[..., 1]`; equal ones share the gradient.
    static Tensor largest(Tensor values) {
        return end(values, Grad.off(() -> values.amax(new long[] {-1}, true)));
    }

    /// The smallest value of each row, like [#largest].
    static Tensor smallest(Tensor values) {
        return end(values, Grad.off(() -> values.amin(new long[] {-1}, true)));
    }

    /// `exact` with the gradient of `amax` or `amin`, whose own backward passes take several times as long.
    private static Tensor end(Tensor values, Tensor exact) {
        if (!values.requires_grad()) return exact;
        Tensor shares = Grad.off(() -> {
            Tensor equal = values.clone().eq_(exact);
            return equal.div_(equal.sum(new long[] {-1}, true, new ScalarTypeOptional()));
        });
        Tensor result = values.mul(shares).sum(new long[] {-1}, true, new ScalarTypeOptional());
        Grad.off(() -> result.copy_(exact));
        return result;
    }

    private Tensor clipped(Tensor end, @Nullable Tensor logit) {
        Tensor ratio = spec.clip() == 1 ? end : end.mul(new Scalar(spec.clip()));
        return logit == null ? ratio : ratio.mul(logit.to(end.scalar_type()).sigmoid().unsqueeze(-1));
    }

    /// `values` on the grid of `scale` and `zero`. With the code `c` and the mask `m`, both constants, `m x + scale (c - m x / scale)` has
    /// the value `scale c` and the gradient that is wanted, and keeps two tensors for the backward pass where rounding, shifting and
    /// clamping step by step would keep six; it is then overwritten with `scale c` to the last bit.
    private Tensor rounded(Tensor values, Tensor scale, @Nullable Tensor zero) {
        List<Tensor> parts = Grad.off(() -> {
            Tensor steps = values.div(scale);
            Tensor codes = steps.round();
            if (zero != null) codes.add_(zero);
            Tensor inside = Tensors.clamp(codes, spec.minimum(), spec.maximum());
            if (!scale.requires_grad()) return List.of((zero == null ? inside : inside.sub_(zero)).mul_(scale));
            codes.eq_(inside);
            if (zero != null) inside.sub_(zero);
            return List.of(inside.mul(scale), codes, inside.addcmul_(steps, codes, new Scalar(-1.0)));
        });
        Tensor exact = parts.getFirst();
        if (parts.size() == 1) return exact;
        Tensor result = torch.addcmul(values.mul(parts.get(1)), scale, parts.get(2));
        Grad.off(() -> result.copy_(exact));
        return result;
    }

    private static Tensor constant(Tensor like, double value) {
        return torch.full_like(like, new Scalar(value));
    }
}
