package rqat.data;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.io.AtomicFiles;
import tools.jackson.databind.json.JsonMapper;

/// Trains a byte-level BPE tokenizer and writes it in the layout that Hugging Face publishes for Qwen2 and Qwen3.
///
/// The text is NFC-normalised, split by the Qwen2 expression (every digit is a piece of its own), and each piece is spelled in bytes;
/// then the most frequent adjacent pair is joined, again and again, until the vocabulary is full (Sennrich et al., 2016,
/// arXiv:1508.07909, section 3.2, on bytes as in GPT-2). Ties go to the pair that sorts first, so the result depends on the sample
/// alone. Made for vocabularies of some hundred tokens: it recounts all pairs for each merge.
public final class BytePairTrainer {

    /// How Qwen2 cuts text into pieces; no token crosses a piece.
    private static final String SPLIT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
            + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    private static final Pattern PIECE = Pattern.compile(SPLIT, Pattern.UNICODE_CHARACTER_CLASS | Pattern.UNICODE_CASE);

    private static final List<String> SPECIAL = List.of("<|endoftext|>", "<|im_start|>", "<|im_end|>");
    private static final List<String> MARKERS = List.of("<think>", "</think>");
    private static final Pattern ADDED = Pattern.compile(
            Stream.of(SPECIAL, MARKERS).flatMap(List::stream).map(Pattern::quote).collect(Collectors.joining("|")));

    /// ChatML. An assistant's reasoning is kept in every turn, either inside the content or as `reasoning_content`, so that a rendered
    /// training conversation is what the model wrote; the model opens `<think>` itself.
    private static final String CHAT_TEMPLATE = """
            {%- for message in messages %}
                {{- '<|im_start|>' + message.role + '\\n' }}
                {%- if message.reasoning_content is string %}
                    {{- '<think>\\n' + message.reasoning_content + '</think>\\n' }}
                {%- endif %}
                {{- message.content + '<|im_end|>\\n' }}
            {%- endfor %}
            {%- if add_generation_prompt %}
                {{- '<|im_start|>assistant\\n' }}
            {%- endif %}""";

    private static final char[] ALPHABET = alphabet();

    private BytePairTrainer() {}

    /// Two neighbouring tokens that become one.
    public record Merge(String left, String right) {}

    /// A trained tokenizer. Tokens are spelled in the byte-level alphabet, in which `Ġ` is a space; the index of a token is its id.
    ///
    /// @param tokens the 256 byte tokens, the tokens that merges make, then the added tokens
    /// @param merges in the order in which they apply
    public record Vocabulary(List<String> tokens, List<Merge> merges) {
        public Vocabulary {
            tokens = List.copyOf(tokens);
            merges = List.copyOf(merges);
        }

        /// Writes `tokenizer.json` and `tokenizer_config.json` into a directory, which is created if need be.
        ///
        /// @throws Failure when the files cannot be written
        public void write(Path directory) {
            write(directory.resolve("tokenizer.json"), tokenizer());
            write(directory.resolve("tokenizer_config.json"), configuration());
        }

        private static void write(Path file, Object content) {
            AtomicFiles.write(file, JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(content) + "\n");
        }

        private Map<String, Object> tokenizer() {
            var ids = new LinkedHashMap<String, Integer>();
            tokens.subList(0, firstAdded()).forEach(token -> ids.put(token, ids.size()));
            var added = IntStream.range(firstAdded(), tokens.size()).mapToObj(id -> {
                var token = object("id", id);
                token.putAll(added(tokens.get(id)));
                return token;
            }).toList();
            var byteLevel = object("type", "ByteLevel", "add_prefix_space", false, "trim_offsets", false, "use_regex", false);
            var split = object("type", "Split", "pattern", object("Regex", SPLIT), "behavior", "Isolated", "invert", false);
            var model = object("type", "BPE", "dropout", null, "unk_token", null, "continuing_subword_prefix", null,
                    "end_of_word_suffix", null, "fuse_unk", false, "byte_fallback", false, "ignore_merges", false,
                    "vocab", ids, "merges", merges.stream().map(merge -> List.of(merge.left(), merge.right())).toList());
            return object("version", "1.0", "truncation", null, "padding", null, "added_tokens", added,
                    "normalizer", object("type", "NFC"),
                    "pre_tokenizer", object("type", "Sequence", "pretokenizers", List.of(split, byteLevel)),
                    "post_processor", byteLevel,
                    "decoder", object("type", "ByteLevel", "add_prefix_space", true, "trim_offsets", true, "use_regex", true),
                    "model", model);
        }

