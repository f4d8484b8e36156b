package rqat.text;

/// Divides what a model writes into its thinking, between `<think>` and `</think>`, and its answer, as the text comes in pieces. The tags
/// belong to neither, nor do line feeds directly after them; a tail that may be the beginning of a tag is held back until more is known.
///
/// Thinking comes first or not at all: a tag later in an answer is text like any other. Thinking that never ends is all thinking.
public final class ReasoningSplitter {
    private static final String OPEN = "<think>";
    private static final String CLOSE = "</think>";

    /// What one piece made certain.
    public record Parts(String reasoning, String content) {}

    private enum State { BEFORE, THINKING, ANSWERING }

    private State state;
    /// Whether line feeds at the beginning of a part are still to be dropped.
    private boolean fresh = true;
    private final StringBuilder held = new StringBuilder();

    /// Whether a prompt ends by opening the thinking. Templates of models that always think (R1-Distill, QwQ, Qwen3-Thinking) write the tag, so
    /// their completions hold the closing one alone, and one that was cut while thinking holds none.
    public static boolean opens(String prompt) {
        return prompt.stripTrailing().endsWith(OPEN);
    }

    /// @param thinking whether the prompt has opened the thinking already, see [#opens]
    public ReasoningSplitter(boolean thinking) {
        state = thinking ? State.THINKING : State.BEFORE;
    }

    /// Whether the text so far ends inside thinking.
    public boolean thinking() {
        return state == State.THINKING;
    }

    /// What the next piece of the text makes certain.
    public Parts push(String piece) {
        held.append(piece);
        return parts(false);
    }

    /// What was held back, when no more comes.
    public Parts finish() {
        return parts(true);
    }

    private Parts parts(boolean last) {
        var reasoning = new StringBuilder();
        if (state == State.BEFORE) {
            int text = 0;
            while (text < held.length() && Character.isWhitespace(held.charAt(text))) text++;
            String begun = held.substring(text);
            if (begun.startsWith(OPEN)) {
                held.delete(0, text + OPEN.length());
                state = State.THINKING;
            } else if (last || !OPEN.startsWith(begun)) {
                state = State.ANSWERING;
                fresh = false;
            }
        }
        if (state == State.THINKING) {
            dropLineFeeds();
            int end = held.indexOf(CLOSE);
            if (end >= 0) {
                reasoning.append(held, 0, end);
                held.delete(0, end + CLOSE.length());
                state = State.ANSWERING;
                fresh = true;
            } else {
                int certain = last ? held.length() : held.length() - possible();
                reasoning.append(held, 0, certain);
                held.delete(0, certain);
            }
        }
        if (state != State.ANSWERING) return new Parts(reasoning.toString(), "");
        dropLineFeeds();
        String content = held.toString();
        held.setLength(0);
        return new Parts(reasoning.toString(), content);
    }

    private void dropLineFeeds() {
        if (!fresh) return;
        int drop = 0;
        while (drop < held.length() && held.charAt(drop) == '\n') drop++;
        held.delete(0, drop);
        if (!held.isEmpty()) fresh = false;
    }

    /// Length of the longest tail that the closing tag begins with.
    private int possible() {
        for (int length = Math.min(CLOSE.length() - 1, held.length()); length > 0; length--) {
            if (CLOSE.startsWith(held.substring(held.length() - length))) return length;
        }
        return 0;
    }
}
