package rqat.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Set;
import java.util.function.DoubleSupplier;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.engine.CacheFormat;
import rqat.engine.HeadFormat;
import rqat.engine.PackedModel;
import rqat.engine.PackedSteps;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.format.Description;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.generate.Sampling;
import rqat.generate.StepModel;
import rqat.generate.torch.TorchSteps;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.JsonFiles;
import rqat.io.TensorSource;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.recipe.RandomModel;
import rqat.run.RandomStream;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.tensor.Torch;

/// The packed engine beside libtorch on one random model of codes: `EngineBench SHAPE BITS [THREADS] [float32|bfloat16|none]`, SHAPE a directory with a `config.json` or a published shape such as
/// `qwen3-0.6b`. Tokens a second of filling prompts in and of decoding at batches of 1, 16 and 64, the best of three rounds that alternate, and what share of the limit that is: of the memory's speed for
/// one sequence (the ordered weights are read once a token), of the product peak for many.
public final class EngineBench {
    private static final int PROMPT = 64, GROUP = 128;
    private static final int[] BATCHES = {1, 16, 64};

    private interface Engine {
        StepModel steps();
    }

    public static void main(String[] arguments) throws Exception {
        String shape = arguments.length > 0 ? arguments[0] : "models/embedded";
        int bits = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 3;
        int threads = arguments.length > 2 ? Integer.parseInt(arguments[2]) : Runtime.getRuntime().availableProcessors();
        String type = arguments.length > 3 ? arguments[3] : "float32";
        ModelConfig config = config(shape);
        Torch.threads(threads);
        // Of one thread the processor time is known, which other work on the machine disturbs less.
        DoubleSupplier clock = threads == 1 ? Meter::processorSeconds : Meter::seconds;
        double peak = Meter.multiplicationsPerSecond(ScalarType.Float, 1024, 8, clock), memory = Meter.bytesPerSecond(64 << 20, clock);
        System.out.printf("%s, W%dG%d, %d threads; float32 products %.0f GFLOP/s, memory %.1f GB/s%n", shape, bits, GROUP, threads, 2e-9 * peak, 1e-9 * memory);
        try (Arena arena = Arena.ofShared()) {
            CodedModel coded = random(config, bits, arena);
            var engines = new LinkedHashMap<String, Engine>();
            var packed = new ArrayList<PackedModel>();
            for (HeadFormat head : new HeadFormat[] {HeadFormat.STORED, HeadFormat.INT8}) {
                double began = Meter.seconds();
                PackedModel model = PackedModel.of(coded, shape, new PackedModel.Settings(threads, head, CacheFormat.FLOAT32));
                System.out.printf("packed, head of %d bits: opened in %.1f s, %.1f MB, at most %.0f tokens/s for one sequence%n",
                        model.headBits(), Meter.seconds() - began, model.bytes() / 1e6, memory / model.bytes());
                packed.add(model);
                engines.put("packed-h" + model.headBits(), () -> new PackedSteps(model, 64 * 192));
            }
            var tensors = new LinkedHashMap<String, Tensor>();
            if (!type.equals("none")) {
                ScalarType scalar = type.equals("bfloat16") ? ScalarType.BFloat16 : ScalarType.Float;
                for (String name : config.tensors().keySet()) tensors.put(name, tensor(coded, name, scalar));
                var decoder = new Decoder(config, new Weights(tensors));
                engines.put("torch-" + type, () -> new TorchSteps(decoder, 64 * 192));
            }
            var best = new LinkedHashMap<String, double[]>();
            for (int round = 0; round < 3; round++) {
                for (var engine : engines.entrySet()) {
                    double[] figures = best.computeIfAbsent(engine.getKey(), _ -> new double[1 + BATCHES.length]);
                    for (int i = 0; i < BATCHES.length; i++) {
                        double[] speeds = measure(engine.getValue(), config, BATCHES[i], clock);
                        if (i == 0) figures[0] = Math.max(figures[0], speeds[0]);
                        figures[i + 1] = Math.max(figures[i + 1], speeds[1]);
                    }
                }
            }
            double[] other = best.get("torch-" + type);
            System.out.printf("%-14s %14s", "", "prefill " + PROMPT);
            for (int batch : BATCHES) System.out.printf(" %22s", "batch " + batch);
            System.out.println();
            int index = 0;
            for (var row : best.entrySet()) {
                System.out.printf("%-14s", row.getKey());
                for (int i = 0; i < row.getValue().length; i++) {
                    double speed = row.getValue()[i];
                    System.out.printf(" %9.1f/s", speed);
                    if (other != null && row.getValue() != other) System.out.printf(" x%-5.2f", speed / other[i]);
                    if (index < packed.size() && i > 0) {
                        int batch = BATCHES[i - 1];
                        double products = config.parameters() / peak, reading = packed.get(index).bytes() / memory / batch;
                        System.out.printf(" %.2f", speed * Math.max(products, reading));
                    }
                }
                System.out.println();
                index++;
            }
            packed.forEach(PackedModel::close);
            tensors.values().forEach(Tensor::close);
        }
    }

