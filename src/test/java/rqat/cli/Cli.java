package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import picocli.CommandLine;

/// The command line as a user meets it: exit code, standard output, standard error.
///
/// @param out what results went to
/// @param err messages and progress
record Cli(int code, String out, String err) {

    /// Runs a command in this process.
    static Cli run(String... arguments) {
        var out = new StringWriter();
        PrintStream standardError = System.err;
        var err = new ByteArrayOutputStream();
        try (var stream = new PrintStream(err, true, StandardCharsets.UTF_8)) {
            System.setErr(stream); // where progress goes
            CommandLine commandLine = Rqat.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(stream, true));
            int code = commandLine.execute(arguments);
            return new Cli(code, out.toString(), err.toString(StandardCharsets.UTF_8));
        } finally {
            System.setErr(standardError);
        }
    }

    /// A process that runs a command with the options of the launcher, in `directory`.
    static ProcessBuilder process(Path directory, String... arguments) {
        var command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-XX:+UseCompactObjectHeaders",
                "-XX:TieredStopAtLevel=1",
                "-Dorg.bytedeco.javacpp.nopointergc=true",
                "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
                "-cp",
                System.getProperty("java.class.path"),
                Rqat.class.getName()));
        command.addAll(List.of(arguments));
        var builder = new ProcessBuilder(command).directory(directory.toFile());
        builder.environment().put("RQAT_HOME", Path.of("").toAbsolutePath().toString());
        return builder;
    }

    /// Every file and directory below `root`, with the sizes of files.
    static List<String> content(Path root) {
        try (Stream<Path> paths = Files.walk(root)) {
            return paths.map(path -> "%s %d".formatted(root.relativize(path), Files.isRegularFile(path) ? path.toFile().length() : -1))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// One message that holds `parts`, this exit code, nothing on standard output, no stack trace.
    void refused(int expected, String... parts) {
        assertThat(err.lines().toList()).hasSize(1);
        failed(expected, parts);
    }

    /// As [#refused], but progress may have been shown before.
    void failed(int expected, String... parts) {
        List<String> messages = err.lines().filter(line -> line.startsWith("rqat: ")).toList();
        assertThat(messages).as(err).hasSize(1);
        assertThat(messages.getFirst()).contains(parts).doesNotContain("Exception", "internal error");
        assertThat(err).doesNotContain("\tat ");
        assertThat(out).isEmpty();
        assertThat(code).as(err).isEqualTo(expected);
    }
}
