package rqat.eval;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What a model is asked.
public sealed interface Prompt {

    /// The exact text, special tokens spelt out; nothing is put around it.
    record Text(String text) implements Prompt {}

    /// A conversation that the model's chat template turns into text, ready for the assistant's answer.
    ///
    /// @param messages as chat templates take them: `role`, `content`, and what else a template knows
    record Conversation(List<Map<String, @Nullable Object>> messages) implements Prompt {
        /// One question of the user.
        public static Conversation user(String question) {
            return new Conversation(List.of(Map.of("role", "user", "content", question)));
        }
    }
}