        private Map<String, Object> configuration() {
            var added = new LinkedHashMap<String, Object>();
            IntStream.range(firstAdded(), tokens.size())
                    .forEach(id -> added.put(Integer.toString(id), added(tokens.get(id))));
            return object("add_bos_token", false, "add_prefix_space", false, "added_tokens_decoder", added,
                    "additional_special_tokens", List.of("<|im_start|>", "<|im_end|>"), "bos_token", null,
                    "chat_template", CHAT_TEMPLATE, "clean_up_tokenization_spaces", false, "eos_token", "<|im_end|>",
                    "errors", "replace", "model_max_length", 1024, "pad_token", "<|endoftext|>", "split_special_tokens", false,
                    "tokenizer_class", "Qwen2Tokenizer", "unk_token", null);
        }

        private int firstAdded() {
            return tokens.size() - SPECIAL.size() - MARKERS.size();
        }

        private static Map<String, Object> added(String token) {
            return object("content", token, "single_word", false, "lstrip", false, "rstrip", false, "normalized", false,
                    "special", SPECIAL.contains(token));
        }
    }

    /// Trains on a sample. Added tokens in the sample (`<|im_start|>`, `<think>`, ...) separate pieces and are not learned.
    ///
    /// @param sample texts in the proportions in which the model will meet them
    /// @param vocabularySize the largest number of tokens, the 256 bytes and 5 added tokens included; training ends earlier when no pair
    ///     occurs twice
    /// @throws Failure when the size has no room for the bytes and the added tokens
    public static Vocabulary train(List<String> sample, int vocabularySize) {
        int added = SPECIAL.size() + MARKERS.size();
        if (vocabularySize < ALPHABET.length + added) {
            throw Failure.usage("tokenizer training: the vocabulary size is " + vocabularySize + ", expected at least "
                    + (ALPHABET.length + added) + " (256 bytes and the added tokens)");
        }
        var words = count(sample).entrySet().stream().map(entry -> new Word(spell(entry.getKey()), entry.getValue())).toList();
        var merges = new ArrayList<Merge>();
        var tokens = new ArrayList<String>();
        new String(ALPHABET).chars().sorted().forEach(c -> tokens.add(Character.toString(c)));
        while (tokens.size() + added < vocabularySize) {
            var pairs = new HashMap<Merge, Long>();
            for (var word : words) {
                for (int i = 0; i + 1 < word.symbols().size(); i++) {
                    pairs.merge(new Merge(word.symbols().get(i), word.symbols().get(i + 1)), word.count(), Long::sum);
                }
            }
            var best = pairs.entrySet().stream().filter(entry -> entry.getValue() > 1)
                    .min(Map.Entry.<Merge, Long>comparingByValue().reversed()
                            .thenComparing(Map.Entry::getKey, Comparator.comparing(Merge::left).thenComparing(Merge::right)));
            if (best.isEmpty()) {
                break;
            }
            var merge = best.get().getKey();
            merges.add(merge);
            // Two different pairs can spell the same token; it keeps its first id.
            if (!tokens.contains(merge.left() + merge.right())) {
                tokens.add(merge.left() + merge.right());
            }
            words.forEach(word -> apply(merge, word.symbols()));
        }
        tokens.addAll(SPECIAL);
        tokens.addAll(MARKERS);
        return new Vocabulary(tokens, merges);
    }

    /// A distinct piece, as a list of tokens that shrinks with every merge.
    private record Word(List<String> symbols, long count) {}

    private static Map<String, Long> count(List<String> sample) {
        var counts = new TreeMap<String, Long>();
        for (var text : sample) {
            for (var part : ADDED.split(text)) {
                var matcher = PIECE.matcher(Normalizer.normalize(part, Normalizer.Form.NFC));
                while (matcher.find()) {
                    counts.merge(matcher.group(), 1L, Long::sum);
                }
            }
        }
        return counts;
    }

    private static List<String> spell(String piece) {
        var symbols = new ArrayList<String>();
        for (byte b : piece.getBytes(StandardCharsets.UTF_8)) {
            symbols.add(Character.toString(ALPHABET[b & 0xff]));
        }
        return symbols;
    }

    private static void apply(Merge merge, List<String> symbols) {
        for (int i = 0; i + 1 < symbols.size(); i++) {
            if (symbols.get(i).equals(merge.left()) && symbols.get(i + 1).equals(merge.right())) {
                symbols.set(i, merge.left() + merge.right());
                symbols.remove(i + 1);
            }
        }
    }

    /// GPT-2's printable character for each byte: itself where Latin-1 has a visible one, else the next free one from U+0100.
    private static char[] alphabet() {
        var alphabet = new char[256];
        char next = 256;
        for (int b = 0; b < 256; b++) {
            boolean visible = b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae;
            alphabet[b] = visible ? (char) b : next++;
        }
        return alphabet;
    }

    private static LinkedHashMap<String, Object> object(Object... namesAndValues) {
        var object = new LinkedHashMap<String, Object>();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            object.put((String) namesAndValues[i], namesAndValues[i + 1]);
        }
        return object;
    }
}
