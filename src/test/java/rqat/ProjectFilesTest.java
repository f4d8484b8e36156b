package rqat;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import rqat.run.Manifest;
import tools.jackson.databind.json.JsonMapper;

/// What stands in several files of the project says the same in all of them.
class ProjectFilesTest {
    private final String pom = read("pom.xml");

    @Test
    void theVersionIsTheSameEverywhere() {
        assertThat(first("<version>(.*?)</version>")).isEqualTo(Manifest.VERSION);
        assertThat(read("CHANGELOG.md")).contains("\n## " + Manifest.VERSION + "\n");
        assertThat(JsonMapper.shared().readTree(read("jbang-catalog.json")).at("/aliases/rqat/script-ref").stringValue())
                .isEqualTo("%s:%s:%s".formatted(first("<groupId>(.*?)</groupId>"), first("<artifactId>(.*?)</artifactId>"), Manifest.VERSION));
    }

    /// Every library that is shipped stands in NOTICE with its licence.
    @Test
    void noticeNamesWhatIsShipped() {
        String notice = read("NOTICE");
        List<MatchResult> dependencies = Pattern.compile("(?s)<dependency>(.*?)</dependency>").matcher(pom).results().toList();
        assertThat(dependencies).hasSizeGreaterThan(15);
        for (MatchResult dependency : dependencies) {
            if (dependency.group(1).contains("<scope>test</scope>")) continue;
            Pattern group = Pattern.compile("(?s).*<groupId>(.*?)</groupId>.*");
            assertThat(notice).contains(group.matcher(dependency.group(1)).replaceAll("$1").strip());
        }
    }

    /// What Maven Central asks for, besides signatures.
    @Test
    void thePomIsComplete() {
        for (String element : List.of("name", "description", "url", "licenses", "developers", "scm")) assertThat(pom).containsPattern("(?m)^  <%s>".formatted(element));
        assertThat(Manifest.VERSION).matches("\\d+\\.\\d+\\.\\d+");
    }

    /// The launchers of all platforms and the JBang alias start the same program in the same way.
    @Test
    void launchersAgree() {
        String unix = read("rqat"), windows = read("rqat.cmd"), jbang = read("jbang-catalog.json");
        for (String option : List.of("--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC", "-Dorg.bytedeco.javacpp.nopointergc=true", "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0")) {
            assertThat(unix).contains(option);
            assertThat(windows).contains(option);
            assertThat(jbang).contains(option);
        }
        assertThat(first("<mainClass>(.*?)</mainClass>")).isEqualTo("rqat.cli.Rqat");
        assertThat(unix).contains(" rqat.cli.Rqat ");
        assertThat(windows).contains(" rqat.cli.Rqat ");
        assertThat(jbang).contains("\"rqat.cli.Rqat\"");
    }

    private String first(String expression) {
        return Pattern.compile(expression).matcher(pom).results().findFirst().orElseThrow().group(1);
    }

    private static String read(String file) {
        try {
            return Files.readString(Path.of(file));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
