package rqat.data;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;

/// The reasoning problems that come with the program: a person has some things, finds, sells, doubles and halves them, and the question
/// is how many are left. Small enough for a model of a million parameters, exactly verifiable, and harder with every step, because each
/// step starts from the result of the one before.
///
/// The *semantic form* of a problem is its start value and its operations with their operands, without names and wording, as in
/// `34+25-12*2`. A hash of the form alone decides to which [Split] a problem belongs, so splits can never share a form, whatever the
/// seeds and counts. All values, intermediate ones included, lie in 1..99.
///
/// Texts depend on the arguments only: the hash and the bounded draws are our own, the generator below them is `SplittableRandom`.
public final class WordProblems {

    /// The difficulties, by number of operations: `easy` 2, `medium` 4, `hard` 8.
    public static final List<String> TASKS = List.of("easy", "medium", "hard");

    private static final int LARGEST_VALUE = 99;
    private static final int LARGEST_OPERAND = 30;

    private static final List<String> WOMEN = List.of("Mia", "Ann", "Eva", "Zoe", "Ida", "Amy");
    private static final List<String> MEN = List.of("Ben", "Tom", "Leo", "Sam", "Max", "Jon");
    private static final List<String> ITEMS = List.of("shells", "stones", "coins", "cards", "beads", "marbles",
            "stamps", "pens", "books", "apples", "eggs", "nuts");

    /// Wordings per operation; `#` stands for the operand, `@` for a friend's name.
    private static final List<String> ADD = List.of("finds #", "buys #", "wins #", "gets #");
    private static final List<String> SUBTRACT = List.of("sells #", "loses #", "gives @ #", "gives away #");
    private static final List<String> DOUBLE = List.of("doubles them", "doubles the lot", "doubles the pile");
    private static final List<String> TRIPLE = List.of("triples them", "triples the lot", "triples the pile");
    private static final List<String> HALVE = List.of("sells half", "loses half", "gives @ half", "keeps half");

    /// Operators by how often they are drawn, before those that do not apply are rejected; `2` and `3` multiply.
    private static final String OPERATORS = "+++---23/";

    private WordProblems() {}

    /// What a problem may be used for; every semantic form belongs to exactly one.
    public enum Split {
        /// Pretraining, distillation and reinforcement learning: 80 % of all forms.
        TRAIN,
        /// Calibration of post-training quantisation: 5 %.
        CALIBRATION,
        /// Gates and early checks during training: 5 %.
        VALIDATION,
        /// Reported results only: 10 %.
        TEST
    }

    /// One problem with its worked solution.
    ///
    /// @param id unique within everything that one seed generates
    /// @param task one of [#TASKS]
    /// @param question the text a user would ask
    /// @param reasoning one line per step, each with its result and a line feed, as in `34+25=59`
    /// @param answer the last result, in decimal digits
    public record Problem(String id, String task, String question, String reasoning, String answer) {

        /// The user's turn and the start of the assistant's, as the chat template of [BytePairTrainer] renders them.
        public String prompt() {
            return "<|im_start|>user\n" + question + "<|im_end|>\n<|im_start|>assistant\n";
        }

        /// What the assistant is to answer, its end-of-turn token included.
        public String completion() {
            return "<think>\n" + reasoning + "</think>\n\\boxed{" + answer + "}<|im_end|>";
        }
    }

    /// A text and four ways to go on, one of which fits; nothing has to be calculated.
    ///
    /// @param id unique within everything that one seed generates
    /// @param context the beginning of a problem, cut inside its closing question
    /// @param options continuations with their leading space, to be scored by log-likelihood
    /// @param answer the index of the fitting option
    public record Choice(String id, String context, List<String> options, int answer) {
        public Choice {
            options = List.copyOf(options);
        }
    }

    /// `count` problems of one difficulty from one split.
    ///
    /// A [Split#TRAIN] list may hold the same form twice in other words; the forms of any other list are distinct.
    ///
    /// @throws Failure when the task is unknown, the count is negative, or the split has fewer distinct forms than asked for
    public static List<Problem> problems(Split split, String task, int count, long seed) {
        var stories = stories(split, task, count, task, seed);
        return IntStream.range(0, count)
                .mapToObj(i -> stories.get(i).problem(identifier(split, task, seed, i), task))
                .toList();
    }

