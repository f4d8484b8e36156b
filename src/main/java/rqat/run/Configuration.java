package rqat.run;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import tools.jackson.core.JacksonException;
import tools.jackson.core.exc.InputCoercionException;
import tools.jackson.databind.BeanDescription;
import tools.jackson.databind.DeserializationConfig;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.EnumNamingStrategies;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.cfg.CoercionAction;
import tools.jackson.databind.cfg.CoercionInputShape;
import tools.jackson.databind.cfg.EnumFeature;
import tools.jackson.databind.deser.ValueDeserializerModifier;
import tools.jackson.databind.exc.InvalidTypeIdException;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.exc.ValueInstantiationException;
import tools.jackson.databind.introspect.BeanPropertyDefinition;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.module.SimpleModule;
import tools.jackson.databind.ser.std.ToStringSerializer;
import tools.jackson.databind.type.LogicalType;

/// Strict configuration: ordinary records, read from YAML by Jackson.
///
/// - A record component `groupSize` is the key `group_size`; an enum constant `PER_TOKEN` is the value `per_token`.
/// - Rules live in compact constructors, which throw `IllegalArgumentException` with a message that names the key.
/// - Unknown, duplicate, missing, empty and mistyped keys are errors that name file, line and column and the nearest known key.
/// - **Defaults** are an ordinary instance of the record (or a map of those components that have one; the others must be given).
///   The file is laid over it, then `--set key.path=value` over both: sections are united key by key, lists are replaced.
/// - A file may vary another one by `extends: other.yaml` at its top level, relative to itself.
/// - A choice is a sealed interface annotated with `@JsonTypeInfo(use = NAME, property = Configuration.VARIANT)` whose records carry
///   `@JsonTypeName`. Where a file changes the variant, the other variant's values do not apply; its own come from a [Section].
/// - Only a key that is null by default may be set to null, which is how an optional section is switched off again.
public final class Configuration {

    /// The key that says which variant of a sealed configuration a section is.
    public static final String VARIANT = "method";

    static final String EXTENDS = "extends";
    static final int MAXIMUM_BYTES = 1 << 18;

    /// The keys of each record, as Jackson sees them when it first meets the record.
    private static final Map<Class<?>, List<String>> KEYS = new ConcurrentHashMap<>();

