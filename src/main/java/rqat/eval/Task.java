package rqat.eval;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import rqat.Failure;
import rqat.verify.Verifier;

/// A benchmark: examples, how they are put to the model, and how an answer is judged. The verifier of a task is also the reward of
/// reinforcement learning on its training examples.
public sealed interface Task {

    /// What names may look like: they become part of file names.
    Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9_.-]*");

    /// A short name, unique within an evaluation.
    String name();

    /// How many examples there are.
    int size();

    /// The model writes an answer and a verifier judges it.
    record Answering(String name, List<Problem> problems, Verifier verifier) implements Task {
        /// Checks the name and that ids are unique.
        public Answering {
            problems = List.copyOf(problems);
            check(name, problems.stream().map(Problem::id).toList());
        }

        @Override
        public int size() {
            return problems.size();
        }
    }

    /// The model chooses one of several continuations by their log-likelihood; nothing is sampled.
    ///
    /// @param perCharacter whether a log-likelihood is divided by the number of characters of its continuation, the space before it not
    ///                     counted, so that short options have no advantage
    record Choosing(String name, List<Question> questions, boolean perCharacter) implements Task {
        /// A choice by the plain log-likelihood.
        public Choosing(String name, List<Question> questions) {
            this(name, questions, false);
        }

        /// Checks the name and that ids are unique.
        public Choosing {
            questions = List.copyOf(questions);
            check(name, questions.stream().map(Question::id).toList());
        }

        @Override
        public int size() {
            return questions.size();
        }
    }

    /// The model reads a text, in windows that do not overlap, and the result is its perplexity.
    ///
    /// @param window tokens of a window, or the model's context where that is shorter
    record Reading(String name, String text, int window) implements Task {
        /// Checks the name and the text.
        public Reading {
            check(name, text.isBlank() ? List.of() : List.of(name));
            if (window < 2) throw Failure.usage("task %s: a window of %d tokens; expected 2 or more".formatted(name, window));
        }

        @Override
        public int size() {
            return 1;
        }
    }

    /// @param id     unique within the task; part of the sample's seed
    /// @param prompt what the model is asked
    /// @param gold   the reference answer as the data set publishes it
    record Problem(String id, Prompt prompt, String gold) {}

    /// @param id      unique within the task
    /// @param options what is compared
    /// @param answer  index of the right one
    record Question(String id, List<Option> options, int answer) {
        /// Checks the answer.
        public Question {
            options = List.copyOf(options);
            if (answer < 0 || answer >= options.size()) {
                throw Failure.badFile("question %s: the answer is option %d of %d".formatted(id, answer, options.size()));
            }
        }

        /// A question whose options continue the same text.
        public Question(String id, String context, List<String> continuations, int answer) {
            this(id, continuations.stream().map(continuation -> new Option(context, continuation)).toList(), answer);
        }
    }

    /// @param context      the text before
    /// @param continuation what is scored, its leading space included
    record Option(String context, String continuation) {}

    private static void check(String name, List<String> ids) {
        if (!NAME.matcher(name).matches()) {
            throw Failure.usage("task name `%s`: use letters, digits and _ . - only".formatted(name));
        }
        if (ids.isEmpty()) throw Failure.usage("task %s has no examples".formatted(name));
        Set<String> seen = new HashSet<>();
        for (String id : ids) {
            if (!seen.add(id)) throw Failure.badFile("task %s: two examples have the id %s; ids must differ".formatted(name, id));
        }
    }
}
