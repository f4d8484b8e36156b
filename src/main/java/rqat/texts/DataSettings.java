package rqat.texts;

import rqat.run.Configuration;

/// Which problems or texts a stage learns from, calibrates on, or asks.
///
/// @param source `word problems` for those that come with the program; otherwise a file, a directory, or a repository of the Hub
/// @param tokens length of a calibration window, and longest training sequence: longer ones are cut
public record DataSettings(String source, int tokens) {
    /// The source that is part of the program.
    public static final String WORD_PROBLEMS = "word problems";

    /// The word problems.
    public static final DataSettings DEFAULT = new DataSettings(WORD_PROBLEMS, 2048);

    /// Checks the length.
    public DataSettings {
        Configuration.require(tokens >= 8, "tokens", tokens, "8 or more");
    }

    /// Whether these are the word problems.
    public boolean isEmbedded() {
        return source.equals(WORD_PROBLEMS);
    }
}
