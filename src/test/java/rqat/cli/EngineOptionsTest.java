package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.export.RandomModels;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `--engine` and what goes with it.
class EngineOptionsTest {
    @TempDir
    static Path directory;

    private static String quantised;
    private static String rounded;
    private static Path text;

    @BeforeAll
    static void models() throws Exception {
        var grid = new GridSpec(3, 32, false, ScaleType.FLOAT16);
        quantised = RandomModels.write(directory.resolve("float32"), RandomModels.config("qwen3", 64, 96), grid, 3, ScalarType.Float, 0.02f).toString();
        rounded = RandomModels.write(directory.resolve("bfloat16"), RandomModels.config("qwen3", 64, 96), grid, 3, ScalarType.BFloat16, 0.02f).toString();
        text = Files.writeString(directory.resolve("text.txt"), "Tom has 3 apples and buys 4 more.");
    }

    private static float[] scores(String model, String... options) {
        var arguments = new java.util.ArrayList<>(java.util.List.of("score", model, text.toString(), "--json"));
        arguments.addAll(java.util.List.of(options));
        Cli run = Cli.run(arguments.toArray(String[]::new));
        assertThat(run.code()).as(run.err()).isZero();
        JsonNode values = JsonMapper.shared().readTree(run.out()).path("log_probabilities");
        float[] result = new float[values.size()];
        for (int i = 0; i < result.length; i++) result[i] = values.get(i).floatValue();
        assertThat(result).hasSizeGreaterThan(5);
        return result;
    }

    @Test
    void automaticIsPackedWhereBothComputeTheSame() {
        float[] packed = scores(quantised, "--engine", "packed"), torch = scores(quantised, "--engine", "torch");
        assertThat(packed).containsExactly(torch, within(1e-4f)).isNotEqualTo(torch);
        assertThat(scores(quantised)).isEqualTo(packed);
        // Its checkpoint is rounded to bfloat16, so that the codes say something else, if not much.
        float[] codes = scores(rounded, "--engine", "packed");
        assertThat(codes).containsExactly(packed, within(0.05f));
        assertThat(scores(rounded)).isEqualTo(scores(rounded, "--engine", "torch")).isNotEqualTo(codes);
        // Not quantised.
        assertThat(scores("embedded")).isEqualTo(scores("embedded", "--engine", "torch")).isNotEqualTo(scores("embedded", "--engine", "packed"));
    }

    @Test
    void theEngineIsToldWhereItWasChosen() {
        assertThat(Cli.run("score", quantised, text.toString()).err()).isEmpty();
        assertThat(Cli.run("score", quantised, text.toString(), "--engine", "packed").err()).contains("rqat: packed engine,", "head in 32 bits, keys and values in 32");
        assertThat(Cli.run("score", quantised, text.toString(), "--head-bits", "8").err()).contains("head in 8 bits");
        assertThat(Cli.run("score", quantised, text.toString(), "--kv-bits", "4").err()).contains("keys and values in 4");
        assertThat(Cli.run("score", quantised, text.toString(), "--engine", "torch").err()).contains("rqat: torch engine");
    }

    @Test
    void generatesTheSameTokensWithBothEngines() {
        String[] command = {"generate", quantised, "--prompt", "Tom", "--raw", "--samples", "3", "--max-new-tokens", "30", "--engine", "packed", "--json"};
        Cli packed = Cli.run(command);
        command[10] = "torch";
        Cli torch = Cli.run(command);
        assertThat(packed.code()).as(packed.err()).isZero();
        assertThat(packed.out().lines().map(line -> JsonMapper.shared().readTree(line).path("ids")).toList())
                .isEqualTo(torch.out().lines().map(line -> JsonMapper.shared().readTree(line).path("ids")).toList());
    }

    @ParameterizedTest
    @ValueSource(strings = {"score", "eval", "generate", "serve", "chat"})
    void whatIsUnknownIsRefused(String command) {
        for (String[] wrong : new String[][] {{"--engine", "fast"}, {"--head-bits", "4"}, {"--kv-bits", "5"}, {"--engine", "torch", "--head-bits", "8"}, {"--engine", "torch", "--kv-bits", "8"}}) {
            var arguments = new java.util.ArrayList<>(java.util.List.of(command, quantised));
            if (command.equals("generate")) arguments.addAll(java.util.List.of("--prompt", "x"));
            if (command.equals("score")) arguments.add(text.toString());
            arguments.addAll(java.util.List.of(wrong));
            Cli run = Cli.run(arguments.toArray(String[]::new));
            assertThat(run.code()).as(String.join(" ", arguments)).isEqualTo(2);
            assertThat(run.err()).contains(wrong.length > 2 ? "torch engine rounds neither" : wrong[0] + " is").hasLineCount(1);
        }
    }

    @Test
    void evaluationsWithARoundedHeadAreOthers() {
        Path out = directory.resolve("evaluated");
        String[] command = {"eval", quantised, "--tasks", "easy", "--seeds", "1", "--set", "evaluate.problems=4", "--set", "evaluate.max_new_tokens=8", "--out", out.toString(), "--json"};
        assertThat(Cli.run(command).code()).isZero();
        assertThat(Cli.run(with(command, "--engine", "torch")).code()).isZero();
        Cli other = Cli.run(with(command, "--head-bits", "8"));
        assertThat(other.code()).as(other.err()).isNotZero();
        assertThat(other.err()).contains("head");
    }

    private static String[] with(String[] command, String... more) {
        String[] all = java.util.Arrays.copyOf(command, command.length + more.length);
        System.arraycopy(more, 0, all, command.length, more.length);
        return all;
    }
}
