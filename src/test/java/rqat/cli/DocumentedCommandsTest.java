package rqat.cli;

import static org.assertj.core.api.Assertions.assertThatCode;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every command that the documentation shows is one that the program understands, and every recipe it names is there.
class DocumentedCommandsTest {
    /// A word of a shell line: in single or double quotes, or without blanks.
    private static final Pattern WORD = Pattern.compile("'([^']*)'|\"([^\"]*)\"|(\\S+)");

    /// In a line of its own, or between backticks.
    private static final Pattern COMMAND = Pattern.compile("(?m)(?<=^ {4})\\./rqat .*$|(?<=`)\\./rqat [^`]+(?=`)");

    static List<String> commands() throws IOException {
        try (Stream<Path> files = Stream.concat(Stream.of(Path.of("README.md")), Files.walk(Path.of("docs")))) {
            return files.filter(file -> file.toString().endsWith(".md"))
                    .flatMap(DocumentedCommandsTest::shown)
                    .filter(line -> !line.contains("..."))
                    .distinct()
                    .toList();
        }
    }

    private static Stream<String> shown(Path file) {
        try {
            return COMMAND.matcher(Files.readString(file)).results().map(MatchResult::group);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<String> words(String line) {
        var words = new ArrayList<String>();
        Matcher matcher = WORD.matcher(line);
        while (matcher.find()) {
            for (int group = 1; group <= 3; group++) {
                if (matcher.group(group) != null) words.add(matcher.group(group));
            }
        }
        int comment = words.indexOf("#");
        return comment < 0 ? words : words.subList(0, comment);
    }

    @ParameterizedTest
    @MethodSource("commands")
    void isUnderstood(String line) {
        List<String> words = words(line);
        assertThatCode(() -> Rqat.commandLine().parseArgs(words.subList(1, words.size()).toArray(String[]::new))).doesNotThrowAnyException();
        for (String word : words) {
            if (word.startsWith("recipes/")) assertThatCode(() -> Files.size(Path.of(word))).doesNotThrowAnyException();
        }
    }
}
