package rqat.run;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.AtomicFiles;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.dataformat.yaml.YAMLFactory;
import tools.jackson.dataformat.yaml.YAMLParser;

/// A configuration before it is bound: JSON values of which each knows where it comes from (`recipe.yaml:12:5`, `--set a.b=c` or
/// `default`). Paths are written `quantize.bits`, `tasks.0.name`; the empty path is the root.
sealed interface ConfigurationTree {

    String DEFAULT = "default";

    /// See [Configuration].
    String VARIANT = "method";

    String origin();

    record Mapping(SequencedMap<String, ConfigurationTree> entries, String origin) implements ConfigurationTree {
        /// Which variant of a sealed configuration this is, if it says so.
        @Nullable String variant() {
            return entries.get(VARIANT) instanceof Scalar(JsonNode value, _) && value.isString() ? value.stringValue() : null;
        }

        private Mapping chooseDefaults(@Nullable ConfigurationTree defaults, List<ConfigurationTree> sections) {
            List<ConfigurationTree> candidates = new ArrayList<>(sections);
            if (defaults != null) {
                candidates.addFirst(defaults);
            }
            for (ConfigurationTree candidate : candidates) {
                if (candidate instanceof Mapping mapping && (variant() == null || variant().equals(mapping.variant()))) {
                    return mapping;
                }
            }
            return new Mapping(new LinkedHashMap<>(), DEFAULT);
        }
    }

    record Sequence(List<ConfigurationTree> items, String origin) implements ConfigurationTree {}

    record Scalar(JsonNode value, String origin) implements ConfigurationTree {}

    /// The child of that name or index.
    default @Nullable ConfigurationTree child(String key) {
        return switch (this) {
            case Mapping mapping -> mapping.entries.get(key);
            case Sequence sequence -> {
                int index = index(key);
                yield index >= 0 && index < sequence.items.size() ? sequence.items.get(index) : null;
            }
            case Scalar _ -> null;
        };
    }

    /// Without origins.
    default JsonNode toJson() {
        return switch (this) {
            case Mapping mapping -> {
                ObjectNode object = JsonNodeFactory.instance.objectNode();
                mapping.entries.forEach((key, value) -> object.set(key, value.toJson()));
                yield object;
            }
            case Sequence sequence -> JsonNodeFactory.instance.arrayNode()
                    .addAll(sequence.items.stream().map(ConfigurationTree::toJson).toList());
            case Scalar scalar -> scalar.value;
        };
    }

    /// The tree of a JSON value that is a default.
    static ConfigurationTree ofDefault(JsonNode json) {
        if (json.isObject()) {
            SequencedMap<String, ConfigurationTree> entries = new LinkedHashMap<>();
            json.properties().forEach(entry -> entries.put(entry.getKey(), ofDefault(entry.getValue())));
            return new Mapping(entries, DEFAULT);
        }
        if (json.isArray()) {
            return new Sequence(json.values().stream().map(ConfigurationTree::ofDefault).toList(), DEFAULT);
        }
        return new Scalar(json, DEFAULT);
    }

    static String join(String path, String key) {
        return path.isEmpty() ? key : path + "." + key;
    }

    /// This tree with another laid over it: mappings are united key by key, anything else (lists too) is replaced, and so is a mapping
    /// whose variant changes.
    default ConfigurationTree overlay(ConfigurationTree top) {
        if (!(this instanceof Mapping below && top instanceof Mapping above) || changesVariant(below, above)) {
            return top;
        }
        SequencedMap<String, ConfigurationTree> entries = new LinkedHashMap<>(below.entries);
        above.entries.forEach((key, value) -> entries.merge(key, value, ConfigurationTree::overlay));
        return new Mapping(entries, above.origin);
    }

    private static boolean changesVariant(Mapping below, Mapping above) {
        return above.variant() != null && !above.variant().equals(below.variant());
    }

    /// This tree with absent keys taken from the defaults. A mapping that says which variant it is takes those of that variant, from the
    /// default value or else from `sections` at its path.
    default ConfigurationTree withDefaults(
            @Nullable ConfigurationTree defaults, String path, String pattern, Map<String, List<ConfigurationTree>> sections) {
        return switch (this) {
            case Mapping mapping -> {
                Mapping base = mapping.chooseDefaults(defaults, sections.getOrDefault(pattern, List.of()));
                SequencedMap<String, ConfigurationTree> entries = new LinkedHashMap<>(base.entries);
                mapping.entries.forEach((key, value) ->
                        entries.put(key, value.withDefaults(base.entries.get(key), join(path, key), join(pattern, key), sections)));
                yield new Mapping(entries, origin());
            }
            case Sequence sequence -> {
                List<ConfigurationTree> items = new ArrayList<>();
                for (ConfigurationTree item : sequence.items) {
                    items.add(item.withDefaults(null, join(path, String.valueOf(items.size())), join(pattern, "*"), sections));
                }
                yield new Sequence(items, origin());
            }
            case Scalar scalar -> {
                boolean mayBeNull = defaults instanceof Scalar(JsonNode value, _) && value.isNull();
                if (scalar.value.isNull() && !mayBeNull) {
                    throw Failure.usage("%s: %s has no value; give one, or remove the key".formatted(origin(), Failure.quote(path)));
                }
                yield scalar;
            }
        };
    }

