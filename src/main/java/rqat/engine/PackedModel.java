package rqat.engine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.foreign.ForeignModel;
import rqat.format.ActivationFormat;
import rqat.format.CodedModel;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.TensorSource;
import rqat.model.Linear;
import rqat.model.ModelConfig;

/// A model directory ordered for the kernels, ours or of another tool, quantised or not; owns its memory, its threads and the mapped files. One thread at a time computes with it.
///
/// Codes become the weights `scale * (code - zero)` in float32, whatever dtype the checkpoint beside them has; embedding rows are read from the file. Everything else is float32.
public final class PackedModel implements AutoCloseable {
    private final CodedModel files;
    private final Arena arena = Arena.ofShared();
    private final Workers workers;
    private final ModelConfig config;
    private final CacheFormat cache;
    private final List<Block> blocks = new ArrayList<>();
    private final HostTensor embedding;
    private final float[] finalNorm;
    private final PackedMatrix head;
    private long bytes;

    /// How a model is held.
    ///
    /// @param threads that compute together
    /// @param cache   of those who sample or score
    public record Settings(int threads, HeadFormat head, CacheFormat cache) {
        /// Exact, on so many threads.
        public static Settings exact(int threads) {
            return new Settings(threads, HeadFormat.STORED, CacheFormat.FLOAT32);
        }

        /// Checks the ranges.
        public Settings {
            if (threads < 1) throw new IllegalArgumentException("threads is %d; expected 1 or more".formatted(threads));
        }
    }

    /// One block; biases and norms of queries and keys are null where the family has none.
    record Block(
            float[] attentionNorm,
            Readers attention,
            float @Nullable [] queryBias,
            float @Nullable [] keyBias,
            float @Nullable [] valueBias,
            float @Nullable [] queryNorm,
            float @Nullable [] keyNorm,
            Readers output,
            float @Nullable [] outputBias,
            float[] mlpNorm,
            Readers mlp,
            float @Nullable [] gateBias,
            float @Nullable [] upBias,
            Readers down,
            float @Nullable [] downBias) {}

    /// Whether this virtual machine has the Vector API: it was started with `--add-modules jdk.incubator.vector`.
    public static boolean isAvailable() {
        return ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
    }

    /// Opens a model directory.
    ///
    /// @throws Failure USAGE when its activations are quantised or transformed, which this engine does not compute; BAD_FILE as [ForeignModel#open], or when codes are not on their grids;
    ///                 FAILED when the virtual machine lacks the Vector API
    public static PackedModel open(Path directory, Settings settings) {
        return of(ForeignModel.open(directory), directory, settings);
    }

    /// As [#open] of a model that is open; takes it over, and closes it when this fails.
    ///
    /// @param source where it comes from, for messages
    public static PackedModel of(CodedModel files, Object source, Settings settings) {
        try {
            if (!isAvailable()) throw Failure.failed("the packed engine needs the Vector API; start Java with --add-modules jdk.incubator.vector, as ./rqat does");
            if (!files.activations().equals(ActivationFormat.NONE) || !files.sites().isEmpty()) {
                throw Failure.usage("%s: its activations are quantised or transformed; the packed engine runs weight-only models. Use the torch engine".formatted(source));
            }
            return new PackedModel(files, source, settings);
        } catch (RuntimeException | Error e) {
            files.close();
            throw e;
        }
    }

    private PackedModel(CodedModel files, Object source, Settings settings) {
        this.files = files;
        this.config = files.config();
        this.cache = settings.cache();
        this.workers = new Workers(settings.threads());
        try {
            for (int layer = 0; layer < config.layers(); layer++) blocks.add(block(source, layer));
            embedding = kept(files.value(ModelConfig.EMBEDDING));
            finalNorm = vector(ModelConfig.FINAL_NORM);
            head = head(settings.head());
        } catch (RuntimeException | Error e) {
            workers.close();
            arena.close();
            throw e;
        }
    }

