package rqat.recipe;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import rqat.tensor.Speed;
import rqat.tensor.Torch;
import rqat.verify.program.Limits;
import rqat.verify.program.Sandbox;

/// What this machine has, measured where it can be, and what that allows.
///
/// @param processor        its name
/// @param cores            that this process may use
/// @param features         of the instruction set that matter here
/// @param memory           bytes
/// @param availableMemory  bytes that are free or can be made free
/// @param readingOne       GB a second from memory with one thread
/// @param reading          with all cores
/// @param float32          10^9 operations a second of float32 matrix products, all cores
/// @param fastFloat32      with inputs rounded to bfloat16
/// @param bfloat16         in bfloat16
/// @param gpus             that libtorch can use
/// @param gpuDevices       NVIDIA devices that the machine has, usable or not
/// @param sandbox          what builds the walls around generated programs; null when nothing does
/// @param sandboxRefusal   why there is none; empty when there is one
/// @param python           in the sandbox: version, and whether numpy is there; empty without
/// @param folder           the working directory
/// @param freeDisk         bytes
/// @param writing          MB a second to it, forced to the disk
/// @param java             version
public record Machine(
        String processor,
        int cores,
        List<String> features,
        long memory,
        long availableMemory,
        double readingOne,
        double reading,
        double float32,
        double fastFloat32,
        double bfloat16,
        int gpus,
        int gpuDevices,
        @Nullable String sandbox,
        String sandboxRefusal,
        String python,
        String folder,
        long freeDisk,
        double writing,
        String java) {
    private static final List<String> FEATURES = List.of(
            "avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
            "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2");
    private static final int WRITTEN_MIB = 64;
    private static final double GIB = 1 << 30;
    /// Bytes for each parameter: latent, weight, gradient, two moments, codes, a teacher; about a fifth more for the rest.
    private static final double DISTILLATION = 4 + 4 + 4 + 8 + 2 + 4;
    private static final double DISTILLATION_BFLOAT16 = 4 + 2 + 4 + 8 + 2 + 2;
    private static final double REST = 1.2;

    /// Measures this machine; takes a few seconds and 600 MB of memory.
    public static Machine measure() {
        Sandbox.Detection detection = Sandbox.detect();
        Sandbox found = detection.sandbox();
        int cores = Runtime.getRuntime().availableProcessors();
        double one = Speed.reading(1);
        double all = cores == 1 ? one : Math.max(one, Speed.reading(cores));
        Path folder = Path.of("").toAbsolutePath();
        return new Machine(
                cpuInfo("model name").orElse(System.getProperty("os.arch")),
                cores,
                instructionSet(),
                memoryTotal(),
                memoryAvailable(),
                one,
                all,
                products(Torch.Compute.FLOAT32, cores),
                products(Torch.Compute.FAST_FLOAT32, cores),
                products(Torch.Compute.BFLOAT16, cores),
                Speed.gpus(),
                nvidiaDevices(),
                found == null ? null : found.kind().name().toLowerCase(Locale.ROOT),
                detection.refusal(),
                found == null ? "" : python(found),
                folder.toString(),
                folder.toFile().getUsableSpace(),
                writing(folder),
                Runtime.version().toString());
    }

    /// 10^9 floating-point operations a second of large matrix products as stages compute them; see [Speed#products].
    public static double products(Torch.Compute compute, int threads) {
        return Speed.products(compute, Math.min(threads, Runtime.getRuntime().availableProcessors()));
    }

    /// As [#products] in float64, in which GPTQ solves.
    public static double float64Products(int threads) {
        return Speed.float64Products(Math.min(threads, Runtime.getRuntime().availableProcessors()));
    }

    /// Bytes of memory.
    public static long memoryTotal() {
        return memInfo("MemTotal");
    }

    /// Bytes of memory that this process has at present (Linux; 0 elsewhere).
    public static long resident() {
        return bytes("/proc/self/status", "VmRSS");
    }

    /// Bytes of memory that this process had at its peak, since its start or since the peak was reset (Linux; 0 elsewhere).
    public static long residentPeak() {
        return bytes("/proc/self/status", "VmHWM");
    }

    /// Bytes that are free or can be made free.
    public static long memoryAvailable() {
        return memInfo("MemAvailable");
    }

    /// What that allows and what stands in the way, a sentence each.
    public List<String> allows() {
        var allows = new ArrayList<String>();
        allows.add("distillation of a model of up to %.1f B parameters in float32, %.1f B in bfloat16 (`rqat plan RECIPE` says exactly)".formatted(
                availableMemory / (DISTILLATION * REST) / 1e9, availableMemory / (DISTILLATION_BFLOAT16 * REST) / 1e9));
        double fast = Math.max(fastFloat32, bfloat16);
        allows.add(fast > 1.3 * float32
                ? "compute: %s pays for training large models, %.1f times the speed of float32".formatted(
                        fastFloat32 >= bfloat16 ? "fast_float32" : "bfloat16", fast / float32)
                : "compute: float32 is the right choice: bfloat16 products are no faster here");
        allows.add("decoding reads every weight once per token: at most %.0f tokens a second for a 0.6 B model in bfloat16, one sequence alone"
                .formatted(reading * 1e9 / (0.6e9 * 2)));
        if (cores > 1) allows.add("threads: %d with jobs: 1 for large models; threads: 1 with jobs: %d for small ones".formatted(cores, cores));
        if (gpus == 0 && gpuDevices > 0) allows.add("the machine has %d NVIDIA device(s) that this libtorch, built for CPUs, cannot use".formatted(gpuDevices));
        allows.add(sandbox == null
                ? "no programs can be verified (LiveCodeBench, program rewards): " + sandboxRefusal
                : "programs can be verified (LiveCodeBench, program rewards)");
        return allows;
    }

    private static List<String> instructionSet() {
        List<String> flags = Arrays.asList(cpuInfo("flags").or(() -> cpuInfo("Features")).orElse("").split(" "));
        return FEATURES.stream().filter(flags::contains).toList();
    }

    private static Optional<String> cpuInfo(String key) {
        return line("/proc/cpuinfo", key);
    }

    private static long memInfo(String key) {
        return bytes("/proc/meminfo", key);
    }

    private static long bytes(String file, String key) {
        return line(file, key).map(value -> Long.parseLong(value.split(" ")[0]) * 1024).orElse(0L);
    }

    private static Optional<String> line(String file, String key) {
        try (var lines = Files.lines(Path.of(file))) {
            return lines.filter(line -> line.startsWith(key) && line.contains(":"))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst();
        } catch (IOException e) {
            return Optional.empty(); // not Linux
        }
    }

    private static int nvidiaDevices() {
        try (var devices = Files.list(Path.of("/dev"))) {
            return (int) devices.filter(device -> device.getFileName().toString().matches("nvidia[0-9]+")).count();
        } catch (IOException e) {
            return 0;
        }
    }

    private static String python(Sandbox sandbox) {
        String script = "import sys\nprint(sys.version.split()[0], end='')\ntry:\n  import numpy; print(' with numpy', numpy.__version__)\n"
                + "except ImportError: print(' without numpy')";
        return sandbox.run(sandbox.python(script), new byte[0], Limits.DEFAULT.seconds(20)).text().strip();
    }

    /// NaN where nothing can be written.
    private static double writing(Path folder) {
        Path file = null;
        try {
            file = Files.createTempFile(folder, ".rqat-doctor", ".tmp");
            var block = ByteBuffer.allocateDirect(1 << 20);
            long start = System.nanoTime();
            try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                for (int i = 0; i < WRITTEN_MIB; i++) {
                    for (block.clear(); block.hasRemaining(); ) channel.write(block);
                }
                channel.force(true);
            }
            return WRITTEN_MIB * 1.048576 / ((System.nanoTime() - start) * 1e-9);
        } catch (IOException e) {
            return Double.NaN;
        } finally {
            if (file != null) file.toFile().delete();
        }
    }

    /// As lines of text.
    public String text() {
        return String.format(
                        Locale.ROOT,
                        """
                        processor    %s, %d cores
                        features     %s
                        memory       %.1f GiB, %.1f GiB available; read at %.1f GB/s by one thread, %.1f GB/s by all
                        products     %.0f GFLOP/s in float32, %.0f in fast_float32, %.0f in bfloat16
                        GPU          %s
                        sandbox      %s
                        disk         %.1f GiB free in %s, written at %.0f MB/s
                        Java         %s

                        """,
                        processor, cores, features.isEmpty() ? "none that matter here" : String.join(" ", features), memory / GIB, availableMemory / GIB,
                        readingOne, reading, float32, fastFloat32, bfloat16, gpus == 0 ? "none that libtorch can use" : gpus + " that libtorch can use",
                        sandbox == null ? "none" : sandbox + ", Python " + python, freeDisk / GIB, folder, writing, java)
                + String.join("\n", allows().stream().map(line -> "- " + line).toList()) + "\n";
    }
}
