package rqat.quant;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.format.CodedModel;
import rqat.format.Description;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ModelFiles;
import rqat.format.Provenance;
import rqat.format.ScaleMode;
import rqat.io.AtomicFiles;
import rqat.io.Checkpoint;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.io.SafetensorsWriter;
import rqat.io.TensorSource;
import rqat.model.ModelConfig;
import rqat.model.ModelLoader;
import rqat.run.Checksums;
import rqat.tensor.Grad;
import rqat.tensor.HostTensors;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The files of a [QuantisedModel], quantised or not.
///
/// # On disk
///
/// A Hugging Face model directory whose checkpoint holds the weights exactly as the forward pass uses them, in the compute dtype, so that
/// any engine can load it. A quantised model has beside it, in `quantization/`:
///
///  - `quantization.json`: format version, method with its options, scale mode, mask rule, quantised activations, names of the quantised
///    tensors, provenance
///  - `codes.safetensors`: for each of them `NAME.codes` `[R, C]` and, if asymmetric, `NAME.zero` `[R, groups]`, both int8 (uint8 for asymmetric
///    8 bits), and `NAME.scale` `[R, groups]`, float32
///  - `latents.safetensors`: every parameter, float32, from which training continues and exporters take nothing
///  - `sites.safetensors`: transforms and clip logits of the activations, float32 ([ActivationSites]), where there are any
///  - `transforms.safetensors`: the learned parameters of [FlatTransforms], float32, from which training continues; checkpoint, codes and
///    sites follow from them and the latents
///  - `checksums.json`: of the others ([Checksums]); those of latents and transforms are verified when the model is loaded
///
/// A full-precision model has its checkpoint only: saved in a narrower dtype it loses the latents' low bits.
public final class ModelDirectory {
    private static final String LATENTS = "latents.safetensors";
    private static final String TRANSFORMS = "transforms.safetensors";
    /// Largest share of values that may differ, by more than [#NEAR] of the largest, where they were computed anew: another processor
    /// rounds its products differently.
    private static final double DIFFERENT = 1e-4;
    private static final double NEAR = 1e-5;

    private ModelDirectory() {}

    /// Writes the checkpoint alone, rounded to `type`: for a model that is made from nothing and has no source directory.
    public static void saveCheckpoint(QuantisedModel model, Path directory, DataType type) {
        var weights = new LinkedHashMap<String, TensorSource>();
        model.latents().forEach((name, latent) ->
                weights.put(name, produced(HostTensors.scalarType(type), Tensors.shape(latent), () -> model.projected(name))));
        SafetensorsWriter.writeCheckpoint(
                directory, weights, Map.of("format", "pt"), SafetensorsWriter.DEFAULT_MAXIMUM_SHARD_BYTES);
    }

    /// As [#save(QuantisedModel, Path, ScalarType, Path, Provenance)] for a forward pass in float32.
    public static void save(QuantisedModel model, Path directory, Path source, Provenance provenance) {
        save(model, directory, ScalarType.Float, source, provenance);
    }

