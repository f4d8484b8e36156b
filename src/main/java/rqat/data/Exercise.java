package rqat.data;

import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import tools.jackson.databind.JsonNode;

/// A question with a reference answer and, where the data set has one, a solution to learn from.
///
/// @param id       unique within its data set
/// @param question as the data set words it, without any instruction
/// @param answer   as the data set publishes it; [rqat.verify.mathematics.Gold] reads it
/// @param solution what the assistant says: a reasoning trace with its thinking tags, or a worked solution without; null where there is none
public record Exercise(String id, String question, String answer, @Nullable String solution) {
    private static final String INSTRUCTION = "\n\nPlease reason step by step, and put your final answer within \\boxed{}.";

    private static final Pattern CALCULATION = Pattern.compile("<<[^<>]*>>");
    private static final Pattern FINAL_LINE = Pattern.compile("\\n?####\\s*(.*)\\s*\\z");

    /// The exercise of a row, by the published schema that its columns show:
    ///
    /// | columns | data set |
    /// |---|---|
    /// | `problem`, `answer`, `generations`, `correctness_math_verify`... | OpenR1-Math-220k: the first generation that is complete and was judged right |
    /// | `problem`, `answer`, `solution`, `problem_is_valid`, `solution_is_valid` | NuminaMath-1.5: only what was judged valid and has an answer |
    /// | `question`, `answer` with a last line `#### 42` | GSM8K: calculator marks are taken out, the last line becomes a box |
    /// | `messages` of roles `user` and `assistant` | conversations: the first question and the answer to it; their last box is the reference |
    /// | `problem` or `question`, `answer`, also capitalised; `solution` | MATH-500, AIME of three publishers, and files of one's own |
    ///
    /// @return empty for a row that nothing can be learned or judged by: no correct generation, a proof, an invalid problem
    /// @throws Failure BAD_FILE when the columns are of none of these, or hold something else
    public static Optional<Exercise> of(Row row) {
        if (row.has("generations")) return openR1(row);
        if (row.has("problem_is_valid")) return numina(row);
        if (!row.has("problem") && !row.has("question") && row.has("messages")) return conversation(row);
        String question = row.text("problem", "question", "Problem");
        String answer = row.text("answer", "Answer");
        if (FINAL_LINE.matcher(answer).find()) return Optional.of(gsm8k(row, question, answer));
        return Optional.of(new Exercise(id(row), question, answer, row.optionalText("solution", "Solution").orElse(null)));
    }

    /// What the user says: the question and the instruction of the paper's evaluation.
    public String prompt() {
        return question + INSTRUCTION;
    }

    private static Optional<Exercise> openR1(Row row) {
        List<String> generations = row.texts("generations");
        List<Boolean> complete = row.flags("is_reasoning_complete");
        List<Boolean> byRules = row.flags("correctness_math_verify");
        List<Boolean> byModel = row.flags("correctness_llama");
        for (int i = 0; i < generations.size(); i++) {
            if (at(complete, i) && (at(byRules, i) || at(byModel, i))) {
                return Optional.of(new Exercise(id(row), row.text("problem"), row.text("answer"), generations.get(i)));
            }
        }
        return Optional.empty();
    }

    private static boolean at(List<Boolean> flags, int index) {
        return index < flags.size() && flags.get(index);
    }

    private static Optional<Exercise> numina(Row row) {
        String answer = row.optionalText("answer").orElse("");
        boolean valid = row.text("problem_is_valid").equals("Yes") && row.optionalText("solution_is_valid").orElse("").equals("Yes");
        if (!valid || answer.isBlank() || answer.equals("proof") || answer.equals("notfound")) return Optional.empty();
        return Optional.of(new Exercise(id(row), row.text("problem"), answer, row.optionalText("solution").orElse(null)));
    }

    private static Exercise gsm8k(Row row, String question, String answer) {
        String worked = CALCULATION.matcher(answer).replaceAll("");
        String solution = FINAL_LINE.matcher(worked).replaceFirst(last -> Matcher.quoteReplacement("\n\\boxed{" + last.group(1).strip() + "}"));
        return new Exercise(id(row), question, answer, solution);
    }

    private static Optional<Exercise> conversation(Row row) {
        String question = null;
        for (JsonNode message : row.list("messages")) {
            JsonNode content = message.path("content");
            switch (message.path("role").asString("")) {
                case "user" -> question = question == null && content.isString() ? content.stringValue() : question;
                case "assistant" -> {
                    if (question == null || !content.isString()) throw row.wrong("messages", "a question of the user before the assistant's text");
                    return Optional.of(new Exercise(id(row), question, content.stringValue(), content.stringValue()));
                }
                default -> {}
            }
        }
        return Optional.empty();
    }

    /// What the publisher calls the row; else its place in its file.
    private static String id(Row row) {
        String file = row.file().substring(Math.max(row.file().lastIndexOf('/'), row.file().lastIndexOf('\\')) + 1);
        return row.optionalText("unique_id", "uuid", "id", "ID").orElse(file + ":" + row.number());
    }
}