    /// Reads a YAML file, and the one that it extends, if any.
    static Mapping read(Path file) {
        return read(file, new HashSet<>());
    }

    private static Mapping read(Path file, Set<Path> seen) {
        if (!seen.add(file.toAbsolutePath().normalize())) {
            throw Failure.usage("%s: `extends` goes round in a circle".formatted(file));
        }
        ConfigurationTree tree = new Reader(text(file), file.toString(), file.toString()).read();
        if (tree instanceof Scalar(JsonNode value, _) && value.isNull()) {
            return new Mapping(new LinkedHashMap<>(), file.toString());
        }
        if (!(tree instanceof Mapping mapping)) {
            throw Failure.usage("%s: found %s; expected keys and values".formatted(tree.origin(), tree.describe()));
        }
        ConfigurationTree parent = mapping.entries.remove(Configuration.EXTENDS);
        if (parent == null) {
            return mapping;
        }
        if (!(parent instanceof Scalar(JsonNode name, String origin) && name.isString())) {
            throw Failure.usage("%s: `extends` is %s; expected the name of another file, relative to this one"
                    .formatted(parent.origin(), parent.describe()));
        }
        Path parentFile = file.resolveSibling(name.stringValue());
        if (!Files.isRegularFile(parentFile)) {
            throw Failure.usage("%s: `extends` names %s, which is no file".formatted(origin, parentFile));
        }
        return (Mapping) read(parentFile, seen).overlay(mapping);
    }

    private static String text(Path file) {
        try {
            if (Files.size(file) > Configuration.MAXIMUM_BYTES) {
                throw Failure.usage("%s: has %,d bytes; expected a configuration of at most %,d"
                        .formatted(file, Files.size(file), Configuration.MAXIMUM_BYTES));
            }
            String text = Files.readString(file);
            return text.startsWith("\ufeff") ? text.substring(1) : text;
        } catch (CharacterCodingException e) {
            throw Failure.usage(file + ": not valid UTF-8 text");
        } catch (IOException e) {
            throw Failure.usage(String.valueOf(AtomicFiles.failure("read", file, e).getMessage()));
        }
    }

    /// Lays `key.path=value` over a tree; the value is YAML.
    static Mapping set(Mapping tree, String assignment) {
        String origin = "--set " + assignment;
        int equals = assignment.indexOf('=');
        if (equals < 1) {
            throw Failure.usage(origin + ": expected key.path=value");
        }
        ConfigurationTree value = new Reader(assignment.substring(equals + 1), origin, null).read();
        return (Mapping) set(tree, List.of(assignment.substring(0, equals).strip().split("\\.", -1)), "", value);
    }

    private static ConfigurationTree set(@Nullable ConfigurationTree tree, List<String> keys, String path, ConfigurationTree value) {
        if (keys.isEmpty()) {
            return tree == null ? value : tree.overlay(value);
        }
        String key = keys.getFirst();
        List<String> rest = keys.subList(1, keys.size());
        return switch (tree) {
            case Mapping mapping -> {
                SequencedMap<String, ConfigurationTree> entries = new LinkedHashMap<>(mapping.entries);
                entries.put(key, set(mapping.entries.get(key), rest, join(path, key), value));
                yield new Mapping(entries, mapping.origin);
            }
            case Sequence sequence -> {
                int index = index(key);
                if (index < 0 || index >= sequence.items.size()) {
                    throw Failure.usage("%s: `%s` is a list of %d; expected an index from 0 to %d instead of %s"
                            .formatted(value.origin(), path, sequence.items.size(), sequence.items.size() - 1, Failure.quote(key)));
                }
                List<ConfigurationTree> items = new ArrayList<>(sequence.items);
                items.set(index, set(items.get(index), rest, join(path, key), value));
                yield new Sequence(items, sequence.origin);
            }
            case Scalar scalar when !scalar.value.isNull() ->
                throw Failure.usage("%s: `%s` is %s (%s); it has no keys"
                        .formatted(value.origin(), path, scalar.describe(), scalar.origin));
            case null, default -> {
                SequencedMap<String, ConfigurationTree> entries = new LinkedHashMap<>();
                entries.put(key, set(null, rest, join(path, key), value));
                yield new Mapping(entries, value.origin());
            }
        };
    }

