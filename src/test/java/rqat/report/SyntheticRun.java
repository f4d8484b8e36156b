package rqat.report;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.SequencedMap;
import java.util.function.IntFunction;
import rqat.report.Results.Row;
import rqat.report.Results.Score;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A run directory with the shape of the paper's story, made up from a fixed seed.
final class SyntheticRun {

    static final String HOSTILE = "</pre></article><script>alert('x')</script><img src=x onerror=alert(1)>\u0000\u202E\uD800 & \"quotes\"";

    private SyntheticRun() {}

    static Results results() {
        return new Results(List.of(
                row("BF16", "16", 91.23, 84.20, 63.10, 71.0, 58.2),
                row("RTN W3G128", "3", 21.10, 8.75, 1.40, 52.0, 55.0),
                row("GPTQ W3G128", "3", 73.40, 56.10, 27.90, 61.0, 55.3),
                row("RTN + KD", "3", 84.70, 73.50, 48.20, 66.0, 54.8),
                row("RTN + KD + GRPO", "3", 88.15, 76.90, 52.35, 66.0, 54.1),
                row("RTN + GRPO without cold start", "3", 22.30, 9.10, 1.50, 51.0, 61.9)));
    }

    private static Row row(String name, String bits, double easy, double medium, double hard, double other, double seconds) {
        SequencedMap<String, Score> scores = new LinkedHashMap<>();
        scores.put("easy", new Score(easy, 0.61, 400, 3));
        scores.put("medium", new Score(medium, 1.12, 400, 3));
        scores.put("hard", new Score(hard, 1.58, 200, 3));
        return Row.of(name, bits, scores).with("non_reasoning", other).with("seconds", seconds);
    }

    static void write(Path directory) throws IOException {
        results().write(directory.resolve("results.json"));
        Files.writeString(directory.resolve("manifest.json"), """
                {"command": ["rqat", "run", "recipes/small reasoner.yaml", "--out", "runs/w3"], "recipe": "recipes/small reasoner.yaml",
                 "configuration": {"model": "models/small-reasoner/", "seed": 42, "quantise": {"bits": 3, "group_size": 128, "symmetric": true},
                   "distill": {"steps": 600, "learning_rate": 2e-5, "loss": "kl"}, "grpo": {"steps": 150, "group": 8}},
                 "origins": {"model": "recipes/small reasoner.yaml:3:1", "quantise.bits": "--set quantise.bits=3", "seed": "default"},
                 "versions": {"rqat": "0.1.0", "java": "25"}}
                """);
        var random = new Random(1);
        metrics(directory, "01-kd-rtn", 600, step -> "\"loss\": %.5f, \"learning_rate\": %.3e, \"gradient_norm\": %.4f, \"quant/code_flip_step\": %.6f, \"quant/code_flip_total\": %.5f%s"
                .formatted(0.05 + 1.9 * Math.exp(-step / 70.0) + 0.02 * random.nextGaussian(), 2e-5 * schedule(step, 600), 0.8 + 0.5 * Math.exp(-step / 60.0) + 0.08 * random.nextGaussian(),
                        0.002 * schedule(step, 600) * (1 + 0.1 * random.nextGaussian()), 0.31 * (1 - Math.exp(-step / 200.0)),
                        step % 100 == 0 ? ", \"validation/kl\": %.4f, \"validation/accuracy\": %.4f".formatted(0.04 + 1.5 * Math.exp(-step / 80.0), 0.69 - 0.55 * Math.exp(-step / 120.0)) : ""));
        metrics(directory, "02-kd-gptq", 600, step -> "\"loss\": %.5f, \"learning_rate\": %.3e, \"gradient_norm\": %.4f%s"
                .formatted(0.045 + 0.35 * Math.exp(-step / 90.0) + 0.015 * random.nextGaussian(), 1e-6 * schedule(step, 600), 0.6 + 0.05 * random.nextGaussian(),
                        step % 100 == 0 ? ", \"validation/kl\": %.4f, \"validation/accuracy\": %.4f".formatted(0.04 + 0.3 * Math.exp(-step / 80.0), 0.71 - 0.18 * Math.exp(-step / 120.0)) : ""));
        metrics(directory, "03-grpo", 150, step -> grpo(step, 0.66, 0.09, random));
        metrics(directory, "04-grpo-without-cold-start", 80, step -> grpo(step, 0.08, 0.01, random));
        Path kd = directory.resolve("stages/01-kd-rtn");
        Files.writeString(kd.resolve("metrics.jsonl"), Files.readString(kd.resolve("metrics.jsonl")) + "{\"step\": 601, \"lo");
        Files.writeString(kd.resolve("events.jsonl"), """
                {"step": 0, "event": "start", "message": "initialised by round-to-nearest, 3 bits, groups of 128"}
                {"step": 300, "event": "checkpoint", "path": "checkpoints/step-00000300"}
                """);
        Files.writeString(directory.resolve("stages/04-grpo-without-cold-start/events.jsonl"), """
                {"step": 80, "event": "gate", "message": "cold start: 71 % of groups have no right answer", "figure": 0.71, "threshold": 0.6}
                """);
        samples(directory, "bf16", 0.81, 0.01, 212);
        samples(directory, "rtn-w3g128", 0.11, 0.55, 470);
        samples(directory, "rtn-kd-grpo", 0.73, 0.03, 228);
    }

