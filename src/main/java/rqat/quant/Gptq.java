package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeName;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// GPTQ (Frantar et al. 2023): rounds a weight matrix column by column and spreads each column's error over the columns still to come, so
/// that the output on inputs with Hessian H changes least. With `U` upper triangular and `inverse(H + damping) = U^T U`:
///
///     e_i = (w_i - quantised(w_i)) / U_ii        w_j -= e_i U_ij  for j > i
///
/// Beside the codes it returns the *latent* of every column: its compensated value at the instant before it is rounded, the point from
/// which quantisation-aware training starts (paper, section 3.3). Quantising the latents again with the stored grid gives the codes, bit for
/// bit, because each column is rounded to float32 first and its code is then decided by [Grid] on that float32 value.
///
/// Deviations from the reference code: H, its factor and all compensation are float64; `U` comes from one Cholesky factorisation of H with
/// rows and columns reversed instead of two around an explicit inverse; a failed factorisation is tried again from the clean H; without
/// static groups a group's range never sees stale columns (in the reference it does when blocks of 128 straddle groups).
///
/// Shapes: R rows, C columns. Inside, matrices are transposed so that a column is contiguous.
///
/// @param activationOrder columns with the largest inputs first
/// @param staticGroups    every group's range from the original weights; otherwise from the partly compensated ones when its turn comes
/// @param damping         added to the Hessian's diagonal, as a fraction of its mean
@JsonTypeName("gptq")
public record Gptq(GridSpec grid, ClipSearch clipSearch, boolean activationOrder, boolean staticGroups, double damping) implements Method {
    private static final long BLOCK = 128;
    private static final double DAMPING_STEP = 0.0015;
    private static final int DOUBLE = 8;
    /// Measured: 80 candidates, about 50 for each.
    private static final long SEARCH = 4000;

    /// Checks the ranges.
    public Gptq {
        if (!(damping >= 0 && damping < 1)) {
            throw new IllegalArgumentException("damping is %s; expected at least 0 and below 1".formatted(damping));
        }
        if (activationOrder && !staticGroups && grid.groupSize() != 0) {
            throw new IllegalArgumentException(
                    "activationOrder needs staticGroups: it visits the columns of a group at different times. Set staticGroups, or turn activationOrder off.");
        }
    }

    /// What a recipe says under `gptq`.
    ///
    /// @param symmetric       see [GridSpec]
    /// @param activationOrder see [Gptq]; with it, groups are static
    public record Settings(boolean symmetric, ClipSearch clipSearch, boolean activationOrder, double damping) implements Method.Settings {
        @Override
        public Gptq of(int bits, int groupSize, ScaleType scaleType) {
            return new Gptq(new GridSpec(bits, groupSize, symmetric, scaleType), clipSearch, activationOrder, activationOrder, damping);
        }

        @Override
        public Map<String, Method> presets() {
            return Method.presets(List.of(2, 3, 4), "w%dg128-gptq", Gptq::paper);
        }
    }

    /// The paper's: asymmetric, groups of 128, searched ranges, activation order with static groups, damping 0.01, float32 scales.
    public static Gptq paper(int bits) {
        return new Settings(false, ClipSearch.MSE, true, 0.01).of(bits, 128, ScaleType.FLOAT32);
    }

    /// These options for another format.
    Gptq with(GridSpec other) {
        return new Gptq(other, clipSearch, activationOrder, staticGroups, damping);
    }

    /// Rotations are at work, activations are not rounded.
    @Override
    public ScaleMode quantise(Quantisation work) {
        work.withComputedWeights(weights -> Calibration.run(
                work.config(), weights, work.sites().withoutQuantisers(), work.windows(), (layer, linear, hessian) -> {
                    String name = linear.weight(layer);
                    Tensor latent = work.latents().get(name);
                    Solution solution = with(work.specs().get(name)).solve(name, latent, hessian);
                    double error = outputError(latent, solution.quantised(), hessian);
                    latent.copy_(solution.latent());
                    work.done(name, solution.grid(), error);
                    return solution.quantised();
                }, work.listener()));
        return ScaleMode.STATIC;
    }

    /// `tr(D H D^T) / tr(W H W^T)` for the error D of a weight W.
    private static double outputError(Tensor weight, Tensor quantised, Tensor hessian) {
        return Grad.off(() -> Scope.get(() -> {
            Tensor exact = weight.to(ScalarType.Double);
            Tensor error = exact.sub(quantised);
            return Quantisation.ratio(error.matmul(hessian).mul_(error), exact.matmul(hessian).mul_(exact));
        }));
    }

    @Override
    public Cost cost(Sizes sizes, List<int[]> windows) {
        return costOf(sizes, windows);
    }

    /// Of what observes the inputs of maps and solves for each, whatever rounds it.
    static Cost costOf(Sizes sizes, List<int[]> windows) {
        long calibrating = sizes.states(windows) + Math.max(sizes.observing(windows), solver(sizes.config()) + sizes.fitting());
        return new Cost(calibrating, true, 5, solving(sizes.config(), Sizes.tokens(windows)));
    }

