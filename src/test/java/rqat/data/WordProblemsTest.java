package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.data.WordProblems.Problem;
import rqat.data.WordProblems.Split;

class WordProblemsTest {

    private static final Pattern EQUATION = Pattern.compile("(\\d+)([-+*/])(\\d+)=(\\d+)");
    private static final Pattern TOLD = Pattern.compile(
            "([A-Z][a-z]+) has (\\d+) ([a-z]+)\\. (.*)\\. How many ([a-z]+) does ([A-Z][a-z]+) (?:have|own) now\\?");

    @ParameterizedTest
    @ValueSource(strings = {"easy", "medium", "hard"})
    void reasoningIsAChainOfTrueEquationsThatEndsInTheAnswer(String task) {
        int steps = Map.of("easy", 2, "medium", 4, "hard", 8).get(task);
        for (var problem : WordProblems.problems(Split.TRAIN, task, 2000, 11)) {
            assertThat(problem.task()).isEqualTo(task);
            assertThat(problem.reasoning()).endsWith("\n");
            var lines = problem.reasoning().lines().toList();
            assertThat(lines).hasSize(steps);
            int value = Integer.MIN_VALUE;
            for (var line : lines) {
                var equation = match(EQUATION, line);
                int left = Integer.parseInt(equation.group(1));
                int right = Integer.parseInt(equation.group(3));
                int result = Integer.parseInt(equation.group(4));
                assertThat(left).isBetween(0, 99);
                assertThat(value == Integer.MIN_VALUE || value == left).as(problem.reasoning()).isTrue();
                assertThat(result).as(line).isBetween(0, 99).isEqualTo(switch (equation.group(2)) {
                    case "+" -> left + right;
                    case "-" -> left - right;
                    case "*" -> left * right;
                    default -> Math.divideExact(left, right);
                });
                assertThat(equation.group(2).equals("/") ? left % right : 0).as(line).isZero();
                value = result;
            }
            assertThat(problem.answer()).isEqualTo(Integer.toString(value));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"easy", "medium", "hard"})
    void questionTellsTheSameCalculation(String task) {
        for (var problem : WordProblems.problems(Split.TEST, task, 1000, 3)) {
            assertThat(told(problem.question())).as(problem.question()).isEqualTo(form(problem));
        }
    }

    /// Reads a question as a person would: clause by clause, knowing only the verbs.
    private static String told(String question) {
        var told = match(TOLD, question);
        assertThat(told.group(1)).isEqualTo(told.group(6));
        assertThat(told.group(3)).isEqualTo(told.group(5));
        var form = new StringBuilder(told.group(2));
        String pronoun = null;
        for (var sentence : told.group(4).split("\\. ")) {
            var words = match(Pattern.compile("(?:Then )?([Ss]he|[Hh]e) (.*)"), sentence);
            assertThat(pronoun == null || pronoun.equalsIgnoreCase(words.group(1))).as(question).isTrue();
            pronoun = words.group(1);
            for (var clause : words.group(2).split(" and |, then ")) {
                if (clause.contains("half")) {
                    form.append("/2");
                } else if (clause.startsWith("doubles")) {
                    form.append("*2");
                } else if (clause.startsWith("triples")) {
                    form.append("*3");
                } else {
                    var change = match(Pattern.compile("(finds|buys|wins|gets|sells|loses|gives) \\D*(\\d+)"), clause);
                    form.append(Set.of("finds", "buys", "wins", "gets").contains(change.group(1)) ? "+" : "-").append(change.group(2));
                    assertThat(clause).doesNotContain(told.group(1));
                }
            }
        }
        return form.toString();
    }

    /// The semantic form according to the worked solution.
    private static String form(Problem problem) {
        var form = new StringBuilder();
        problem.reasoning().lines().forEach(line -> {
            var equation = match(EQUATION, line);
            form.append(form.isEmpty() ? equation.group(1) : "").append(equation.group(2)).append(equation.group(3));
        });
        return form.toString();
    }

    private static Matcher match(Pattern pattern, String text) {
        var matcher = pattern.matcher(text);
        assertThat(matcher.matches()).as(text).isTrue();
        return matcher;
    }

    @Test
    void everyTwoStepFormBelongsToOneSplitInTheAnnouncedShares() {
        var sizes = new EnumMap<Split, Integer>(Split.class);
        int all = 0;
        for (int start = 2; start <= 99; start++) {
            for (var first : steps(start)) {
                for (var second : steps(first.getValue())) {
                    sizes.merge(WordProblems.splitOf(start + first.getKey() + second.getKey()), 1, Integer::sum);
                    all++;
                }
            }
        }
        assertThat(all).isGreaterThan(200_000);
        assertThat(sizes.get(Split.TRAIN) / (double) all).isBetween(0.795, 0.805);
        assertThat(sizes.get(Split.CALIBRATION) / (double) all).isBetween(0.045, 0.055);
        assertThat(sizes.get(Split.VALIDATION) / (double) all).isBetween(0.045, 0.055);
        assertThat(sizes.get(Split.TEST) / (double) all).isBetween(0.095, 0.105);
    }

    /// All steps from a value, with their results.
    private static List<Map.Entry<String, Integer>> steps(int value) {
        var steps = new ArrayList<Map.Entry<String, Integer>>();
        for (int operand = 1; operand <= 30; operand++) {
            steps.add(Map.entry("+" + operand, value + operand));
            steps.add(Map.entry("-" + operand, value - operand));
        }
        steps.add(Map.entry("*2", value * 2));
        steps.add(Map.entry("*3", value * 3));
        steps.add(Map.entry("/2", value % 2 == 0 ? value / 2 : -1));
        steps.removeIf(step -> step.getValue() < 1 || step.getValue() > 99);
        return steps;
    }

