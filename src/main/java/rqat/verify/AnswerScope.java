package rqat.verify;

/// Which part of a completion may hold the answer.
public enum AnswerScope {
    /// After the last `</think>`; without one the model never finished thinking and there is no answer. For prompts that end in an
    /// open `<think>`, whose completions need not contain the opening tag.
    AFTER_THINK,
    /// As [#AFTER_THINK] if the completion contains a thinking tag, else everything.
    AUTO,
    /// Everything, as the published evaluation harnesses do.
    WHOLE;

    private static final String THINK_OPEN = "<think>";
    private static final String THINK_CLOSE = "</think>";

    /// Where that part begins, or -1 when the model is still thinking at the end of the completion.
    public int start(String completion) {
        if (this == WHOLE) {
            return 0;
        }
        int close = completion.lastIndexOf(THINK_CLOSE);
        int start = close < 0 ? 0 : close + THINK_CLOSE.length();
        boolean closed = close >= 0 || this == AUTO;
        boolean reopened = completion.indexOf(THINK_OPEN, start) >= 0;
        return closed && !reopened ? start : -1;
    }
}
