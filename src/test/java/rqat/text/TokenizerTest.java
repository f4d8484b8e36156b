package rqat.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

class TokenizerTest {

    @TempDir
    Path directory;

    @Test
    void mergesInTheOrderTheyWereLearntLeftmostFirst() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.encode("")).isEmpty();
        // "aaaaa" -> aa aa a -> aaaa a
        assertThat(tokenizer.encode("aaaaa")).containsExactly(256 + 4, 'a');
        assertThat(tokenizer.encode(" the")).containsExactly(256 + 2);
        // "tin": "t h" does not apply, "i n" does
        assertThat(tokenizer.encode("tin")).containsExactly('t', 256 + 5);
        // one digit per piece, so that the merge "1 2" never applies
        assertThat(tokenizer.encode("12")).containsExactly('1', '2');
    }

    @Test
    void agreesWithTheTextbookAlgorithmOnRandomPieces() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        Random random = new Random(11);
        for (int trial = 0; trial < 2_000; trial++) {
            String word = random.ints(random.nextInt(1, 40), 0, 5)
                    .mapToObj(i -> String.valueOf("theai".charAt(i)))
                    .reduce("", String::concat);
            assertThat(tokenizer.encode(word)).as(word).containsExactly(textbook(word));
        }
    }

    /// Merge every occurrence of the best pair, rescan, repeat.
    private static int[] textbook(String word) {
        List<String> symbols = new ArrayList<>(List.of(word.split("")));
        while (true) {
            int best = Integer.MAX_VALUE;
            for (int i = 0; i + 1 < symbols.size(); i++) {
                int rank = TinyTokenizer.MERGES.indexOf(symbols.get(i) + " " + symbols.get(i + 1));
                best = rank < 0 ? best : Math.min(best, rank);
            }
            if (best == Integer.MAX_VALUE) {
                return symbols.stream()
                        .mapToInt(s -> s.length() == 1
                                ? s.charAt(0)
                                : 256 + TinyTokenizer.MERGES.stream().map(m -> m.replace(" ", "")).toList().indexOf(s))
                        .toArray();
            }
            String[] pair = TinyTokenizer.MERGES.get(best).split(" ");
            for (int i = 0; i + 1 < symbols.size(); i++) {
                if (symbols.get(i).equals(pair[0]) && symbols.get(i + 1).equals(pair[1])) {
                    symbols.set(i, pair[0] + pair[1]);
                    symbols.remove(i + 1);
                }
            }
        }
    }

    @Test
    void decodesWhatItEncodedWhateverTheText() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        Random random = new Random(5);
        for (int trial = 0; trial < 500; trial++) {
            String text = random.ints(random.nextInt(60), 0, 0x11000)
                    .filter(c -> c < 0xD800 || c > 0xDFFF)
                    .mapToObj(c -> random.nextBoolean() ? Character.toString(c) : Character.toString(c & 0x7F))
                    .reduce("", String::concat);
            int[] ids = tokenizer.encode(text);
            // Bytes may only differ from the text by normalisation.
            assertThat(Normalizer.normalize(tokenizer.decode(ids), Normalizer.Form.NFC))
                    .isEqualTo(Normalizer.normalize(text, Normalizer.Form.NFC));
            assertThat(tokenizer.encodeWithOffsets(text).ids()).containsExactly(ids);
        }
    }

    @Test
    void putsThePostProcessorsTokensAroundOnlyWhenAsked() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.encodeWithSpecial("a")).containsExactly(TinyTokenizer.BEGIN, 'a');
        assertThat(tokenizer.encode("a")).containsExactly('a');
    }

    @Test
    void recognisesAddedTokensInTheTextAndSkipsOnlySpecialOnes() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        int[] ids = tokenizer.encode("a<think>b</s><s");
        assertThat(ids).containsExactly('a', TinyTokenizer.THINK, 'b', TinyTokenizer.END, '<', 's');
        assertThat(tokenizer.decode(ids)).isEqualTo("a<think>b</s><s");
        assertThat(tokenizer.decode(ids, true)).isEqualTo("a<think>b<s");
    }

    @Test
    void neverTruncatesOrPadsWhateverTheFileAsks() {
        ObjectNode json = TinyTokenizer.json();
        json.putObject("truncation").put("max_length", 4).put("strategy", "LongestFirst").put("stride", 0);
        json.putObject("padding").putObject("strategy").put("Fixed", 16);
        TinyTokenizer.write(directory, json);
        Tokenizer tokenizer = Tokenizer.load(directory);
        assertThat(tokenizer.encode("1".repeat(6_000))).hasSize(6_000).containsOnly('1');
        assertThat(tokenizer.encode("1")).containsExactly('1');
    }

    @Test
    void dropsIdsOutsideTheVocabulary() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.size()).isEqualTo(TinyTokenizer.THINK + 1);
        assertThat(tokenizer.decode(new int[] {-1, 'a', Integer.MAX_VALUE, tokenizer.size(), Integer.MIN_VALUE, 'b'}))
                .isEqualTo("ab");
        assertThat(tokenizer.isSpecial(-5)).isFalse();
    }

    @Test
    void streamsACharacterOnlyWhenItIsComplete() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        int[] ids = bytes("😀é");
        Detokenizer detokenizer = tokenizer.detokenizer(false);
        assertThat(IntStream.of(ids).mapToObj(detokenizer::push)).containsExactly("", "", "", "😀", "", "é");
        assertThat(detokenizer.finish()).isEmpty();
        detokenizer.push(0xE6);
        assertThat(detokenizer.finish()).isEqualTo("\uFFFD");
        assertThat(detokenizer.push('x')).isEqualTo("x");
    }

    /// Expected values are those of Rust's `String::from_utf8_lossy`; Java's decoder gives one mark for an encoded surrogate.
    @Test
    void replacesEachMaximalInvalidPrefixByOneMark() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.decode(new int[] {0xED, 0xA0, 0x80})).isEqualTo("\uFFFD\uFFFD\uFFFD");
        assertThat(tokenizer.decode(new int[] {0xF0, 0x9F, 0x98, 'a'})).isEqualTo("\uFFFDa");
        assertThat(tokenizer.decode(new int[] {0xF0, 0x80, 0x80, 0x80})).isEqualTo("\uFFFD".repeat(4));
        assertThat(tokenizer.decode(new int[] {0xC0, 0xAF, 0xF5, 0xFF})).isEqualTo("\uFFFD".repeat(4));
        assertThat(tokenizer.decode(new int[] {0xE6, 0xE6, 0xBC, 0xA2})).isEqualTo("\uFFFD漢");
        assertThat(tokenizer.decode(new int[] {0xF4, 0x90, 0x80, 0x80})).isEqualTo("\uFFFD".repeat(4));
    }

    private static int[] bytes(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return IntStream.range(0, bytes.length).map(i -> bytes[i] & 0xFF).toArray();
    }

    @Test
    void unpairedSurrogatesCountAsTheReplacementCharacter() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.encode("a\uD800b\uDC00")).containsExactly(tokenizer.encode("a\uFFFDb\uFFFD"));
        assertThat(tokenizer.encode("\uD83D\uDE00")).containsExactly(bytes("😀"));
    }

    @Test
    void offsetsReferToTheTextBeforeNormalisation() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        String text = "the<think>e\u0301😀x";
        Tokenizer.Encoding encoding = tokenizer.encodeWithOffsets(text);
        // the | <think> | é (merged from its two bytes) | four bytes of one emoji | x
        assertThat(encoding.starts()).containsExactly(0, 3, 10, 12, 12, 12, 12, 14);
        assertThat(encoding.ends()).containsExactly(3, 10, 12, 14, 14, 14, 14, 15);
        assertThat(encoding.overlapping(List.of(new Tokenizer.Span(3, 11), new Tokenizer.Span(14, 15))))
                .containsExactly(false, true, true, false, false, false, false, true);
        assertThat(encoding.overlapping(List.of(new Tokenizer.Span(5, 5)))).containsOnly(false);
    }

    /// Unicode 14 gave U+1AC8 the combining class 230; the reference's tables are older and leave the marks around it alone.
    @Test
    void normalisesWithTheReferencesUnicodeVersion() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.decode(tokenizer.encode("\u1AC8\u094D"))).isEqualTo("\u1AC8\u094D");
        assertThat(tokenizer.decode(tokenizer.encode("a\u0301\u0323"))).isEqualTo("\u1EA1\u0301");
    }

    @Test
    void collectsStopIdsFromAllThreeFiles() throws IOException {
        Files.writeString(directory.resolve("generation_config.json"), "{\"eos_token_id\": [7, 9], \"pad_token_id\": 3}");
        Files.writeString(directory.resolve("config.json"), "{\"eos_token_id\": 9, \"pad_token_id\": 4, \"bos_token_id\": -1}");
        Files.writeString(directory.resolve("tokenizer_config.json"),
                "{\"eos_token\": {\"content\": \"</s>\"}, \"bos_token\": \"<s>\", \"pad_token\": null}");
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.stopIds()).containsExactly(7, 9, TinyTokenizer.END);
        assertThat(tokenizer.beginId()).hasValue(TinyTokenizer.BEGIN);
        assertThat(tokenizer.padId()).hasValue(3);
    }

    // ---- tokens that only the files beside tokenizer.json know

    @Test
    void addsTheTokensOfAddedTokensDecoder() throws IOException {
        int next = TinyTokenizer.THINK + 1;
        // In the order of their ids, whatever that of the file; `</think>` is not special, `<|im_end|>` is and takes the white space on its right.
        Files.writeString(directory.resolve("tokenizer_config.json"), """
                {"added_tokens_decoder": {
                   "%d": {"content": "<|im_end|>", "special": true, "rstrip": true}, "%d": {"content": "</think>", "special": false},
                   "%d": {"content": "<think>", "special": false}}}""".formatted(next + 1, next, TinyTokenizer.THINK));
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.size()).isEqualTo(next + 2);
        assertThat(tokenizer.encode("<think>a</think>b<|im_end|>\n c")).containsExactly(TinyTokenizer.THINK, 'a', next, 'b', next + 1, 'c');
        assertThat(tokenizer.decode(new int[] {next, next + 1}, true)).isEqualTo("</think>");
        assertThat(tokenizer.isSpecial(next)).isFalse();
        assertThat(tokenizer.isSpecial(next + 1)).isTrue();
    }

    /// `<think>` of tokenizer.json swallows white space once tokenizer_config.json says so.
    @Test
    void addedTokensDecoderSaysHowTokensAreMatched() throws IOException {
        Files.writeString(directory.resolve("tokenizer_config.json"),
                "{\"added_tokens_decoder\": {\"%d\": {\"content\": \"<think>\", \"lstrip\": true, \"special\": true}}}".formatted(TinyTokenizer.THINK));
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.encode("a  <think>")).containsExactly('a', TinyTokenizer.THINK);
        assertThat(tokenizer.isSpecial(TinyTokenizer.THINK)).isTrue();
    }

    @Test
    void addsTheTokensOfAddedTokensJsonWhereThereIsNoDecoder() throws IOException {
        int next = TinyTokenizer.THINK + 1;
        Files.writeString(directory.resolve("added_tokens.json"), "{\"<tool>\": %d, \"<s>\": %d, \"</tool>\": %d}".formatted(next + 1, TinyTokenizer.BEGIN, next));
        assertThat(TinyTokenizer.load(directory).encode("</tool><tool>")).containsExactly(next, next + 1);
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"added_tokens_decoder\": {}}");
        assertThat(TinyTokenizer.load(directory).size()).isEqualTo(next);
    }

    /// One to pad with that is nowhere is a new token, unless the model has no row for it; then it is none. Others named for a purpose are special.
    @Test
    void addsTokensThatAreNamedForAPurpose() throws IOException {
        int next = TinyTokenizer.THINK + 1;
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"pad_token\": \"[PAD]\", \"image_token\": \"<think>\", \"extra_special_tokens\": [\"<x>\"]}");
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.padId()).hasValue(next);
        assertThat(tokenizer.encode("[PAD]<x>")).containsExactly(next, next + 1);
        assertThat(tokenizer.isSpecial(TinyTokenizer.THINK)).isTrue();
        Files.writeString(directory.resolve("config.json"), "{\"vocab_size\": %d}".formatted(next));
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"pad_token\": \"[PAD]\"}");
        tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.padId()).isEmpty();
        assertThat(tokenizer.size()).isEqualTo(next);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            tokenizer_config.json | {'added_tokens_decoder': {'400': {'content': '<x>'}}}                                   | expected 269
            tokenizer_config.json | {'added_tokens_decoder': {'269': {'content': '<think>'}}}                               | expected 268
            tokenizer_config.json | {'added_tokens_decoder': {'97': {'content': '<x>'}}}                                    | expected 269
            tokenizer_config.json | {'added_tokens_decoder': {'x': {'content': '<x>'}}}                                     | ids as keys
            tokenizer_config.json | {'added_tokens_decoder': {'269': {'content': 5}}}                                       | a string
            tokenizer_config.json | {'added_tokens_decoder': {'269': null}}                                                 | a string
            tokenizer_config.json | {'added_tokens_decoder': {'269': {'content': '<x>', 'lstrip': 1}}}                      | true or false
            tokenizer_config.json | {'added_tokens_decoder': [1]}                                                           | an object of ids to tokens
            added_tokens.json     | {'<x>': 300}                                                                            | expected 269
            added_tokens.json     | {'<x>': 'y'}                                                                            | expected 269
            """)
    void refusesTokensWhoseIdsAreNotThoseOfTheReference(String name, String json, String message) throws IOException {
        Files.writeString(directory.resolve(name), json.replace('\'', '"'));
        assertThatThrownBy(() -> TinyTokenizer.load(directory)).isInstanceOf(Failure.class).hasMessageContaining(name).hasMessageContaining(message);
    }

    @Test
    void knowsNoSpecialIdsWithoutTheOtherFiles() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.stopIds()).isEmpty();
        assertThat(tokenizer.beginId()).isEmpty();
        assertThat(tokenizer.padId()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "tokenizer_config.json|{\"eos_token\": \"<nowhere>\"}", "tokenizer_config.json|{\"eos_token\": 5}",
        "generation_config.json|{\"eos_token_id\": \"2\"}", "config.json|{\"eos_token_id\": [1.5]}", "config.json|[]", "config.json|{"
    })
    void refusesBrokenNeighbourFiles(String nameAndText) throws IOException {
        String[] parts = nameAndText.split("\\|");
        Files.writeString(directory.resolve(parts[0]), parts[1]);
        assertThatThrownBy(() -> TinyTokenizer.load(directory)).isInstanceOf(Failure.class).hasMessageContaining(parts[0]);
    }

    /// Quadratic work would take hours on these.
    @Test
    @Timeout(60)
    void takesLongPiecesInReasonableTime() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        assertThat(tokenizer.encode("a".repeat(200_000))).hasSize(50_000).containsOnly(260);
        assertThat(tokenizer.decode(tokenizer.encode(" ".repeat(200_000)))).hasSize(200_000);
        assertThat(tokenizer.encode("<".repeat(200_000))).hasSize(200_000);
        assertThat(tokenizer.encode("e\u0301".repeat(50_000))).hasSize(50_000);
        assertThat(tokenizer.encodeWithOffsets("a" + "\u0323\u0301".repeat(50_000)).starts()).hasSize(200_001);
    }

    @Test
    @Timeout(60)
    void stopsAHostileSplitExpression() {
        for (String expression : List.of("(a+)+c", "(a|a|aa|a+)+c", "(?:a|b)*c")) {
            ObjectNode json = TinyTokenizer.json();
            ((ObjectNode) json.at("/pre_tokenizer/pretokenizers/0/pattern")).put("Regex", expression);
            TinyTokenizer.write(directory, json);
            Tokenizer tokenizer = Tokenizer.load(directory);
            assertThatThrownBy(() -> tokenizer.encode("a".repeat(100_000))).as(expression).isInstanceOf(Failure.class);
        }
    }

    /// A model whose tags are special tokens would otherwise lose what tells a guess from an answer.
    @Test
    void theTagsOfThinkingStayWhereSpecialTokensAreSkipped() {
        ObjectNode json = TinyTokenizer.json();
        ((ObjectNode) json.get("added_tokens").get(2)).put("special", true);
        TinyTokenizer.write(directory, json);
        Tokenizer tokenizer = Tokenizer.load(directory);
        assertThat(tokenizer.isSpecial(TinyTokenizer.THINK)).isTrue();
        assertThat(tokenizer.decode(new int[] {TinyTokenizer.BEGIN, TinyTokenizer.THINK, 'a', TinyTokenizer.END}, true)).isEqualTo("<think>a");
    }

    static Stream<Arguments> broken() {
        return Stream.of(
                broken("model", json -> json.remove("model")),
                broken("model.type", json -> model(json).put("type", "Unigram")),
                broken("model.vocab", json -> model(json).put("vocab", 3)),
                broken("model.vocab", json -> model(json).putObject("vocab")),
                broken("model.vocab[`a`]", json -> vocabulary(json).put("a", -1)),
                broken("model.vocab[`a`]", json -> vocabulary(json).put("a", 1.5)),
                broken("model.vocab[`a`]", json -> vocabulary(json).put("a", "x")),
                broken("model.vocab[`a`]", json -> vocabulary(json).put("a", 4_000_000_000L)),
                broken("model.vocab[`b`]", json -> vocabulary(json).put("b", 97)),
                broken("model.merges", json -> model(json).remove("merges")),
                broken("model.merges[10]", json -> merges(json).add("x")),
                broken("model.merges[10]", json -> merges(json).add("a b")),
                broken("model.merges[10]", json -> merges(json).add("a b c")),
                broken("model.merges[10]", json -> merges(json).add(7)),
                broken("model.merges[10]", json -> merges(json).addArray().add("a")),
                broken("model.dropout", json -> model(json).put("dropout", 0.1)),
                broken("model.byte_fallback", json -> model(json).put("byte_fallback", true)),
                broken("model.unk_token", json -> model(json).put("unk_token", "<none>")),
                broken("model.fuse_unk", json -> model(json).put("fuse_unk", "yes")),
                broken("added_tokens", json -> json.put("added_tokens", "x")),
                broken("added_tokens[0].id", json -> added(json).put("id", 97)),
                broken("added_tokens[0].content", json -> added(json).put("content", "")),
                broken("added_tokens[0].special", json -> added(json).put("special", 1)),
                broken("added_tokens[1].content", json -> added(json).put("content", "</s>")),
                broken("normalizer", json -> json.putObject("normalizer").put("type", "Lowercase")),
                broken("pre_tokenizer", json -> json.putNull("pre_tokenizer")),
                broken("pre_tokenizer", json -> json.putObject("pre_tokenizer").put("type", "Metaspace")),
                broken("Regex", json -> regex(json, "(")),
                broken("Regex", json -> regex(json, "a{2}?")),
                broken("Regex", json -> regex(json, "\\h+")),
                broken("Regex", json -> regex(json, "[a[b]]")),
                broken("Regex", json -> regex(json, "(".repeat(3_000) + ")".repeat(3_000))),
                broken("decoder", json -> json.remove("decoder")),
                broken("post_processor", json -> json.putObject("post_processor").put("type", "BertProcessing")),
                broken("post_processor.single", json -> ((ArrayNode) json.at("/post_processor/single")).remove(1)));
    }

    private static Arguments broken(String place, Consumer<ObjectNode> change) {
        return Arguments.of(place, change);
    }

    private static ObjectNode model(ObjectNode json) {
        return (ObjectNode) json.get("model");
    }

    private static ObjectNode vocabulary(ObjectNode json) {
        return (ObjectNode) model(json).get("vocab");
    }

    private static ArrayNode merges(ObjectNode json) {
        return (ArrayNode) model(json).get("merges");
    }

    private static ObjectNode added(ObjectNode json) {
        return (ObjectNode) json.get("added_tokens").get(0);
    }

    private static void regex(ObjectNode json, String expression) {
        ((ObjectNode) json.at("/pre_tokenizer/pretokenizers/0/pattern")).put("Regex", expression);
    }

    @ParameterizedTest(name = "{index} {0}")
    @MethodSource("broken")
    void namesThePlaceThatIsBroken(String place, Consumer<ObjectNode> change) {
        ObjectNode json = TinyTokenizer.json();
        change.accept(json);
        TinyTokenizer.write(directory, json);
        assertThatThrownBy(() -> Tokenizer.load(directory))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContainingAll("tokenizer.json", place, "expected");
    }

    @Test
    void refusesEveryTruncationOfTheFile() throws IOException {
        String whole = TinyTokenizer.json().toString();
        for (int length = 0; length < whole.length(); length += 97) {
            Files.writeString(directory.resolve("tokenizer.json"), whole.substring(0, length));
            assertThatThrownBy(() -> Tokenizer.load(directory)).as("%d bytes", length).isInstanceOf(Failure.class);
        }
    }

    @Test
    void refusesWhatIsNoTokenizerAtAll() throws IOException {
        assertThatThrownBy(() -> Tokenizer.load(directory)).isInstanceOf(Failure.class).hasMessageContaining("tokenizer.json");
        assertThatThrownBy(() -> Tokenizer.load(directory.resolve("nowhere"))).isInstanceOf(Failure.class);
        for (String text : List.of("null", "[]", "[".repeat(100_000), "{\"a\":".repeat(100_000), "\"", "{}{}", "\0\1\2")) {
            Files.writeString(directory.resolve("tokenizer.json"), text);
            assertThatThrownBy(() -> Tokenizer.load(directory)).isInstanceOf(Failure.class);
        }
        Files.delete(directory.resolve("tokenizer.json"));
        Files.createDirectory(directory.resolve("tokenizer.json"));
        assertThatThrownBy(() -> Tokenizer.load(directory)).isInstanceOf(Failure.class);
    }

    /// Puts a value of another type at every place of the file in turn: it must load or be refused, nothing else.
    @Test
    @Timeout(60)
    void survivesAWrongTypeAnywhere() {
        List<String> places = new ArrayList<>();
        collect(TinyTokenizer.json(), "", places);
        int refused = 0;
        for (String place : places) {
            for (String value : List.of("null", "true", "-1", "1e99", "\"\"", "[]", "{}", "[[]]", "\"\\ud800\"")) {
                ObjectNode json = TinyTokenizer.json();
                int slash = place.lastIndexOf('/');
                JsonNode parent = json.at(place.substring(0, slash));
                JsonNode replacement = TinyTokenizer.JSON.readTree(value);
                if (parent instanceof ArrayNode array) {
                    array.set(Integer.parseInt(place.substring(slash + 1)), replacement);
                } else {
                    ((ObjectNode) parent).set(place.substring(slash + 1), replacement);
                }
                TinyTokenizer.write(directory, json);
                try {
                    Tokenizer.load(directory).encode("the <think> 12");
                } catch (Failure e) {
                    refused++;
                } catch (RuntimeException e) {
                    fail(place + " = " + value, e);
                }
            }
        }
        assertThat(refused).isGreaterThan(places.size());
    }

    private static void collect(JsonNode node, String path, List<String> places) {
        int[] index = {0};
        List<String> keys = new ArrayList<>(node.isObject() ? node.propertyNames() : List.of());
        node.forEach(child -> {
            String name = node.isObject() ? keys.get(index[0]) : String.valueOf(index[0]);
            // A sample of the vocabulary is enough; names that need escaping in a path are part of what is left out.
            if (index[0]++ < 12 && name.chars().allMatch(c -> Character.isLetterOrDigit(c) || c == '_')) {
                places.add(path + "/" + name);
                collect(child, path + "/" + name, places);
            }
        });
    }

    @Test
    void canBeSharedBetweenThreads() {
        Tokenizer tokenizer = TinyTokenizer.load(directory);
        String text = "the aaaa in the\n\n12é " .repeat(50);
        int[] expected = tokenizer.encode(text);
        assertThat(IntStream.range(0, 64).parallel().mapToObj(_ -> tokenizer.encode(text)).allMatch(ids -> Arrays.equals(ids, expected)))
                .isTrue();
    }
}