    /// What quantising one map holds: Hessian, its factor, and the map in float64.
    private static long solver(ModelConfig config) {
        long largest = 0;
        for (Linear linear : Linear.values()) {
            long columns = config.inputs(linear);
            long square = DOUBLE * columns * columns;
            long matrix = DOUBLE * columns * config.outputs(linear);
            long factoring = 8 * square + matrix / 2;
            long measuring = 2 * square + 4 * matrix + matrix;
            largest = Math.max(largest, Math.max(factoring, measuring));
        }
        return largest;
    }

    /// Operations in float64 with calibration text of so many tokens: Hessians, their factors, compensation, errors, and the search for ranges,
    /// whose passes over memory take as long as [#SEARCH] operations for each weight.
    private static double solving(ModelConfig config, long tokens) {
        double operations = 0;
        for (Linear linear : Linear.values()) {
            double columns = config.inputs(linear);
            operations += columns * columns * (2.0 * tokens + 4.0 / 3 * columns + 6.0 * config.outputs(linear))
                    + (double) SEARCH * config.outputs(linear) * config.inputs(linear);
        }
        return config.layers() * operations;
    }

    // ---- the solver

    /// The result; its tensors belong to the surrounding scope.
    ///
    /// @param grid      scales and zero points
    /// @param codes     `[R, C]`, in the spec's code dtype
    /// @param latent    `[R, C]`, float32; `grid.codes(latent)` are the codes
    /// @param quantised `[R, C]`, float32, what the codes stand for
    /// @param loss      half the sum of `e^2`: the squared output error that H predicts
    public record Solution(Grid grid, Tensor codes, Tensor latent, Tensor quantised, double loss) {}

    /// Solves one matrix.
    ///
    /// @param tensor  its name, for messages
    /// @param weight  `[R, C]`, any floating dtype; not changed
    /// @param hessian `[C, C]`, float64, before damping; not changed
    /// @throws Failure of [Grid#check]; FAILED when the Hessian is not finite or cannot be factored whatever the damping;
    ///                 INTERRUPTED when the thread was interrupted
    public Solution solve(String tensor, Tensor weight, Tensor hessian) {
        Grid.check(grid, tensor, weight);
        double[] loss = new double[1];
        List<Tensor> results = Grad.off(() -> Scope.keepAll(() -> {
            if (!hessian.isfinite().all().item_bool()) {
                throw Failure.failed(
                        "GPTQ: the calibration inputs of %s hold NaN or infinite values; check the calibration text, or calibrate in float32"
                                .formatted(tensor),
                        null);
            }
            return new Problem(tensor, weight.detach().to(ScalarType.Float), hessian, this).solve(loss);
        }));
        return new Solution(new Grid(grid, results.get(0), results.get(1)), results.get(2), results.get(3), results.get(4), loss[0]);
    }

    /// One call's inputs; lives inside one scope.
    private record Problem(String tensor, Tensor weight, Tensor hessian, Gptq options) {

        /// Scale, zero, codes, latent, quantised weight.
        List<Tensor> solve(double[] loss) {
            long columns = weight.size(1);
            Tensor dead = hessian.diagonal().eq(new Scalar(0.0));
            Tensor alive = weight.masked_fill(dead, new Scalar(0.0));
            // Inputs that are always zero say nothing, so their weights become 0 and their Hessian 1.
            Tensor diagonal = hessian.diagonal().add(dead);
            Tensor order = options.activationOrder()
                    ? diagonal.argsort(true, 0, true)
                    : Tensors.range(Place.of(diagonal), 0, columns);
            Tensor factor = inverseFactor(diagonal, order);

            GridSpec spec = options.grid();
            boolean fixed = options.staticGroups() || spec.groupSize() == 0;
            // The reference fits whole rows before it drops dead columns, and groups after.
            Tensor fitted = spec.groupSize() == 0 ? weight : alive;
            Compensation compensation = new Compensation(
                    spec,
                    options.clipSearch(),
                    fixed ? Grid.fit(spec, fitted, options.clipSearch()) : null,
                    alive.t().index_select(0, order).to(ScalarType.Double),
                    factor,
                    Tensors.longs(order));
            compensation.run();
            loss[0] = compensation.loss;

            Tensor latent = compensation.latent.index_select(0, order.argsort()).t().contiguous();
            if (!latent.isfinite().all().item_bool()) {
                throw Failure.failed(
                        "GPTQ: the compensation of %s diverged to NaN or infinite values; raise the damping above %s or calibrate on more text"
                                .formatted(tensor, options.damping()),
                        null);
            }
            Grid grid = compensation.grid();
            Tensor codes = grid.codes(latent);
            return List.of(grid.scale(), grid.zero(), codes, latent, grid.dequantise(codes));
        }

