package rqat;

/// The one exception that a user is meant to read: bad input, a stopped gate, an interruption. Its message says what was found,
/// where, what was expected and what to do; the command line prints the message alone and exits with [#exitCode].
///
/// Anything else that reaches the command line is a defect of ours and is reported as one.
public final class Failure extends RuntimeException {

    /// What kind of failure this is; the numbers are the documented exit codes of every command.
    public enum Kind {
        /// The work was tried and failed (disk full, server gone).
        FAILED(1),
        /// Bad command line or configuration.
        USAGE(2),
        /// A model or data file that cannot be used.
        BAD_FILE(3),
        /// A gate stopped the run on purpose (mismatch, missing cold start).
        GATE(4),
        /// Interrupted; the same command resumes.
        INTERRUPTED(5);

        private final int exitCode;

        Kind(int exitCode) {
            this.exitCode = exitCode;
        }

        /// The process exit code of this kind of failure.
        public int exitCode() {
            return exitCode;
        }
    }

    private static final int QUOTE_LIMIT = 120;

    private final Kind kind;

    private Failure(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    /// The work was tried and failed.
    public static Failure failed(String message) {
        return new Failure(Kind.FAILED, message, null);
    }

    /// As [#failed(String)], keeping the cause for `--debug`.
    public static Failure failed(String message, Throwable cause) {
        return new Failure(Kind.FAILED, message, cause);
    }

    /// Bad command line or configuration; say the key or option, what was given and what is accepted.
    public static Failure usage(String message) {
        return new Failure(Kind.USAGE, message, null);
    }

    /// A model or data file that cannot be used; say the file, the line or tensor, what was found and what was expected.
    public static Failure badFile(String message) {
        return new Failure(Kind.BAD_FILE, message, null);
    }

    /// As [#badFile(String)], keeping the cause for `--debug`.
    public static Failure badFile(String message, Throwable cause) {
        return new Failure(Kind.BAD_FILE, message, cause);
    }

    /// A gate stopped the run; say which one, the figure, the threshold and how to override it.
    public static Failure gate(String message) {
        return new Failure(Kind.GATE, message, null);
    }

    /// The user or the system asked us to stop; say how to resume.
    public static Failure interrupted(String message) {
        return new Failure(Kind.INTERRUPTED, message, null);
    }

    /// What kind of failure this is.
    public Kind kind() {
        return kind;
    }

    /// The documented exit code.
    public int exitCode() {
        return kind.exitCode();
    }

    /// Text out of a file, an option or a server as it may stand in a message: in backticks, control characters escaped, and
    /// shortened, so that hostile input can neither flood nor repaint a terminal.
    public static String quote(String text) {
        StringBuilder quoted = new StringBuilder("`");
        int length = Math.min(text.length(), QUOTE_LIMIT);
        for (int i = 0; i < length; i++) {
            char c = text.charAt(i);
            int type = Character.getType(c);
            boolean visible = type != Character.CONTROL && type != Character.FORMAT && type != Character.LINE_SEPARATOR
                    && type != Character.PARAGRAPH_SEPARATOR;
            quoted.append(visible ? String.valueOf(c) : String.format("\\u%04x", (int) c));
        }
        return quoted.append(length < text.length() ? "...`" : "`").toString();
    }
}
