package rqat.quant;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.foreign.ForeignModel;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.format.MaskRule;
import rqat.format.Provenance;
import rqat.format.ScaleMode;
import rqat.io.HostTensor;
import rqat.model.ModelLoader;
import rqat.tensor.HostTensors;
import rqat.tensor.Place;
import rqat.tensor.Scope;

/// Models that other tools quantised ([ForeignModel]), to run and to train on. The grid is kept: scales and zero points are those of the file, and the latents begin at the
/// dequantised values, so that the first forward pass of training is the imported model's.
final class ForeignWeights {
    private ForeignWeights() {}

    /// Whether another tool's codes are in this directory.
    ///
    /// @throws rqat.Failure BAD_FILE when there is no configuration
    static boolean isIn(Path directory) {
        return ForeignModel.method(directory).isPresent();
    }

    /// All weights, dequantised, at `place` and in its dtype; the caller owns them.
    ///
    /// @throws rqat.Failure as [ForeignModel#open]
    static SequencedMap<String, Tensor> load(Path directory, Place place) {
        try (CodedModel model = ForeignModel.open(directory)) {
            return load(directory, model, place);
        }
    }

    private static SequencedMap<String, Tensor> load(Path directory, CodedModel model, Place place) {
        var weights = new LinkedHashMap<String, Tensor>();
        try {
            for (String name : model.config().tensors().keySet()) {
                model.value(name).lend(tensor -> weights.put(name, ModelLoader.read(directory, name, tensor, place)));
            }
            return weights;
        } catch (RuntimeException e) {
            weights.values().forEach(Tensor::close);
            throw e;
        }
    }

    /// The model in the form that is trained.
    ///
    /// @throws rqat.Failure as [ForeignModel#open]
    static QuantisedModel student(Path directory, Place place) {
        Place wide = place.as(ScalarType.Float);
        try (CodedModel model = ForeignModel.open(directory)) {
            SequencedMap<String, Tensor> latents = load(directory, model, wide);
            var grids = new LinkedHashMap<String, Grid>();
            try {
                for (String name : model.codedNames()) grids.put(name, grid(model.coded(name), wide));
            } catch (RuntimeException e) {
                latents.values().forEach(Tensor::close);
                grids.values().forEach(Grid::close);
                throw e;
            }
            Method method = grids.isEmpty() ? null : new Imported(grids.firstEntry().getValue().spec(), ForeignModel.method(directory).orElseThrow());
            var base = new Provenance.Base(directory.toAbsolutePath().normalize().getFileName().toString(), "");
            return new QuantisedModel(
                    model.config(), latents, grids, method, ScaleMode.STATIC, MaskRule.HALF_STEP, ActivationSites.none(model.config()), null,
                    new Provenance(base, List.of()));
        }
    }

    private static Grid grid(CodedWeight weight, Place place) {
        Tensor scale = Scope.own(() -> HostTensors.toTensor(weight.scales(), place));
        HostTensor zeros = weight.zeros();
        Tensor zero = Scope.own(() -> zeros == null ? torch.zeros_like(scale) : HostTensors.toTensor(zeros, place));
        return new Grid(weight.spec(), scale, zero);
    }
}
