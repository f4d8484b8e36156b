package rqat.text;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A tokenizer.json of the Qwen kind, small enough to reason about: the 256 bytes (id = byte), a few
/// merges, then `<s>` and `</s>` (special) and `<think>` (not special).
final class TinyTokenizer {

    static final JsonMapper JSON = new JsonMapper();

    static final List<String> MERGES = List.of("t h", "th e", "Ġ the", "a a", "aa aa", "i n", "Ġ a", "Ã ©", "1 2", "Ċ Ċ");

    static final String QWEN_SPLIT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
            + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    static final int BEGIN = 256 + MERGES.size();
    static final int END = BEGIN + 1;
    static final int THINK = BEGIN + 2;

    private TinyTokenizer() {}

    static ObjectNode json() {
        ObjectNode root = JSON.createObjectNode();
        root.put("version", "1.0").putNull("truncation").putNull("padding");
        ArrayNode added = root.putArray("added_tokens");
        added(added, BEGIN, "<s>", true);
        added(added, END, "</s>", true);
        added(added, THINK, "<think>", false);
        root.putObject("normalizer").put("type", "NFC");
        ObjectNode pre = root.putObject("pre_tokenizer").put("type", "Sequence");
        ArrayNode steps = pre.putArray("pretokenizers");
        ObjectNode split = steps.addObject().put("type", "Split");
        split.putObject("pattern").put("Regex", QWEN_SPLIT);
        split.put("behavior", "Isolated").put("invert", false);
        byteLevel(steps.addObject());
        byteLevel(root.putObject("decoder"));
        ObjectNode template = root.putObject("post_processor").put("type", "TemplateProcessing");
        ArrayNode single = template.putArray("single");
        single.addObject().putObject("SpecialToken").put("id", "<s>").put("type_id", 0);
        single.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
        template.putArray("pair").addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
        ObjectNode begin = template.putObject("special_tokens").putObject("<s>").put("id", "<s>");
        begin.putArray("ids").add(BEGIN);
        begin.putArray("tokens").add("<s>");

        ObjectNode model = root.putObject("model").put("type", "BPE").putNull("dropout").putNull("unk_token");
        ObjectNode vocabulary = model.putObject("vocab");
        ArrayNode merges = model.putArray("merges");
        for (int b = 0; b < 256; b++) {
            vocabulary.put(String.valueOf(ByteAlphabet.character(b)), b);
        }
        for (String merge : MERGES) {
            vocabulary.put(merge.replace(" ", ""), vocabulary.size());
            merges.add(merge);
        }
        return root;
    }

    private static void byteLevel(ObjectNode node) {
        node.put("type", "ByteLevel").put("add_prefix_space", false).put("trim_offsets", false).put("use_regex", false);
    }

    private static void added(ArrayNode list, int id, String content, boolean special) {
        list.addObject().put("id", id).put("content", content).put("single_word", false).put("lstrip", false)
                .put("rstrip", false).put("normalized", false).put("special", special);
    }

    static Path write(Path directory, ObjectNode json) {
        try {
            return Files.write(directory.resolve("tokenizer.json"), JSON.writeValueAsBytes(json));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Tokenizer load(Path directory) {
        write(directory, json());
        return Tokenizer.load(directory);
    }
}
