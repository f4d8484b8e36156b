package rqat.text;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Pattern;
import rqat.Failure;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.IntNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.MissingNode;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.databind.node.StringNode;

/// Reads the tokenizer files of one model directory and checks everything that the other classes rely on.
final class TokenizerReader {

    /// Sixteen times the largest published vocabulary; a larger id is a broken file, and would size our tables.
    private static final int MAXIMUM_SIZE = 1 << 22;

    /// The keys of tokenizer_config.json that name a token for a purpose, in the order in which transformers adds those that are new.
    private static final List<String> NAMED = List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");

    private static final Set<String> REQUIRED = Set.of("bos_token", "eos_token");

    private final Path file;
    private final Map<String, Integer> vocabulary = new HashMap<>();
    private final BitSet modelIds = new BitSet();
    /// The added tokens by their content, in file order.
    private final Map<String, Added> added = new LinkedHashMap<>();
    /// The highest id among them.
    private int lastId = -1;

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

        addedTokens(root.path("added_tokens"));
        furtherTokens();
        BitSet special = new BitSet();
        added.values().stream().filter(token -> token.special).forEach(token -> special.set(token.id));

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
                matcher(false, compose),
                compose,
                matcher(true, compose),
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
        entries.forEachEntry((token, node) -> {
            // Published vocabularies have 150,000 entries, so the place is spelt out only when it is needed.
            if (!isId(node) || modelIds.get(node.intValue())) {
                throw bad(node, "model.vocab[" + Failure.quote(token) + "]",
                        isId(node) ? "an id that no other token has" : "an id from 0 to " + (MAXIMUM_SIZE - 1));
            }
            modelIds.set(node.intValue());
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

    /// What the files say of one added token; what is read later wins, as in the reference.
    private static final class Added {
        final int id;
        boolean special;
        boolean literal;
        boolean normalized;
        boolean singleWord;
        boolean leftStrip;
        boolean rightStrip;

        Added(int id) {
            this.id = id;
        }
    }

    /// The tokens of tokenizer.json itself, whose ids are those that the reference gives them.
    private void addedTokens(JsonNode list) {
        require(isAbsent(list) || list.isArray(), list, "added_tokens", "an array");
        for (JsonNode token : list) {
            String place = "added_tokens[" + added.size() + "]";
            JsonNode content = token.path("content");
            require(content.isString() && !content.stringValue().isEmpty(), content, place + ".content", "a non-empty string");
            require(!added.containsKey(content.stringValue()), content, place + ".content", "each token only once");
            add(file, place, content.stringValue(), token.path("id"), token);
        }
    }

    /// Adds a token, or changes how one is matched.
    ///
    /// @param id its declared id, missing where the file declares none; the reference takes the id of the vocabulary, else the next free one
    private void add(Path source, String place, String content, JsonNode id, JsonNode flags) {
        Added token = added.get(content);
        int given = token == null ? vocabulary.getOrDefault(content, nextId()) : token.id;
        if (!id.isMissingNode() && !(isId(id) && id.intValue() == given) || given >= MAXIMUM_SIZE || token == null && !vocabulary.containsKey(content) && modelIds.get(given)) {
            throw bad(source, id, place + ".id", "%d, which the reference library gives this token".formatted(given));
        }
        if (token == null) {
            token = new Added(given);
            added.put(content, token);
            lastId = Math.max(lastId, given);
        }
        token.special |= flag(source, flags, place, "special");
        if (flag(source, flags, place, "normalized")) {
            token.normalized = true;
        } else {
            token.literal = true;
        }
        token.singleWord = flag(source, flags, place, "single_word");
        token.leftStrip = flag(source, flags, place, "lstrip");
        token.rightStrip = flag(source, flags, place, "rstrip");
    }

    private int nextId() {
        return Math.max(vocabulary.size(), lastId + 1);
    }

    /// The tokens that only the files beside tokenizer.json know, as transformers adds them: those of `added_tokens_decoder` (or, where there is none, of
    /// added_tokens.json), which may also change how tokens are matched; then those that are named for a purpose (`pad_token`, `image_token`), and `extra_special_tokens`.
    private void furtherTokens() {
        Path configFile = file.resolveSibling("tokenizer_config.json");
        ObjectNode config = JsonFile.readIfPresent(configFile).orElseGet(JsonNodeFactory.instance::objectNode);
        JsonNode decoder = config.path("added_tokens_decoder");
        if (isAbsent(decoder)) {
            Path addedFile = file.resolveSibling("added_tokens.json");
            JsonFile.readIfPresent(addedFile).ifPresent(tokens -> tokens.properties().stream()
                    .sorted(Comparator.comparing(token -> token.getValue().asInt(0)))
                    .filter(token -> !added.containsKey(token.getKey()))
                    .forEach(token -> add(addedFile, Failure.quote(token.getKey()), token.getKey(), token.getValue(), MissingNode.getInstance())));
        } else {
            if (!decoder.isObject()) throw bad(configFile, decoder, "added_tokens_decoder", "an object of ids to tokens");
            decoder.properties().stream().sorted(Comparator.comparing(token -> id(configFile, token.getKey()).intValue())).forEach(token -> {
                String place = "added_tokens_decoder[" + Failure.quote(token.getKey()) + "]";
                JsonNode content = token.getValue().path("content");
                if (!content.isString()) throw bad(configFile, content, place + ".content", "a string");
                if (!content.stringValue().isEmpty()) add(configFile, place, content.stringValue(), id(configFile, token.getKey()), token.getValue());
            });
        }
        for (String name : NAMED) special(configFile, config, name, config.path(name));
        config.properties().stream().filter(entry -> entry.getKey().endsWith("_token") && !NAMED.contains(entry.getKey()))
                .forEach(entry -> special(configFile, config, entry.getKey(), entry.getValue()));
        for (String name : List.of("extra_special_tokens", "additional_special_tokens")) {
            for (JsonNode token : config.path(name)) special(configFile, config, name, token);
        }
    }

    private static IntNode id(Path source, String key) {
        if (!key.matches("[0-9]{1,7}")) throw bad(source, StringNode.valueOf(key), "added_tokens_decoder", "ids as keys");
        return IntNode.valueOf(Integer.parseInt(key));
    }

    /// A token that is named for a purpose: flagged special, and added where no file has it. One that begins or ends texts must be there, and one to pad with is left out
    /// where the embedding ends before its id: nothing is ever padded with it.
    private void special(Path source, ObjectNode config, String name, JsonNode node) {
        JsonNode content = node.isObject() ? node.path("content") : node;
        if (!content.isString() || content.stringValue().isEmpty()) return;
        Added known = added.get(content.stringValue());
        if (known != null) {
            known.special = true;
        } else if (vocabulary.containsKey(content.stringValue()) || !REQUIRED.contains(name)) {
            boolean beyond = name.equals("pad_token") && !vocabulary.containsKey(content.stringValue()) && nextId() >= embeddingRows();
            if (beyond) return;
            add(source, name, content.stringValue(), MissingNode.getInstance(), node.isObject() ? node : MissingNode.getInstance());
            added.get(content.stringValue()).special = true;
        }
    }

    private int embeddingRows() {
        JsonNode rows = JsonFile.readIfPresent(file.resolveSibling("config.json")).<JsonNode>map(config -> config.path("vocab_size")).orElse(MissingNode.getInstance());
        return rows.isIntegralNumber() && rows.canConvertToInt() ? rows.intValue() : MAXIMUM_SIZE;
    }

    /// The tokens to look for in texts that are not normalised yet, or in those that are.
    private AddedTokens matcher(boolean normalized, boolean compose) {
        List<AddedTokens.AddedToken> tokens = new ArrayList<>();
        added.forEach((content, token) -> {
            if (normalized ? token.normalized : token.literal) {
                String sought = normalized ? new Alignment(content, compose, 0).text : content;
                tokens.add(new AddedTokens.AddedToken(token.id, sought, token.singleWord, token.leftStrip, token.rightStrip));
            }
        });
        return new AddedTokens(tokens);
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
        int size = Math.max(modelIds.length(), lastId + 1);
        byte[][] bytes = new byte[size][];
        vocabulary.forEach((token, id) -> bytes[id] = ByteAlphabet.bytes(token));
        added.forEach((content, token) -> bytes[token.id] = ByteAlphabet.bytes(content));
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
        Integer id = added.containsKey(token) ? (Integer) added.get(token).id : vocabulary.get(token);
        // Nothing is padded with a token that is nowhere.
        if (content.isString() && id == null && key.equals("pad_token")) {
            return OptionalInt.empty();
        }
        if (!content.isString() || id == null) {
            throw bad(config, node, key, "a token of tokenizer.json or added_tokens_decoder");
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
        return flag(file, node, place, key);
    }

    private static boolean flag(Path source, JsonNode node, String place, String key) {
        JsonNode flag = node.path(key);
        if (!isAbsent(flag) && !flag.isBoolean()) throw bad(source, flag, place + "." + key, "true or false");
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