        /// The upper triangular U with `inverse(H + damping * mean(diag H)) = U^T U` for H in processing order, `[C, C]`. Reversing H turns
        /// its lower Cholesky factor into the upper one that is needed, and U into that factor's inverse.
        private Tensor inverseFactor(Tensor diagonal, Tensor order) {
            return Scope.keep(() -> {
                Tensor reversed = order.flip(0);
                Tensor clean = hessian.index_select(0, reversed).index_select(1, reversed);
                Tensor cleanDiagonal = diagonal.index_select(0, reversed);
                double mean = Tensors.item(diagonal.mean());
                for (double damping = options.damping(); damping < 1; damping += DAMPING_STEP) {
                    clean.diagonal().copy_(cleanDiagonal).add_(new Scalar(damping * mean));
                    T_TensorTensor_T result = torch.linalg_cholesky_ex(clean, false, false);
                    Tensor lower = result.get0();
                    if (Tensors.item(result.get1()) == 0) {
                        Tensor identity = Tensors.identity(Place.of(lower), lower.size(0));
                        return torch.linalg_solve_triangular(lower, identity, false).flip(0, 1);
                    }
                    lower.close();
                }
                throw Failure.failed(
                        "GPTQ: the Hessian of %s has no Cholesky factor even with a damping of 1; calibrate on more or other text, or use RTN"
                                .formatted(tensor),
                        null);
            });
        }
    }

    /// The loop over columns in processing order.
    private static final class Compensation {
        private final GridSpec spec;
        private final ClipSearch search;
        /// `[C, R]`, float64; what is left of each column is compensated block by block.
        private final Tensor weight;
        /// `[C, C]`.
        private final Tensor factor;
        /// Original column of each position.
        private final long[] order;
        private final long groupColumns;
        /// One grid per group, of a single column, `[R, 1]`.
        private final List<Grid> groups = new ArrayList<>();
        private final boolean fixed;
        /// `[C, R]`, float32; a column holds its latent once it has been visited.
        private final Tensor latent;
        private double loss;

        Compensation(GridSpec spec, ClipSearch search, @Nullable Grid grid, Tensor weight, Tensor factor, long[] order) {
            this.spec = spec;
            this.search = search;
            this.weight = weight;
            this.factor = factor;
            this.order = order;
            groupColumns = spec.groupColumns(order.length);
            fixed = grid != null;
            if (grid != null) addGroups(grid);
            latent = weight.to(ScalarType.Float);
        }

        private void addGroups(Grid grid) {
            GridSpec column = new GridSpec(spec.bits(), 0, spec.symmetric(), spec.scaleType());
            for (long group = 0; group < grid.scale().size(1); group++) {
                groups.add(new Grid(
                        column,
                        grid.scale().narrow(1, group, 1).contiguous(),
                        grid.zero().narrow(1, group, 1).contiguous()));
            }
        }

        /// The grids of all groups as one.
        Grid grid() {
            return new Grid(
                    spec,
                    Tensors.cat(groups.stream().map(Grid::scale).toList(), 1),
                    Tensors.cat(groups.stream().map(Grid::zero).toList(), 1));
        }

        void run() {
            long columns = order.length;
            for (long start = 0, end; start < columns; start = end) {
                end = Math.min(columns, start + BLOCK);
                if (!fixed) {
                    if (start % groupColumns == 0) fitGroup(start);
                    end = Math.min(end, (start / groupColumns + 1) * groupColumns);
                }
                long from = start, to = end;
                Scope.run(() -> block(from, to));
                if (Thread.interrupted()) throw Failure.interrupted("interrupted during GPTQ; the same command begins the quantisation again");
            }
        }

        /// The range of the group that begins at `start`, from columns with all earlier ones compensated.
        private void fitGroup(long start) {
            Tensor group = weight.narrow(0, start, groupColumns).t().to(ScalarType.Float);
            GridSpec whole = new GridSpec(spec.bits(), 0, spec.symmetric(), spec.scaleType());
            addGroups(Grid.fit(whole, group, search));
        }

        private void block(long start, long end) {
            long count = end - start;
            long rest = order.length - end;
            Tensor rows = factor.narrow(0, start, count);
            Tensor within = rows.narrow(1, start, count).contiguous();
            double[] pivots = Tensors.doubles(within.diagonal());
            Tensor corrections = weight.new_empty(count, weight.size(1)); // -e
            for (int i = 0; i < count; i++) {
                int index = i;
                Scope.run(() -> column(start, index, within, pivots[index], corrections));
            }
            loss += Tensors.item(corrections.square().sum()) / 2;
            if (rest > 0) weight.narrow(0, end, rest).addmm_(rows.narrow(1, end, rest).t(), corrections);
        }

        /// Compensates column `index` of the block for the block's earlier columns, stores it and rounds it.
        private void column(long start, int index, Tensor within, double pivot, Tensor corrections) {
            Tensor column = weight.select(0, start + index);
            if (index > 0) {
                Tensor influence = within.select(1, index).narrow(0, 0, index);
                column.addmv_(corrections.narrow(0, 0, index).t(), influence);
            }
            Tensor stored = latent.select(0, start + index).copy_(column).unsqueeze(-1);
            Grid group = groups.get((int) (order[(int) start + index] / groupColumns));
            Tensor served = group.fakeQuantise(stored).squeeze(-1);
            corrections.select(0, index).copy_(served).sub_(column).div_(new Scalar(pivot));
        }
    }
}
