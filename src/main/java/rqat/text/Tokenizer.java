package rqat.text;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SortedSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The tokenizer of a model directory: tokenizer.json as the Hugging Face `tokenizers` library reads it, id for id, for the byte-level BPE
/// family (Qwen2, Qwen3, Llama 3, DeepSeek-R1-Distill, GPT-2). Anything else in tokenizer.json is refused when it is loaded.
///
/// Never truncates or pads. Immutable and safe to share between threads. Written in Java rather than bound to the Rust library because that
/// one aborts the process on a hostile file, unpacks itself into the home directory and, as packaged for Java, reports its use.
public final class Tokenizer {

    /// Everything that [TokenizerReader] finds. `bytes[id]` is what an id decodes to, null where the vocabulary has a hole; `compose` asks for NFC; `prefix`
    /// and `suffix` are what the post-processor puts around one text.
    record Parts(
            AddedTokens literalTokens,
            boolean compose,
            AddedTokens normalizedTokens,
            PreTokenizer preTokenizer,
            BytePairEncoder encoder,
            byte[] @Nullable [] bytes,
            BitSet special,
            int[] prefix,
            int[] suffix,
            SortedSet<Integer> stopIds,
            OptionalInt beginId,
            OptionalInt padId) {}

    /// Ids of a text together with the characters that they came from: token `i` covers the UTF-16 indices `starts[i]` to `ends[i]` (exclusive)
    /// of the text given, before normalisation. The tokens of one character that needs several all carry that character's range.
    public record Encoding(int[] ids, int[] starts, int[] ends) {

        /// For each token, whether it covers a character of one of `spans`.
        public boolean[] overlapping(List<Span> spans) {
            boolean[] mask = new boolean[ids.length];
            for (Span span : spans) {
                for (int i = 0; i < mask.length && span.start() < span.end(); i++) {
                    mask[i] |= starts[i] < span.end() && ends[i] > span.start();
                }
            }
            return mask;
        }
    }

    /// The characters from `start` to `end` (exclusive) of a text, in UTF-16 indices.
    public record Span(int start, int end) {}

    /// A stretch of the input: the added token `id`, or text (`id` -1) still to be merged; `start` to `end` of the normalised text.
    private record Piece(int id, int start, int end, Alignment alignment) {
        String text() {
            return alignment.text.substring(start, end);
        }
    }

    private static final byte[] NOTHING = {};

    private static final Set<String> THINKING_TAGS = Set.of("<think>", "</think>");

    private final Parts parts;
    /// Those that [#decode(int[], boolean)] skips.
    private final BitSet skipped;

    Tokenizer(Parts parts) {
        this.parts = parts;
        this.skipped = (BitSet) parts.special.clone();
        parts.special.stream()
                .filter(id -> THINKING_TAGS.contains(new String(bytes(id), StandardCharsets.UTF_8)))
                .forEach(skipped::clear);
    }

    /// Reads tokenizer.json and, where present, tokenizer_config.json, generation_config.json and config.json for the ids that stop, begin
    /// and pad.
    ///
    /// @throws rqat.Failure naming the file and the place, when a file is missing, broken or of an unsupported kind
    public static Tokenizer load(Path modelDirectory) {
        return new Tokenizer(TokenizerReader.read(modelDirectory));
    }

    /// The ids of `text` alone. Added tokens spelt out in the text are recognised, as the reference does; an unpaired surrogate counts
    /// as U+FFFD.
    public int[] encode(String text) {
        IntStream.Builder ids = IntStream.builder();
        for (Piece piece : pieces(wellFormed(text))) {
            if (piece.id >= 0) {
                ids.add(piece.id);
            } else {
                parts.encoder.encode(piece.text(), ids);
            }
        }
        return ids.build().toArray();
    }

    /// The ids of `text` with what the post-processor puts around it (a beginning-of-sentence token, for some models).
    public int[] encodeWithSpecial(String text) {
        int[] ids = encode(text);
        return Stream.of(parts.prefix, ids, parts.suffix).flatMapToInt(Arrays::stream).toArray();
    }

    /// As [#encode], with the character range of every id.
    public Encoding encodeWithOffsets(String text) {
        IntStream.Builder ids = IntStream.builder();
        IntStream.Builder starts = IntStream.builder();
        IntStream.Builder ends = IntStream.builder();
        for (Piece piece : pieces(wellFormed(text))) {
            if (piece.id >= 0) {
                ids.add(piece.id);
                starts.add(piece.alignment.start(piece.start));
                ends.add(piece.alignment.end(piece.end));
                continue;
            }
            String characters = piece.text();
            Cursor cursor = new Cursor(characters);
            parts.encoder.encode(characters, id -> {
                ids.add(id);
                starts.add(piece.alignment.start(piece.start + cursor.character));
                ends.add(piece.alignment.end(piece.start + cursor.advance(bytes(id).length)));
            });
        }
        return new Encoding(ids.build().toArray(), starts.build().toArray(), ends.build().toArray());
    }