    private static final JsonMapper MAPPER = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enumNamingStrategy(EnumNamingStrategies.SNAKE_CASE)
            .enable(MapperFeature.INFER_RECORD_GETTERS_FROM_COMPONENTS_ONLY)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .enable(EnumFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES,
                    DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES, DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .withCoercionConfig(LogicalType.Textual, text -> Stream.of(CoercionInputShape.Integer, CoercionInputShape.Float, CoercionInputShape.Boolean)
                    .forEach(shape -> text.setCoercion(shape, CoercionAction.Fail)))
            .addModule(new SimpleModule()
                    // Jackson would write file:///... URIs.
                    .addSerializer(Path.class, new ToStringSerializer(Path.class))
                    .setDeserializerModifier(new KeyRecorder()))
            .build();

    private Configuration() {}

    /// A configuration ready for use: the record, the same as a tree (what a manifest stores and stages compare), and for each of the
    /// tree's values its origin: `default`, `FILE:LINE:COLUMN` or `--set KEY=VALUE`.
    public record Resolved<T>(T value, JsonNode tree, SortedMap<String, String> origins) {}

    /// Defaults for a section that is absent (null) by default, for one more variant of a section, or for the elements of a list
    /// (`path` ending in `.*`). `path` is dotted: `quantize.weights`; several sections of one path are its variants, the first of which
    /// is taken when the file does not name one.
    public record Section(String path, Object defaults) {}

    /// Reads a file.
    ///
    /// @param sets `key.path=value` each, the value in YAML; list elements are addressed by index
    /// @param defaults an instance of `type`, or a map of some of its keys
    /// @throws Failure of kind USAGE with the place and what is accepted there
    public static <T> Resolved<T> load(Path file, List<String> sets, Object defaults, Class<T> type, Section... sections) {
        return resolve(ConfigurationTree.read(file), file.toString(), sets, defaults, type, sections);
    }

    /// As [#load] without a file: defaults and `--set` alone.
    public static <T> Resolved<T> resolve(List<String> sets, Object defaults, Class<T> type, Section... sections) {
        return resolve(new ConfigurationTree.Mapping(new LinkedHashMap<>(), "command line"), "command line", sets, defaults, type, sections);
    }

    private static <T> Resolved<T> resolve(ConfigurationTree.Mapping given, String source, List<String> sets, Object defaults, Class<T> type, Section... sections) {
        for (String set : sets) {
            given = ConfigurationTree.set(given, set);
        }
        Map<String, List<ConfigurationTree>> sectionDefaults = new LinkedHashMap<>();
        for (Section section : sections) {
            sectionDefaults.computeIfAbsent(section.path(), path -> new ArrayList<>()).add(ConfigurationTree.ofDefault(toTree(section.defaults())));
        }
        ConfigurationTree tree = given.withDefaults(ConfigurationTree.ofDefault(toTree(defaults)), "", "", sectionDefaults);
        T value = bind(tree, source, type);
        JsonNode resolved = toTree(value);
        SortedMap<String, String> origins = new TreeMap<>();
        collectOrigins(resolved, tree, "", origins);
        return new Resolved<>(value, resolved, origins);
    }

    /// A configuration record as a tree, with the keys and values of the YAML file.
    public static JsonNode toTree(Object value) {
        return MAPPER.valueToTree(value);
    }

    private static void collectOrigins(JsonNode value, @Nullable ConfigurationTree tree, String path, SortedMap<String, String> origins) {
        if (value.isObject() && !value.isEmpty()) {
            value.properties().forEach(entry -> collectOrigins(entry.getValue(), tree == null ? null : tree.child(entry.getKey()), ConfigurationTree.join(path, entry.getKey()), origins));
        } else if (value.isArray() && value.values().stream().anyMatch(JsonNode::isContainer)) {
            for (int i = 0; i < value.size(); i++) {
                String index = String.valueOf(i);
                collectOrigins(value.get(i), tree == null ? null : tree.child(index), ConfigurationTree.join(path, index), origins);
            }
        } else {
            origins.put(path, tree == null ? ConfigurationTree.DEFAULT : tree.origin());
        }
    }

    private static <T> T bind(ConfigurationTree tree, String source, Class<T> type) {
        try {
            return MAPPER.treeToValue(tree.toJson(), type);
        } catch (JacksonException e) {
            throw new Diagnosis(tree, source, e).failure();
        }
    }

    /// Remembers the keys of every record for the messages.
    private static final class KeyRecorder extends ValueDeserializerModifier {
        @Override
        public List<BeanPropertyDefinition> updateProperties(DeserializationConfig config, BeanDescription.Supplier bean, List<BeanPropertyDefinition> properties) {
            KEYS.put(bean.getBeanClass(), properties.stream().map(BeanPropertyDefinition::getName).toList());
            return properties;
        }
    }

    /// One binding error in the words of the file.
    private static final class Diagnosis {
        private static final Pattern KNOWN_VARIANTS = Pattern.compile("known type ids = \\[([^]]*)]");

        private final JacksonException error;
        private final List<String> keys;
        private final List<ConfigurationTree> nodes = new ArrayList<>();
        private final String source;

        Diagnosis(ConfigurationTree root, String source, JacksonException error) {
            this.error = error;
            this.source = source;
            this.keys = error.getPath().stream().map(step -> step.getPropertyName() != null ? step.getPropertyName() : String.valueOf(step.getIndex())).toList();
            nodes.add(root);
            for (String key : keys) {
                ConfigurationTree child = nodes.getLast().child(key);
                if (child == null) {
                    break;
                }
                nodes.add(child);
            }
        }

        Failure failure() {
            return switch (error) {
                case UnrecognizedPropertyException e -> unknownKey(keys.getLast(), e.getKnownPropertyIds().stream().map(String::valueOf).toList());
                case InvalidTypeIdException _ -> wrongVariant();
                case ValueInstantiationException e -> refusedByConstructor(e.getCause());
                case MismatchedInputException _ when nodes.size() <= keys.size() -> missingKey();
                case MismatchedInputException e -> wrongType(e.getTargetType());
                case InputCoercionException e -> wrongType(e.getTargetType());
                default -> Failure.usage("%s: %s".formatted(place(nodes.getLast()), error.getOriginalMessage()));
            };
        }

        private Failure unknownKey(String key, Collection<String> known) {
            ConfigurationTree section = nodes.get(keys.size() - 1);
            ConfigurationTree found = section.child(key);
            String nearest = Nearest.of(key, known).map(word -> " - did you mean `" + word + "`?").orElse(";");
            return Failure.usage("%s: unknown key %s %s%s known keys: %s"
                    .formatted(place(found == null ? section : found), Failure.quote(key), in(keys.size() - 1), nearest, String.join(", ", known)));
        }

        /// Jackson notices the missing key before the misspelt one; the misspelt one is the better message.
        private Failure missingKey() {
            String missing = keys.getLast();
            ConfigurationTree section = nodes.getLast();
            List<String> known = error.getPath().getLast().from() instanceof Class<?> type ? KEYS.getOrDefault(type, List.of()) : List.of();
            if (section instanceof ConfigurationTree.Mapping mapping) {
                for (String key : mapping.entries().keySet()) {
                    if (!known.isEmpty() && !known.contains(key) && !key.equals(VARIANT)) {
                        return unknownKey(key, known);
                    }
                }
            }
            return Failure.usage("%s: missing key `%s` %s".formatted(place(section), missing, in(keys.size() - 1)));
        }

        private Failure wrongVariant() {
            ConfigurationTree section = nodes.getLast();
            String path = String.join(".", keys);
            Matcher matcher = KNOWN_VARIANTS.matcher(String.valueOf(error.getOriginalMessage()));
            List<String> known = matcher.find() ? Arrays.stream(matcher.group(1).split(",")).map(String::strip).toList() : List.of();
            String accepted = known.isEmpty() ? "" : "; expected one of " + String.join(", ", known);
            if (!(section instanceof ConfigurationTree.Mapping mapping)) {
                return Failure.usage("%s: `%s` is %s; expected a section with the key `%s`".formatted(place(section), path, section.describe(), VARIANT));
            }
            ConfigurationTree variant = mapping.entries().get(VARIANT);
            if (variant == null) {
                return Failure.usage("%s: missing key `%s` %s%s".formatted(place(section), VARIANT, in(keys.size()), accepted));
            }
            String nearest = mapping.variant() == null ? "" : Nearest.of(mapping.variant(), known).map(word -> " - did you mean `" + word + "`?").orElse("");
            return Failure.usage("%s: `%s` is %s%s%s".formatted(place(variant), ConfigurationTree.join(path, VARIANT), variant.describe(), nearest, accepted));
        }

        /// Points at the first key that the constructor's message names, else at the section.
        private Failure refusedByConstructor(@Nullable Throwable cause) {
            ConfigurationTree section = nodes.getLast();
            String message = String.valueOf(cause == null ? error.getOriginalMessage() : cause.getMessage() == null ? cause : cause.getMessage());
            ConfigurationTree place = section;
            int first = Integer.MAX_VALUE;
            if (section instanceof ConfigurationTree.Mapping mapping) {
                for (Map.Entry<String, ConfigurationTree> entry : mapping.entries().entrySet()) {
                    Matcher mention = Pattern.compile("\\b(" + Pattern.quote(entry.getKey()) + "|" + Pattern.quote(camelCase(entry.getKey())) + ")\\b").matcher(message);
                    if (mention.find() && mention.start() < first) {
                        first = mention.start();
                        place = entry.getValue();
                    }
                }
            }
            return Failure.usage("%s: %s: %s".formatted(place(place), in(keys.size()), message));
        }

        private Failure wrongType(@Nullable Class<?> expected) {
            ConfigurationTree found = nodes.getLast();
            return Failure.usage("%s: `%s` is %s; expected %s".formatted(place(found), String.join(".", keys), found.describe(), describe(expected, found)));
        }

        private String describe(@Nullable Class<?> type, ConfigurationTree found) {
            if (type == null) {
                return "another value: " + error.getOriginalMessage();
            }
            if (type.isEnum()) {
                List<String> names = Arrays.stream(type.getEnumConstants()).map(constant -> toTree(constant).stringValue()).toList();
                String text = found.toJson().isString() ? found.toJson().stringValue().toLowerCase(Locale.ROOT) : "";
                return "one of " + String.join(", ", names) + Nearest.of(text, names).map(name -> " - did you mean `" + name + "`?").orElse("");
            }
            if (type == int.class || type == Integer.class || type == long.class || type == Long.class) {
                return "an integer" + (found.toJson().isIntegralNumber() ? " of " + (type == int.class || type == Integer.class ? 32 : 64) + " bits" : "");
            }
            if (type == double.class || type == Double.class || type == float.class || type == Float.class) {
                return "a number";
            }
            if (type == boolean.class || type == Boolean.class) {
                return "true or false";
            }
            if (type == String.class || Path.class.isAssignableFrom(type)) {
                return found instanceof ConfigurationTree.Scalar ? "text; put it in quotes" : "text";
            }
            if (Collection.class.isAssignableFrom(type)) {
                return "a list";
            }
            return KEYS.containsKey(type) ? "a section with the keys " + String.join(", ", KEYS.get(type)) : "a section";
        }

        private String in(int depth) {
            return depth == 0 ? "at the top level" : "in `" + String.join(".", keys.subList(0, depth)) + "`";
        }

        /// A value that is a default has no place in the file: then the nearest section around it that has one.
        private String place(ConfigurationTree node) {
            if (!node.origin().equals(ConfigurationTree.DEFAULT)) {
                return node.origin();
            }
            return nodes.reversed().stream().map(ConfigurationTree::origin).filter(origin -> !origin.equals(ConfigurationTree.DEFAULT)).findFirst().orElse(source);
        }

        private static String camelCase(String key) {
            return Pattern.compile("_(.)").matcher(key).replaceAll(match -> match.group(1).toUpperCase(Locale.ROOT));
        }
    }
}
