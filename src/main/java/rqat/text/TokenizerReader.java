package rqat.text;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Pattern;
import rqat.Failure;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Reads the tokenizer files of one model directory and checks everything that the other classes rely on.
final class TokenizerReader {

    /// Sixteen times the largest published vocabulary; a larger id is a broken file, and would size our tables.
    private static final int MAXIMUM_SIZE = 1 << 22;

    private final Path file;
    private final Map<String, Integer> vocabulary = new HashMap<>();
    /// Content to id of the added tokens, in file order.
    private final Map<String, Integer> addedIds = new HashMap<>();

    private TokenizerReader(Path file) {
        this.file = file;
    }

    static Tokenizer.Parts read(Path modelDirectory) {
        return new TokenizerReader(modelDirectory.resolve("tokenizer.json")).read();
    }

    private Tokenizer.Parts read() {
        ObjectNode root = JsonFile.read(file);
        JsonNode model = root.path("model");
        BytePairEncoder encoder = model(model);
        boolean compose = composes(root.path("normalizer"), "normalizer");

        List<AddedTokens.AddedToken> literal = new ArrayList<>();
        List<AddedTokens.AddedToken> normalized = new ArrayList<>();
        BitSet special = new BitSet();
        addedTokens(root.path("added_tokens"), compose, literal, normalized, special);

        List<PreTokenizer.Split> splits = new ArrayList<>();
        boolean byteLevel = preTokenizer(root.path("pre_tokenizer"), "pre_tokenizer", splits);
        require(byteLevel, root.path("pre_tokenizer"), "pre_tokenizer", "one that ends in ByteLevel");
        decoder(root.path("decoder"), "decoder");
        List<Integer> prefix = new ArrayList<>();
        List<Integer> suffix = new ArrayList<>();
        postProcessor(root.path("post_processor"), "post_processor", prefix, suffix);

        byte[][] bytes = bytesById();
        Endings endings = endings();
        return new Tokenizer.Parts(
                new AddedTokens(literal),
                compose,
                new AddedTokens(normalized),
                new PreTokenizer(splits),
                encoder,
                bytes,
                special,
                prefix.stream().mapToInt(Integer::intValue).toArray(),
                suffix.stream().mapToInt(Integer::intValue).toArray(),
                endings.stop,
                endings.begin,
                endings.pad);
    }

    // ---- model

    private BytePairEncoder model(JsonNode model) {
        require(model.isObject(), model, "model", "an object with a vocabulary and merges");
        // Old files leave the type out; merges then tell BPE from the others.
        String type = model.path("type").asString(model.has("merges") ? "BPE" : "");
        require(type.equals("BPE"), model.path("type"), "model.type", "\"BPE\" (byte-level BPE is what rqat reads)");
        JsonNode dropout = model.path("dropout");
        require(isAbsent(dropout) || dropout.isNumber() && dropout.doubleValue() == 0, dropout, "model.dropout",
                "null, because a random tokenisation is not reproducible");
        for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            JsonNode value = model.path(affix);
            require(isAbsent(value) || value.isString() && value.stringValue().isEmpty(), value, "model." + affix,
                    "null or empty");
        }
        require(!flag(model, "model", "byte_fallback"), model.path("byte_fallback"), "model.byte_fallback",
                "false (byte-level BPE needs none)");

        JsonNode entries = model.path("vocab");
        require(entries.isObject() && !entries.isEmpty(), entries, "model.vocab", "a non-empty object of token to id");
        BitSet ids = new BitSet();
        entries.forEachEntry((token, node) -> {
            // Published vocabularies have 150,000 entries, so the place is spelt out only when it is needed.
            if (!isId(node) || ids.get(node.intValue())) {
                throw bad(node, "model.vocab[" + Failure.quote(token) + "]",
                        isId(node) ? "an id that no other token has" : "an id from 0 to " + (MAXIMUM_SIZE - 1));
            }
            ids.set(node.intValue());
            vocabulary.put(token, node.intValue());
        });