    /// Prompt tokens and decoded tokens a second, alone with the model.
    private static double[] measure(Engine engine, ModelConfig config, int batch, DoubleSupplier clock) {
        var random = new RandomStream(batch);
        // Only that of one sequence is measured; others are as long as it takes to decode.
        int length = batch == 1 ? PROMPT : 8;
        var entries = new ArrayList<StepModel.Entry>();
        int[] tokens = new int[batch];
        var draws = new StepModel.Draw[batch];
        for (int i = 0; i < batch; i++) {
            int[] prompt = new int[length + 1];
            for (int t = 0; t < prompt.length; t++) prompt[t] = random.nextInt(config.vocabularySize());
            entries.add(new StepModel.Entry(prompt, length, -1, false, 0));
            tokens[i] = prompt[length];
            draws[i] = new StepModel.Draw(Sampling.greedy(1, Set.of()), 0, 0);
        }
        int steps = Math.clamp(20_000_000_000L / config.parameters() / (batch + 7), 3, 64);
        try (StepModel model = engine.steps()) {
            double began = clock.getAsDouble();
            model.enter(entries);
            double entered = clock.getAsDouble();
            for (int step = 0; step < steps; step++) {
                var choices = model.decode(tokens, draws);
                for (int i = 0; i < batch; i++) tokens[i] = choices[i].token();
            }
            return new double[] {batch * length / (entered - began), batch * steps / (clock.getAsDouble() - entered)};
        }
    }

    private static ModelConfig config(String shape) throws Exception {
        Path directory = Files.createTempDirectory("shape");
        JsonFiles.write(directory.resolve("config.json"), RandomModel.configuration(shape));
        return ModelConfig.load(directory);
    }

    /// A model of random codes; embedding and head in bfloat16.
    private static CodedModel random(ModelConfig config, int bits, Arena arena) {
        var grid = new GridSpec(bits, GROUP, false, ScaleType.FLOAT16);
        var coded = new LinkedHashMap<String, Supplier<CodedWeight>>();
        var values = new LinkedHashMap<String, TensorSource>();
        var random = new java.util.SplittableRandom(1);
        config.tensors().forEach((name, shape) -> {
            if (shape.length == 1) {
                float[] ones = new float[(int) shape[0]];
                Arrays.fill(ones, name.endsWith(".bias") ? 0 : 1);
                values.put(name, HostTensor.ofFloats(shape, ones));
                return;
            }
            long elements = shape[0] * shape[1];
            boolean map = Description.maps(config).containsKey(name);
            MemorySegment data = arena.allocate(map ? elements : 2 * elements, 64);
            for (long i = 0; i < elements; i++) {
                if (map) data.set(java.lang.foreign.ValueLayout.JAVA_BYTE, i, (byte) random.nextInt(1 << bits));
                else data.setAtIndex(java.lang.foreign.ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits((random.nextInt(2001) - 1000) * 4e-5f) >>> 16));
            }
            var tensor = new HostTensor(map ? grid.codeType() : DataType.BF16, shape, data);
            if (!map) {
                values.put(name, tensor);
                return;
            }
            long groups = shape[1] / GROUP;
            float[] scales = new float[(int) (shape[0] * groups)];
            Arrays.fill(scales, ScaleType.FLOAT16.round(0.08f / (1 << bits)));
            byte[] zeros = new byte[scales.length];
            Arrays.fill(zeros, (byte) (1 << bits - 1));
            var weight = new CodedWeight(
                    name, grid, (int) shape[0], (int) shape[1], tensor, HostTensor.ofFloats(new long[] {shape[0], groups}, scales),
                    HostTensor.ofBytes(grid.codeType(), new long[] {shape[0], groups}, zeros));
            coded.put(name, () -> weight);
        });
        return new CodedModel(config, null, coded, values, new LinkedHashMap<>(), List.of());
    }

    private static Tensor tensor(CodedModel model, String name, ScalarType type) {
        return Scope.own(() -> {
            if (!model.codedNames().contains(name)) {
                HostTensor tensor = (HostTensor) model.value(name);
                return Tensors.of(Place.cpu(ScalarType.Float), tensor.toFloats(), tensor.shape()).to(type);
            }
            CodedWeight weight = model.coded(name);
            float[] all = new float[weight.rows() * weight.columns()], row = new float[weight.columns()];
            for (int i = 0; i < weight.rows(); i++) {
                weight.dequantise(i, row);
                System.arraycopy(row, 0, all, i * row.length, row.length);
            }
            return Tensors.of(Place.cpu(ScalarType.Float), all, weight.rows(), weight.columns()).to(type);
        });
    }
}