    /// Writes the model.
    ///
    /// @param directory  created where missing; a checkpoint and a `quantization` folder in it are replaced
    /// @param compute    dtype of the forward pass, Float or BFloat16
    /// @param source     the model directory whose configuration and tokenizer files are copied unchanged (but for
    ///                   `tie_word_embeddings`, where the head was untied)
    /// @param provenance where the model comes from
    /// @throws Failure FAILED when something cannot be written, BAD_FILE when a file of `source` cannot be read
    public static void save(
            QuantisedModel model, Path directory, ScalarType compute, Path source, Provenance provenance) {
        Path folder = directory.resolve(Description.FOLDER);
        AtomicFiles.delete(folder);
        var weights = new LinkedHashMap<String, TensorSource>();
        var originals = new LinkedHashMap<String, TensorSource>();
        model.latents().forEach((name, latent) -> {
            long[] shape = Tensors.shape(latent);
            weights.put(name, produced(compute, shape, () -> model.projected(name)));
            originals.put(name, produced(ScalarType.Float, shape, () -> latent));
        });
        SafetensorsWriter.writeCheckpoint(
                directory, weights, Map.of("format", "pt"), SafetensorsWriter.DEFAULT_MAXIMUM_SHARD_BYTES);
        Method method = model.method();
        if (method != null) {
            var codes = new LinkedHashMap<String, TensorSource>();
            model.grids().forEach((name, grid) -> {
                ScalarType type = HostTensors.scalarType(grid.spec().codeType());
                codes.put(name + ".codes", produced(type, Tensors.shape(model.latents().get(name)), () -> grid.codes(model.unrounded(name))));
                codes.put(name + ".scale", produced(ScalarType.Float, Tensors.shape(grid.scale()), grid::scale));
                if (!grid.spec().symmetric()) codes.put(name + ".zero", produced(type, Tensors.shape(grid.zero()), grid::zero));
            });
            SafetensorsWriter.write(folder.resolve(CodedModel.CODES), codes, Map.of());
            SafetensorsWriter.write(folder.resolve(LATENTS), originals, Map.of());
            ActivationSites sites = model.sites();
            if (!sites.tensors().isEmpty()) write(folder.resolve(CodedModel.SITES), sites.tensors());
            LiveTransforms transforms = model.transforms();
            if (transforms != null) write(folder.resolve(TRANSFORMS), transforms.parameters());
            var grids = new LinkedHashMap<String, GridSpec>();
            model.grids().forEach((name, grid) -> grids.put(name, grid.spec()));
            new Description(Description.Method.of(method), model.scaleMode(), model.maskRule(), sites.format(), grids, provenance).write(directory);
            Checksums.write(folder, List.of(Description.FILE, CodedModel.CODES, LATENTS, CodedModel.SITES, TRANSFORMS));
        }
        ModelFiles.copy(source, directory, json -> {
            // The head may have been untied from the embedding; a foreign source says how its own weights are packed.
            if (!model.config().tiedEmbeddings() && json.path("tie_word_embeddings").asBoolean(false)) json.put("tie_word_embeddings", false);
            json.remove(List.of("quantization_config", "quantization"));
        });
    }

    private static void write(Path file, SequencedMap<String, Tensor> tensors) {
        var sources = new LinkedHashMap<String, TensorSource>();
        tensors.forEach((name, tensor) -> sources.put(name, produced(ScalarType.Float, Tensors.shape(tensor), () -> tensor)));
        SafetensorsWriter.write(file, sources, Map.of());
    }

    private static TensorSource produced(ScalarType type, long[] shape, java.util.function.Supplier<Tensor> values) {
        return TensorSource.lent(
                HostTensors.dataType(type),
                shape,
                reader -> Grad.off(() -> Scope.run(() -> reader.accept(HostTensors.view(values.get().to(type).contiguous())))));
    }

    /// Reads a model directory, quantised or not, by us or by another tool.
    ///
    /// @throws Failure BAD_FILE when a file is missing or damaged, or when the files contradict each other: configuration, description,
    ///                 codes, latents and the checkpoint must describe one model, bit for bit
    public static QuantisedModel load(Path directory) {
        return load(directory, Place.cpu(ScalarType.Float));
    }

    /// As [#load(Path)], with its tensors on the device of `place`.
    public static QuantisedModel load(Path directory, Place place) {
        ModelConfig config = ModelConfig.load(directory);
        Path folder = directory.resolve(Description.FOLDER);
        if (Description.isIn(directory)) return new Reader(directory, folder, config, place).read();
        if (ForeignWeights.isIn(directory)) return ForeignWeights.student(directory, place);
        return new QuantisedModel(
                config,
                ModelLoader.load(directory, config, place.as(ScalarType.Float)),
                new LinkedHashMap<>(),
                null,
                ScaleMode.STATIC,
                MaskRule.HALF_STEP);
    }

    /// What a model directory does to activations; nothing where it is not quantised. Reads no weights.
    ///
    /// @throws Failure BAD_FILE when the description or the transforms are damaged or do not fit the configuration
    public static ActivationSites sites(Path directory, ModelConfig config, Place place) {
        if (!Description.isIn(directory)) return ActivationSites.none(config);
        return new Reader(directory, directory.resolve(Description.FOLDER), config, place).readSites(Description.read(directory, config));
    }

    /// One directory with a `quantization` folder.
    private record Reader(Path directory, Path folder, ModelConfig config, Place place) {