    /// `count` choices over the texts of easy problems: which things, or whose things, does the closing question ask about? The wrong
    /// options are of the same kind; things that do not occur in the text, and people who do not own anything in it.
    ///
    /// @throws Failure as [#problems]
    public static List<Choice> choices(Split split, int count, long seed) {
        var stories = stories(split, "easy", count, "choice", seed);
        var random = random(split, "options", seed);
        return IntStream.range(0, count)
                .mapToObj(i -> choice(stories.get(i), identifier(split, "choice", seed, i), random))
                .toList();
    }

    /// The split that a semantic form, as in `34+25-12*2`, belongs to.
    static Split splitOf(String form) {
        int percentile = (int) Math.unsignedMultiplyHigh(hash(form), 100);
        return percentile < 80 ? Split.TRAIN
                : percentile < 85 ? Split.CALIBRATION
                : percentile < 90 ? Split.VALIDATION
                : Split.TEST;
    }

    private static List<Story> stories(Split split, String task, int count, String stream, long seed) {
        int steps = steps(task);
        if (count < 0) {
            throw Failure.usage("word problems: the count is " + count + ", expected 0 or more");
        }
        var random = random(split, stream, seed);
        var stories = new ArrayList<Story>();
        Set<String> seen = new HashSet<>();
        for (long fruitless = 0; stories.size() < count; fruitless++) {
            if (fruitless > 100_000) {
                throw Failure.usage("word problems: " + count + " distinct " + task + " problems were asked of the "
                        + split.name().toLowerCase(Locale.ROOT) + " split, but only " + stories.size() + " were found; ask for fewer");
            }
            var chain = chain(steps, random);
            if (splitOf(chain.form()) == split && (split == Split.TRAIN || seen.add(chain.form()))) {
                stories.add(story(chain, random));
                fruitless = 0;
            }
        }
        return stories;
    }

    private static int steps(String task) {
        return switch (task) {
            case "easy" -> 2;
            case "medium" -> 4;
            case "hard" -> 8;
            default -> throw Failure.usage("word problems: unknown task " + Failure.quote(task) + ", expected one of " + TASKS);
        };
    }

    /// One operation; the operator is one of `+ - * /` and multiplication and division have the operands 2, 3 and 2.
    private record Step(char operator, int operand) {
        int apply(int value) {
            return switch (operator) {
                case '+' -> value + operand;
                case '-' -> value - operand;
                case '*' -> value * operand;
                default -> value / operand;
            };
        }
    }

    private record Chain(int start, List<Step> steps) {
        String form() {
            var form = new StringBuilder().append(start);
            steps.forEach(step -> form.append(step.operator()).append(step.operand()));
            return form.toString();
        }
    }

    private record Story(Chain chain, String name, String friend, String item, String question) {
        Problem problem(String id, String task) {
            var reasoning = new StringBuilder();
            int value = chain.start();
            for (var step : chain.steps()) {
                reasoning.append(value).append(step.operator()).append(step.operand());
                value = step.apply(value);
                reasoning.append('=').append(value).append('\n');
            }
            return new Problem(id, task, question, reasoning.toString(), Integer.toString(value));
        }
    }

    private static Chain chain(int count, SplittableRandom random) {
        int start = 2 + below(LARGEST_VALUE - 1, random);
        var steps = new ArrayList<Step>();
        int value = start;
        while (steps.size() < count) {
            var step = step(value, random);
            if (step != null) {
                steps.add(step);
                value = step.apply(value);
            }
        }
        return new Chain(start, steps);
    }

    /// A random step, or null when its result is not an integer in 1..99. Drawing again, not clipping the operand, keeps the results from
    /// piling up at the ends of the range.
    private static @Nullable Step step(int value, SplittableRandom random) {
        char drawn = pick(OPERATORS, random);
        var step = switch (drawn) {
            case '+', '-' -> new Step(drawn, 1 + below(LARGEST_OPERAND, random));
            case '/' -> new Step('/', 2);
            default -> new Step('*', drawn - '0');
        };
        boolean exact = step.operator() != '/' || value % 2 == 0;
        int result = step.apply(value);
        return exact && result >= 1 && result <= LARGEST_VALUE ? step : null;
    }