    private static String grpo(int step, double start, double gain, Random random) {
        return ("\"loss\": %.6f, \"learning_rate\": %.3e, \"gradient_norm\": %.4f, \"reward/mean\": %.4f, \"length/mean\": %.1f, \"entropy\": %.4f, "
                + "\"truncation_rate\": %.4f, \"groups/zero_variance\": %.4f, \"quant/code_flip_step\": %.7f, \"time/rollout\": %.2f").formatted(
                0.002 * random.nextGaussian(), 5e-7 * schedule(step, 150), 0.3 + 0.03 * random.nextGaussian(),
                Math.max(0, start + gain * (1 - Math.exp(-step / 50.0)) + 0.03 * random.nextGaussian()), 260 - 40 * (1 - Math.exp(-step / 60.0)) + 8 * random.nextGaussian(),
                0.42 * Math.exp(-step / 150.0) + 0.01 * random.nextGaussian(), Math.max(0, 0.05 - step * 2e-4 + 0.01 * random.nextGaussian()),
                Math.clamp(0.35 + 0.05 * random.nextGaussian(), 0, 1), 2e-5 * (1 + 0.2 * random.nextGaussian()), 3.1);
    }

    private static double schedule(int step, int steps) {
        return Math.min(1, step / (0.03 * steps)) * 0.5 * (1 + Math.cos(Math.PI * step / steps));
    }

    private static void metrics(Path directory, String stage, int steps, IntFunction<String> fields) throws IOException {
        Path folder = Files.createDirectories(directory.resolve("stages").resolve(stage));
        var text = new StringBuilder();
        for (int step = 0; step <= steps; step++) {
            text.append("{\"step\": ").append(step).append(", ").append(fields.apply(step)).append("}\n");
        }
        Files.writeString(folder.resolve("metrics.jsonl"), text);
        Files.writeString(folder.resolve("stage.json"), "{\"stage\": \"%s\"}".formatted(stage.contains("grpo") ? "grpo" : "distill"));
    }

    private static void samples(Path directory, String row, double right, double truncated, int tokens) throws IOException {
        var mapper = new JsonMapper();
        var random = new Random(row.hashCode());
        Path folder = Files.createDirectories(directory.resolve("evaluations").resolve(row));
        var text = new StringBuilder();
        for (int i = 0; i < 60; i++) {
            double u = random.nextDouble();
            String reason = u < right ? "MATCH" : u < right + truncated ? "TRUNCATED" : u < 0.97 ? "MISMATCH" : "NO_ANSWER";
            ObjectNode line = mapper.createObjectNode();
            line.put("task", "medium").put("id", "medium-" + i).put("prompt", "Ann has 7 boxes of 12 pencils and gives 19 away. How many are left?")
                    .put("completion", "<think>\n7 * 12 = 84\n84 - 19 = 65\n</think>\nThe answer is \\boxed{%s}.%s".formatted(
                            reason.equals("MATCH") ? "65" : "64", reason.equals("MISMATCH") ? HOSTILE : reason.equals("TRUNCATED") ? "\nagain".repeat(2_000) : ""))
                    .put("gold", "65").put("reason", reason).put("extracted", reason.equals("MATCH") ? "65" : reason.equals("MISMATCH") ? "64" : "")
                    .put("stop", reason.equals("TRUNCATED") ? "length" : "end of text").put("tokens", tokens + random.nextInt(40));
            text.append(mapper.writeValueAsString(line)).append('\n');
        }
        Files.writeString(folder.resolve("samples.jsonl"), text.toString().replace("\uD800", "\\ud800"));
    }
}
