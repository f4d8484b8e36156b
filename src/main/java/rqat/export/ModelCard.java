package rqat.export;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.format.Description;
import rqat.format.GridSpec;
import rqat.format.Provenance;
import rqat.io.AtomicFiles;
import tools.jackson.databind.json.JsonMapper;

/// The README of an exported model in the form of the Hugging Face Hub: YAML for machines, then what it is, how it was made, what was measured, how large it is and how to load it. It says
/// nothing of time and place.
public final class ModelCard {
    private static final Pattern LICENCE = Pattern.compile("(?m)^license: *[\"']?([A-Za-z0-9][A-Za-z0-9.+-]{0,60})[\"']? *$");
    private static final Pattern REPOSITORY = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*");
    private static final int MAXIMUM_CARD = 1 << 20;

    private ModelCard() {}

    /// What the model itself does not know.
    ///
    /// @param title    what the model is called
    /// @param licence  of the model that it was made of, by the Hub's name; empty when unknown
    /// @param measured Markdown with the results; empty when nothing was measured
    public record Facts(String title, String licence, String measured) {
        /// Of a model that nothing was measured of.
        public static Facts of(Path out, Path source) {
            return new Facts(String.valueOf(out.getFileName()), ModelCard.licence(source), "");
        }
    }

    /// The licence that the card of a model directory names, or empty: `other` where there is a LICENSE, else nothing.
    public static String licence(Path modelDirectory) {
        Path card = modelDirectory.resolve("README.md");
        try {
            if (Files.isRegularFile(card) && Files.size(card) <= MAXIMUM_CARD) {
                String text = new String(Files.readAllBytes(card), java.nio.charset.StandardCharsets.UTF_8);
                int end = text.indexOf("\n---", 3);
                Matcher licence = LICENCE.matcher(text.startsWith("---") && end > 0 ? text.substring(0, end) : "");
                if (licence.find()) return licence.group(1);
            }
        } catch (IOException e) {
            throw AtomicFiles.failure("read", card, e);
        }
        return Files.isRegularFile(modelDirectory.resolve("LICENSE")) ? "other" : "";
    }

    /// The text of the card.
    ///
    /// @param description of the model where it is one of ours and quantised
    static String text(ExportResult result, @Nullable Description description, Facts facts) {
        GridSpec grid = description == null ? null : description.tensors().firstEntry().getValue();
        Provenance made = description == null ? Provenance.UNKNOWN : description.provenance();
        var text = new StringBuilder();
        header(text, result, description, grid, made, facts);
        text.append("\n# ").append(inline(facts.title)).append("\n\n");
        if (grid == null) {
            text.append("Exported by rqat as %s.\n".formatted(result.format()));
        } else {
            text.append("%s to %d bits by rqat (%s, %s, %s scales), exported as %s.\n".formatted(
                    made.base().name().isEmpty() ? "A model quantised" : inline(made.base().name()) + ", quantised",
                    grid.bits(),
                    description.method().name(),
                    grid.groupSize() == 0 ? "a scale a row" : "groups of " + grid.groupSize(),
                    grid.scaleType().name().toLowerCase(Locale.ROOT),
                    result.format()));
        }
        stages(text, made);
        text.append("\n## Results\n\n").append(facts.measured.isEmpty() ? "Nothing was measured when this was exported. `rqat eval` measures it.\n" : facts.measured.strip() + "\n");
        sizes(text, result);
        loading(text, result);
        licence(text, facts.licence, made);
        return text.toString();
    }

    private static void header(
            StringBuilder text, ExportResult result, @Nullable Description description, @Nullable GridSpec grid, Provenance made, Facts facts) {
        text.append("---\n");
        if (!facts.licence.isEmpty()) text.append("license: ").append(facts.licence).append('\n');
        if (facts.licence.equals("other")) text.append("license_link: LICENSE\n");
        if (REPOSITORY.matcher(made.base().name()).matches()) {
            text.append("base_model: ").append(quoted(made.base().name())).append('\n');
            if (grid != null) text.append("base_model_relation: quantized\n");
        }
        text.append("pipeline_tag: text-generation\n");
        switch (ExportFormat.of(result.format()).orElseThrow()) {
            case GGUF -> text.append("library_name: gguf\n");
            case MLX -> text.append("library_name: mlx\n");
            case HF, GPTQ, COMPRESSED_TENSORS, AWQ -> text.append("library_name: transformers\n");
        }
        text.append("tags:\n- rqat\n- ").append(quoted(result.format())).append('\n');
        if (grid != null) text.append("- ").append(quoted(description.method().name())).append("\n- ").append(quoted(grid.bits() + "-bit")).append('\n');
        text.append("---\n");
    }