        QuantisedModel read() {
            Description description = Description.read(directory, config);
            Method made = description.method().as(Method.class, folder.resolve(Description.FILE));
            var latents = new LinkedHashMap<String, Tensor>();
            var grids = new LinkedHashMap<String, Grid>();
            ActivationSites sites = readSites(description);
            LiveTransforms transforms = null;
            try {
                readAll(folder.resolve(LATENTS), config.tensors(), "is no tensor of the model that config.json describes", latents);
                FlatTransforms learned = made.transforms(config);
                transforms = learned == null ? null : readTransforms(learned, latents);
                if (transforms != null) sites = checkSites(sites, transforms);
                readGrids(description, latents, transforms, grids);
                var model = new QuantisedModel(
                        config,
                        latents,
                        grids,
                        made,
                        description.scaleMode(),
                        description.maskRule(),
                        sites,
                        transforms,
                        description.provenance());
                checkWeights(model);
                // Codes and checkpoint follow from latents and transforms, but half of the bits of these change no code.
                Checksums.verify(folder, List.of(LATENTS, TRANSFORMS));
                return model;
            } catch (RuntimeException e) {
                latents.values().forEach(Tensor::close);
                grids.values().forEach(Grid::close);
                if (transforms != null) transforms.close();
                else sites.close();
                throw e;
            }
        }

        private LiveTransforms readTransforms(FlatTransforms flat, Map<String, Tensor> latents) {
            var parameters = new LinkedHashMap<String, Tensor>();
            try {
                readAll(folder.resolve(TRANSFORMS), flat.shapes(), "is no parameter of this model", parameters);
                return new LiveTransforms(flat, latents, parameters);
            } catch (RuntimeException e) {
                parameters.values().forEach(Tensor::close);
                throw e;
            }
        }

        /// Closes the stored sites and returns those that follow from the transforms, after making sure that they are the same.
        private ActivationSites checkSites(ActivationSites stored, LiveTransforms transforms) {
            Path path = folder.resolve(CodedModel.SITES);
            ActivationSites computed = transforms.sites();
            if (!stored.format().equals(computed.format()) || !stored.tensors().keySet().equals(computed.tensors().keySet())) {
                throw inconsistent(path, Description.FILE, "quantises other sites than the method");
            }
            computed.tensors().forEach((name, tensor) -> {
                if (!agrees(true, tensor, stored.tensors().get(name))) {
                    throw inconsistent(path, name, "is not what the parameters of " + TRANSFORMS + " give");
                }
            });
            stored.close();
            return computed;
        }

        /// Whether stored values are the computed ones: to the last bit, or, for results of products, which processors round differently,
        /// nearly.
        private static boolean agrees(boolean nearly, Tensor computed, Tensor stored) {
            if (!nearly) return computed.equal(stored);
            return Scope.get(() -> {
                Tensor exact = computed.to(ScalarType.Float);
                double bound = NEAR * Tensors.item(exact.abs().max());
                long different = exact.sub(stored.to(ScalarType.Float)).abs_().gt(new Scalar(bound)).count_nonzero().item_long();
                return different <= DIFFERENT * exact.numel();
            });
        }

        ActivationSites readSites(Description description) {
            Path path = folder.resolve(CodedModel.SITES);
            var tensors = new LinkedHashMap<String, Tensor>();
            try {
                if (Files.exists(path)) {
                    try (SafetensorsFile file = SafetensorsFile.open(path)) {
                        file.tensors().forEach((name, stored) -> tensors.put(name, readFinite(file, name, stored.shape())));
                    }
                }
                return new ActivationSites(config, description.activations(), tensors);
            } catch (IllegalArgumentException e) {
                tensors.values().forEach(Tensor::close);
                throw Failure.badFile("%s: %s. The transforms belong to another model; write the directory again with the stage that made it."
                        .formatted(path, Failure.quote(e.getMessage())), e);
            } catch (RuntimeException e) {
                tensors.values().forEach(Tensor::close);
                throw e;
            }
        }

        /// Adds to `tensors` everything that a file of float32 tensors must hold, with these shapes and nothing else.
        ///
        /// @param foreign what is wrong with a tensor of another name
        private void readAll(Path path, SequencedMap<String, long[]> shapes, String foreign, Map<String, Tensor> tensors) {
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                for (String name : file.tensors().keySet()) {
                    if (!shapes.containsKey(name)) throw inconsistent(path, name, foreign);
                }
                shapes.forEach((name, shape) -> tensors.put(name, readFinite(file, name, shape)));
            }
        }

        /// A float32 tensor, which the caller closes.
        private Tensor readFinite(SafetensorsFile file, String name, long[] shape) {
            Tensor tensor = Scope.own(() -> read(file, name, DataType.F32, shape));
            if (finite(tensor)) return tensor;
            tensor.close();
            throw inconsistent(file.path(), name, "holds NaN or infinite values");
        }

