package rqat.quant;

import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.MemoryFormatOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import rqat.Failure;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleType;
import rqat.tensor.Grad;
import rqat.tensor.HostTensors;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The uniform integer grid of one weight matrix: the only place where weights become codes and codes become weights again, so that what
/// was trained is what is sampled, evaluated and exported.
///
///     code   = clamp(round(w / scale) + zero, minimum, maximum)        round half to even
///     weight = scale * (code - zero)
///
/// A group of columns of one row has one scale and one zero point; all arithmetic is float32 in this order of operations, whatever the
/// dtype of the input. Fitting follows the weight quantiser of the GPTQ family: zero is always
/// inside the range (but for [ClipSearch#TIGHT]), symmetric ranges are `max|w| / (2^(bits-1) - 1)`, asymmetric ones `(max - min) / (2^bits - 1)` with a rounded zero
/// point. Scales are rounded to their storage dtype before the first division (ours; the reference keeps float32).
///
/// Results of all methods belong to the surrounding scope; none records gradients.
///
/// @param spec  the format
/// @param scale `[R, groups]`, float32, positive, already rounded to the format's scale dtype
/// @param zero  `[R, groups]`, float32 with integer values; all 0 when symmetric
public record Grid(GridSpec spec, Tensor scale, Tensor zero) implements AutoCloseable {

    private static final double SMALLEST_RANGE = 1e-5;
    private static final int SEARCH_STEPS = 80;
    private static final double SEARCH_NORM = 2.4;
    /// Elements quantised at a time by the search: its temporaries stay near the processor.
    private static final long SEARCH_ELEMENTS = 1 << 17;
    /// Errors that differ by less than this part of themselves are compared exactly; the fast formula errs by a hundredth of it.
    private static final double CONTESTED = 1e-4;
    /// Errors below this are compared exactly too: some of their terms may be too small for float32.
    private static final double UNDERFLOW = 1e-30;

    /// Refuses what cannot be quantised to a format.
    ///
    /// @param tensor its name, for the message
    /// @param weight `[R, C]`
    /// @throws Failure USAGE when the groups do not divide the columns, BAD_FILE when the weight is no matrix or has NaN or infinite values
    public static void check(GridSpec spec, String tensor, Tensor weight) {
        if (weight.dim() != 2 || weight.numel() == 0) {
            throw Failure.badFile("%s has shape %s; expected a matrix".formatted(tensor, Arrays.toString(Tensors.shape(weight))));
        }
        long columns = weight.size(1);
        if (columns % spec.groupColumns(columns) != 0) {
            throw Failure.usage("%s has %d columns, which groups of %d do not divide; choose a group size that divides them, or 0 for whole rows"
                    .formatted(tensor, columns, spec.groupSize()));
        }
        if (!Scope.get(() -> weight.isfinite().all().item_bool())) {
            throw Failure.badFile("%s holds NaN or infinite values; expected finite weights. Download or train the model again."
                    .formatted(tensor));
        }
    }

    /// [ScaleType#round] of every value of `scale` (float32, any shape). A new tensor.
    public static Tensor roundScale(ScaleType type, Tensor scale) {
        return Tensors.clamp(scale, type.smallest(), type.largest()).to(HostTensors.scalarType(type.type())).to(ScalarType.Float);
    }

    /// The grid that covers `weight [R, C]`, whose columns the groups divide.
    public static Grid fit(GridSpec spec, Tensor weight, ClipSearch search) {
        return of(spec, Grad.off(() -> Scope.keepAll(() -> {
            Tensor groups = grouped(spec, weight);
            return switch (search) {
                case NONE -> Range.of(spec, groups).parameters(spec, SMALLEST_RANGE);
                case TIGHT -> Range.tight(spec, groups).parameters(spec, SMALLEST_RANGE);
                case MSE -> searched(spec, groups, Range.of(spec, groups));
            };
        })));
    }

