package rqat.quant;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import rqat.Failure;
import rqat.format.Site;
import rqat.model.Attention;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Runs calibration text through a model block by block and has each linear map replaced by its quantised version as soon as the statistics
/// of its inputs are known. Within a block there are four stages, and each sees the quantised maps of the stages before it; the next block
/// sees the outputs of the quantised one. Five passes over the text per block, activations of one block at a time.
///
/// Windows of equal length share a batch, so there is no padding that could count as input. The result depends on nothing but the arguments.
public final class Calibration {
    static final int BATCH_TOKENS = 4096;

    private Calibration() {}

    /// Quantises one map.
    @FunctionalInterface
    public interface Solver {
        /// The quantised weight `[R, C]` of `linear` in block `layer`, given the [Hessian] `[C, C]` (float64) of its inputs.
        Tensor solve(int layer, Linear linear, Tensor hessian);
    }

    /// Hears how far the text is.
    @FunctionalInterface
    public interface Listener {
        /// Hears nothing.
        Listener NONE = (_, _, _) -> {};

        /// `done` of the `total` batches that go through block `layer`, all five passes together, have gone through it.
        void passed(int layer, int done, int total);
    }

    /// Calibrates all blocks of a model whose activations are left alone.
    ///
    /// @throws Failure as [#run(ModelConfig, Weights, Sites, int[][], Solver, Listener)]
    public static void run(ModelConfig config, Weights weights, int[][] windows, Solver solver) {
        run(config, weights, Sites.NONE, windows, solver, Listener.NONE);
    }

    /// Calibrates all blocks.
    ///
    /// @param weights in the compute dtype; the maps' weights are overwritten with what `solver` returns
    /// @param sites   what the model does to its activations; the inputs of a map are counted as it leaves them
    /// @param windows token ids, at least one window; their lengths may differ
    /// @throws Failure USAGE when there is no window, one is empty or longer than the model's positions, or a token is not in the vocabulary;
    ///                 INTERRUPTED between two batches when the thread was interrupted
    public static void run(ModelConfig config, Weights weights, Sites sites, int[][] windows, Solver solver, Listener listener) {
        embedded(config, weights, windows, states -> {
            for (int layer = 0; layer < config.layers(); layer++) {
                var passes = new Passes(layer, states, listener);
                for (Site input : Site.INPUTS) quantise(config, weights, sites, layer, input, passes, solver);
                int current = layer;
                Decoder decoder = new Decoder(config, weights, sites);
                passes.run(state -> state.copy_(block(decoder, current, state)));
            }
        });
    }

    /// Lends `body` the embedded windows, `[B, T, hidden]` a batch, for it to take through the blocks in place; without gradients.
    ///
    /// @throws Failure as [#run]
    static void embedded(ModelConfig config, Weights weights, int[][] windows, Consumer<List<Tensor>> body) {
        check(config, windows);
        List<Tensor> states = new ArrayList<>();
        try {
            Grad.off(() -> {
                for (int[][] batch : batches(windows)) states.add(Scope.own(() -> embed(config, weights, batch)));
                body.accept(states);
            });
        } finally {
            states.forEach(Tensor::close);
        }
    }

    private static void quantise(
            ModelConfig config, Weights weights, Sites sites, int layer, Site input, Passes passes, Solver solver) {
        try (Hessian hessian = new Hessian(Place.of(weights.get(ModelConfig.EMBEDDING)), input.width(config))) {
            Decoder decoder = new Decoder(config, weights, new InputObserver(sites, (site, x) -> {
                if (site == input) hessian.add(x);
            }));
            passes.run(state -> block(decoder, layer, state));
            Scope.run(() -> {
                Tensor mean = hessian.mean();
                for (Linear linear : input.readers()) {
                    Scope.run(() -> weights.get(linear.weight(layer)).copy_(solver.solve(layer, linear, mean)));
                }
            });
        }
    }

    /// The passes of all text through one block; between two batches is where an interruption stops them.
    private static final class Passes {
        private static final int PER_BLOCK = Site.INPUTS.size() + 1;

        private final int layer;
        private final List<Tensor> states;
        private final Listener listener;
        private int done;

        Passes(int layer, List<Tensor> states, Listener listener) {
            this.layer = layer;
            this.states = states;
            this.listener = listener;
        }

        void run(Consumer<Tensor> work) {
            for (Tensor state : states) {
                stopIfInterrupted(layer);
                Scope.run(() -> work.accept(state));
                listener.passed(layer, ++done, PER_BLOCK * states.size());
            }
        }
    }

    /// @throws Failure INTERRUPTED when the thread was interrupted
    static void stopIfInterrupted(int layer) {
        if (Thread.interrupted()) {
            throw Failure.interrupted("interrupted while quantising block %d; the same command begins the quantisation again".formatted(layer));
        }
    }

    private static Tensor block(Decoder decoder, int layer, Tensor state) {
        Tensor positions = Tensors.range(Place.of(state), 0, state.size(1)).unsqueeze(0);
        return decoder.block(layer, state, decoder.rotation(positions), Attention.CAUSAL);
    }

    private static Tensor embed(ModelConfig config, Weights weights, int[][] batch) {
        int[] ids = Arrays.stream(batch).flatMapToInt(Arrays::stream).toArray();
        var decoder = new Decoder(config, weights);
        return decoder.embed(Tensors.of(decoder.place(), ids, batch.length, batch[0].length));
    }

    /// Windows of equal length together, short ones first, at most [#BATCH_TOKENS] tokens in a batch of more than one.
    private static List<int[][]> batches(int[][] windows) {
        int[][] sorted = windows.clone();
        Arrays.sort(sorted, Comparator.comparingInt(window -> window.length));
        List<int[][]> batches = new ArrayList<>();
        for (int from = 0, to; from < sorted.length; from = to) {
            int length = sorted[from].length;
            to = from + 1;
            while (to < sorted.length && sorted[to].length == length && (to - from + 1) * length <= BATCH_TOKENS) to++;
            batches.add(Arrays.copyOfRange(sorted, from, to));
        }
        return batches;
    }

    static void check(ModelConfig config, int[][] windows) {
        if (windows.length == 0) throw Failure.usage("calibration needs text: there is no window. Name a calibration file with some.");
        for (int i = 0; i < windows.length; i++) {
            int length = windows[i].length;
            if (length == 0 || length > config.maxPositions()) {
                throw Failure.usage("calibration window %d has %d tokens; expected 1 to %d (max_position_embeddings)"
                        .formatted(i, length, config.maxPositions()));
            }
            for (int id : windows[i]) {
                if (id < 0 || id >= config.vocabularySize()) {
                    throw Failure.usage("calibration window %d holds token %d; the vocabulary has %d. Is it another model's tokenizer?"
                            .formatted(i, id, config.vocabularySize()));
                }
            }
        }
    }
}
