package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.report.ExportsTable;
import rqat.report.Results;
import rqat.run.Progress;
import tools.jackson.databind.JsonNode;

/// A run that ends with files that leave.
class ExportTest {
    private static final String EXPORT = "export=[gguf, compressed-tensors]";
    private static final Path BASE = Path.of("models/embedded");

    @TempDir
    Path folder;

    @Test
    void theLastRowLeavesWithItsSizesAndACard() throws IOException {
        Path run = CheckTest.run(folder.resolve("run"), EXPORT);
        Results results = Results.read(run.resolve("results.json"));
        JsonNode exports = results.extra().get("exports");
        assertThat(exports.valueStream().map(export -> export.path("path").stringValue())).containsExactly("exports/gguf/rtn+kd.gguf", "exports/compressed-tensors/rtn+kd");
        long parameters = rqat.model.ModelConfig.load(BASE).parameters();
        for (JsonNode export : exports) {
            assertThat(export.path("row").stringValue()).isEqualTo("rtn+kd");
            double bytes = export.path("bytes").asDouble();
            assertThat(export.path("bits_per_parameter").asDouble()).isEqualTo(8 * bytes / parameters, org.assertj.core.api.Assertions.within(1e-4));
            assertThat(export.path("smaller_than_bfloat16").asDouble()).isEqualTo(2 * parameters / bytes, org.assertj.core.api.Assertions.within(1e-4));
        }
        // Q4_0: 4.5 bits; 3 bits in groups of 128 with a bfloat16 scale each, and a shape of 8 bytes a map.
        assertThat(exports.get(0).path("bits_per_weight").asDouble()).isEqualTo(4.5);
        assertThat(exports.get(1).path("bits_per_weight").asDouble()).isBetween(3.125, 3.2);
        assertThat(exports.get(0).path("file_bytes").asLong()).isEqualTo(Files.size(run.resolve("exports/gguf/rtn+kd.gguf")));
        assertThat(ExportsTable.of(results).orElseThrow().lines()).hasSize(2);
        assertThat(Files.readString(run.resolve("report.html"))).contains("exports/gguf/rtn+kd.gguf");

        String card = Files.readString(run.resolve("exports/gguf/README.md"));
        assertThat(card).startsWith("---\n").contains("library_name: gguf", "- \"3-bit\"", "`embedded`, quantised to 3 bits", "`quantize`, seed 1", "`distill`, seed 1",
                "| model | bits | easy", "| rtn+kd | 3 | ", "1 seeds", "at most 6 new tokens", "| 4.50 |", "llama-server -m rtn+kd.gguf", "rqat chat rtn+kd.gguf");
        assertThat(Files.readString(run.resolve("exports/compressed-tensors/rtn+kd/README.md"))).contains("vllm serve rtn+kd", "library_name: transformers");
        Check check = Check.of(run, Progress.silent());
        assertThat(check.damaged()).isEmpty();
        assertThat(check.unchecked()).isEmpty();

        // What was deleted is made again, with the same bytes; what is there stays.
        Map<String, String> before = hashes(run);
        AtomicFiles.delete(run.resolve("exports/gguf"));
        CheckTest.run(run, EXPORT);
        assertThat(hashes(run)).isEqualTo(before);
    }

    /// All but what tells the time.
    private static Map<String, String> hashes(Path run) throws IOException {
        var hashes = new TreeMap<String, String>();
        try (Stream<Path> files = Files.walk(run)) {
            for (Path file : files.filter(Files::isRegularFile).filter(file -> !List.of("time.json", "stage.json", "manifest.json", "report.html", "checksums.json")
                    .contains(file.getFileName().toString())).toList()) {
                hashes.put(run.relativize(file).toString(), AtomicFiles.sha256(file));
            }
        }
        return hashes;
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            export=[ggml]                       | rows=[rtn]       | export
            export=[gguf, gguf]                 | rows=[rtn]       | repeats a format
            export=[hf, gguf]                   | rows=[quarot]    | its activations are quantised too, which only `hf` can hold
            export=[awq]                        | rows=[flatquant] | its activations are quantised too
            """)
    void whatCannotLeaveIsRefusedBeforeAnythingIsMade(String export, String rows, String message) throws IOException {
        Path recipe = Files.writeString(folder.resolve("recipe.yaml"), "model: embedded\n");
        assertThatThrownBy(() -> RunSettings.load(recipe, List.of(export, rows))).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(2))
                .hasMessageContaining(message);
    }

    @Test
    void aStudyHasNoLastRow() throws IOException {
        Path recipe = Files.writeString(folder.resolve("recipe.yaml"), "model: embedded\nexport: [hf]\n");
        assertThatThrownBy(() -> Study.run(List.of("rqat", "study"), recipe, List.of(), _ -> BASE, Progress.silent())).isInstanceOf(Failure.class).hasMessageContaining("`rqat run`");
    }

    /// The licence of the base goes along; nothing that a hostile card says reaches ours but a name.
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            '---\\nlicense: apache-2.0\\n---\\ntext'         | apache-2.0
            '---\\nlicense: "mit"\\nother: 1\\n---\\n'       | mit
            '---\\nlicense: a: b\\n---\\n'                   | ''
            '---\\nx: 1\\n---\\nlicense: mit\\n'             | ''
            'license: mit'                                   | ''
            """)
    void theLicenceComesFromTheBasesCard(String card, String licence) throws IOException {
        Files.writeString(folder.resolve("README.md"), card.replace("\\n", "\n"));
        assertThat(rqat.export.ModelCard.licence(folder)).isEqualTo(licence);
        Files.writeString(folder.resolve("LICENSE"), "text");
        assertThat(rqat.export.ModelCard.licence(folder)).isEqualTo(licence.isEmpty() ? "other" : licence);
    }
}
