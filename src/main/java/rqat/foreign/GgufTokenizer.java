package rqat.foreign;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import rqat.Failure;
import rqat.io.GgufFile;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The tokenizer of a GGUF file as Hugging Face's files: byte-level BPE, whose way of splitting text goes by a name.
public final class GgufTokenizer {
    /// Types of tokens in `tokenizer.ggml.token_type`.
    public static final int NORMAL = 1;
    public static final int CONTROL = 3;
    public static final int USER_DEFINED = 4;
    public static final int UNUSED = 5;

    /// How a named splitter works.
    ///
    /// @param expression   the pattern of its Split; empty for the one that ByteLevel brings along
    /// @param composes     whether the tokenizers that go by this name normalise to NFC; llama.cpp itself never does
    /// @param ignoresMerges whether a piece that is in the vocabulary is one token whatever the merges say
    public record Splitter(String expression, boolean composes, boolean ignoresMerges) {}

    private static final String WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
    private static final String REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    /// The splitters that we know, by the name in `tokenizer.ggml.pre`.
    public static final Map<String, Splitter> SPLITTERS = splitters();

    private static final int MAXIMUM_TOKENS = 1 << 22;

    private GgufTokenizer() {}

    private static Map<String, Splitter> splitters() {
        var splitters = new LinkedHashMap<String, Splitter>();
        splitters.put("qwen2", new Splitter(WORDS + "\\p{N}" + REST, true, false));
        splitters.put("deepseek-r1-qwen", new Splitter(WORDS + "\\p{N}" + REST, true, false));
        splitters.put("llama-bpe", new Splitter(WORDS + "\\p{N}{1,3}" + REST, false, true));
        splitters.put("gpt-2", new Splitter("", false, false));
        return splitters;
    }

    /// `tokenizer.json`.
    ///
    /// @throws Failure BAD_FILE when it is of another kind, or lists do not fit each other
    static ObjectNode tokenizer(GgufFile file) {
        String model = file.text("tokenizer.ggml.model").orElse("");
        if (!model.equals("gpt2")) throw bad(file, "tokenizer.ggml.model is %s; rqat reads gpt2, which is byte-level BPE".formatted(Failure.quote(model)));
        String name = file.text("tokenizer.ggml.pre").orElse("");
        Splitter splitter = SPLITTERS.get(name);
        if (splitter == null) throw bad(file, "tokenizer.ggml.pre is %s; rqat knows %s".formatted(Failure.quote(name), String.join(", ", SPLITTERS.keySet())));
        List<String> tokens = tokens(file);
        List<Integer> types = file.wholeNumbers("tokenizer.ggml.token_type").orElse(List.of());
        if (types.size() != tokens.size()) throw bad(file, "tokenizer.ggml.token_type has %d entries; expected %d".formatted(types.size(), tokens.size()));

        ObjectNode root = JsonNodeFactory.instance.objectNode();
        root.put("version", "1.0");
        root.putNull("truncation");
        root.putNull("padding");
        ArrayNode added = root.putArray("added_tokens");
        if (splitter.composes()) root.putObject("normalizer").put("type", "NFC");
        else root.putNull("normalizer");
        split(root, splitter);
        postProcess(root, file, tokens);
        byteLevel(root.putObject("decoder"), true);
        ObjectNode bpe = root.putObject("model");
        bpe.put("type", "BPE");
        bpe.put("ignore_merges", splitter.ignoresMerges());
        ObjectNode vocabulary = bpe.putObject("vocab");
        Set<String> seen = new HashSet<>();
        for (int id = 0; id < tokens.size(); id++) {
            String token = tokens.get(id);
            int type = types.get(id);
            if (type == UNUSED) continue;
            if (!seen.add(token)) throw bad(file, "token %d, %s, is there twice".formatted(id, Failure.quote(token)));
            // All of them, so that the ids of added tokens follow from the vocabulary wherever they stand.
            vocabulary.put(token, id);
            switch (type) {
                case NORMAL -> {}
                case CONTROL, USER_DEFINED -> added.addObject()
                        .put("id", id)
                        .put("content", token)
                        .put("single_word", false)
                        .put("lstrip", false)
                        .put("rstrip", false)
                        .put("normalized", false)
                        .put("special", type == CONTROL);
                default -> throw bad(file, "token %d, %s, is of type %d; expected %d, %d, %d or %d"
                        .formatted(id, Failure.quote(token), type, NORMAL, CONTROL, USER_DEFINED, UNUSED));
            }
        }
        file.texts("tokenizer.ggml.merges").orElse(List.of()).forEach(bpe.putArray("merges")::add);
        return root;
    }

