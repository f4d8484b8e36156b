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
    record Choosing(String name, List<Question> questions) implements Task {
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

    /// @param id     unique within the task; part of the sample's seed
    /// @param prompt what the model is asked
    /// @param gold   the reference answer as the data set publishes it
    record Problem(String id, Prompt prompt, String gold) {}

    /// @param id      unique within the task
    /// @param context the text before the options
    /// @param options continuations, their leading space included
    /// @param answer  index of the right one
    record Question(String id, String context, List<String> options, int answer) {
        /// Checks the answer.
        public Question {
            options = List.copyOf(options);
            if (answer < 0 || answer >= options.size()) {
                throw Failure.badFile("question %s: the answer is option %d of %d".formatted(id, answer, options.size()));
            }
        }
    }

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
