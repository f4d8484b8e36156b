package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The studies that come with the program are valid, name every stage alike and leave nothing unlabelled.
class ShippedStudiesTest {

    static Stream<Path> recipes() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("recipes/studies"))) {
            return files.filter(file -> !file.endsWith("common.yaml")).sorted().toList().stream();
        }
    }

    @ParameterizedTest
    @MethodSource("recipes")
    void isValidAndComplete(Path recipe) {
        RunSettings settings = RunSettings.load(recipe, List.of()).value();
        List<RunSettings> rows = RunSettings.variants(recipe, List.of());
        assertThat(rows).hasSameSizeAs(settings.rows()).isNotEmpty();
        assertThat(settings.study().seeds()).hasSize(3);
        assertThat(settings.study().title()).isNotEmpty();
        assertThat(settings.study().charts()).isNotEmpty();
        assertThat(Path.of(settings.output())).endsWithRaw(Path.of(recipe.getFileName().toString().replace(".yaml", "")));
        assertThat(settings.rows()).allSatisfy(row -> assertThat(row.label().keySet()).isEqualTo(settings.rows().getFirst().label().keySet()));
        // Rows of one name in several studies are one and the same model: the cache is shared.
        for (int i = 0; i < rows.size(); i++) {
            RecipeRow row = settings.rows().get(i);
            if (!row.name().equals(row.chain())) continue;
            var made = Pipeline.Model.of(Path.of("model"), row.steps(), rows.get(i), 1);
            var known = MODELS.putIfAbsent(row.name(), made);
            if (known != null) assertThat(made).isEqualTo(known);
        }
    }

    private static final Map<String, Pipeline.Model> MODELS = new HashMap<>();
}