    /// Fits this grid anew, in place, to the full range of `weight [R, C]`: what dynamic scales do at every projection.
    public void refit(Tensor weight) {
        Grad.off(() -> Scope.run(() -> {
            Grid fitted = fit(spec, weight, ClipSearch.NONE);
            scale.copy_(fitted.scale);
            zero.copy_(fitted.zero);
        }));
    }

    /// Codes of `weight [R, C]`, same shape, in the spec's code dtype.
    public Tensor codes(Tensor weight) {
        return quietly(() -> clipped(weight).to(HostTensors.scalarType(spec.codeType())).view(Tensors.shape(weight)));
    }

    /// Weights, float32, of `codes [R, C]` of any dtype.
    public Tensor dequantise(Tensor codes) {
        return quietly(() -> {
            Tensor copy = codes.to(ScalarType.Float, false, true, new MemoryFormatOptional());
            return onGrid(grouped(spec, copy)).view(Tensors.shape(codes));
        });
    }

    /// The weights that a forward pass uses for `weight [R, C]`: its nearest points on the grid, float32; bit for bit
    /// `dequantise(codes(weight))`.
    public Tensor fakeQuantise(Tensor weight) {
        return quietly(() -> onGrid(clipped(weight)).view(Tensors.shape(weight)));
    }

    /// Where the gradient of the fake-quantised weight passes to `weight [R, C]`: float32 of the same shape, 1 where it does and 0
    /// elsewhere. (Multiplying by a boolean tensor is six times slower.)
    public Tensor mask(Tensor weight, MaskRule rule) {
        return quietly(() -> {
            Tensor position = switch (rule) {
                case HALF_STEP -> rounded(weight);
                case STRICT -> shifted(steps(weight));
            };
            return position.eq_(Tensors.clamp(position, spec.minimum(), spec.maximum())).view(Tensors.shape(weight));
        });
    }

    /// The gradient of the loss with respect to the scales, `[R, groups]`, for `gradient [R, C]` with respect to the fake-quantised
    /// weights of `weight [R, C]`: the sum over each group of `gradient * (code - zero - w / scale)`, without the last term where the code
    /// is clipped (LSQ, Esser et al. 2020, without its gradient scale; rounding is straight-through, the zero point is constant).
    public Tensor scaleGradient(Tensor weight, Tensor gradient) {
        return quietly(() -> {
            Tensor steps = steps(weight);
            Tensor rounded = shifted(steps.round());
            Tensor clipped = Tensors.clamp(rounded, spec.minimum(), spec.maximum());
            Tensor inside = rounded.eq_(clipped);
            Tensor slope = unshifted(clipped).sub_(steps.mul_(inside));
            return slope.mul_(grouped(spec, gradient)).sum(-1);
        });
    }

    /// A copy that no scope frees; the caller closes it.
    public Grid copy() {
        return new Grid(spec, Scope.own(scale::clone), Scope.own(zero::clone));
    }

    @Override
    public void close() {
        scale.close();
        zero.close();
    }

    private static Grid of(GridSpec spec, List<Tensor> parameters) {
        return new Grid(spec, parameters.get(0), parameters.get(1));
    }

    /// The ends of every group's range, `[R, groups]`.
    private record Range(Tensor low, Tensor high) {
        /// From the values of `groups [R, groups, G]`, with zero inside and never empty.
        static Range of(GridSpec spec, Tensor groups) {
            Tensor low = groups.amin(new long[] {-1}, false).clamp_max_(new Scalar(0.0));
            Tensor high = groups.amax(new long[] {-1}, false).clamp_min_(new Scalar(0.0));
            if (spec.symmetric()) {
                Tensor bound = torch.maximum(low.neg(), high).clamp_min_(new Scalar(SMALLEST_RANGE));
                return new Range(bound.neg(), bound);
            }
            Tensor empty = low.eq(high);
            return new Range(low.masked_fill(empty, new Scalar(-1.0)), high.masked_fill(empty, new Scalar(1.0)));
        }

