package rqat.texts;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import rqat.data.TokenSequence;
import rqat.data.WordProblems.Split;
import rqat.text.Tokenizer;

/// The texts of a stage as its model reads them.
public sealed interface StageTexts permits WordProblemTexts, DataSetTexts {
    /// At most `count` sequences to train on; the loss counts what the assistant says.
    List<TokenSequence> training(int count);

    /// `count` token sequences to calibrate on.
    int[][] calibration(int count);

    /// At most `count` problems with the prompt as the model sees it. No problem is in the training split and in the validation split.
    List<Problem> problems(Split split, int count);

    /// The texts that `data` means for the model in this directory.
    ///
    /// @param files what `data` names, see [Data#files]; none for the word problems
    /// @param tasks difficulties of the word problems
    /// @param texts which part of a problem
    /// @param seed  of what is drawn
    /// @param say   hears what was left out
    static StageTexts of(DataSettings data, List<Path> files, List<String> tasks, Texts texts, Path model, long seed, Consumer<String> say) {
        Tokenizer tokenizer = Tokenizer.load(model);
        if (data.isEmbedded() || texts == Texts.RANDOM) return new WordProblemTexts(tokenizer, tasks, texts, seed);
        return new DataSetTexts(ChatFormat.load(model, tokenizer), files, data, texts, seed, say);
    }
}
