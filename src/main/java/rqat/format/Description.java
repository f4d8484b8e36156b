package rqat.format;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.EnumNamingStrategies;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `quantization/quantization.json`: what a quantised model is and how it was made.
///
///     {"format_version": 3,
///      "method": {"name": "gptq", "options": {...}},         how codes were found; the method's own matter
///      "grid": {"bits": 2, "group_size": 128, "symmetric": false, "scale_type": "float32"},
///      "grids": {"NAME": {...}},                              of the tensors whose grid is another
///      "tensors": ["NAME", ...],                              the quantised weights
///      "scale_mode": "static", "mask_rule": "half_step",      how training goes on
///      "activations": {"quantisers": {...}, "shards": 1},
///      "provenance": {"base": {...}, "stages": [...]}}
///
/// Versions 1 and 2 had the method's options in its place, no grids of their own, and an empty provenance; they are read as what they meant.
///
/// @param tensors the quantised weights with their grids, in the order of the model
public record Description(
        Method method, ScaleMode scaleMode, MaskRule maskRule, ActivationFormat activations, SequencedMap<String, GridSpec> tensors, Provenance provenance) {
    /// The file's name, in the folder [#FOLDER] of a model directory.
    public static final String FILE = "quantization.json";
    /// Where a model directory keeps what is not of the Hugging Face layout.
    public static final String FOLDER = "quantization";

    private static final int VERSION = 3;
    private static final long MAXIMUM_BYTES = 10_000_000;
    /// Files of older versions that have been spoken of: a command reads a description several times.
    private static final Set<Path> TOLD = ConcurrentHashMap.newKeySet();

    private static final JsonMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enumNamingStrategy(EnumNamingStrategies.SNAKE_CASE)
            .enable(
                    DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES,
                    DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES,
                    DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES,
                    DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build();

    /// How the codes were found, as far as files need to know.
    ///
    /// @param name    of the method
    /// @param options its settings, which only the method itself understands
    public record Method(String name, ObjectNode options) {
        private static final String NAME = "method";

        /// What a record of settings says, one that writes its method's name as `method`.
        public static Method of(Object settings) {
            ObjectNode options = JSON.valueToTree(settings);
            return new Method(options.remove(NAME).stringValue(), options);
        }

        /// The record of settings that [#of] was given.
        ///
        /// @param file where it was read, for messages
        /// @throws Failure BAD_FILE when there is no such method, or it has other options
        public <T> T as(Class<T> settings, Path file) {
            try {
                return JSON.treeToValue(options.deepCopy().put(NAME, name), settings);
            } catch (JacksonException e) {
                throw Failure.badFile("%s: %s".formatted(file, Failure.quote(e.getOriginalMessage())), e);
            }
        }
    }

    /// Keeps the order.
    public Description {
        tensors = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(tensors));
    }

    /// The file as it is.
    private record Content(
            int formatVersion,
            Method method,
            GridSpec grid,
            Map<String, GridSpec> grids,
            List<String> tensors,
            ScaleMode scaleMode,
            MaskRule maskRule,
            ActivationFormat activations,
            Provenance provenance) {}

    /// Whether a model directory is quantised.
    public static boolean isIn(Path modelDirectory) {
        return Files.exists(modelDirectory.resolve(FOLDER));
    }

    /// Reads the description of a model directory.
    ///
    /// @param config of the same directory
    /// @throws Failure BAD_FILE when it is missing, damaged, of a version that this one does not know, or names weights that are no linear maps
    public static Description read(Path modelDirectory, ModelConfig config) {
        Path file = modelDirectory.resolve(FOLDER).resolve(FILE);
        Content content;
        try {
            if (Files.size(file) > MAXIMUM_BYTES) {
                throw Failure.badFile("%s: larger than %,d bytes, not a description of ours".formatted(file, MAXIMUM_BYTES));
            }
            JsonNode tree = JSON.readTree(Files.readAllBytes(file));
            content = JSON.treeToValue(migrated(file, tree, config), Content.class);
        } catch (JacksonException e) {
            String place = e.getLocation() == null || e.getLocation().getLineNr() < 1 ? "" : ":" + e.getLocation().getLineNr();
            throw Failure.badFile("%s%s: %s".formatted(file, place, Failure.quote(e.getOriginalMessage())), e);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
        if (content.tensors.isEmpty()) throw Failure.badFile(file + ": `tensors` is empty; expected the quantised weights");
        var maps = maps(config);
        var tensors = new LinkedHashMap<String, GridSpec>();
        for (String name : content.tensors) {
            if (!maps.containsKey(name) || tensors.put(name, content.grids.getOrDefault(name, content.grid)) != null) {
                throw Failure.badFile("%s: `tensors` names %s; expected weights of linear maps, each once".formatted(file, Failure.quote(name)));
            }
        }
        for (String name : content.grids.keySet()) {
            if (!tensors.containsKey(name)) throw Failure.badFile("%s: `grids` names %s, which is not in `tensors`".formatted(file, Failure.quote(name)));
        }
        return new Description(content.method, content.scaleMode, content.maskRule, content.activations, tensors, content.provenance);
    }

    /// Writes it into a model directory.
    public void write(Path modelDirectory) {
        GridSpec common = tensors.firstEntry().getValue();
        var others = new LinkedHashMap<String, GridSpec>();
        tensors.forEach((name, grid) -> {
            if (!grid.equals(common)) others.put(name, grid);
        });
        var content = new Content(VERSION, method, common, others, List.copyOf(tensors.keySet()), scaleMode, maskRule, activations, provenance);
        AtomicFiles.write(modelDirectory.resolve(FOLDER).resolve(FILE), JSON.writeValueAsString(content) + "\n");
    }

    /// The linear maps of a model by the names of their weights, in the order of the forward pass.
    public static SequencedMap<String, Linear> maps(ModelConfig config) {
        var maps = new LinkedHashMap<String, Linear>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) maps.put(linear.weight(layer), linear);
        }
        return maps;
    }

    // ---- older versions

    private static JsonNode migrated(Path file, JsonNode tree, ModelConfig config) {
        int version = tree.path("format_version").asInt(0);
        if (version == VERSION || !(tree instanceof ObjectNode object)) return tree;
        if (version < 1 || version > VERSION) {
            throw Failure.badFile("%s: format_version is %s; this version reads 1 to %d. Use the version that wrote it, or quantise again."
                    .formatted(file, Failure.quote(tree.path("format_version").toString()), VERSION));
        }
        if (!(object.get("method") instanceof ObjectNode old)) return tree;
        if (TOLD.add(file.toAbsolutePath().normalize())) {
            System.err.println("rqat: %s is of format version %d and is read as version %d; a stage that writes the model again writes that".formatted(file, version, VERSION));
        }
        object.put("format_version", VERSION);
        if (version == 1) object.putObject("activations").put("shards", 1).putObject("quantisers");
        ObjectNode options = old.deepCopy();
        JsonNode name = options.remove("method");
        ObjectNode method = JsonNodeFactory.instance.objectNode();
        method.set("name", name);
        method.set("options", options);
        object.set("method", method);
        // A method that rotates first keeps the grid with the method that quantises its weights.
        JsonNode grid = options.has("grid") ? options.get("grid") : options.path("weights").path("grid");
        object.set("grid", grid.isMissingNode() ? JsonNodeFactory.instance.nullNode() : grid);
        object.set("grids", shards(object, grid, config));
        object.remove("provenance");
        object.set("provenance", JSON.valueToTree(Provenance.UNKNOWN));
        return object;
    }

    /// Whole rows that tensor parallelism divides had a scale for each shard without saying so.
    private static ObjectNode shards(ObjectNode object, JsonNode grid, ModelConfig config) {
        ObjectNode grids = JsonNodeFactory.instance.objectNode();
        int shards = object.path("activations").path("shards").asInt(1);
        if (shards <= 1 || grid.path("group_size").asInt(-1) != 0) return grids;
        var maps = maps(config);
        for (JsonNode tensor : object.path("tensors")) {
            Linear linear = maps.get(tensor.asString(""));
            if (linear != Linear.OUTPUT && linear != Linear.DOWN) continue;
            grids.set(tensor.asString(), ((ObjectNode) grid.deepCopy()).put("group_size", config.inputs(linear) / shards));
        }
        return grids;
    }
}
