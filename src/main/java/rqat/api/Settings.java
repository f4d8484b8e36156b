package rqat.api;

import java.nio.file.Path;
import java.util.List;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;
import rqat.run.Configuration;
import rqat.run.Progress;
import rqat.tensor.Torch;

/// How stages work: the keys of a recipe (`docs/guide.md`, "Keys"), which say the same here as in a file or behind `--set`. A stage reads those of its own section and `seed`, `compute`, `threads`.
/// Immutable.
public final class Settings {
    private final RunSettings values;
    private final Progress progress;

    private Settings(RunSettings values, Progress progress) {
        this.values = values;
        this.progress = progress;
    }

    /// The defaults, but for what is set.
    ///
    /// @param sets `KEY=VALUE` each, the value in YAML: `quantise.bits=3`, `evaluate.tasks=[easy, hard]`
    /// @throws rqat.Failure USAGE for an unknown key or a value out of range
    public static Settings of(String... sets) {
        return new Settings(Configuration.resolve(List.of(sets), RunSettings.DEFAULT, RunSettings.class).value(), Progress.silent());
    }

    /// A recipe, but for what is set; its rows and output are not read.
    ///
    /// @throws rqat.Failure USAGE as [#of], with the place in the file
    public static Settings ofRecipe(Path recipe, String... sets) {
        return new Settings(RunSettings.load(recipe, List.of(sets)).value(), Progress.silent());
    }

    /// The same, with progress on standard error as commands show it.
    public Settings shown() {
        return new Settings(values, Progress.Display.ofStandardError());
    }

    RunSettings values() {
        return values;
    }

    Progress progress() {
        return progress;
    }

    Session session() {
        Torch.compute(values.compute());
        return new Session(values.seed(), values.compute(), values.threads(), values.kvCacheGib(), progress).telling(values.log().server());
    }
}