    @ParameterizedTest
    @EnumSource(Split.class)
    void whatASplitGivesBelongsToItAloneWhateverTheWording(Split split) {
        for (var task : WordProblems.TASKS) {
            for (long seed = 0; seed < 3; seed++) {
                for (var problem : WordProblems.problems(split, task, 1000, seed)) {
                    assertThat(WordProblems.splitOf(told(problem.question()))).isEqualTo(split);
                }
            }
        }
    }

    @Test
    void listsOutsideTrainingHoldNoFormTwice() {
        for (var split : List.of(Split.CALIBRATION, Split.VALIDATION, Split.TEST)) {
            for (var task : WordProblems.TASKS) {
                assertThat(WordProblems.problems(split, task, 3000, 9)).extracting(WordProblemsTest::form).doesNotHaveDuplicates();
            }
        }
    }

    @Test
    void identifiersAreUniqueAcrossSplitsTasksAndSeeds() {
        var ids = new ArrayList<String>();
        for (var split : Split.values()) {
            for (long seed = -1; seed < 2; seed++) {
                for (var task : WordProblems.TASKS) {
                    WordProblems.problems(split, task, 20, seed).forEach(problem -> ids.add(problem.id()));
                }
                WordProblems.choices(split, 20, seed).forEach(choice -> ids.add(choice.id()));
            }
        }
        assertThat(ids).doesNotHaveDuplicates();
    }

    @Test
    void textsNeverChange() throws Exception {
        var digest = MessageDigest.getInstance("SHA-256");
        for (var task : WordProblems.TASKS) {
            for (var problem : WordProblems.problems(Split.TEST, task, 100, 42)) {
                digest.update(problem.toString().getBytes(StandardCharsets.UTF_8));
            }
        }
        WordProblems.choices(Split.TEST, 100, 42).forEach(choice -> digest.update(choice.toString().getBytes(StandardCharsets.UTF_8)));
        assertThat(HexFormat.of().formatHex(digest.digest())).isEqualTo("4b1bba06169181482055a4e91e2b501f5849c0fe5f18edd278fb3c7451870e2c");
    }

    @Test
    void aLongerListBeginsWithTheShorterOne() {
        assertThat(WordProblems.problems(Split.TEST, "hard", 60, 4).subList(0, 20))
                .isEqualTo(WordProblems.problems(Split.TEST, "hard", 20, 4))
                .isNotEqualTo(WordProblems.problems(Split.TEST, "hard", 20, 5));
    }

    @ParameterizedTest
    @ValueSource(strings = {"easy", "medium", "hard"})
    void answersAreSpreadOut(String task) {
        var problems = WordProblems.problems(Split.TRAIN, task, 20_000, 8);
        var shares = problems.stream().collect(Collectors.groupingBy(Problem::answer, Collectors.counting()));
        assertThat(shares).hasSizeGreaterThan(95);
        assertThat(shares.values()).allMatch(count -> count < 0.025 * problems.size());
        assertThat(problems.stream().map(Problem::question).distinct().count()).isGreaterThan(19_500);
    }

    @Test
    void promptAndCompletionFollowTheChatFormat() {
        var problem = new Problem("1", "easy", "Q?", "1+2=3\n3*2=6\n", "6");
        assertThat(problem.prompt()).isEqualTo("<|im_start|>user\nQ?<|im_end|>\n<|im_start|>assistant\n");
        assertThat(problem.completion()).isEqualTo("<think>\n1+2=3\n3*2=6\n</think>\n\\boxed{6}<|im_end|>");
    }

    @Test
    void choicesHaveOneFittingOptionInAUniformPlace() {
        var choices = WordProblems.choices(Split.TEST, 4000, 6);
        var places = new HashMap<Integer, Integer>();
        var kinds = new HashMap<Boolean, Integer>();
        int tempting = 0;
        for (var choice : choices) {
            assertThat(choice.options()).hasSize(4).doesNotHaveDuplicates().allMatch(option -> option.matches(" [A-Za-z]+"));
            // Who owns what is said in the first sentence; only the fitting option restates it.
            var words = new HashSet<>(List.of(choice.context().substring(0, choice.context().indexOf('.')).split(" ")));
            assertThat(choice.options().stream().filter(option -> words.contains(option.strip())))
                    .containsExactly(choice.options().get(choice.answer()));
            places.merge(choice.answer(), 1, Integer::sum);
            kinds.merge(choice.context().endsWith(" How many"), 1, Integer::sum);
            tempting += choice.options().stream().filter(option -> choice.context().contains(option + " ")).count() > 0
                    && choice.context().endsWith("does") ? 1 : 0;
        }
        assertThat(places.values()).hasSize(4).allMatch(count -> count > 880 && count < 1120);
        assertThat(kinds.values()).hasSize(2).allMatch(count -> count > 1800);
        assertThat(tempting).isGreaterThan(200);
    }

    @Test
    void refusesWhatItCannotGive() {
        assertThatThrownBy(() -> WordProblems.problems(Split.TEST, "extreme", 1, 0)).isInstanceOf(Failure.class)
                .hasMessageContaining("extreme").hasMessageContaining("[easy, medium, hard]");
        assertThatThrownBy(() -> WordProblems.problems(Split.TEST, "easy", -1, 0)).isInstanceOf(Failure.class).hasMessageContaining("-1");
        assertThatThrownBy(() -> WordProblems.problems(Split.VALIDATION, "easy", 10_000_000, 0)).isInstanceOf(Failure.class)
                .hasMessageContaining("validation");
    }
}
