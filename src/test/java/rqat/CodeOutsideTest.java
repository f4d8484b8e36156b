package rqat;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Java that no build compiles, compiled as its readers will: the benchmarks, and each `java` block of the README and of docs, a source file
/// of its own (a class, or the `void main` of a compact one), against what the tests run with: clients that nobody here wrote are in it.
class CodeOutsideTest {
    private static final Pattern EXAMPLE = Pattern.compile("(?ms)^``` *java\\b.*?\\R(.*?)^```");
    private static final JavaCompiler COMPILER = ToolProvider.getSystemJavaCompiler();

    @TempDir
    private Path classes;

    @Test
    void benchmarksCompile() throws IOException {
        try (Stream<Path> files = Files.walk(Path.of("bench/src"))) {
            List<Path> sources = files.filter(file -> file.toString().endsWith(".java")).toList();
            assertThat(sources).isNotEmpty();
            try (var manager = COMPILER.getStandardFileManager(null, null, null)) {
                assertThat(errors(manager.getJavaFileObjectsFromPaths(sources))).isEmpty();
            }
        }
    }

    @Test
    void examplesOfTheDocumentationCompile() throws IOException {
        try (Stream<Path> files = Stream.concat(Stream.of(Path.of("README.md")), Files.walk(Path.of("docs")))) {
            for (Path file : files.filter(name -> name.toString().endsWith(".md")).toList()) {
                for (JavaFileObject example : examples(Files.readString(file))) {
                    assertThat(errors(List.of(example))).as("a `java` block of %s", file).isEmpty();
                }
            }
        }
    }

    @Test
    void anExampleThatDoesNotCompileIsFound() {
        List<JavaFileObject> examples = examples("""
                Text.
                ```java
                import rqat.Failure;
                void main() {
                    throw Failure.usage("");
                }
                ```
                ```sh
                ./rqat
                ```
                ``` java
                void main() {
                    rqat.Failure.gone();
                }
                ```
                """);
        assertThat(examples).hasSize(2);
        assertThat(errors(examples.subList(0, 1))).isEmpty();
        assertThat(errors(examples.subList(1, 2))).contains("cannot find symbol", "gone");
    }

    private static List<JavaFileObject> examples(String markdown) {
        var examples = new ArrayList<JavaFileObject>();
        EXAMPLE.matcher(markdown).results().forEach(block -> examples.add(
                new SimpleJavaFileObject(URI.create("string:///Example.java"), JavaFileObject.Kind.SOURCE) {
                    @Override
                    public String getCharContent(boolean ignoreEncodingErrors) {
                        return block.group(1);
                    }
                }));
        return examples;
    }

    /// What the compiler says, nothing if all is well; warnings of the kinds that the build asks for count.
    private String errors(Iterable<? extends JavaFileObject> sources) {
        var messages = new StringWriter();
        COMPILER.getTask(messages, null, null,
                        List.of("-proc:none", "-Xlint:all,-serial,-classfile,-this-escape,-restricted", "-d", classes.toString(), "-cp", System.getProperty("java.class.path")), null, sources)
                .call();
        return messages.toString();
    }
}
