package rqat.quant;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.model.Decoder;
import rqat.model.Weights;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Whole models compared.
final class QuantisedModels {
    private QuantisedModels() {}

    /// Squared difference of the final hidden states on `windows`, relative to their squared size.
    static double relativeError(QuantisedModel expected, QuantisedModel actual, int[][] windows) {
        Weights exact = expected.weights(ScalarType.Float), served = actual.weights(ScalarType.Float);
        try {
            double error = 0, size = 0;
            for (int[] window : windows) {
                double[] sums = Grad.off(() -> Scope.get(() -> {
                    Tensor ids = Cpu.of(window, 1, window.length);
                    Tensor reference = new Decoder(expected.config(), exact).hidden(ids);
                    Tensor found = new Decoder(actual.config(), served).hidden(ids);
                    return new double[] {Tensors.item(found.sub(reference).square().sum()), Tensors.item(reference.square().sum())};
                }));
                error += sums[0];
                size += sums[1];
            }
            return error / size;
        } finally {
            exact.all().values().forEach(Tensor::close);
            served.all().values().forEach(Tensor::close);
        }
    }
}
