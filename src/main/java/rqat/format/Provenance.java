package rqat.format;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import tools.jackson.databind.JsonNode;

/// Where a quantised model comes from: the model that it was made of, and every stage since, in order. Says nothing about time and place, so that
/// the same stages make the same bytes.
///
/// @param base   the full-precision model
/// @param stages oldest first
public record Provenance(Base base, List<Stage> stages) {
    /// Of a model made in memory, or by a version that did not write it down.
    public static final Provenance UNKNOWN = new Provenance(new Base("", ""), List.of());

    /// Copies the list.
    public Provenance {
        stages = List.copyOf(stages);
    }

    /// A full-precision model.
    ///
    /// @param name   as its configuration or its directory calls it; empty when unknown
    /// @param sha256 of what decides what it computes; empty when unknown
    public record Base(String name, String sha256) {}

    /// Something that was done to it.
    ///
    /// @param stage    `quantize`, `sft`, `distill` or `grpo`
    /// @param seed     of everything that it drew
    /// @param settings all that decides the result besides its inputs, as recipes name it
    /// @param inputs   hashes of what it read, by name
    /// @param versions of this program and of what computed
    public record Stage(String stage, long seed, JsonNode settings, Map<String, String> inputs, Map<String, String> versions) {
        /// Sorts the maps.
        public Stage {
            inputs = new TreeMap<>(inputs);
            versions = new TreeMap<>(versions);
        }
    }

    /// The same after one more stage.
    public Provenance then(Stage stage) {
        var more = new ArrayList<>(stages);
        more.add(stage);
        return new Provenance(base, more);
    }
}
