package rqat.recipe;

import com.fasterxml.jackson.annotation.JsonCreator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// A row of the table: a chain, and what is special about it. In a recipe either the chain alone (`gptq+kd`) or a section.
///
/// @param name  of the row, by which comparisons and charts refer to it; the chain where it is not given
/// @param chain see [Chain]
/// @param label what the table of a study shows before the scores, by column
/// @param set   keys of the recipe that have other values for this row
public record RecipeRow(String name, String chain, SequencedMap<String, String> label, JsonNode set) {
    private static final List<String> SETTABLE = List.of("model", "quantise", "sft", "kd", "grpo");

    /// What a section may leave out.
    static final Map<String, Object> DEFAULTS = Map.of("name", "", "label", Map.of(), "set", Map.of());

    /// Checks the chain and which keys are set; their values are checked where they belong.
    @JsonCreator
    public RecipeRow {
        Chain.parse(chain);
        if (name.isEmpty()) name = chain;
        label = java.util.Collections.unmodifiableSequencedMap(new LinkedHashMap<>(label));
        if (!set.isObject()) throw new IllegalArgumentException("set is %s; expected keys of the recipe".formatted(set));
        for (String key : set.propertyNames()) {
            if (!SETTABLE.contains(key)) {
                throw new IllegalArgumentException("set has the key `%s`; a row may have its own %s".formatted(key, String.join(", ", SETTABLE)));
            }
        }
    }

    /// A row that is its chain.
    @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
    public static RecipeRow of(String chain) {
        return new RecipeRow("", chain, new LinkedHashMap<>(), JsonNodeFactory.instance.objectNode());
    }

    Chain steps() {
        return Chain.parse(chain);
    }
}