    /// Wraps a chain in words: one or two operations to a sentence.
    private static Story story(Chain chain, SplittableRandom random) {
        boolean woman = below(2, random) == 0;
        String name = pick(woman ? WOMEN : MEN, random);
        String friend = other(name, random);
        String item = pick(ITEMS, random);
        var text = new StringBuilder(name + " has " + chain.start() + " " + item + ".");
        boolean open = false;
        for (int i = 0; i < chain.steps().size(); i++) {
            if (open) {
                text.append(pick(List.of(" and ", ", then "), random));
            } else {
                text.append(pick(woman ? List.of(" She ", " Then she ") : List.of(" He ", " Then he "), random));
            }
            text.append(clause(chain.steps().get(i), friend, random));
            open = !open && i + 1 < chain.steps().size() && below(2, random) == 0;
            if (!open) {
                text.append('.');
            }
        }
        text.append(" How many ").append(item).append(" does ").append(name).append(pick(List.of(" have now?", " own now?"), random));
        return new Story(chain, name, friend, item, text.toString());
    }

    private static String clause(Step step, String friend, SplittableRandom random) {
        var wordings = switch (step.operator()) {
            case '+' -> ADD;
            case '-' -> SUBTRACT;
            case '/' -> HALVE;
            default -> step.operand() == 2 ? DOUBLE : TRIPLE;
        };
        return pick(wordings, random).replace("#", Integer.toString(step.operand())).replace("@", friend);
    }

    private static String other(String name, SplittableRandom random) {
        String friend = name;
        while (friend.equals(name)) {
            friend = pick(below(2, random) == 0 ? WOMEN : MEN, random);
        }
        return friend;
    }

    private static Choice choice(Story story, String id, SplittableRandom random) {
        boolean askItem = below(2, random) == 0;
        String fitting = askItem ? story.item() : story.name();
        Set<String> wrong = new HashSet<>();
        var options = new ArrayList<String>();
        if (!askItem) {
            // The friend is the tempting option where the text mentions one.
            wrong.add(story.friend());
            options.add(" " + story.friend());
        }
        while (options.size() < 3) {
            String candidate = askItem ? pick(ITEMS, random) : other(story.name(), random);
            if (!candidate.equals(fitting) && wrong.add(candidate)) {
                options.add(" " + candidate);
            }
        }
        for (int i = 2; i > 0; i--) {
            Collections.swap(options, i, below(i + 1, random));
        }
        int answer = below(4, random);
        options.add(answer, " " + fitting);
        int question = story.question().lastIndexOf(" How many");
        String context = story.question().substring(0, question) + " How many" + (askItem ? "" : " " + story.item() + " does");
        return new Choice(id, context, options, answer);
    }

    private static String identifier(Split split, String task, long seed, int index) {
        return task + "-" + split.name().toLowerCase(Locale.ROOT) + "-" + seed + "-" + index;
    }

    private static SplittableRandom random(Split split, String stream, long seed) {
        return new SplittableRandom(hash(split.name() + "/" + stream + "/" + seed));
    }

    /// A uniform draw from 0..bound-1 (the bias of the multiplication method is below 2^-57 here).
    private static int below(int bound, SplittableRandom random) {
        return (int) Math.unsignedMultiplyHigh(random.nextLong(), bound);
    }

    private static String pick(List<String> values, SplittableRandom random) {
        return values.get(below(values.size(), random));
    }

    private static char pick(String values, SplittableRandom random) {
        return values.charAt(below(values.length(), random));
    }

    /// FNV-1a over the characters of an ASCII text, then the finaliser of MurmurHash3, because the high bits decide.
    private static long hash(String text) {
        long hash = 0xcbf29ce484222325L;
        for (int i = 0; i < text.length(); i++) {
            hash = (hash ^ text.charAt(i)) * 0x100000001b3L;
        }
        hash = (hash ^ (hash >>> 33)) * 0xff51afd7ed558ccdL;
        hash = (hash ^ (hash >>> 33)) * 0xc4ceb9fe1a85ec53L;
        return hash ^ (hash >>> 33);
    }
}
