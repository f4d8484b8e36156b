package rqat.text.jinja;

/// Something wrong with a template, or with what it does to its input, at a line of it. Whoever reads the template adds the file.
public final class JinjaError extends RuntimeException {

    private static final long serialVersionUID = 1;

    /// One-based line of the template, 0 while it is not known.
    public final int line;

    /// An error whose line the interpreter fills in.
    JinjaError(String message) {
        this(0, message);
    }

    JinjaError(int line, String message) {
        super(message, null, false, false);
        this.line = line;
    }

    /// This error, with `line` when none was known.
    JinjaError at(int line) {
        return this.line > 0 ? this : new JinjaError(line, String.valueOf(getMessage()));
    }
}