    private static int index(String key) {
        return key.matches("[0-9]{1,6}") ? Integer.parseInt(key) : -1;
    }

    /// What this is, for a message.
    default String describe() {
        return switch (this) {
            case Mapping _ -> "a section";
            case Sequence _ -> "a list";
            case Scalar(JsonNode value, _) when value.isNull() -> "empty";
            case Scalar(JsonNode value, _) when value.isString() -> "the text " + Failure.quote(value.stringValue());
            case Scalar(JsonNode value, _) -> Failure.quote(value.toString());
        };
    }

    /// One YAML document to a tree. `file` is null for a value from the command line, whose positions nobody wants to see.
    final class Reader {
        private static final int MAXIMUM_DEPTH = 32;
        private static final YAMLFactory YAML = YAMLFactory.builder()
                .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(2 * MAXIMUM_DEPTH).build())
                .build();

        private final String text;
        private final String origin;
        private final @Nullable String file;

        Reader(String text, String origin, @Nullable String file) {
            this.text = text;
            this.origin = origin;
            this.file = file;
        }

        ConfigurationTree read() {
            try (YAMLParser parser = (YAMLParser) YAML.createParser(ObjectReadContext.empty(), text)) {
                if (parser.nextToken() == null) {
                    return new Scalar(JsonNodeFactory.instance.nullNode(), origin);
                }
                ConfigurationTree tree = read(parser, origin, 0);
                if (parser.nextToken() != null) {
                    throw Failure.usage("%s: found a second document; expected one".formatted(place(parser.currentTokenLocation())));
                }
                return tree;
            } catch (JacksonException e) {
                // SnakeYAML Engine adds indented lines with positions and excerpts of the text.
                String message = String.valueOf(e.getOriginalMessage()).lines().filter(line -> !line.startsWith(" "))
                        .collect(Collectors.joining(": "));
                throw Failure.usage("%s: not valid YAML: %s".formatted(e.getLocation() == null ? origin : place(e.getLocation()), message));
            }
        }

        private String place(TokenStreamLocation location) {
            return file == null ? origin : "%s:%d:%d".formatted(file, location.getLineNr(), location.getColumnNr());
        }

        private ConfigurationTree read(YAMLParser parser, String origin, int depth) {
            if (depth > MAXIMUM_DEPTH) {
                throw Failure.usage("%s: nested deeper than %d levels".formatted(origin, MAXIMUM_DEPTH));
            }
            if (parser.isCurrentAlias()) {
                throw Failure.usage("%s: %s is a YAML alias, which configurations do not have; repeat the value, or use `extends`"
                        .formatted(origin, Failure.quote("*" + parser.getString())));
            }
            return switch (parser.currentToken()) {
                case START_OBJECT -> readMapping(parser, origin, depth);
                case START_ARRAY -> {
                    List<ConfigurationTree> items = new ArrayList<>();
                    while (parser.nextToken() != JsonToken.END_ARRAY) {
                        items.add(read(parser, place(parser.currentTokenLocation()), depth + 1));
                    }
                    yield new Sequence(items, origin);
                }
                default -> new Scalar(readScalar(parser, origin), origin);
            };
        }

        private Mapping readMapping(YAMLParser parser, String origin, int depth) {
            SequencedMap<String, ConfigurationTree> entries = new LinkedHashMap<>();
            while (parser.nextToken() != JsonToken.END_OBJECT) {
                String key = parser.currentName();
                String place = place(parser.currentTokenLocation());
                ConfigurationTree first = entries.get(key);
                if (first != null) {
                    throw Failure.usage("%s: duplicate key %s, first at %s".formatted(place, Failure.quote(key), first.origin()));
                }
                parser.nextToken();
                entries.put(key, read(parser, place, depth + 1));
            }
            return new Mapping(entries, origin);
        }

        private static JsonNode readScalar(YAMLParser parser, String origin) {
            JsonNodeFactory nodes = JsonNodeFactory.instance;
            return switch (parser.currentToken()) {
                case VALUE_STRING -> nodes.stringNode(parser.getString());
                case VALUE_TRUE -> nodes.booleanNode(true);
                case VALUE_FALSE -> nodes.booleanNode(false);
                case VALUE_NULL -> nodes.nullNode();
                case VALUE_NUMBER_INT -> parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
                        ? nodes.numberNode(parser.getBigIntegerValue())
                        : nodes.numberNode(parser.getLongValue());
                case VALUE_NUMBER_FLOAT -> {
                    if (!Double.isFinite(parser.getDoubleValue())) {
                        throw Failure.usage("%s: found %s; expected a finite number".formatted(origin, parser.getString()));
                    }
                    yield nodes.numberNode(parser.getDoubleValue());
                }
                default -> throw Failure.usage("%s: found %s; expected a number, a text, true or false"
                        .formatted(origin, parser.currentToken()));
            };
        }
    }
}