    private static void stages(StringBuilder text, Provenance made) {
        if (made.stages().isEmpty()) return;
        text.append("\n## How it was made\n\n");
        for (Provenance.Stage stage : made.stages()) {
            text.append("1. `").append(stage.stage()).append("`, seed ").append(stage.seed()).append("\n\n   ```json\n   ")
                    .append(JsonMapper.shared().writeValueAsString(stage.settings()).replace("```", "'''")).append("\n   ```\n\n");
        }
        Provenance.Stage last = made.stages().getLast();
        text.append("With ").append(String.join(", ", last.versions().entrySet().stream().map(version -> version.getKey() + " " + version.getValue()).toList()))
                .append(". Data sets and their parts are in the settings (`data`; where it is the default, problems that rqat generates).\n");
        if (!made.base().sha256().isEmpty()) text.append("The full-precision model's hash is `").append(made.base().sha256()).append("`.\n");
    }

    private static void sizes(StringBuilder text, ExportResult result) {
        text.append(String.format(Locale.ROOT, """

                ## Size

                | weights | bits per weight, quantised maps | bits per weight, whole model | bfloat16 / this |
                |---|---|---|---|
                | %,d bytes | %.2f | %.2f | %.2f |

                """, result.bytes(), result.quantisedBits(), result.bits(), result.ratio()));
        result.stored().forEach((stored, maps) -> text.append("- %d maps as %s\n".formatted(maps, stored)));
        text.append("- largest change of a value by this format: ").append(result.change()).append('\n');
        text.append("- every code, scale, zero point and dequantised value was read back by an independent reader and compared; their hashes are in the export manifest\n");
    }

    /// Who reads the format, as `docs/export.md` has it.
    private static void loading(StringBuilder text, ExportResult result) {
        String name = String.valueOf(result.place().getFileName());
        Map<String, String> engines = new LinkedHashMap<>();
        switch (ExportFormat.of(result.format()).orElseThrow()) {
            case GGUF -> {
                engines.put("llama.cpp", "llama-cli -m %s");
                engines.put("llama.cpp, as a server", "llama-server -m %s");
            }
            case MLX -> engines.put("MLX", "mlx_lm.chat --model %s");
            case HF, COMPRESSED_TENSORS -> {
                engines.put("vLLM", "vllm serve %s");
                if (result.format().equals("hf")) engines.put("SGLang", "python -m sglang.launch_server --model-path %s");
                engines.put("transformers", "transformers chat %s");
            }
            case GPTQ, AWQ -> {
                engines.put("vLLM", "vllm serve %s");
                engines.put("SGLang", "python -m sglang.launch_server --model-path %s");
                engines.put("transformers" + (result.format().equals("gptq") ? " with gptqmodel" : ""), "transformers chat %s");
            }
        }
        engines.put("rqat", "rqat chat %s");
        text.append("\n## How to load it\n\n");
        List<String> lines = new ArrayList<>();
        engines.forEach((engine, command) -> lines.add("    %-50s # %s".formatted(command.formatted(shell(name)), engine)));
        text.append(String.join("\n", lines)).append('\n');
    }

    private static void licence(StringBuilder text, String licence, Provenance made) {
        text.append("\n## Licence\n\n").append("That of the model it was made of").append(made.base().name().isEmpty() ? "" : ", " + inline(made.base().name()));
        text.append(switch (licence) {
            case "" -> "; its card names none.\n";
            case "other" -> ": see LICENSE.\n";
            default -> ": " + licence + ".\n";
        });
    }

    private static String quoted(String text) {
        return JsonMapper.shared().writeValueAsString(text);
    }

    /// A name within a line of Markdown.
    private static String inline(String name) {
        return Failure.quote(name);
    }

    private static String shell(String name) {
        return name.matches("[A-Za-z0-9._+/-]+") ? name : "'" + name.replace("'", "'\\''").replaceAll("\\p{Cntrl}", "?") + "'";
    }
}
