package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import rqat.texts.Data;
import rqat.texts.DataSettings;
import rqat.texts.StageTexts;
import rqat.texts.Texts;

/// The data of a stage among what it is made from.
final class StageInputs {
    /// Beginning of the names of data files.
    private static final String DATA = "data ";

    private StageInputs() {}

    /// `inputs` with the files that `data` names, downloaded where they are not here.
    static SequencedMap<String, Path> with(Session session, DataSettings data, SequencedMap<String, Path> inputs) {
        if (!data.isEmbedded()) {
            List<Path> files = Data.files(data.source(), session.progress());
            for (int i = 0; i < files.size(); i++) inputs.put(DATA + i, files.get(i));
        }
        return inputs;
    }

    /// The texts that `data` means for the model in this directory, of the files in `inputs`.
    static StageTexts texts(Session session, DataSettings data, List<String> tasks, Texts texts, Path model, SequencedMap<String, Path> inputs) {
        List<Path> files =
                inputs.entrySet().stream().filter(input -> input.getKey().startsWith(DATA)).map(Map.Entry::getValue).toList();
        return StageTexts.of(data, files, tasks, texts, model, session.seed(), session.progress()::print);
    }
}