    private static List<String> tokens(GgufFile file) {
        List<String> tokens = file.texts("tokenizer.ggml.tokens").orElse(List.of());
        if (tokens.isEmpty() || tokens.size() > MAXIMUM_TOKENS) throw bad(file, "tokenizer.ggml.tokens has %d entries; expected 1 to %d".formatted(tokens.size(), MAXIMUM_TOKENS));
        return tokens;
    }

    private static void split(ObjectNode root, Splitter splitter) {
        ObjectNode node = root.putObject("pre_tokenizer");
        if (splitter.expression().isEmpty()) {
            byteLevel(node, true);
            return;
        }
        ArrayNode list = node.put("type", "Sequence").putArray("pretokenizers");
        ObjectNode split = list.addObject().put("type", "Split");
        split.putObject("pattern").put("Regex", splitter.expression());
        split.put("behavior", "Isolated").put("invert", false);
        byteLevel(list.addObject(), false);
    }

    private static void byteLevel(ObjectNode node, boolean expression) {
        node.put("type", "ByteLevel").put("add_prefix_space", false).put("trim_offsets", false).put("use_regex", expression);
    }

    /// What is put before and after a text.
    private static void postProcess(ObjectNode root, GgufFile file, List<String> tokens) {
        boolean begins = file.flag("tokenizer.ggml.add_bos_token").orElse(false), ends = file.flag("tokenizer.ggml.add_eos_token").orElse(false);
        ObjectNode node = root.putObject("post_processor");
        if (!begins && !ends) {
            byteLevel(node, false);
            return;
        }
        node.put("type", "TemplateProcessing");
        ArrayNode single = node.putArray("single");
        ObjectNode special = node.putObject("special_tokens");
        if (begins) special(file, tokens, "tokenizer.ggml.bos_token_id", single, special);
        single.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
        if (ends) special(file, tokens, "tokenizer.ggml.eos_token_id", single, special);
        node.putArray("pair");
    }

    private static void special(GgufFile file, List<String> tokens, String key, ArrayNode single, ObjectNode special) {
        int id = id(file, tokens, key);
        if (id < 0) throw bad(file, key + " is missing, but the tokenizer adds it to every text");
        String token = tokens.get(id);
        single.addObject().putObject("SpecialToken").put("id", token).put("type_id", 0);
        ObjectNode node = special.putObject(token).put("id", token);
        node.putArray("ids").add(id);
        node.putArray("tokens").add(token);
    }

    /// The id under `key`, -1 where there is none.
    private static int id(GgufFile file, List<String> tokens, String key) {
        int id = file.wholeNumber(key).orElse(-1);
        if (id >= tokens.size()) throw bad(file, "%s is %d; there are %d tokens".formatted(key, id, tokens.size()));
        return id;
    }

    /// `tokenizer_config.json`.
    static ObjectNode configuration(GgufFile file) {
        List<String> tokens = tokens(file);
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        root.put("add_bos_token", file.flag("tokenizer.ggml.add_bos_token").orElse(false));
        Map.of("bos_token", "bos_token_id", "eos_token", "eos_token_id", "pad_token", "padding_token_id").forEach((name, key) -> {
            int id = id(file, tokens, "tokenizer.ggml." + key);
            if (id < 0) root.putNull(name);
            else root.put(name, tokens.get(id));
        });
        file.text("tokenizer.chat_template").ifPresent(template -> root.put("chat_template", template));
        root.put("clean_up_tokenization_spaces", false);
        root.put("tokenizer_class", "PreTrainedTokenizerFast");
        return root;
    }

    /// `generation_config.json`: the ids that end a text.
    static ObjectNode generation(GgufFile file) {
        List<String> tokens = tokens(file);
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        var stop = new java.util.TreeSet<Integer>();
        for (String name : List.of("eos", "eot", "eom")) {
            int id = id(file, tokens, "tokenizer.ggml." + name + "_token_id");
            if (id >= 0) stop.add(id);
        }
        stop.forEach(root.putArray("eos_token_id")::add);
        return root;
    }

    private static Failure bad(GgufFile file, String what) {
        return Failure.badFile(file.path() + ": " + what);
    }
}
