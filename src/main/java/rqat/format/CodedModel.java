package rqat.format;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.Checkpoint;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.io.TensorSource;
import rqat.model.ModelConfig;
import rqat.model.StoredWeights;

/// A model as codes and what is not quantised, mapped from its files and read when it is asked for: what exporters, engines and converters work
/// on. Latents are never opened, so a model of four billion weights costs address space and no memory. Not for several threads while it is closed.
public final class CodedModel implements AutoCloseable {
    /// Codes, scales and zero points, in [Description#FOLDER].
    public static final String CODES = "codes.safetensors";
    /// Transforms and clip logits of activations, in [Description#FOLDER], where there are any.
    public static final String SITES = "sites.safetensors";

    private final ModelConfig config;
    private final @Nullable Description description;
    private final SequencedMap<String, Supplier<CodedWeight>> coded;
    private final SequencedMap<String, TensorSource> values;
    private final SequencedMap<String, HostTensor> sites;
    private final List<? extends AutoCloseable> files;

    /// A model of these parts.
    ///
    /// @param description null for a model in full precision, or of a foreign file
    /// @param coded       the quantised weights by name, taken out of their container when asked for
    /// @param values      every tensor of [ModelConfig#tensors] by name as the forward pass uses it, floating-point
    /// @param sites       what is done to activations, by [Site#tensor]
    /// @param files       that the tensors are parts of; closed with the model
    public CodedModel(
            ModelConfig config,
            @Nullable Description description,
            SequencedMap<String, Supplier<CodedWeight>> coded,
            SequencedMap<String, ? extends TensorSource> values,
            SequencedMap<String, HostTensor> sites,
            List<? extends AutoCloseable> files) {
        this.config = config;
        this.description = description;
        this.coded = Collections.unmodifiableSequencedMap(coded);
        this.values = new LinkedHashMap<>(values);
        this.sites = Collections.unmodifiableSequencedMap(sites);
        this.files = List.copyOf(files);
    }

    /// Maps a model directory of ours, quantised or not. Values are not read: [CodedWeight#verify] does that for one weight.
    ///
    /// @throws Failure BAD_FILE when a file is missing or damaged, or its tensors are not those that configuration and description promise
    public static CodedModel open(Path directory) {
        ModelConfig config = ModelConfig.load(directory);
        Description description = Description.isIn(directory) ? Description.read(directory, config) : null;
        var files = new ArrayList<AutoCloseable>();
        try {
            Checkpoint checkpoint = Checkpoint.open(directory);
            files.add(checkpoint);
            SequencedMap<String, HostTensor> values = StoredWeights.of(directory, config, checkpoint.tensors());
            var coded = new LinkedHashMap<String, Supplier<CodedWeight>>();
            var sites = new LinkedHashMap<String, HostTensor>();
            if (description != null) {
                Path folder = directory.resolve(Description.FOLDER);
                SafetensorsFile codes = SafetensorsFile.open(folder.resolve(CODES));
                files.add(codes);
                read(codes, description, config, coded);
                if (Files.exists(folder.resolve(SITES))) {
                    SafetensorsFile transforms = SafetensorsFile.open(folder.resolve(SITES));
                    files.add(transforms);
                    sites.putAll(transforms.tensors());
                }
            }
            return new CodedModel(config, description, coded, values, sites, files);
        } catch (RuntimeException | Error e) {
            close(files);
            throw e;
        }
    }

    private static void read(SafetensorsFile file, Description description, ModelConfig config, SequencedMap<String, Supplier<CodedWeight>> coded) {
        long expected = description.tensors().values().stream().mapToLong(grid -> grid.symmetric() ? 2 : 3).sum();
        if (file.tensors().size() != expected) {
            throw inconsistent(file, Description.FILE, "promises %d tensors; there are %d".formatted(expected, file.tensors().size()));
        }
        var shapes = config.tensors();
        description.tensors().forEach((name, grid) -> {
            long[] shape = shapes.get(name);
            try {
                var weight = new CodedWeight(
                        name,
                        grid,
                        Math.toIntExact(shape[0]),
                        Math.toIntExact(shape[1]),
                        tensor(file, name + ".codes"),
                        tensor(file, name + ".scale"),
                        grid.symmetric() ? null : tensor(file, name + ".zero"));
                coded.put(name, () -> weight);
            } catch (IllegalArgumentException e) {
                throw inconsistent(file, name, "does not fit: " + e.getMessage());
            }
        });
    }

    private static HostTensor tensor(SafetensorsFile file, String name) {
        HostTensor tensor = file.tensors().get(name);
        if (tensor == null) throw inconsistent(file, name, "is missing");
        return tensor;
    }

    private static Failure inconsistent(SafetensorsFile file, String name, String what) {
        return Failure.badFile(("%s: %s %s. The directory is inconsistent: damaged, or put together from different runs. Write it again"
                        + " with the stage that made it.")
                .formatted(file.path(), Failure.quote(name), what));
    }

    /// The configuration.
    public ModelConfig config() {
        return config;
    }

    /// How it was made; null for a model in full precision, or of a foreign file.
    public @Nullable Description description() {
        return description;
    }

    /// The names of the quantised weights, in the order of the forward pass; none for a model in full precision.
    public SequencedSet<String> codedNames() {
        return coded.sequencedKeySet();
    }

    /// A quantised weight: mapped, or taken out of its container anew on every call.
    ///
    /// @throws Failure BAD_FILE when a container of others holds what no grid of ours can be
    public CodedWeight coded(String name) {
        return coded.get(name).get();
    }

    /// Any tensor by its name in the checkpoint, as the forward pass uses it: mapped, or made when it is read.
    public TensorSource value(String name) {
        return values.get(name);
    }

    /// Transforms and clip logits of activations by [Site#tensor], F32; none for most methods.
    public SequencedMap<String, HostTensor> sites() {
        return sites;
    }

    /// Which activations are quantised; none for a model in full precision.
    public ActivationFormat activations() {
        return description == null ? ActivationFormat.NONE : description.activations();
    }

    @Override
    public void close() {
        close(files);
    }

    private static void close(List<? extends AutoCloseable> files) {
        for (AutoCloseable file : files) {
            try {
                file.close();
            } catch (RuntimeException e) {
                throw e;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