        /// From the values of `groups [R, groups, G]` alone.
        static Range tight(GridSpec spec, Tensor groups) {
            if (spec.symmetric()) return of(spec, groups);
            return new Range(groups.amin(new long[] {-1}, false), groups.amax(new long[] {-1}, false));
        }

        Range shrunk(Tensor factors) {
            return new Range(low.mul(factors), high.mul(factors));
        }

        /// Of groups by their number.
        Range select(Tensor numbers) {
            return new Range(low.index_select(0, numbers), high.index_select(0, numbers));
        }

        Range part(long from, long count) {
            return new Range(low.narrow(0, from, count), high.narrow(0, from, count));
        }

        /// Scale and zero point. Divides by a tensor: dividing by a number multiplies by its reciprocal on some devices.
        List<Tensor> parameters(GridSpec spec, double smallestRange) {
            Tensor maximum = torch.full_like(high, new Scalar(spec.maximum()));
            if (spec.symmetric()) return List.of(roundScale(spec.scaleType(), high.div(maximum)), torch.zeros_like(high));
            Tensor width = high.sub(low).clamp_min_(new Scalar(smallestRange));
            Tensor scale = roundScale(spec.scaleType(), width.div(maximum));
            // A scale that was rounded down may put the zero point one past the grid.
            Tensor zero = torch.rsub(low.div(scale).round_(), new Scalar(0.0));
            return List.of(scale, Tensors.clamp(zero, spec.minimum(), spec.maximum()));
        }
    }

    /// Per group, the first candidate whose error no other undercuts. Raising to the power of 2.4 takes most of the time, so errors are computed
    /// by a faster formula first; where that finds others within [#CONTESTED] of the smallest, the exact one decides.
    private static List<Tensor> searched(GridSpec spec, Tensor groups, Range range) {
        Tensor each = groups.reshape(-1, 1, groups.size(2));
        Range ranges = new Range(range.low.reshape(-1, 1), range.high.reshape(-1, 1));
        Tensor scale = torch.empty_like(ranges.high);
        Tensor zero = torch.empty_like(ranges.high);
        Tensor contested = torch.empty_like(ranges.high);
        inChunks(each, (from, count) -> {
            List<Tensor> found = searchedQuickly(spec, each.narrow(0, from, count), ranges.part(from, count));
            scale.narrow(0, from, count).copy_(found.get(0));
            zero.narrow(0, from, count).copy_(found.get(1));
            contested.narrow(0, from, count).copy_(found.get(2));
        });
        Tensor open = contested.view(-1).nonzero().view(-1);
        Tensor few = each.index_select(0, open);
        inChunks(few, (from, count) -> {
            Tensor numbers = open.narrow(0, from, count);
            List<Tensor> found = searchedExactly(spec, few.narrow(0, from, count), ranges.select(numbers));
            scale.index_copy_(0, numbers, found.get(0));
            zero.index_copy_(0, numbers, found.get(1));
        });
        return List.of(scale.view(Tensors.shape(range.high)), zero.view(Tensors.shape(range.high)));
    }

    private interface Chunk {
        void search(long from, long count);
    }

    private static void inChunks(Tensor groups, Chunk chunk) {
        long atOnce = Math.max(1, SEARCH_ELEMENTS / groups.size(2));
        for (long from = 0; from < groups.size(0); from += atOnce) {
            long first = from, count = Math.min(atOnce, groups.size(0) - from);
            Scope.run(() -> chunk.search(first, count));
        }
    }

    /// The candidates of all steps, `[steps, N, 1]`.
    private static List<Tensor> candidates(GridSpec spec, Range range) {
        var factors = new float[SEARCH_STEPS];
        for (int step = 0; step < SEARCH_STEPS; step++) factors[step] = (float) (1 - step / 100.0);
        return range.shrunk(Tensors.of(Place.of(range.high), factors, SEARCH_STEPS, 1, 1)).parameters(spec, 0);
    }