        JsonNode unknown = model.path("unk_token");
        require(isAbsent(unknown) || unknown.isString(), unknown, "model.unk_token", "a string or null");
        boolean hasUnknown = unknown.isString() && !unknown.stringValue().isEmpty();
        return new BytePairEncoder(
                vocabulary,
                merges(model.path("merges")),
                hasUnknown ? vocabulary(unknown.stringValue(), unknown, "model.unk_token") : -1,
                flag(model, "model", "fuse_unk"),
                flag(model, "model", "ignore_merges"));
    }

    private Map<Long, BytePairEncoder.Merge> merges(JsonNode list) {
        require(list.isArray(), list, "model.merges", "an array");
        Map<Long, BytePairEncoder.Merge> merges = HashMap.newHashMap(list.size());
        int rank = 0;
        for (JsonNode merge : list) {
            String left = "";
            String right = "";
            if (merge.isArray() && merge.size() == 2) {
                left = merge.get(0).asString("");
                right = merge.get(1).asString("");
            } else if (merge.isString()) {
                String pair = merge.stringValue();
                int space = Math.max(0, pair.indexOf(' '));
                left = pair.substring(0, space);
                right = pair.substring(Math.min(space + 1, pair.length()));
            }
            Integer leftId = vocabulary.get(left);
            Integer rightId = vocabulary.get(right);
            Integer mergedId = vocabulary.get(left + right);
            if (leftId == null || rightId == null || mergedId == null) {
                throw bad(merge, "model.merges[" + rank + "]",
                        "[left, right] or \"left right\", where both and their concatenation are in model.vocab");
            }
            merges.put(BytePairEncoder.pair(leftId, rightId), new BytePairEncoder.Merge(rank, mergedId));
            rank++;
        }
        return merges;
    }

    // ---- added tokens

    private void addedTokens(
            JsonNode list,
            boolean compose,
            List<AddedTokens.AddedToken> literal,
            List<AddedTokens.AddedToken> normalized,
            BitSet special) {
        require(isAbsent(list) || list.isArray(), list, "added_tokens", "an array");
        Set<Integer> modelIds = new HashSet<>(vocabulary.values());
        for (JsonNode token : list) {
            String place = "added_tokens[" + (literal.size() + normalized.size()) + "]";
            JsonNode content = token.path("content");
            require(content.isString() && !content.stringValue().isEmpty(), content, place + ".content",
                    "a non-empty string");
            String text = content.stringValue();
            int id = id(token.path("id"), place + ".id");
            Integer known = vocabulary.get(text);
            require(known == null ? !modelIds.contains(id) : known == id, token.path("id"), place + ".id",
                    known == null ? "an id that model.vocab does not use" : "the id of model.vocab, " + known);
            require(addedIds.putIfAbsent(text, id) == null, content, place + ".content", "each token only once");
            if (flag(token, place, "special")) {
                special.set(id);
            }
            boolean normalize = flag(token, place, "normalized");
            String sought = normalize ? new Alignment(text, compose, 0).text : text;
            (normalize ? normalized : literal)
                    .add(new AddedTokens.AddedToken(
                            id,
                            sought,
                            flag(token, place, "single_word"),
                            flag(token, place, "lstrip"),
                            flag(token, place, "rstrip")));
        }
    }

    // ---- the pipeline around the model

    private boolean composes(JsonNode node, String place) {
        if (isAbsent(node)) {
            return false;
        }
        boolean[] compose = {false};
        switch (node.path("type").asString("")) {
            case "NFC" -> compose[0] = true;
            case "Sequence" ->
                sequence(node, place, "normalizers", (each, where) -> compose[0] |= composes(each, where));
            default -> throw bad(node, place, "null, NFC or a Sequence of these");
        }
        return compose[0];
    }

    /// Adds the splits of `node`; true when it ends in ByteLevel, after which nothing may follow.
    private boolean preTokenizer(JsonNode node, String place, List<PreTokenizer.Split> splits) {
        switch (node.path("type").asString("")) {
            case "ByteLevel" -> {
                require(!flag(node, place, "add_prefix_space"), node.path("add_prefix_space"),
                        place + ".add_prefix_space", "false");
                // The field is newer than the behaviour, hence true when absent.
                if (!node.has("use_regex") || flag(node, place, "use_regex")) {
                    splits.add(new PreTokenizer.Split(PreTokenizer.GPT2, false));
                }
                return true;
            }
            case "Split" -> splits.add(split(node, place));
            case "Digits" -> splits.add(new PreTokenizer.Split(
                    Pattern.compile(flag(node, place, "individual_digits") ? "\\p{N}" : "\\p{N}+"), false));
            case "Sequence" -> {
                boolean[] byteLevel = {false};
                sequence(node, place, "pretokenizers", (each, where) -> {
                    require(!byteLevel[0], each, where, "nothing after ByteLevel");
                    byteLevel[0] = preTokenizer(each, where, splits);
                });
                return byteLevel[0];
            }
            default -> throw bad(node, place, "Split, Digits, ByteLevel or a Sequence of these");
        }
        return false;
    }

    private PreTokenizer.Split split(JsonNode node, String place) {
        JsonNode literal = node.path("pattern").path("String");
        JsonNode expression = node.path("pattern").path("Regex");
        require(literal.isString() != expression.isString(), node.path("pattern"), place + ".pattern",
                "{\"Regex\": ...} or {\"String\": ...}");
        String behavior = node.path("behavior").asString("");
        boolean inverted = flag(node, place, "invert");
        boolean matchesOnly = behavior.equals("Removed") && inverted;
        require(behavior.equals("Isolated") || matchesOnly, node, place, "behavior Isolated, or Removed with invert");
        if (literal.isString()) {
            return new PreTokenizer.Split(Pattern.compile(literal.stringValue(), Pattern.LITERAL), matchesOnly);
        }
        try {
            return new PreTokenizer.Split(PreTokenizer.translate(expression.stringValue()), matchesOnly);
        } catch (IllegalArgumentException | StackOverflowError e) {
            throw bad(expression, place + ".pattern.Regex", "a regular expression of the kind published tokenizers use ("
                    + e.getMessage() + ")");
        }
    }

    private void decoder(JsonNode node, String place) {
        if (node.path("type").asString("").equals("Sequence") && node.path("decoders").size() == 1) {
            node = node.path("decoders").get(0);
        }
        require(node.path("type").asString("").equals("ByteLevel"), node, place, "ByteLevel");
    }

    private void postProcessor(JsonNode node, String place, List<Integer> prefix, List<Integer> suffix) {
        if (isAbsent(node)) {
            return;
        }
        switch (node.path("type").asString("")) {
            case "ByteLevel" -> {} // moves offsets only
            case "Sequence" ->
                sequence(node, place, "processors", (each, where) -> postProcessor(each, where, prefix, suffix));
            case "TemplateProcessing" -> template(node, place, prefix, suffix);
            default -> throw bad(node, place, "null, ByteLevel, TemplateProcessing or a Sequence of these");
        }
    }

    private void template(JsonNode node, String place, List<Integer> prefix, List<Integer> suffix) {
        List<Integer> before = new ArrayList<>();
        List<Integer> after = new ArrayList<>();
        int sequences = 0;
        for (JsonNode item : node.path("single")) {
            if (item.path("Sequence").path("id").asString("").equals("A")) {
                sequences++;
                continue;
            }
            JsonNode name = item.path("SpecialToken").path("id");
            require(name.isString(), item, place + ".single", "SpecialToken or Sequence A");
            JsonNode ids = node.path("special_tokens").path(name.stringValue()).path("ids");
            require(ids.isArray(), ids, place + ".special_tokens[" + Failure.quote(name.stringValue()) + "].ids", "an array of ids");
            for (JsonNode id : ids) {
                (sequences == 0 ? before : after).add(id(id, place + ".special_tokens"));
            }
        }
        require(sequences == 1, node.path("single"), place + ".single", "the text (Sequence A) exactly once");
        prefix.addAll(0, before);
        suffix.addAll(after);
    }

    // ---- results

    private byte[][] bytesById() {
        int size = 1 + Math.max(Collections.max(vocabulary.values()),
                addedIds.values().stream().mapToInt(Integer::intValue).max().orElse(0));
        byte[][] bytes = new byte[size][];
        vocabulary.forEach((token, id) -> bytes[id] = ByteAlphabet.bytes(token));
        addedIds.forEach((token, id) -> bytes[id] = ByteAlphabet.bytes(token));
        return bytes;
    }

    private record Endings(SortedSet<Integer> stop, OptionalInt begin, OptionalInt pad) {}

    /// The special ids named by the three files that may name them.
    private Endings endings() {
        SortedSet<Integer> stop = new TreeSet<>();
        List<Integer> begin = new ArrayList<>();
        List<Integer> pad = new ArrayList<>();
        Path byText = file.resolveSibling("tokenizer_config.json");
        JsonFile.readIfPresent(byText).ifPresent(node -> {
            tokenId(byText, node, "eos_token").ifPresent(stop::add);
            tokenId(byText, node, "bos_token").ifPresent(begin::add);
            tokenId(byText, node, "pad_token").ifPresent(pad::add);
        });
        for (String name : List.of("generation_config.json", "config.json")) {
            Path byId = file.resolveSibling(name);
            JsonFile.readIfPresent(byId).ifPresent(node -> {
                stop.addAll(ids(byId, node, "eos_token_id"));
                begin.addAll(ids(byId, node, "bos_token_id"));
                pad.addAll(ids(byId, node, "pad_token_id"));
            });
        }
        return new Endings(Collections.unmodifiableSortedSet(stop), first(begin), first(pad));
    }

    private static OptionalInt first(List<Integer> ids) {
        return ids.stream().mapToInt(Integer::intValue).findFirst();
    }

    /// The id of a token that tokenizer_config.json names by its text, as a string or as `{"content": ...}`.
    private OptionalInt tokenId(Path config, ObjectNode root, String key) {
        JsonNode node = root.path(key);
        JsonNode content = node.isObject() ? node.path("content") : node;
        if (isAbsent(content)) {
            return OptionalInt.empty();
        }
        String token = content.asString("");
        Integer id = addedIds.getOrDefault(token, vocabulary.get(token));
        if (!content.isString() || id == null) {
            throw bad(config, node, key, "a token of tokenizer.json");
        }
        return OptionalInt.of(id);
    }

    /// One id, a list of ids, or null; negative ones mean "none" in old files.
    private List<Integer> ids(Path config, ObjectNode root, String key) {
        JsonNode node = root.path(key);
        if (isAbsent(node)) {
            return List.of();
        }
        List<Integer> ids = new ArrayList<>();
        for (JsonNode each : node.isArray() ? node : List.of(node)) {
            if (!each.isIntegralNumber() || !each.canConvertToInt()) {
                throw bad(config, node, key, "an id or a list of ids");
            }
            if (each.intValue() >= 0) {
                ids.add(each.intValue());
            }
        }
        return ids;
    }

    // ---- checks

    private interface Each {
        void accept(JsonNode node, String place);
    }

    private void sequence(JsonNode node, String place, String key, Each each) {
        JsonNode list = node.path(key);
        require(list.isArray(), list, place + "." + key, "an array");
        for (int i = 0; i < list.size(); i++) {
            each.accept(list.get(i), place + "." + key + "[" + i + "]");
        }
    }

    private int vocabulary(String token, JsonNode node, String place) {
        Integer id = vocabulary.get(token);
        require(id != null, node, place, Failure.quote(token) + " to be in model.vocab");
        return id;
    }

    private int id(JsonNode node, String place) {
        require(isId(node), node, place, "an id from 0 to " + (MAXIMUM_SIZE - 1));
        return node.intValue();
    }

    private static boolean isId(JsonNode node) {
        return node.isIntegralNumber() && node.canConvertToInt() && node.intValue() >= 0 && node.intValue() < MAXIMUM_SIZE;
    }

    private boolean flag(JsonNode node, String place, String key) {
        JsonNode flag = node.path(key);
        require(isAbsent(flag) || flag.isBoolean(), flag, place + "." + key, "true or false");
        return flag.asBoolean(false);
    }

    private static boolean isAbsent(JsonNode node) {
        return node.isMissingNode() || node.isNull();
    }

    private void require(boolean condition, JsonNode found, String place, String expected) {
        if (!condition) {
            throw bad(found, place, expected);
        }
    }

    private Failure bad(JsonNode found, String place, String expected) {
        return bad(file, found, place, expected);
    }

    private static Failure bad(Path file, JsonNode found, String place, String expected) {
        return Failure.badFile("%s: %s is %s; expected %s".formatted(file, place, JsonFile.describe(found), expected));
    }
}