    private Block block(Object source, int layer) {
        return new Block(
                vector(ModelConfig.attentionNorm(layer)),
                new Readers(map(source, Linear.QUERY, layer), map(source, Linear.KEY, layer), map(source, Linear.VALUE, layer)),
                bias(Linear.QUERY, layer),
                bias(Linear.KEY, layer),
                bias(Linear.VALUE, layer),
                config.queryKeyNorm() ? vector(ModelConfig.queryNorm(layer)) : null,
                config.queryKeyNorm() ? vector(ModelConfig.keyNorm(layer)) : null,
                new Readers(map(source, Linear.OUTPUT, layer)),
                bias(Linear.OUTPUT, layer),
                vector(ModelConfig.mlpNorm(layer)),
                new Readers(map(source, Linear.GATE, layer), map(source, Linear.UP, layer)),
                bias(Linear.GATE, layer),
                bias(Linear.UP, layer),
                new Readers(map(source, Linear.DOWN, layer)),
                bias(Linear.DOWN, layer));
    }

    private PackedMatrix map(Object source, Linear linear, int layer) {
        String name = linear.weight(layer);
        if (!files.codedNames().contains(name)) return values(files.value(name));
        return counted(PackedMatrix.of(files.coded(name), source, workers, arena));
    }

    private PackedMatrix values(TensorSource source) {
        return lent(source, tensor -> PackedMatrix.of(tensor, isBfloat16(tensor) ? Packing.BFLOAT16 : Packing.FLOAT32, workers, arena));
    }

    private PackedMatrix head(HeadFormat format) {
        return lent(files.value(config.head()), tensor -> switch (format) {
            case STORED -> PackedMatrix.of(tensor, isBfloat16(tensor) ? Packing.BFLOAT16 : Packing.FLOAT32, workers, arena);
            case BFLOAT16 -> PackedMatrix.of(tensor, Packing.BFLOAT16, workers, arena);
            case INT8 -> PackedMatrix.rounded(tensor, workers, arena);
        });
    }

    private PackedMatrix lent(TensorSource source, java.util.function.Function<HostTensor, PackedMatrix> packing) {
        var result = new ArrayList<PackedMatrix>(1);
        source.lend(tensor -> result.add(counted(packing.apply(tensor))));
        return result.getFirst();
    }

    private PackedMatrix counted(PackedMatrix matrix) {
        bytes += matrix.bytes();
        return matrix;
    }

    /// Whether bfloat16 holds every value.
    private boolean isBfloat16(HostTensor tensor) {
        if (tensor.type() == DataType.BF16) return true;
        long rows = tensor.shape()[0], columns = tensor.shape()[1];
        var differs = new java.util.concurrent.atomic.AtomicBoolean();
        workers.run(Math.toIntExact(rows), (row, _) -> {
            if (differs.get()) return;
            for (float value : tensor.part(row * columns, columns).toFloats()) {
                if ((Float.floatToRawIntBits(value) & 0xffff) != 0) differs.set(true);
            }
        });
        return !differs.get();
    }

    /// A tensor that stays: where it is mapped, the file's own.
    private HostTensor kept(TensorSource source) {
        if (source instanceof HostTensor mapped) return mapped;
        var result = new ArrayList<HostTensor>(1);
        source.lend(tensor -> {
            MemorySegment copy = arena.allocate(tensor.data().byteSize(), 64);
            copy.copyFrom(tensor.data());
            result.add(new HostTensor(tensor.type(), tensor.shape(), copy));
            bytes += copy.byteSize();
        });
        return result.getFirst();
    }

    private float[] vector(String name) {
        var result = new ArrayList<float[]>(1);
        files.value(name).lend(tensor -> result.add(tensor.toFloats()));
        return result.getFirst();
    }

    private float @Nullable [] bias(Linear linear, int layer) {
        return config.hasBias(linear) ? vector(linear.bias(layer)) : null;
    }

    /// Of the model.
    public ModelConfig config() {
        return config;
    }

    /// Bits that the engine holds a weight of the head in: 8, 16 or 32.
    public int headBits() {
        return head.layout().packing().bits();
    }

    /// Bytes of ordered weights, with their scales and zero points.
    public long bytes() {
        return bytes;
    }

    /// Of those who sample or score with it.
    public CacheFormat cache() {
        return cache;
    }

    Workers workers() {
        return workers;
    }

    List<Block> blocks() {
        return blocks;
    }

    float[] finalNorm() {
        return finalNorm;
    }

    PackedMatrix head() {
        return head;
    }

    /// A row of the embedding.
    float[] embedding(int token) {
        return embedding.part((long) token * config.hiddenSize(), config.hiddenSize()).toFloats();
    }

    @Override
    public void close() {
        workers.close();
        arena.close();
        files.close();
    }
}
