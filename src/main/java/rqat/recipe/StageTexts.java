package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import rqat.data.TokenSequence;
import rqat.data.WordProblems.Split;
import rqat.text.Tokenizer;

/// The texts of a stage as its model reads them.
sealed interface StageTexts permits WordProblemTexts, DataSetTexts {
    /// Beginning of the names of data files among a stage's inputs.
    String DATA = "data ";

    /// At most `count` sequences to train on; the loss counts what the assistant says.
    List<TokenSequence> training(int count);

    /// `count` token sequences to calibrate on.
    int[][] calibration(int count);

    /// At most `count` problems with the prompt as the model sees it. No problem is in the training split and in the validation split.
    List<rqat.rl.Problem> problems(Split split, int count);

    /// The texts that `data` means for the model in this directory.
    ///
    /// @param tasks  difficulties of the word problems
    /// @param texts  which part of a problem
    /// @param inputs what the stage is made from: where `data` names files they are found there, see [#inputs]
    static StageTexts of(Session session, DataSettings data, List<String> tasks, Texts texts, Path model, SequencedMap<String, Path> inputs) {
        Tokenizer tokenizer = Tokenizer.load(model);
        if (data.isEmbedded() || texts == Texts.RANDOM) return new WordProblemTexts(tokenizer, tasks, texts, session.seed());
        List<Path> files =
                inputs.entrySet().stream().filter(input -> input.getKey().startsWith(DATA)).map(Map.Entry::getValue).toList();
        return new DataSetTexts(ChatFormat.load(model, tokenizer), files, data, texts, session.seed(), session.progress()::print);
    }

    /// `inputs` with the files that `data` names, downloaded where they are not here.
    static SequencedMap<String, Path> inputs(Session session, DataSettings data, SequencedMap<String, Path> inputs) {
        if (!data.isEmbedded()) {
            List<Path> files = Data.files(data.source(), session.progress());
            for (int i = 0; i < files.size(); i++) inputs.put(DATA + i, files.get(i));
        }
        return inputs;
    }
}
