package rqat.verify;

/// Which part of a completion may hold the answer.
public enum AnswerScope {
    /// What comes after the thinking: everything behind the last `</think>`, or the whole of a completion that never thought. Where the model
    /// is still thinking at the end, because it opened the thinking again or the prompt had opened it and nothing closed it, there is no answer.
    AUTO,
    /// Everything, as the published evaluation harnesses do.
    WHOLE;

    private static final String THINK_OPEN = "<think>";
    private static final String THINK_CLOSE = "</think>";

    /// Where that part begins in the text of an attempt, or -1 when the model is still thinking at its end.
    public int start(Attempt attempt) {
        if (this == WHOLE) return 0;
        String text = attempt.text();
        int close = text.lastIndexOf(THINK_CLOSE);
        int start = close < 0 ? 0 : close + THINK_CLOSE.length();
        boolean open = close < 0 && attempt.thinking() || text.indexOf(THINK_OPEN, start) >= 0;
        return open ? -1 : start;
    }
}
