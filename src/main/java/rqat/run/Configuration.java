package rqat.run;

import java.lang.reflect.RecordComponent;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import tools.jackson.core.JacksonException;
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
import tools.jackson.databind.cfg.MapperConfig;
import tools.jackson.databind.deser.ValueDeserializerModifier;
import tools.jackson.databind.introspect.AnnotatedMember;
import tools.jackson.databind.introspect.BeanPropertyDefinition;
import tools.jackson.databind.introspect.JacksonAnnotationIntrospector;
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
    public static final String VARIANT = ConfigurationTree.VARIANT;

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
            .withCoercionConfig(LogicalType.Textual, text -> text.setCoercion(CoercionInputShape.Integer, CoercionAction.Fail)
                    .setCoercion(CoercionInputShape.Float, CoercionAction.Fail)
                    .setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail))
            .addModule(new SimpleModule()
                    // Jackson would write file:///... URIs.
                    .addSerializer(Path.class, new ToStringSerializer(Path.class))
                    .setDeserializerModifier(new KeyRecorder()))
            .build();

    private static final JsonMapper IDENTITY = MAPPER.rebuild().annotationIntrospector(new JacksonAnnotationIntrospector() {
        @Override
        public boolean hasIgnoreMarker(MapperConfig<?> config, AnnotatedMember member) {
            return isAdjustable(member) || super.hasIgnoreMarker(config, member);
        }

        /// By the record itself: an annotation of a component is one of neither its field nor its accessor.
        private static boolean isAdjustable(AnnotatedMember member) {
            RecordComponent[] components = member.getDeclaringClass().getRecordComponents();
            return components != null && Arrays.stream(components)
                    .anyMatch(component -> component.getName().equals(member.getName()) && component.isAnnotationPresent(Adjustable.class));
        }
    }).build();

    private Configuration() {}

    /// A configuration ready for use: the record, the same as a tree (what a manifest stores and stages compare), and for each of the
    /// tree's values its origin: `default`, `FILE:LINE:COLUMN` or `--set KEY=VALUE`. `source` is the file, or `command line`.
    public record Resolved<T>(T value, JsonNode tree, SortedMap<String, String> origins, String source) {}

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
        return resolve(given(ConfigurationTree.read(file), sets), file.toString(), defaults, type, sections);
    }

    /// As [#load], once for each element of the list `list`: what the element holds under `section`, if anything, is laid over the file and
    /// over `sets` before the result is bound, so that a mistake in it is reported at its own place.
    public static <T> List<Resolved<T>> variants(Path file, List<String> sets, Object defaults, Class<T> type, String list, String section,
            Section... sections) {
        ConfigurationTree.Mapping common = given(ConfigurationTree.read(file), sets);
        List<Resolved<T>> variants = new ArrayList<>();
        if (common.child(list) instanceof ConfigurationTree.Sequence(List<ConfigurationTree> items, _)) {
            for (ConfigurationTree item : items) {
                ConfigurationTree.Mapping variant = item.child(section) instanceof ConfigurationTree.Mapping overrides
                        ? (ConfigurationTree.Mapping) common.overlay(overrides) : common;
                variants.add(resolve(variant, file.toString(), defaults, type, sections));
            }
        }
        return variants;
    }

    /// As [#load] without a file: defaults and `--set` alone.
    public static <T> Resolved<T> resolve(List<String> sets, Object defaults, Class<T> type, Section... sections) {
        ConfigurationTree.Mapping given = given(new ConfigurationTree.Mapping(new LinkedHashMap<>(), "command line"), sets);
        return resolve(given, "command line", defaults, type, sections);
    }

    private static ConfigurationTree.Mapping given(ConfigurationTree.Mapping file, List<String> sets) {
        for (String set : sets) {
            file = ConfigurationTree.set(file, set);
        }
        return file;
    }

    private static <T> Resolved<T> resolve(ConfigurationTree.Mapping given, String source, Object defaults, Class<T> type,
            Section... sections) {
        Map<String, List<ConfigurationTree>> sectionDefaults = new LinkedHashMap<>();
        for (Section section : sections) {
            sectionDefaults.computeIfAbsent(section.path(), path -> new ArrayList<>())
                    .add(ConfigurationTree.ofDefault(toTree(section.defaults())));
        }
        ConfigurationTree tree = given.withDefaults(ConfigurationTree.ofDefault(toTree(defaults)), "", "", sectionDefaults);
        T value = bind(tree, source, type);
        JsonNode resolved = toTree(value);
        SortedMap<String, String> origins = new TreeMap<>();
        collectOrigins(resolved, tree, "", origins);
        return new Resolved<>(value, resolved, origins, source);
    }

    /// Refuses a value in a compact constructor: `key is found; expected ...`.
    ///
    /// @throws IllegalArgumentException unless `holds`
    public static void require(boolean holds, String key, Object found, String expected) {
        if (!holds) throw new IllegalArgumentException("%s is %s; expected %s".formatted(key, found, expected));
    }

    /// What decides the result of a stage with these settings: [#toTree] without what is [Adjustable].
    public static JsonNode identity(Object value) {
        return IDENTITY.valueToTree(value);
    }

    /// A configuration record as a tree, with the keys and values of the YAML file.
    public static JsonNode toTree(Object value) {
        return MAPPER.valueToTree(value);
    }

    private static void collectOrigins(JsonNode value, @Nullable ConfigurationTree tree, String path, SortedMap<String, String> origins) {
        if (value.isObject() && !value.isEmpty()) {
            for (Map.Entry<String, JsonNode> entry : value.properties()) {
                ConfigurationTree child = tree == null ? null : tree.child(entry.getKey());
                collectOrigins(entry.getValue(), child, ConfigurationTree.join(path, entry.getKey()), origins);
            }
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
            throw new ConfigurationDiagnosis(tree, source, e, KEYS, Configuration::toTree).failure();
        }
    }

    /// Remembers the keys of every record for the messages.
    private static final class KeyRecorder extends ValueDeserializerModifier {
        @Override
        public List<BeanPropertyDefinition> updateProperties(DeserializationConfig config, BeanDescription.Supplier bean,
                List<BeanPropertyDefinition> properties) {
            KEYS.put(bean.getBeanClass(), properties.stream().map(BeanPropertyDefinition::getName).toList());
            return properties;
        }
    }
}
