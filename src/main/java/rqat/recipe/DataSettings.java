package rqat.recipe;

/// Which problems or texts a stage learns from, calibrates on, or asks.
///
/// @param source `word problems` for those that come with the program; otherwise a file, a directory, or a repository of the Hub
/// @param tokens length of a calibration window, and longest training sequence: longer ones are cut
public record DataSettings(String source, int tokens) {
    static final String WORD_PROBLEMS = "word problems";

    /// The word problems.
    public static final DataSettings DEFAULT = new DataSettings(WORD_PROBLEMS, 2048);

    /// Checks the length.
    public DataSettings {
        Optimisation.require(tokens >= 8, "tokens", tokens, "8 or more");
    }

    boolean isEmbedded() {
        return source.equals(WORD_PROBLEMS);
    }
}
