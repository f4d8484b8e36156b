package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.recipe.Machine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What a plan says beside what the operating system then counts, each stage in a process of its own with the launcher's settings.
class PlanTest {
    /// Measured within a few percent; the virtual machine's own share differs from run to run, by more when the machine is busy.
    private static final Percentage TOLERANCE = Percentage.withPercentage(10);
    private static final String RECIPE = """
            rows: [rtn, gptq, gptq+kd]
            quantise: {calibration: 64}
            kd: {batch: 16, optimisation: {steps: 2, warm_up: 0, micro_batch: 16}}
            evaluate: {problems: 20, seeds: [42], tasks: [easy, medium, hard]}
            """;

    @TempDir
    Path folder;

    /// A command, and then the peak of this process.
    public static final class Measured {
        private Measured() {}

        public static void main(String[] arguments) {
            int status = Rqat.execute(arguments);
            System.out.println("peak " + Machine.residentPeak());
            System.exit(status);
        }
    }

    @Test
    @Tag("slow")
    void isNearThePeakOfTheEmbeddedModel() throws Exception {
        compare("models/embedded");
    }

    @Test
    @Tag("slow")
    void isNearThePeakOfALargerRandomModel() throws Exception {
        Files.writeString(folder.resolve("config.json"), """
                {"head_dim": 64, "hidden_act": "silu", "hidden_size": 512, "intermediate_size": 1536, "max_position_embeddings": 4096,
                 "model_type": "qwen3", "num_attention_heads": 8, "num_hidden_layers": 4, "num_key_value_heads": 4, "rms_norm_eps": 1e-06,
                 "rope_theta": 1000000, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "vocab_size": 32768}
                """);
        Path model = folder.resolve("model");
        run("init", "--like", folder.toString(), model.toString());
        compare(model.toString(), "kd.batch=4");
        compare(model.toString(), "kd.batch=4", "kd.optimisation.recompute_blocks=true");
    }

    private void compare(String model, String... sets) throws Exception {
        Path recipe = folder.resolve("recipe.yaml");
        Files.writeString(recipe, RECIPE);
        Path out = Files.createTempDirectory(folder, "run");
        var planning = new ArrayList<>(List.of("plan", recipe.toString(), "--json", "--set", "model=" + model));
        for (String set : sets) planning.addAll(List.of("--set", set));
        String plan = run(planning.toArray(String[]::new)).text;
        var figures = new ArrayList<String>();
        for (JsonNode stage : JsonMapper.shared().readTree(plan).path("stages")) {
            String name = stage.path("name").asString();
            double planned = stage.path("bytes").asDouble();
            String to = out.resolve(name).toString();
            var command = new ArrayList<>(switch (name) {
                case "rtn", "gptq" -> List.of("quantize", "--method", name, model, to, "--recipe", recipe.toString());
                case "gptq+kd" -> List.of("distill", "--teacher", model, out.resolve("gptq").toString(), to, "--recipe", recipe.toString());
                default -> List.of("eval", model, "--out", to, "--set", "evaluate.problems=20", "--set", "evaluate.seeds=[42]", "--tasks", "easy,medium,hard");
            });
            for (String set : sets) command.addAll(List.of("--set", set));
            double measured = run(command.toArray(String[]::new)).peak;
            figures.add("%s: planned %.0f MiB, measured %.0f MiB".formatted(name, planned / (1 << 20), measured / (1 << 20)));
            assertThat(planned).as(String.join("; ", figures)).isCloseTo(measured, TOLERANCE);
        }
    }

    /// What a command printed, and its peak in bytes.
    private record Result(String text, double peak) {}

    private static Result run(String... arguments) throws Exception {
        Assumptions.assumeTrue(new File("/proc/self/status").exists(), "peaks are read from /proc");
        var command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC",
                "-Xms64m", "-Xmn32m", "-XX:+AlwaysPreTouch", "-XX:+UseCompactObjectHeaders", "-Dorg.bytedeco.javacpp.nopointergc=true", "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
                "-cp", System.getProperty("java.class.path"), Measured.class.getName()));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        String output = new String(process.getInputStream().readAllBytes());
        assertThat(process.waitFor()).as(output).isZero();
        int end = output.lastIndexOf("peak ");
        return new Result(output.substring(0, end), Double.parseDouble(output.substring(end + 5).strip()));
    }
}