    /// Scales, zero points, and whether the choice is contested, `[N, 1]` for `groups [N, 1, G]`.
    private static List<Tensor> searchedQuickly(GridSpec spec, Tensor groups, Range range) {
        List<Tensor> candidates = candidates(spec, range);
        Tensor scales = candidates.get(0), zeros = candidates.get(1);
        Tensor errors = torch.empty_like(scales);
        for (int step = 0; step < SEARCH_STEPS; step++) {
            int index = step;
            Scope.run(() -> {
                Tensor error = new Grid(spec, scales.select(0, index), zeros.select(0, index)).errors(groups);
                error.mul_(error).log_().mul_(new Scalar(SEARCH_NORM / 2)).exp_();
                errors.select(0, index).copy_(error.sum(-1));
            });
        }
        Tensor bound = errors.amin(new long[] {0}, true).mul_(new Scalar(1 + CONTESTED)).add_(new Scalar(UNDERFLOW));
        Tensor winner = errors.argmin(new LongOptional(0), true);
        return List.of(
                scales.gather(0, winner).squeeze(0),
                zeros.gather(0, winner).squeeze(0),
                errors.le(bound).sum(0).gt(new Scalar(1)));
    }

    /// Scales and zero points as the definition says.
    private static List<Tensor> searchedExactly(GridSpec spec, Tensor groups, Range range) {
        List<Tensor> candidates = candidates(spec, range);
        List<Tensor> best = range.parameters(spec, SMALLEST_RANGE);
        Tensor smallest = torch.full_like(range.high, new Scalar(Double.POSITIVE_INFINITY));
        for (int step = 0; step < SEARCH_STEPS; step++) {
            int index = step;
            Scope.run(() -> {
                Grid candidate = new Grid(spec, candidates.get(0).select(0, index), candidates.get(1).select(0, index));
                Tensor error = candidate.errors(groups).abs_().pow_(new Scalar(SEARCH_NORM)).sum(-1);
                Tensor better = error.lt(smallest);
                smallest.copy_(torch.where(better, error, smallest));
                best.get(0).copy_(torch.where(better, candidate.scale, best.get(0)));
                best.get(1).copy_(torch.where(better, candidate.zero, best.get(1)));
            });
        }
        return best;
    }

    /// What rounding adds to `groups [N, 1, G]`.
    private Tensor errors(Tensor groups) {
        return onGrid(clipped(groups)).sub_(groups);
    }

    /// `[R, C]`, or groups already, of any dtype as float32 `[R, groups, G]`; a view where possible.
    private static Tensor grouped(GridSpec spec, Tensor matrix) {
        Tensor wide = matrix.detach().to(ScalarType.Float);
        return wide.dim() == 3 ? wide : wide.reshape(wide.size(0), -1, spec.groupColumns(wide.size(1)));
    }

    /// `w / scale` as a new tensor `[R, groups, G]`.
    private Tensor steps(Tensor weight) {
        return grouped(spec, weight).div(scale.unsqueeze(-1));
    }

    /// The codes of an unbounded grid.
    private Tensor rounded(Tensor weight) {
        return shifted(steps(weight).round_());
    }

    private Tensor clipped(Tensor weight) {
        Tensor codes = rounded(weight);
        return codes.clamp_(new ScalarOptional(new Scalar(spec.minimum())), new ScalarOptional(new Scalar(spec.maximum())));
    }

    /// Replaces codes (float32, `[R, groups, G]`) by the weights that they stand for.
    private Tensor onGrid(Tensor codes) {
        return unshifted(codes).mul_(scale.unsqueeze(-1));
    }

    private Tensor shifted(Tensor steps) {
        return spec.symmetric() ? steps : steps.add_(zero.unsqueeze(-1));
    }

    private Tensor unshifted(Tensor codes) {
        return spec.symmetric() ? codes : codes.sub_(zero.unsqueeze(-1));
    }

    private static Tensor quietly(Supplier<Tensor> body) {
        return Grad.off(() -> Scope.keep(body));
    }
}
