package rqat.quant;

import java.util.function.BiConsumer;
import org.bytedeco.pytorch.Tensor;
import rqat.format.Site;
import rqat.model.Sites;

/// Shows the inputs of the linear maps to `observer`, as the model's own `sites` leave them, and changes nothing.
///
/// @param observer is given one of [Site#INPUTS] and `[B, T, C]`, which lives until the end of the pass
record InputObserver(Sites sites, BiConsumer<Site, Tensor> observer) implements Sites {
    private Tensor shown(Site site, Tensor x) {
        observer.accept(site, x);
        return x;
    }

    @Override
    public Tensor attentionInput(int layer, Tensor x) {
        return shown(Site.ATTENTION_INPUT, sites.attentionInput(layer, x));
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
    public Tensor values(int layer, Tensor values) {
        return sites.values(layer, values);
    }

    @Override
    public Tensor attentionOutput(int layer, Tensor x) {
        return shown(Site.ATTENTION_OUTPUT, sites.attentionOutput(layer, x));
    }

    @Override
    public Tensor mlpInput(int layer, Tensor x) {
        return shown(Site.MLP_INPUT, sites.mlpInput(layer, x));
    }

    @Override
    public Tensor mlpHidden(int layer, Tensor x) {
        return shown(Site.MLP_HIDDEN, sites.mlpHidden(layer, x));
    }
}
