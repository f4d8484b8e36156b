package rqat.texts;

import java.util.Arrays;
import java.util.List;
import java.util.ArrayList;
import java.util.stream.IntStream;
import rqat.data.TokenSequence;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Split;
import rqat.run.Configuration;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.text.Tokenizer;

/// The embedded word problems as the stages need them: token sequences to train on, windows to calibrate on, problems to reward.
///
/// @param tokenizer of the model
/// @param tasks     difficulties, mixed in equal parts
/// @param texts     which part of them training and calibration read
/// @param seed      of the draw
public record WordProblemTexts(Tokenizer tokenizer, List<String> tasks, Texts texts, long seed) implements StageTexts {

    /// Length of a random text in tokens, about that of a worked problem.
    private static final int RANDOM_LENGTH = 96;

    /// Worked problems.
    public WordProblemTexts(Tokenizer tokenizer, List<String> tasks, long seed) {
        this(tokenizer, tasks, Texts.WORKED, seed);
    }

    /// `tasks`, if there are such difficulties.
    public static List<String> checked(List<String> tasks) {
        Configuration.require(
                !tasks.isEmpty() && WordProblems.TASKS.containsAll(tasks), "tasks", tasks, "at least one of " + WordProblems.TASKS);
        return List.copyOf(tasks);
    }

    /// `count` texts of the training split. Of worked problems the loss counts the assistant's answer only, of other texts everything.
    @Override
    public List<TokenSequence> training(int count) {
        return read(Split.TRAIN, count);
    }

    /// Worked problems, every second with its question in the loss too, so that a model also learns the language.
    public static List<TokenSequence> pretraining(Tokenizer tokenizer, List<WordProblems.Problem> problems) {
        return IntStream.range(0, problems.size())
                .mapToObj(i -> sequence(tokenizer, problems.get(i), i % 2 == 0))
                .toList();
    }

    /// `count` texts of the calibration split, whole.
    @Override
    public int[][] calibration(int count) {
        return read(Split.CALIBRATION, count).stream().map(TokenSequence::ids).toArray(int[][]::new);
    }

    private List<TokenSequence> read(Split split, int count) {
        return switch (texts) {
            case WORKED -> draw(split, count).stream().map(problem -> sequence(tokenizer, problem, false)).toList();
            case QUESTIONS -> draw(split, count).stream().map(problem -> whole(tokenizer.encode(problem.prompt()))).toList();
            case RANDOM -> {
                var random = new RandomStream(Seeds.mix(seed, Seeds.ofString("random texts"), split.ordinal()));
                yield IntStream.range(0, count)
                        .mapToObj(_ -> whole(IntStream.range(0, RANDOM_LENGTH).map(_ -> random.nextInt(tokenizer.size())).toArray()))
                        .toList();
            }
        };
    }

    private static TokenSequence whole(int[] ids) {
        boolean[] inLoss = new boolean[ids.length];
        Arrays.fill(inLoss, true);
        return new TokenSequence(ids, inLoss);
    }

    /// `count` problems of a split with the prompt as the model sees it.
    @Override
    public List<Problem> problems(Split split, int count) {
        return draw(split, count).stream()
                .map(problem -> new Problem(problem.id(), tokenizer.encode(problem.prompt()), problem.answer()))
                .toList();
    }

    /// Equal parts of each task, interleaved, so that any beginning of the list is a fair mixture.
    private List<WordProblems.Problem> draw(Split split, int count) {
        int each = Math.ceilDiv(count, tasks.size());
        List<List<WordProblems.Problem>> perTask =
                tasks.stream().map(task -> WordProblems.problems(split, task, each, seed)).toList();
        var mixed = new ArrayList<WordProblems.Problem>(count);
        for (int i = 0; mixed.size() < count; i++) mixed.add(perTask.get(i % tasks.size()).get(i / tasks.size()));
        return mixed;
    }

    private static TokenSequence sequence(Tokenizer tokenizer, WordProblems.Problem problem, boolean questionInLoss) {
        int[] prompt = tokenizer.encode(problem.prompt());
        int[] completion = tokenizer.encode(problem.completion());
        int[] ids = IntStream.concat(Arrays.stream(prompt), Arrays.stream(completion)).toArray();
        boolean[] inLoss = new boolean[ids.length];
        Arrays.fill(inLoss, questionInLoss ? 0 : prompt.length, ids.length, true);
        return new TokenSequence(ids, inLoss);
    }
}
