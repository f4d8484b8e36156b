package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.format.Site;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// With every quantiser off, a FlatQuant-transformed model is the original one: with the channel scales at the activations, as they
/// are learned, and with them in norms and weights, as the model is served.
final class FlatQuantEquivalence {
    private FlatQuantEquivalence() {}

    static void check(QuantisedModel full, int shards) {
        ModelConfig config = full.config();
        var flat = FlatTransformsTest.method(shards, 1).transforms(config);
        SequencedMap<String, Tensor> parameters = flat.initial(Place.cpu(ScalarType.Float));
        Grad.off(() -> Scope.run(() -> {
            long seed = 1;
            for (var parameter : parameters.entrySet()) {
                Tensor value = parameter.getValue();
                Tensor noise = QuantisedActivations.random(seed++, Tensors.shape(value));
                if (FlatTransforms.isClip(parameter.getKey())) value.add_(new Scalar(40.0)); // sigmoid is 1
                else if (parameter.getKey().endsWith(".scale")) value.copy_(noise.mul(new Scalar(0.5)).exp());
                else value.add_(noise.mul(new Scalar(0.05))); // no longer orthogonal
            }
            Tensor ids = Cpu.of(TinyModel.windows(config, 2, 8)[1], 1, 24);
            Weights original = new Weights(new LinkedHashMap<>(full.latents()));
            Tensor expected = logits(new Decoder(config, original), ids);

            var tensors = new LinkedHashMap<>(full.latents());
            tensors.putAll(parameters);
            var served = new LinkedHashMap<>(full.latents());
            var siteTensors = new LinkedHashMap<String, Tensor>();
            for (int layer = 0; layer < config.layers(); layer++) {
                served.putAll(flat.unrounded(layer, tensors));
                siteTensors.putAll(flat.sites(layer, tensors));
            }
            ActivationSites sites = new ActivationSites(config, flat.activations(), siteTensors).withoutQuantisers();
            assertThat(QuantFixtures.largestDifference(expected, logits(new Decoder(config, new Weights(served), sites), ids)))
                    .as("re-parameterised")
                    .isLessThan(1e-3);

            // Before: norms and up map are not scaled, the inputs are.
            for (int layer = 0; layer < config.layers(); layer++) {
                for (String norm : new String[] {ModelConfig.attentionNorm(layer), ModelConfig.mlpNorm(layer)}) {
                    served.put(norm, full.latents().get(norm));
                }
                Tensor hidden = parameters.get(Site.MLP_HIDDEN.tensor(layer, "scale"));
                served.computeIfPresent(rqat.model.Linear.UP.weight(layer), (_, weight) -> weight.div(hidden.unsqueeze(1)));
                served.computeIfPresent(rqat.model.Linear.UP.bias(layer), (_, bias) -> bias.div(hidden));
            }
            assertThat(QuantFixtures.largestDifference(expected, logits(new Decoder(config, new Weights(served), new Scaled(parameters, sites)), ids)))
                    .as("as learned")
                    .isLessThan(1e-3);
            // The transforms do something: without them the weights belong to another model.
            assertThat(QuantFixtures.largestDifference(expected, logits(new Decoder(config, new Weights(served)), ids))).isGreaterThan(1e-2);
        }));
        parameters.values().forEach(Tensor::close);
    }

    private static Tensor logits(Decoder decoder, Tensor ids) {
        return decoder.logits(decoder.hidden(ids)).to(ScalarType.Double);
    }

    /// Channel scales before the transforms.
    private record Scaled(Map<String, Tensor> parameters, Sites sites) implements Sites {
        private Tensor scaled(int layer, Site site, Tensor x) {
            return x.mul(parameters.get(site.tensor(layer, "scale")));
        }

        @Override
        public Tensor attentionInput(int layer, Tensor x) {
            return sites.attentionInput(layer, scaled(layer, Site.ATTENTION_INPUT, x));
        }

        @Override
        public Tensor queries(int layer, Tensor queries) {
            return sites.queries(layer, queries);
        }

        @Override
        public Tensor keys(int layer, Tensor keys) {
            return sites.keys(layer, keys);
        }

        @Override
        public Tensor attentionOutput(int layer, Tensor x) {
            return sites.attentionOutput(layer, x);
        }

        @Override
        public Tensor mlpInput(int layer, Tensor x) {
            return sites.mlpInput(layer, scaled(layer, Site.MLP_INPUT, x));
        }

        @Override
        public Tensor mlpHidden(int layer, Tensor x) {
            return sites.mlpHidden(layer, scaled(layer, Site.MLP_HIDDEN, x));
        }
    }
}
