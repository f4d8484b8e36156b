package rqat.texts;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import rqat.Failure;
import rqat.data.Exercise;
import rqat.data.TokenSequence;
import rqat.text.ChatTemplate;
import rqat.text.Message;
import rqat.text.ReasoningSplitter;
import rqat.text.Tokenizer;
import rqat.verify.mathematics.Gold;

/// Worked problems as conversations that a model learns: the prompt by the model's own template, then the whole reasoning, then the end of
/// the turn.
///
/// The assistant's turn is never given to the template: those of DeepSeek-R1 delete everything up to `</think>` from it, which is what is to be
/// learned. And the rendered text is encoded as it is, for templates spell the beginning-of-sequence token out themselves.
///
/// @param end the tokens that end the assistant's turn, up to the first that stops a generation
record ChatFormat(ChatTemplate template, Tokenizer tokenizer, int[] end) {
    private static final String OPEN = "<think>";
    private static final String CLOSE = "</think>";
    private static final String MARK = "Xmarkx";

    /// The format of a model directory.
    static ChatFormat load(Path model, Tokenizer tokenizer) {
        return of(ChatTemplate.load(model), tokenizer);
    }

    static ChatFormat of(ChatTemplate template, Tokenizer tokenizer) {
        String text = template.render(Message.maps(new Message("user", "q"), new Message("assistant", MARK)), false, Map.of());
        int[] tail = tokenizer.encode(text.substring(text.lastIndexOf(MARK) + MARK.length()));
        int stop = IntStream.range(0, tail.length).filter(i -> tokenizer.stopIds().contains(tail[i])).findFirst().orElse(-1);
        if (stop < 0 && tokenizer.stopIds().isEmpty()) {
            throw Failure.badFile("the model names no end-of-sequence token; expected eos_token_id in generation_config.json or config.json");
        }
        return new ChatFormat(template, tokenizer, stop < 0 ? new int[] {tokenizer.stopIds().first()} : Arrays.copyOf(tail, stop + 1));
    }

    /// The question as one turn of the user with the paper's instruction, and the beginning of the assistant's turn.
    String prompt(Exercise exercise) {
        return template.render(List.of(new Message("user", exercise.prompt()).asMap()), true, Map.of());
    }

    /// What the assistant says after `prompt`. A solution without thinking tags is put between them, its answer in a box behind; a tag that the
    /// prompt has opened already is not opened again.
    static String completion(String prompt, Exercise exercise, String solution) {
        String said = solution.contains(CLOSE)
                ? solution
                : OPEN + "\n" + solution.strip() + "\n" + CLOSE + "\n\n\\boxed{" + Gold.of(exercise.answer()).text() + "}";
        if (!ReasoningSplitter.opens(prompt) || !said.stripLeading().startsWith(OPEN)) return said;
        String opened = said.stripLeading().substring(OPEN.length());
        return prompt.endsWith(OPEN) ? opened : opened.stripLeading();
    }

    /// Prompt, completion and end of turn; the loss counts the latter two. At most `longest` tokens are kept.
    TokenSequence sequence(Exercise exercise, String solution, int longest) {
        String prompt = prompt(exercise);
        int[] before = tokenizer.encode(prompt);
        int[] said = tokenizer.encode(completion(prompt, exercise, solution));
        int[] ids = IntStream.concat(IntStream.concat(Arrays.stream(before), Arrays.stream(said)), Arrays.stream(end)).limit(longest).toArray();
        boolean[] inLoss = new boolean[ids.length];
        Arrays.fill(inLoss, Math.min(before.length, ids.length), ids.length, true);
        return new TokenSequence(ids, inLoss);
    }
}
