package rqat.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import rqat.Property;
import rqat.run.RandomStream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Random texts and random ids through ours and through the Rust library, for the split expressions of the published families.
class TokenizerReferenceTest {

    private static final TokenizersLibrary RUST = TokenizersLibrary.LIB;

    /// What texts are put together from: scripts, spaces, marks, added tokens and near misses of them.
    private static final List<String> FRAGMENTS = List.of(
            "the", " the", "aaaa", "I'll", "'S", "ſ", "12345", "½", "٣", " ", "  ", "\t", "\n", "\r\n", "\u00A0", "\u3000", "\u0085", "\u200B",
            "é", "e\u0301", "\u0323", "\u1AC8\u094D", "\u0338", "Å", "ﬁ", "漢字", "かな", "한글", "각", "😀", "👩‍👧", "नमस्ते", "עברית", ".",
            "!?", "://", "{\"a\": 1}", "\\frac{1}{2}", "<s>", "</s>", "<think>", "<thin", "</", "<", ">", "\0", "\uFEFF");

    @TempDir
    Path directory;

    static Stream<Arguments> families() {
        return Stream.of(
                Arguments.of("qwen", "Isolated", false, TinyTokenizer.QWEN_SPLIT),
                Arguments.of("llama 3", "Isolated", true, TinyTokenizer.QWEN_SPLIT.replace("|\\p{N}|", "|\\p{N}{1,3}|")),
                Arguments.of("matches only", "Removed", false,
                        "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s+"),
                Arguments.of("upper and lower case", "Isolated", false,
                        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|\\p{N}{1,3}|[一-龥぀-ゟ゠-ヿ]+"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("families")
    void givesTheIdsAndTheTextOfTheRustLibrary(String name, String behavior, boolean ignoreMerges, String expression) {
        ObjectNode json = TinyTokenizer.json();
        ObjectNode split = (ObjectNode) json.at("/pre_tokenizer/pretokenizers/0");
        split.put("behavior", behavior).put("invert", behavior.equals("Removed"));
        ((ObjectNode) split.get("pattern")).put("Regex", expression);
        ((ObjectNode) json.get("model")).put("ignore_merges", ignoreMerges);
        // Every way in which an added token may be told to match.
        ArrayNode added = (ArrayNode) json.get("added_tokens");
        for (String content : List.of("the!", "é<", "12345", "aaa")) {
            int index = added.size();
            added.addObject().put("id", TinyTokenizer.BEGIN + index).put("content", content).put("special", index % 2 == 0)
                    .put("normalized", index % 2 == 0).put("single_word", index == 5).put("lstrip", index == 3).put("rstrip", index == 4);
        }
        TinyTokenizer.write(directory, json);
        Tokenizer ours = Tokenizer.load(directory);
        LibUtils.checkStatus();
        long theirs = RUST.createTokenizerFromString(json.toString());
        try {
            Property.forAll(400, random -> check(ours, theirs, random));
        } finally {
            RUST.deleteTokenizer(theirs);
        }
    }

    /// What added tokens are made of in [#cutsAddedTokensAsTheRustLibraryWhateverTheirFlags]: white space of all kinds, words, parts of each other.
    private static final List<String> CONTENTS = List.of(
            "<a>", "<a", "a>", "<a><b>", "<b>", "\n", " ", "\n\n", "\t", " <b>", "<b> ", "the", " the", "é", "e\u0301", "Å", "\u3000", "_", "1", "\n<a>", "x y", "漢");

    /// Texts in which they stand side by side.
    private static final List<String> NEIGHBOURS = List.of(
            "<a>", "<b>", "<a", "\n", " ", "  ", "\n ", "\t", "\u00A0", "\u3000", "the", "x", "_", "1", ".", "é", "e\u0301", "Å", "漢", "\u200D");

    /// `<a>` that takes white space on its right, and a line feed that is a token itself: both are found, and the text goes on after the second.
    @Test
    void aTokenInsideTheWhiteSpaceOfAnotherIsFound() {
        ObjectNode json = TinyTokenizer.json();
        ArrayNode added = (ArrayNode) json.get("added_tokens");
        add(added, "<a>", false, false, false, true);
        add(added, "\n", false, false, false, false);
        compare(json, List.of("<a>\n x", "<a> \n\n  x", "x <a>\n", "<a> ", "\n<a>\n\n<a>", "<a>\t\n \nx"));
    }

    @Test
    void cutsAddedTokensAsTheRustLibraryWhateverTheirFlags() {
        Property.forAll(300, random -> {
            ObjectNode json = TinyTokenizer.json();
            ArrayNode added = (ArrayNode) json.get("added_tokens");
            var contents = new LinkedHashSet<String>();
            for (int i = random.nextInt(6); i >= 0; i--) contents.add(CONTENTS.get(random.nextInt(CONTENTS.size())));
            for (String content : contents) {
                // A token of white space that wants more of it on its left makes the library abort when another has taken it.
                boolean leftStrip = random.nextBoolean() && !content.isBlank();
                add(added, content, random.nextBoolean(), random.nextBoolean(), leftStrip, random.nextBoolean());
            }
            var texts = new ArrayList<String>();
            for (int i = 0; i < 20; i++) {
                StringBuilder text = new StringBuilder();
                for (int j = random.nextInt(12); j >= 0; j--) {
                    List<String> from = random.nextBoolean() ? NEIGHBOURS : List.copyOf(contents);
                    text.append(from.get(random.nextInt(from.size())));
                }
                texts.add(text.toString());
            }
            compare(json, texts);
        });
    }

    /// A declared id that leaves a gap is not the one that the library gives: it is refused, by that number, instead of shifting every prompt.
    @Test
    void theLibraryGivesIdsByItsOwnCount() {
        ObjectNode json = TinyTokenizer.json();
        ((ArrayNode) json.get("added_tokens")).addObject().put("id", TinyTokenizer.THINK + 5).put("content", "<gap>").put("special", false)
                .put("normalized", false).put("single_word", false).put("lstrip", false).put("rstrip", false);
        LibUtils.checkStatus();
        long theirs = RUST.createTokenizerFromString(json.toString());
        try {
            long encoding = RUST.encode(theirs, "<gap>", false);
            assertThat(RUST.getTokenIds(encoding)).containsExactly(TinyTokenizer.THINK + 1);
            RUST.deleteEncoding(encoding);
        } finally {
            RUST.deleteTokenizer(theirs);
        }
        TinyTokenizer.write(directory, json);
        assertThatThrownBy(() -> Tokenizer.load(directory)).isInstanceOf(rqat.Failure.class)
                .hasMessageContaining("added_tokens[3].id is `%d`; expected %d, which the reference library gives this token".formatted(TinyTokenizer.THINK + 5, TinyTokenizer.THINK + 1));
    }

    private static void add(ArrayNode added, String content, boolean normalized, boolean singleWord, boolean leftStrip, boolean rightStrip) {
        int next = 0;
        for (JsonNode token : added) next = Math.max(next, token.get("id").intValue() + 1);
        // The library looks a token up as it is spelt, not byte by byte.
        JsonNode inVocabulary = TinyTokenizer.json().at("/model/vocab").path(content);
        added.addObject().put("id", inVocabulary.isNumber() ? inVocabulary.intValue() : next).put("content", content).put("special", false)
                .put("normalized", normalized).put("single_word", singleWord).put("lstrip", leftStrip).put("rstrip", rightStrip);
    }

    private void compare(ObjectNode json, List<String> texts) {
        TinyTokenizer.write(directory, json);
        Tokenizer ours = Tokenizer.load(directory);
        LibUtils.checkStatus();
        long theirs = RUST.createTokenizerFromString(json.toString());
        try {
            for (String text : texts) {
                long encoding = RUST.encode(theirs, text, false);
                long[] expected = RUST.getTokenIds(encoding);
                RUST.deleteEncoding(encoding);
                int[] ids = ours.encode(text);
                assertThat(Arrays.stream(ids).asLongStream().toArray()).as("ids of '%s' with %s", text, json.get("added_tokens")).containsExactly(expected);
                assertThat(ours.encodeWithOffsets(text).ids()).containsExactly(ids);
            }
        } finally {
            RUST.deleteTokenizer(theirs);
        }
    }

    private static void check(Tokenizer ours, long theirs, RandomStream random) {
        StringBuilder text = new StringBuilder();
        for (int i = random.nextInt(30); i >= 0; i--) {
            text.append(FRAGMENTS.get(random.nextInt(FRAGMENTS.size())));
        }
        long encoding = RUST.encode(theirs, text.toString(), false);
        long[] expected = RUST.getTokenIds(encoding);
        RUST.deleteEncoding(encoding);
        int[] ids = ours.encode(text.toString());
        assertThat(Arrays.stream(ids).asLongStream().toArray()).as("ids of '%s'", text).containsExactly(expected);
        assertThat(ours.encodeWithOffsets(text.toString()).ids()).containsExactly(ids);

        int[] anyIds = new int[20];
        Arrays.setAll(anyIds, _ -> random.nextInt(ours.size() + 5));
        long[] longIds = Arrays.stream(anyIds).asLongStream().toArray();
        assertThat(ours.decode(anyIds)).isEqualTo(RUST.decode(theirs, longIds, false));
        assertThat(ours.decode(anyIds, true)).isEqualTo(RUST.decode(theirs, longIds, true));
    }
}
