package rqat.recipe;

import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.run.Configuration;

/// What a study has besides a run: repetitions, questions and pictures.
///
/// @param title   of the page
/// @param cache   where finished stages and evaluations are kept by their content, shared by all studies that name it
/// @param seeds   one repetition each of everything that draws data; empty for the recipe's `seed` alone. The evaluation seeds are dealt
///                out to the repetitions in turn
/// @param byStep  a small evaluation of the models that training saved on its way (`optimisation.snapshot_every`)
/// @param compare which differences are of interest
/// @param charts  what is drawn
public record StudySettings(
        String title, String cache, List<Long> seeds, ByStep byStep, List<Compare> compare, List<Picture> charts) {

    /// A study of one repetition without questions or charts.
    public static final StudySettings DEFAULT =
            new StudySettings("", "runs/cache", List.of(), new ByStep(List.of(), 100), List.of(), List.of());

    /// What sections of lists may leave out, by path; values are as in a recipe.
    static final Map<String, Map<String, @Nullable Object>> ELEMENTS = Map.of(
            "study.compare.*", Collections.singletonMap("paper", null),
            "study.charts.*", Map.of("rows", List.of(), "unit", ""));

    /// @param tasks    that take reasoning, as in `evaluate`; none for no evaluation by step
    /// @param problems per task
    public record ByStep(List<String> tasks, int problems) {
        /// Checks the ranges.
        public ByStep {
            tasks = List.copyOf(tasks);
            Configuration.require(tasks.stream().allMatch(Evaluate::reasons), "tasks", tasks, "tasks that take reasoning");
            Configuration.require(problems >= 1, "problems", problems, "1 or more");
        }
    }

    /// A difference that the study is to show: `row` is expected above `over`.
    ///
    /// @param paper what the paper found, in points; null where it says nothing
    public record Compare(String row, String over, @Nullable Double paper) {}

    /// A chart.
    ///
    /// @param metric `score` or `drop`: bars of each task, of the accuracy or of its distance to full precision. `accuracy` or `length`: lines
    ///               over the optimiser step, from the evaluation by step. Anything else: lines of that metric of `metrics.jsonl`
    /// @param rows   whose; all when empty
    public record Picture(String title, String unit, String metric, List<String> rows) {
        /// Copies the list.
        public Picture {
            rows = List.copyOf(rows);
        }
    }

    /// Checks the lists.
    public StudySettings {
        seeds = List.copyOf(seeds);
        Configuration.require(new HashSet<>(seeds).size() == seeds.size(), "seeds", seeds, "seeds that are all different");
        compare = List.copyOf(compare);
        charts = List.copyOf(charts);
    }
}
