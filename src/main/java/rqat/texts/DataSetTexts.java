package rqat.texts;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.data.DataSource;
import rqat.data.Exercise;
import rqat.data.Row;
import rqat.data.TokenSequence;
import rqat.data.WordProblems.Split;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.text.Tokenizer;
import rqat.verify.mathematics.Gold;

/// The texts of data files: worked problems of any schema that [Exercise#of] knows, or running text in a column `text`, which is cut into
/// windows at random places (the paper distils W4A4 models on such windows of WikiText-2).
///
/// @param format how the model puts problems
/// @param files  read in this order; the first usable rows are taken
/// @param data   how long
/// @param texts  whole problems, or questions alone
/// @param seed   of random places
/// @param say    hears what was left out
record DataSetTexts(ChatFormat format, List<Path> files, DataSettings data, Texts texts, long seed, Consumer<String> say) implements StageTexts {
    /// How many unreadable reference answers are named.
    private static final int MOST_LISTED = 10;

    /// Bound of what windows are cut from.
    private static final int MOST_TOKENS = 50_000_000;

    /// One problem of so many is kept for validation.
    private static final int VALIDATION_SHARE = 20;

    @Override
    public List<TokenSequence> training(int count) {
        if (isText()) return windows(text(MOST_TOKENS), count).stream().map(TokenSequence::all).toList();
        var sequences = new ArrayList<TokenSequence>();
        try (Stream<Exercise> exercises = exercises(Split.TRAIN)) {
            exercises.map(exercise -> sequence(exercise, data.tokens()))
                    .flatMap(Optional::stream)
                    .limit(count)
                    .forEach(sequences::add);
        }
        return some(sequences, "no problem with a solution that fits");
    }

    @Override
    public int[][] calibration(int count) {
        return windows(isText() ? text(MOST_TOKENS) : exerciseText(2L * count * data.tokens()), count).toArray(int[][]::new);
    }

    @Override
    public List<Problem> problems(Split split, int count) {
        var problems = new ArrayList<Problem>();
        var unreadable = new ArrayList<String>();
        try (Stream<Exercise> exercises = exercises(split)) {
            exercises.filter(exercise -> Gold.of(exercise.answer()).usable() || !unreadable.add(exercise.id()))
                    .limit(count)
                    .forEach(exercise ->
                            problems.add(new Problem(exercise.id(), tokenizer().encode(format.prompt(exercise)), exercise.answer())));
        }
        if (!unreadable.isEmpty()) {
            say.accept("%s: problems left out because no answer could match their reference answer: %,d (%s%s)".formatted(
                    data.source(),
                    unreadable.size(),
                    unreadable.stream().limit(MOST_LISTED).collect(Collectors.joining(", ")),
                    unreadable.size() > MOST_LISTED ? " and so on" : ""));
        }
        return some(problems, "no problem with an answer in the " + split + " split");
    }

    private <T> List<T> some(List<T> found, String otherwise) {
        if (found.isEmpty()) throw Failure.badFile("%s: %s".formatted(data.source(), otherwise));
        return found;
    }

    /// What is read of an exercise, at most `longest` tokens; nothing when there is no solution to read, or its prompt alone fills the length.
    private Optional<TokenSequence> sequence(Exercise exercise, int longest) {
        if (texts == Texts.QUESTIONS) {
            return Optional.of(TokenSequence.all(
                    Arrays.stream(tokenizer().encode(format.prompt(exercise))).limit(longest).toArray()));
        }
        String solution = exercise.solution();
        if (solution == null) return Optional.empty();
        return Optional.of(format.sequence(exercise, solution, longest)).filter(sequence -> sequence.lossTokens() > 0);
    }

    private Tokenizer tokenizer() {
        return format.tokenizer();
    }

    /// Those of one half: validation, or all others.
    private Stream<Exercise> exercises(Split split) {
        boolean validation = split == Split.VALIDATION;
        return DataSource.rows(files)
                .map(Exercise::of)
                .flatMap(Optional::stream)
                .filter(exercise -> (Long.remainderUnsigned(Seeds.ofString(exercise.id()), VALIDATION_SHARE) == 0) == validation);
    }

    private boolean isText() {
        try (Stream<Row> rows = DataSource.rows(files)) {
            Row first = rows.findFirst().orElseThrow(() -> Failure.badFile("%s: no rows".formatted(data.source())));
            return first.has("text") && !first.has("messages") && !first.has("question") && !first.has("problem");
        }
    }

    /// All lines, joined by empty ones, as one token sequence (methods of the paper's reference).
    private int[] text(int most) {
        var text = new StringBuilder();
        try (Stream<Row> rows = DataSource.rows(files)) {
            rows.takeWhile(_ -> text.length() < most).forEach(row -> text.append(row.text("text").strip()).append("\n\n"));
        }
        return tokenizer().encodeWithSpecial(text.toString());
    }

    /// Exercises one after the other until there are enough tokens.
    private int[] exerciseText(long enough) {
        var pieces = new ArrayList<int[]>();
        long[] length = {0};
        int[] gap = tokenizer().encode("\n\n");
        try (Stream<Exercise> exercises = exercises(Split.TRAIN)) {
            exercises.takeWhile(_ -> length[0] < Math.min(enough, MOST_TOKENS))
                    .map(exercise -> sequence(exercise, Integer.MAX_VALUE))
                    .flatMap(Optional::stream)
                    .forEach(sequence -> {
                        pieces.add(sequence.ids());
                        pieces.add(gap);
                        length[0] += sequence.ids().length + gap.length;
                    });
        }
        return pieces.stream().flatMapToInt(Arrays::stream).toArray();
    }

    /// `count` windows at random places.
    private List<int[]> windows(int[] ids, int count) {
        if (ids.length < data.tokens()) {
            throw Failure.badFile("%s: %,d tokens in all; expected at least the %,d of one window. Lower `tokens`, or give more text"
                    .formatted(data.source(), ids.length, data.tokens()));
        }
        var random = new RandomStream(Seeds.mix(seed, Seeds.ofString("windows")));
        return Stream.generate(() -> random.nextInt(ids.length - data.tokens() + 1))
                .limit(count)
                .map(start -> Arrays.copyOfRange(ids, start, start + data.tokens()))
                .toList();
    }
}