        private static boolean finite(Tensor tensor) {
            return Scope.get(() -> tensor.isfinite().all().item_bool());
        }

        private void readGrids(
                Description description, Map<String, Tensor> latents, @Nullable LiveTransforms transforms, Map<String, Grid> grids) {
            boolean nearly = transforms != null;
            Path path = folder.resolve(CodedModel.CODES);
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                int expected = description.tensors().values().stream().mapToInt(grid -> grid.symmetric() ? 2 : 3).sum();
                if (file.tensors().size() != expected) {
                    throw inconsistent(path, Description.FILE, "promises %d tensors; there are %d".formatted(expected, file.tensors().size()));
                }
                for (String name : description.tensors().keySet()) {
                    Tensor latent = transforms == null ? latents.get(name) : transforms.unrounded().get(name);
                    GridSpec spec = description.tensors().get(name);
                    DataType codeType = spec.codeType();
                    long size = spec.groupColumns(latent.size(1));
                    if (latent.size(1) % size != 0) {
                        throw inconsistent(path, name, "has %d columns, which groups of %d do not divide".formatted(latent.size(1), size));
                    }
                    long[] groups = {latent.size(0), latent.size(1) / size};
                    Scope.run(() -> {
                        Tensor scale = read(file, name + ".scale", DataType.F32, groups);
                        if (!Grid.roundScale(spec.scaleType(), scale).equal(scale)) {
                            throw inconsistent(path, name + ".scale", "holds values that are no positive " + spec.scaleType() + " numbers");
                        }
                        Tensor zero = spec.symmetric()
                                ? scale.mul(new Scalar(0.0))
                                : read(file, name + ".zero", codeType, groups).to(ScalarType.Float);
                        Tensor codes = read(file, name + ".codes", codeType, Tensors.shape(latent));
                        checkRange(path, name + ".zero", zero, spec);
                        checkRange(path, name + ".codes", codes, spec);
                        Grid grid = description.scaleMode() == ScaleMode.DYNAMIC
                                ? Grid.fit(spec, latent, ClipSearch.NONE)
                                : new Grid(spec, scale, zero);
                        grids.put(name, grid.copy());
                        if (!agrees(nearly, grid.scale(), scale) || !agrees(nearly, grid.zero(), zero)) {
                            throw inconsistent(path, name + ".scale", "is not what the latents of " + LATENTS + " give");
                        }
                        if (!agrees(nearly, grid.codes(latent), codes)) {
                            throw inconsistent(path, name + ".codes", "is not what the latents of " + LATENTS + " give");
                        }
                    });
                }
            }
        }

        private void checkRange(Path path, String name, Tensor codes, GridSpec spec) {
            double smallest = Tensors.item(codes.min()), largest = Tensors.item(codes.max());
            if (smallest < spec.minimum() || largest > spec.maximum()) {
                throw inconsistent(path, name, "holds values from %.0f to %.0f; expected %d to %d"
                        .formatted(smallest, largest, spec.minimum(), spec.maximum()));
            }
        }

        private void checkWeights(QuantisedModel model) {
            try (Checkpoint checkpoint = Checkpoint.open(directory)) {
                for (String name : model.latents().keySet()) {
                    HostTensor stored = checkpoint.tensor(name);
                    boolean same = Scope.get(() -> {
                        Tensor weight = HostTensors.toTensor(stored, place.as(HostTensors.scalarType(stored.type())));
                        return agrees(model.transforms() != null, model.projected(name).to(Tensors.type(weight)), weight);
                    });
                    if (!same) throw inconsistent(directory, name, "in the checkpoint is not the quantised latent of " + folder.resolve(LATENTS));
                }
            }
        }

        private Tensor read(SafetensorsFile file, String name, DataType type, long[] shape) {
            HostTensor tensor = file.tensors().get(name);
            if (tensor == null) throw inconsistent(file.path(), name, "is missing");
            if (tensor.type() != type || !Arrays.equals(tensor.shape(), shape)) {
                throw inconsistent(file.path(), name, "is %s; expected %s %s".formatted(tensor, type, Arrays.toString(shape)));
            }
            return HostTensors.toTensor(tensor, place.as(HostTensors.scalarType(type)));
        }

        private Failure inconsistent(Path path, String name, String what) {
            return Failure.badFile(("%s: %s %s. The directory is inconsistent: damaged, or put together from different runs. Write it again"
                            + " with the stage that made it.")
                    .formatted(path, Failure.quote(name), what));
        }
    }
}
