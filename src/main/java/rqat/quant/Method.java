package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.format.ActivationFormat;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.ModelConfig;

/// A compression method with its options. Everything that is special about a method is asked of it; all of it stands in the record's own file.
/// The records are read from recipes and written to `quantization/quantization.json` as they are, with `method` saying which one it is.
///
/// To add one: its file, its place in the two lists here, a case in `rqat.recipe.RunSettings` (with a key there if it has settings of its own),
/// and a page in `docs/methods`.
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "method")
public sealed interface Method permits RoundToNearest, Gptq, Awq, QuaRot, FlatQuant, Imported {

    /// The methods that recipes and the command line can name.
    enum Name {
        /// Round to nearest.
        RTN,
        /// Column by column with second-order compensation.
        GPTQ,
        /// Input channels scaled by the size of their activations.
        AWQ,
        /// Rotated weights; activations, keys and values quantised too.
        QUAROT,
        /// Learned transforms and clipping; activations, keys and values quantised too.
        FLATQUANT;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /// What a recipe says of one method.
    interface Settings {
        /// The method, given what the recipe says of all methods.
        ///
        /// @param groupSize columns that share a scale; 0 for whole rows
        Method of(int bits, int groupSize, ScaleType scaleType);

        /// The paper's settings of the method under their names: bits of weights (w), activations (a), keys and values (kv), columns that share
        /// a scale (g), the method; `tp4` for four shards, as the code base behind the paper's W4A4 rows runs.
        Map<String, Method> presets();
    }

    /// The format of every quantised weight, where activations are not divided into shards.
    GridSpec grid();

    /// What is done to activations, keys and values.
    default ActivationFormat activations() {
        return ActivationFormat.NONE;
    }

    /// Whether it looks at calibration text.
    default boolean readsText() {
        return true;
    }

    /// Makes sure that it can be applied to such a model.
    ///
    /// @throws Failure USAGE when it cannot
    default void check(ModelConfig config) {}

    /// Transforms whose parameters training goes on with; null where there are none.
    default @Nullable FlatTransforms transforms(ModelConfig config) {
        return null;
    }

    /// Finds a grid for every map, and changes latents, activations and transforms where the method does.
    ///
    /// @return how scales go on when latents are trained
    /// @throws Failure of [Calibration#run]; FAILED where a map cannot be solved; GATE where what is learned is not finite
    ScaleMode quantise(Quantisation work);

    /// What doing it takes.
    ///
    /// @param windows of calibration text; none where it reads none
    Cost cost(Sizes sizes, List<int[]> windows);

    /// What a method takes beyond the latents of the source and its own.
    ///
    /// @param calibrating   bytes while text passes through a block
    /// @param copiesWeights whether the weights exist once more, in the compute dtype
    /// @param passes        forward passes over the text that take as long
    /// @param solving       operations in float64
    record Cost(long calibrating, boolean copiesWeights, double passes, double solving) {
        static final Cost NONE = new Cost(0, false, 0, 0);
    }

    /// What is known of a model's sizes, in bytes, when it is asked what a method takes.
    interface Sizes {
        /// Tokens of windows that pass through a block together, at most.
        int PACKED_TOKENS = Calibration.BATCH_TOKENS;

        /// Of the model.
        ModelConfig config();

        /// The same where everything is float32.
        Sizes inFloat32();

        /// Values of the largest map.
        long largestMap();

        /// What fitting a grid to a map holds.
        long fitting();

        /// Of a block's input for all windows.
        long states(List<int[]> windows);

        /// What passing windows through a block holds while the inputs of its maps are observed; those of one length go together.
        long observing(List<int[]> windows);

        /// What observing the inputs of the widest map adds.
        long observing(long tokens);

        /// Temporaries of one block without gradients, for `tokens` in sequences of `length`.
        long block(long tokens, long length);

        /// What the graph of one block keeps for its backward pass.
        long recorded(long tokens, long length);

        /// Gradients in flight while one block is taken back.
        long backward(long tokens, long length);

        /// Of all windows.
        static long tokens(List<int[]> windows) {
            return windows.stream().mapToLong(ids -> ids.length).sum();
        }

        /// Tokens of the longest window.
        static long longest(List<int[]> windows) {
            return windows.stream().mapToLong(ids -> ids.length).max().orElse(1);
        }
    }

    /// The paper's method at several widths, under names that say the width.
    static Map<String, Method> presets(List<Integer> bits, String name, IntFunction<Method> paper) {
        var presets = new LinkedHashMap<String, Method>();
        for (int width : bits) presets.put(name.formatted(width), paper.apply(width));
        return presets;
    }
}
