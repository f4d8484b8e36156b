package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.annotation.JsonTypeInfo;
import com.fasterxml.jackson.annotation.JsonTypeName;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.Property;
import rqat.run.Configuration.Resolved;
import rqat.run.Configuration.Section;
import tools.jackson.databind.JsonNode;

class ConfigurationTest {

    enum Granularity {
        PER_TENSOR,
        PER_GROUP
    }

    @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = Configuration.VARIANT)
    sealed interface Weights permits Rtn, Gptq {}

    @JsonTypeName("rtn")
    record Rtn(int bits, int groupSize) implements Weights {
        static final Rtn DEFAULTS = new Rtn(4, 128);

        Rtn {
            if (bits < 2 || bits > 8) {
                throw new IllegalArgumentException("bits is %d; expected 2 to 8".formatted(bits));
            }
        }
    }

    @JsonTypeName("gptq")
    record Gptq(int bits, int groupSize, double damping, boolean activationOrder) implements Weights {
        static final Gptq DEFAULTS = new Gptq(3, 128, 0.01, true);

        Gptq {
            if (groupSize % 8 != 0) {
                throw new IllegalArgumentException("groupSize is %d; expected a multiple of 8".formatted(groupSize));
            }
        }
    }

    record Optimiser(double learningRate, double weightDecay) {}

    record Distil(int steps, Optimiser optimiser, Granularity granularity) {
        static final Distil DEFAULTS = new Distil(100, new Optimiser(1e-5, 0.1), Granularity.PER_GROUP);
    }

    record Task(String name, int seeds) {}

    record Recipe(String model, long seed, boolean fast, Weights weights, @Nullable Distil distil, List<String> stages, List<Task> tasks,
            @Nullable Path out) {
        boolean isQuick() {
            return fast;
        }
    }

    record Defaults(long seed, boolean fast, Weights weights, @Nullable Distil distil, List<String> stages, List<Task> tasks,
            @Nullable Path out) {
        static final Defaults VALUES = new Defaults(1, false, Gptq.DEFAULTS, null, List.of("quantize", "evaluate"), List.of(), null);
    }

    static final Section[] SECTIONS = {
        new Section("distil", Distil.DEFAULTS), new Section("weights", Rtn.DEFAULTS), new Section("tasks.*", Map.of("seeds", 3))
    };

    @TempDir
    Path directory;

    private Path file(String name, String yaml) throws IOException {
        return Files.writeString(directory.resolve(name), yaml);
    }

    private Resolved<Recipe> load(String yaml, String... sets) throws IOException {
        return Configuration.load(file("recipe.yaml", yaml), List.of(sets), Defaults.VALUES, Recipe.class, SECTIONS);
    }

    private void assertUsage(ThrowingCallable call, String message) {
        assertThatThrownBy(call).isInstanceOfSatisfying(Failure.class, failure -> {
            assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE);
            assertThat(failure.getMessage().replace(directory + "/", "").replace(directory.toString(), "")).contains(message);
        });
    }

    @Test
    void fileAndCommandLineAreLaidOverTheDefaults() throws IOException {
        Resolved<Recipe> resolved = load("""
                model: a/b            # required
                weights:
                  bits: 2
                distil:
                  optimiser: {learning_rate: 2e-6}
                stages: [quantize]
                tasks:
                  - name: gsm8k
                  - {name: math, seeds: 1}
                """, "seed=7", "distil.granularity=per_tensor", "tasks.0.seeds=5");
        assertThat(resolved.value()).isEqualTo(new Recipe("a/b", 7, false, new Gptq(2, 128, 0.01, true),
                new Distil(100, new Optimiser(2e-6, 0.1), Granularity.PER_TENSOR), List.of("quantize"),
                        List.of(new Task("gsm8k", 5), new Task("math", 1)), null));
        String file = directory.resolve("recipe.yaml").toString();
        assertThat(resolved.origins()).isEqualTo(Map.ofEntries(
                Map.entry("model", file + ":1:1"), Map.entry("seed", "--set seed=7"), Map.entry("fast", "default"),
                Map.entry("weights.method", "default"), Map.entry("weights.bits", file + ":3:3"),
                        Map.entry("weights.group_size", "default"),
                Map.entry("weights.damping", "default"), Map.entry("weights.activation_order", "default"),
                Map.entry("distil.steps", "default"), Map.entry("distil.optimiser.learning_rate", file + ":5:15"),
                Map.entry("distil.optimiser.weight_decay", "default"),
                        Map.entry("distil.granularity", "--set distil.granularity=per_tensor"),
                Map.entry("stages", file + ":6:1"), Map.entry("tasks.0.name", file + ":8:5"),
                        Map.entry("tasks.0.seeds", "--set tasks.0.seeds=5"),
                Map.entry("tasks.1.name", file + ":9:6"), Map.entry("tasks.1.seeds", file + ":9:18"), Map.entry("out", "default")));
        assertThat(resolved.tree().toString())
                .isEqualTo("{\"model\":\"a/b\",\"seed\":7,\"fast\":false,\"weights\":{\"method\":\"gptq\",\"bits\":2,\"group_size\":128,"
                + "\"damping\":0.01,\"activation_order\":true},\"distil\":{\"steps\":100,\"optimiser\":{\"learning_rate\":2.0E-6,\"weight_decay\":0.1},"
                + "\"granularity\":\"per_tensor\"},\"stages\":[\"quantize\"],\"tasks\":[{\"name\":\"gsm8k\",\"seeds\":5},{\"name\":\"math\",\"seeds\":1}],\"out\":null}");
    }

    record Line(String name, JsonNode set) {}

    record Sheet(Distil distil, List<Line> lines) {}

    @Test
    void variantsLayASectionOfEachElementOverTheRest() throws IOException {
        Path file = directory.resolve("sheet.yaml");
        Files.writeString(file, """
                distil: {steps: 3}
                lines:
                  - {name: a}
                  - {name: b, set: {distil: {optimiser: {learning_rate: 1e-3}}}}
                  - {name: c, set: {distil: {steps: 5}}}
                """);
        Section element = new Section("lines.*", Map.of("set", Map.of()));
        List<Resolved<Sheet>> variants = Configuration.variants(
                file, List.of("distil.steps=4"), Map.of("distil", Distil.DEFAULTS, "lines", List.of()), Sheet.class, "lines", "set", element);
        assertThat(variants).extracting(variant -> variant.value().distil().steps()).containsExactly(4, 4, 5);
        assertThat(variants).extracting(variant -> variant.value().distil().optimiser().learningRate()).containsExactly(1e-5, 1e-3, 1e-5);
        assertThat(variants.get(1).origins().get("distil.optimiser.learning_rate")).isEqualTo(file + ":4:42");
        Files.writeString(file, "lines:\n  - {name: a, set: {distil: {steps: x}}}\n");
        assertUsage(() -> Configuration.variants(file, List.of(), Map.of("distil", Distil.DEFAULTS), Sheet.class, "lines", "set", element),
                "sheet.yaml:2:30: `distil.steps` is the text `x`; expected an integer");
    }

    @Test
    void theResolvedTreeIsAConfigurationAgain() throws IOException {
        Resolved<Recipe> resolved = load("model: x\nweights: {method: rtn}\ndistil: {steps: 3}\nout: runs/a\n");
        assertThat(resolved.value().out()).isEqualTo(Path.of("runs/a"));
        assertThat(load(resolved.tree().toString()).value()).isEqualTo(resolved.value());
    }

    @Test
    void anotherVariantTakesItsOwnDefaults() throws IOException {
        assertThat(load("model: x\nweights: {method: rtn}").value().weights()).isEqualTo(Rtn.DEFAULTS);
        assertThat(load("model: x\nweights: {method: rtn, bits: 2}").value().weights()).isEqualTo(new Rtn(2, 128));
        assertThat(load("model: x", "weights.method=rtn", "weights.bits=2").value().weights()).isEqualTo(new Rtn(2, 128));
        assertThat(load("model: x\nweights: {method: gptq, damping: 0.5}").value().weights()).isEqualTo(new Gptq(3, 128, 0.5, true));
        assertUsage(() -> load("model: x\nweights: {method: gptq, damping: 0.5}", "weights={method: rtn, damping: 1}"),
                "--set weights={method: rtn, damping: 1}: unknown key `damping` in `weights`");
    }

    @Test
    void oneFileVariesAnother() throws IOException {
        Files.createDirectories(directory.resolve("base"));
        file("base/grand.yaml", "model: x\nseed: 4\nstages: [a, b]\ndistil: {steps: 5, granularity: per_tensor}\nweights: {method: gptq, damping: 0.9}\n");
        file("base/parent.yaml", "extends: grand.yaml\nseed: 5\n");
        Resolved<Recipe> resolved = load("extends: base/parent.yaml\nstages: [c]\ndistil: {steps: 6}\nweights: {method: rtn}\n");
        assertThat(resolved.value()).isEqualTo(new Recipe("x", 5, false, Rtn.DEFAULTS,
                new Distil(6, new Optimiser(1e-5, 0.1), Granularity.PER_TENSOR), List.of("c"), List.of(), null));
        assertThat(resolved.origins()).containsEntry("model", directory.resolve("base/grand.yaml") + ":1:1")
                .containsEntry("seed", directory.resolve("base/parent.yaml") + ":2:1");
        assertThat(load("extends: base/parent.yaml\ndistil: null\n").value().distil()).as("an optional section is switched off").isNull();
    }

    @Test
    void extendsIsChecked() throws IOException {
        file("a.yaml", "extends: recipe.yaml\n");
        assertUsage(() -> load("extends: a.yaml\nmodel: x"), "recipe.yaml: `extends` goes round in a circle");
        assertUsage(() -> load("extends: b.yaml\nmodel: x"), "recipe.yaml:1:1: `extends` names b.yaml, which is no file");
        assertUsage(() -> load("model: x\nextends: [a.yaml]"), "recipe.yaml:2:1: `extends` is a list; expected the name of another file");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
        "model: x;weights:;  group_sze: 64 | recipe.yaml:3:3: unknown key `group_sze` in `weights` - did you mean `group_size`? known keys: bits, group_size, damping, activation_order",
        "modle: x                          | recipe.yaml:1:1: unknown key `modle` at the top level - did you mean `model`? known keys: model, seed, fast, weights,",
        "model: x;zzzzzzzz: 1              | recipe.yaml:2:1: unknown key `zzzzzzzz` at the top level; known keys: model,",
        "seed: 3                           | recipe.yaml: missing key `model` at the top level",
        "model: x;tasks:;- {seeds: 3}      | recipe.yaml:3:3: missing key `name` in `tasks.0`",
        "model: x;tasks:;- {nam: y}        | recipe.yaml:3:4: unknown key `nam` in `tasks.0` - did you mean `name`?",
        "model: x;model: y                 | recipe.yaml:2:1: duplicate key `model`, first at recipe.yaml:1:1",
        "model: x;seed: null               | recipe.yaml:2:1: `seed` has no value; give one, or remove the key",
        "model: x;weights:                 | recipe.yaml:2:1: `weights` has no value",
        "model: x;weights:;  bits:         | recipe.yaml:3:3: `weights.bits` has no value",
        "model:                            | recipe.yaml:1:1: `model` has no value",
        "model: x;stages: [a, null]        | recipe.yaml:2:13: `stages.1` has no value",
        "model: x;seed: '3'                | recipe.yaml:2:1: `seed` is the text `3`; expected an integer",
        "model: x;seed: 1.5                | recipe.yaml:2:1: `seed` is `1.5`; expected an integer",
        "model: x;seed: 99999999999999999999 | recipe.yaml:2:1: `seed` is `99999999999999999999`; expected an integer of 64 bits",
        "model: x;weights: {bits: 9999999999} | recipe.yaml:2:11: `weights.bits` is `9999999999`; expected an integer of 32 bits",
        "model: x;seed: [1]                | recipe.yaml:2:1: `seed` is a list; expected an integer",
        "model: x;fast: yes                | recipe.yaml:2:1: `fast` is the text `yes`; expected true or false",
        "model: x;fast: 1                  | recipe.yaml:2:1: `fast` is `1`; expected true or false",
        "model: 3                          | recipe.yaml:1:1: `model` is `3`; expected text; put it in quotes",
        "model: 1e3                        | recipe.yaml:1:1: `model` is `1000.0`; expected text; put it in quotes",
        "model: {a: 1}                     | recipe.yaml:1:1: `model` is a section; expected text",
        "model: x;stages: quantize         | recipe.yaml:2:1: `stages` is the text `quantize`; expected a list",
        "model: x;stages: [a, 3]           | recipe.yaml:2:13: `stages.1` is `3`; expected text; put it in quotes",
        "model: x;weights: 3               | recipe.yaml:2:1: `weights` is `3`; expected a section with the key `method`",
        "model: x;weights: {method: gpqt}  | recipe.yaml:2:11: `method` in `weights` is the text `gpqt` - did you mean `gptq`?; expected one of gptq, rtn",
        "model: x;weights: {method: 3}     | recipe.yaml:2:11: `method` in `weights` is `3`",
        "model: x;distil: 3                | recipe.yaml:2:1: `distil` is `3`; expected a section with the keys steps, optimiser, granularity",
        "model: x;distil: {optimiser: {learning_rate: x}} | recipe.yaml:2:22: `distil.optimiser.learning_rate` is the text `x`; expected a number",
        "model: x;distil: {granularity: per_gruop} | recipe.yaml:2:10: `distil.granularity` is the text `per_gruop`; expected one of per_tensor, per_group - did you mean `per_group`?",
        "model: x;distil: {granularity: 1} | recipe.yaml:2:10: `distil.granularity` is `1`; expected one of per_tensor, per_group",
        "model: x;distil: {optimiser: {learning_rate: .inf}} | recipe.yaml:2:22: found .inf; expected a finite number",
        "model: x;weights: {method: rtn, bits: 9} | recipe.yaml:2:24: in `weights`: bits is 9; expected 2 to 8",
        "model: x;weights: {group_size: 9} | recipe.yaml:2:11: in `weights`: groupSize is 9; expected a multiple of 8",
        "model: &a x;stages: [*a]          | recipe.yaml:2:10: `*a` is a YAML alias",
        "model: x;distil: &d {steps: 1};weights: *d | recipe.yaml:3:1: `*d` is a YAML alias",
        "model: x;---;model: y             | recipe.yaml:3:1: found a second document",
        "- a                               | recipe.yaml: found a list; expected keys and values",
        "hello                             | recipe.yaml: found the text `hello`; expected keys and values",
        "model: [                          | recipe.yaml:1:9: not valid YAML: while parsing a flow node: expected the node content, but found '<stream end>'",
        "model: x: y                       | recipe.yaml:1:9: not valid YAML: mapping values are not allowed here",
        "model: x;~TAB~seed: 3             | not valid YAML",
        "? [a];: b                         | not valid YAML",
    })
    void badFilesSayWhereAndWhatIsAccepted(String yaml, String message) {
        assertUsage(() -> load(yaml.replace(';', '\n').replace("~TAB~", "\t")), message);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
        "seed                  | --set seed: expected key.path=value",
        "=3                    | --set =3: expected key.path=value",
        "sed=3                 | --set sed=3: unknown key `sed` at the top level - did you mean `seed`?",
        "weigths.bits=3        | --set weigths.bits=3: unknown key `weigths` at the top level - did you mean `weights`?",
        "weights.bit=3         | --set weights.bit=3: unknown key `bit` in `weights` - did you mean `bits`?",
        "weights.bits=x        | --set weights.bits=x: `weights.bits` is the text `x`; expected an integer",
        "weights.bits=         | --set weights.bits=: `weights.bits` has no value",
        "weights.group_size=9  | --set weights.group_size=9: in `weights`: groupSize is 9",
        "model.name=3          | --set model.name=3: `model` is the text `x` (recipe.yaml:1:1); it has no keys",
        "stages.2=x            | --set stages.2=x: `stages` is a list of 1; expected an index from 0 to 0 instead of `2`",
        "stages.x=x            | --set stages.x=x: `stages` is a list of 1; expected an index from 0 to 0 instead of `x`",
        "seed=[1               | --set seed=[1: not valid YAML",
        "weights..bits=1       | --set weights..bits=1: unknown key `` in `weights`",
    })
    void badSetsSayWhatIsAccepted(String set, String message) {
        assertUsage(() -> load("model: x\nstages: [a]", set), message);
    }

    @Test
    void laterSetsWin() throws IOException {
        assertThat(load("model: x", "seed=1", "seed=2", "stages=[p, q]", "stages.1=r", "out=a=b").value())
                .isEqualTo(new Recipe("x", 2, false, Gptq.DEFAULTS, null, List.of("p", "r"), List.of(), Path.of("a=b")));
        assertThat(Configuration.resolve(List.of("model=m"), Defaults.VALUES, Recipe.class, SECTIONS).value().model()).isEqualTo("m");
        assertUsage(() -> Configuration.resolve(List.of(), Defaults.VALUES, Recipe.class, SECTIONS), "command line: missing key `model`");
    }

    @Test
    void hostileFilesAreBounded() throws IOException {
        assertUsage(() -> load("#".repeat(2_000_000)), "recipe.yaml: has 2,000,000 bytes; expected a configuration of at most 262,144");
        assertUsage(() -> load("model: " + "[".repeat(200_000)), "recipe.yaml");
        assertUsage(() -> load("model: " + "[".repeat(40) + "]".repeat(40)), "nested deeper than 32 levels");
        assertUsage(() -> load("a: ".repeat(50_000)), "recipe.yaml");
        assertUsage(() -> load("k".repeat(200_000) + ": 1"), "recipe.yaml");
        StringBuilder bomb = new StringBuilder("a0: &a0 [x]\n");
        for (int i = 1; i < 60; i++) {
            bomb.append("a%d: &a%d [*a%d, *a%d]\n".formatted(i, i, i - 1, i - 1));
        }
        assertUsage(() -> load(bomb.toString()), "is a YAML alias");
        Files.write(directory.resolve("latin.yaml"), "model: caf\u00e9".getBytes(StandardCharsets.ISO_8859_1));
        assertUsage(() -> Configuration.load(directory.resolve("latin.yaml"), List.of(), Defaults.VALUES, Recipe.class),
                "latin.yaml: not valid UTF-8 text");
        assertUsage(() -> Configuration.load(directory.resolve("gone.yaml"), List.of(), Defaults.VALUES, Recipe.class), "no such file");
        assertUsage(() -> Configuration.load(directory, List.of(), Defaults.VALUES, Recipe.class), "cannot read");
    }

    @Test
    void anEmptyFileIsNoConfigurationButNoErrorEither() throws IOException {
        assertThat(load("", "model=x").value().model()).isEqualTo("x");
        assertThat(load("# nothing\n", "model=x").value().model()).isEqualTo("x");
        assertThat(load("\ufeffmodel: \"\"\n").value().model()).isEmpty();
    }

    /// Whatever one changed character does to a good file, the outcome is a configuration or a usage failure.
    @Test
    void everyCorruptionIsAConfigurationOrAUsageFailure() {
        String good = "model: a/b\nweights: {method: gptq, bits: 2}\ndistil:\n  optimiser: {learning_rate: 2e-6}\nstages: [quantize]\ntasks:\n  - name: gsm8k\n";
        String interesting = ":-{}[],&*!|>'\"%@`#\n\t\\ ~0.ex?=<\u0000\u0085\ud83d";
        Property.forAll(500, random -> {
            StringBuilder yaml = new StringBuilder(good);
            for (int i = random.nextInt(3); i >= 0; i--) {
                int at = random.nextInt(yaml.length());
                char c = interesting.charAt(random.nextInt(interesting.length()));
                if (random.nextBoolean()) {
                    yaml.setCharAt(at, c);
                } else {
                    yaml.insert(at, c);
                }
            }
            Files.write(directory.resolve("recipe.yaml"), yaml.toString().getBytes(StandardCharsets.UTF_8));
            try {
                Configuration.load(directory.resolve("recipe.yaml"), List.of(), Defaults.VALUES, Recipe.class, SECTIONS);
            } catch (Failure failure) {
                assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE);
                assertThat(failure.getMessage()).contains("recipe.yaml");
            }
        });
    }

    @Test
    void nearestIsTheSmallestNumberOfEdits() {
        assertThat(Nearest.distance("group_sze", "group_size")).isEqualTo(1);
        assertThat(Nearest.distance("gpqt", "gptq")).isEqualTo(1);
        assertThat(Nearest.distance("kitten", "sitting")).isEqualTo(3);
        assertThat(Nearest.distance("", "abc")).isEqualTo(3);
        assertThat(Nearest.of("bitts", List.of("bits", "group_size"))).contains("bits");
        assertThat(Nearest.of("xyz", List.of("bits", "group_size"))).isEmpty();
        assertThat(Nearest.of("x".repeat(100_000), List.of("bits"))).isEmpty();
    }
}
