package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeName;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Linear;
import rqat.tensor.Scope;

/// Input channels scaled up where the activations are large, against the operation before, then ranges clipped, then every weight to its
/// nearest point ([AwqSearch]). The latents are the scaled and clipped weights; norms, and biases where a linear map comes before, carry
/// the inverse scales.
@JsonTypeName("awq")
public record Awq(GridSpec grid) implements Method {
    private static final int FLOAT = 4;

    /// What a recipe says of it: nothing that it does not say of all methods.
    public record Settings() implements Method.Settings {
        /// Asymmetric.
        @Override
        public Awq of(int bits, int groupSize, ScaleType scaleType) {
            return new Awq(new GridSpec(bits, groupSize, false, scaleType));
        }

        @Override
        public Map<String, Method> presets() {
            return Method.presets(List.of(2, 3, 4), "w%dg128-awq", Awq::paper);
        }
    }

    /// The paper's: asymmetric, groups of 128, float32 scales.
    public static Awq paper(int bits) {
        return new Settings().of(bits, 128, ScaleType.FLOAT32);
    }

    @Override
    public ScaleMode quantise(Quantisation work) {
        work.withComputedWeights(weights -> {
            GridSpec spec = work.specs().values().iterator().next();
            AwqSearch.run(work.config(), work.latents(), weights, work.windows(), spec, work.listener(), block -> block.inputs().forEach((input, seen) -> {
                for (Linear linear : input.readers()) {
                    String name = linear.weight(block.layer());
                    Scope.run(() -> {
                        Tensor latent = work.latents().get(name);
                        Grid grid = Grid.fit(spec, latent, ClipSearch.TIGHT);
                        double error = Quantisation.ratio(seen.matmul(latent.sub(grid.fakeQuantise(latent)).t()).square(), seen.matmul(latent.t()).square());
                        work.done(name, grid, error);
                    });
                }
            }));
        });
        return ScaleMode.STATIC;
    }

    @Override
    public Cost cost(Sizes sizes, List<int[]> windows) {
        long tokens = Sizes.tokens(windows), longest = Sizes.longest(windows);
        long batch = Math.max(longest, Math.min(tokens, Sizes.PACKED_TOKENS));
        // What a part of a map's limits holds while they are searched: some ten float32 arrays of it.
        long limits = 10L * FLOAT * Math.min(sizes.largestMap(), 4 << 20);
        long calibrating = 3 * sizes.states(windows) + sizes.observing(batch) + Math.max(sizes.block(batch, longest) + sizes.fitting(), limits);
        return new Cost(calibrating, true, 1 + AwqSearch.RATIOS, 0);
    }
}
