package rqat.recipe;

import java.util.Arrays;
import java.util.List;
import java.util.ArrayList;
import java.util.stream.IntStream;
import rqat.data.TokenSequence;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Problem;
import rqat.data.WordProblems.Split;
import rqat.text.Tokenizer;

/// The embedded word problems as the stages need them: token sequences to train on, windows to calibrate on, problems to reward.
///
/// @param tokenizer of the model
/// @param tasks     difficulties, mixed in equal parts
/// @param seed      of the draw
record WordProblemTexts(Tokenizer tokenizer, List<String> tasks, long seed) {

    /// `tasks`, if there are such difficulties.
    static List<String> checked(List<String> tasks) {
        Optimisation.require(
                !tasks.isEmpty() && WordProblems.TASKS.containsAll(tasks), "tasks", tasks, "at least one of " + WordProblems.TASKS);
        return List.copyOf(tasks);
    }

    /// `count` worked problems of the training split; the loss counts the assistant's answer only.
    List<TokenSequence> training(int count) {
        return draw(Split.TRAIN, count).stream().map(problem -> sequence(tokenizer, problem, false)).toList();
    }

    /// Worked problems, every second with its question in the loss too, so that a model also learns the language.
    static List<TokenSequence> pretraining(Tokenizer tokenizer, List<Problem> problems) {
        return IntStream.range(0, problems.size())
                .mapToObj(i -> sequence(tokenizer, problems.get(i), i % 2 == 0))
                .toList();
    }

    /// `count` worked problems of the calibration split, whole.
    int[][] calibration(int count) {
        return draw(Split.CALIBRATION, count).stream()
                .map(problem -> sequence(tokenizer, problem, false).ids())
                .toArray(int[][]::new);
    }

    /// `count` problems of a split with the prompt as the model sees it.
    List<rqat.rl.Problem> problems(Split split, int count) {
        return draw(split, count).stream()
                .map(problem -> new rqat.rl.Problem(problem.id(), tokenizer.encode(problem.prompt()), problem.answer()))
                .toList();
    }

    /// Equal parts of each task, interleaved, so that any beginning of the list is a fair mixture.
    private List<Problem> draw(Split split, int count) {
        int each = Math.ceilDiv(count, tasks.size());
        List<List<Problem>> perTask =
                tasks.stream().map(task -> WordProblems.problems(split, task, each, seed)).toList();
        var mixed = new ArrayList<Problem>(count);
        for (int i = 0; mixed.size() < count; i++) mixed.add(perTask.get(i % tasks.size()).get(i / tasks.size()));
        return mixed;
    }

    private static TokenSequence sequence(Tokenizer tokenizer, Problem problem, boolean questionInLoss) {
        int[] prompt = tokenizer.encode(problem.prompt());
        int[] completion = tokenizer.encode(problem.completion());
        int[] ids = IntStream.concat(Arrays.stream(prompt), Arrays.stream(completion)).toArray();
        boolean[] inLoss = new boolean[ids.length];
        Arrays.fill(inLoss, questionInLoss ? 0 : prompt.length, ids.length, true);
        return new TokenSequence(ids, inLoss);
    }
}