    /// The text of `ids`, special tokens included; see [#decode(int[], boolean)].
    public String decode(int[] ids) {
        return decode(ids, false);
    }

    /// The text of `ids`, without those flagged special when `skipSpecial`. The tags of thinking stay, flagged or not (they are not in most
    /// published models; where they are, the reference drops them, and with them what tells a guess from an answer). Ids outside the vocabulary
    /// are dropped; bytes that are not UTF-8 become U+FFFD.
    public String decode(int[] ids, boolean skipSpecial) {
        Detokenizer detokenizer = detokenizer(skipSpecial);
        StringBuilder text = new StringBuilder();
        for (int id : ids) {
            detokenizer.push(id, text);
        }
        return text.append(detokenizer.finish()).toString();
    }

    /// A fresh incremental decoder.
    public Detokenizer detokenizer(boolean skipSpecial) {
        return new Detokenizer(this, skipSpecial);
    }

    /// The highest id plus one, added tokens included. A model's embedding often has more rows.
    public int size() {
        return parts.bytes.length;
    }

    /// Ids that end a generation: the union of the end-of-sequence ids of generation_config.json, config.json and tokenizer_config.json.
    public SortedSet<Integer> stopIds() {
        return parts.stopIds;
    }

    /// The id that begins a sequence, by the first of tokenizer_config.json, generation_config.json and config.json that names one.
    public OptionalInt beginId() {
        return parts.beginId;
    }

    /// The id to pad with, found as [#beginId] is.
    public OptionalInt padId() {
        return parts.padId;
    }

    /// Whether `id` is flagged special in tokenizer.json.
    public boolean isSpecial(int id) {
        return id >= 0 && parts.special.get(id);
    }

    /// Whether a decoder that skips special tokens leaves `id` out: those flagged special but for the tags of thinking.
    boolean isSkipped(int id) {
        return id >= 0 && skipped.get(id);
    }

    /// The bytes that `id` stands for, none when it is outside the vocabulary.
    public byte[] bytes(int id) {
        byte[] bytes = id >= 0 && id < parts.bytes.length ? parts.bytes[id] : null;
        return bytes == null ? NOTHING : bytes.clone();
    }

    private List<Piece> pieces(String text) {
        List<Piece> pieces = new ArrayList<>();
        for (AddedTokens.Section outer : parts.literalTokens.sections(text)) {
            String original = text.substring(outer.start(), outer.end());
            if (outer.id() >= 0) {
                pieces.add(new Piece(outer.id(), 0, original.length(), new Alignment(original, false, outer.start())));
                continue;
            }
            Alignment alignment = new Alignment(original, parts.compose, outer.start());
            for (AddedTokens.Section inner : parts.normalizedTokens.sections(alignment.text)) {
                if (inner.id() >= 0) {
                    pieces.add(new Piece(inner.id(), inner.start(), inner.end(), alignment));
                    continue;
                }
                for (PreTokenizer.Piece piece :
                        parts.preTokenizer.pieces(alignment.text, inner.start(), inner.end())) {
                    pieces.add(new Piece(-1, piece.start(), piece.end(), alignment));
                }
            }
        }
        return pieces;
    }

    /// `text` with every unpaired surrogate replaced by U+FFFD: same length, and encodable as UTF-8.
    private static String wellFormed(String text) {
        StringBuilder repaired = null;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(c)) {
                repaired = repaired == null ? new StringBuilder(text) : repaired;
                repaired.setCharAt(i, '\uFFFD');
            }
        }
        return repaired == null ? text : repaired.toString();
    }

    /// Walks over the characters of a piece by the UTF-8 bytes of its tokens, which need not end where a character does.
    private static final class Cursor {
        private final String text;
        /// The first character with bytes still to come, and how many of its bytes are behind.
        private int character;

        private int seen;

        Cursor(String text) {
            this.text = text;
        }

        /// Moves on by `bytes` and returns the index after the last character touched.
        int advance(int bytes) {
            seen += bytes;
            while (character < text.length()) {
                int codePoint = text.codePointAt(character);
                int width = codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
                if (seen < width) {
                    return seen == 0 ? character : character + Character.charCount(codePoint);
                }
                seen -= width;
                character += Character.charCount(codePoint);
            }
            return text.length();
        }
    }
}
