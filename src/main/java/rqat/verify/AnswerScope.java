package rqat.verify;

/// Which part of a completion may hold the answer.
public enum AnswerScope {
    /// What follows the thinking. Where thinking never ended there is no answer; where there was none it is everything. A tag that the prompt
    /// opened belongs to the completion; whoever judges puts it there.
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
        boolean reopened = completion.indexOf(THINK_OPEN, start) >= 0;
        return reopened ? -1 : start;
    }
}
