package rqat.run;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import tools.jackson.core.JacksonException;
import tools.jackson.core.exc.InputCoercionException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.exc.InvalidTypeIdException;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.exc.ValueInstantiationException;

/// One binding error in the words of the file.
final class ConfigurationDiagnosis {
    private static final Pattern KNOWN_VARIANTS = Pattern.compile("known type ids = \\[([^]]*)]");

    private final JacksonException error;
    private final List<String> keys;
    private final List<ConfigurationTree> nodes = new ArrayList<>();
    private final String source;
    private final Map<Class<?>, List<String>> knownKeys;
    private final Function<Object, JsonNode> written;

    /// @param written how a value of a configuration is written
    ConfigurationDiagnosis(
            ConfigurationTree root, String source, JacksonException error, Map<Class<?>, List<String>> knownKeys, Function<Object, JsonNode> written) {
        this.error = error;
        this.source = source;
        this.knownKeys = knownKeys;
        this.written = written;
        this.keys = error.getPath().stream()
                .map(step -> step.getPropertyName() != null ? step.getPropertyName() : String.valueOf(step.getIndex())).toList();
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
            case UnrecognizedPropertyException e ->
                    unknownKey(keys.getLast(), e.getKnownPropertyIds().stream().map(String::valueOf).toList());
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
        String nearest = didYouMean(key, known);
        return Failure.usage("%s: unknown key %s %s%s known keys: %s".formatted(place(found == null ? section : found), Failure.quote(key),
                in(keys.size() - 1), nearest.isEmpty() ? ";" : nearest, String.join(", ", known)));
    }

    /// Jackson notices the missing key before the misspelt one; the misspelt one is the better message.
    private Failure missingKey() {
        String missing = keys.getLast();
        ConfigurationTree section = nodes.getLast();
        Object type = error.getPath().getLast().from();
        List<String> known = type instanceof Class<?> record ? knownKeys.getOrDefault(record, List.of()) : List.of();
        if (section instanceof ConfigurationTree.Mapping mapping) {
            for (String key : mapping.entries().keySet()) {
                if (!known.isEmpty() && !known.contains(key) && !key.equals(ConfigurationTree.VARIANT)) {
                    return unknownKey(key, known);
                }
            }
        }
        return Failure.usage("%s: missing key `%s` %s".formatted(place(section), missing, in(keys.size() - 1)));
    }

    private Failure wrongVariant() {
        ConfigurationTree section = nodes.getLast();
        Matcher matcher = KNOWN_VARIANTS.matcher(String.valueOf(error.getOriginalMessage()));
        List<String> known = matcher.find() ? Arrays.stream(matcher.group(1).split(",")).map(String::strip).toList() : List.of();
        String accepted = known.isEmpty() ? "" : "; expected one of " + String.join(", ", known);
        if (!(section instanceof ConfigurationTree.Mapping mapping)) {
            return Failure.usage("%s: %s is %s; expected a section with the key `%s`"
                    .formatted(place(section), path(), section.describe(), ConfigurationTree.VARIANT));
        }
        ConfigurationTree variant = mapping.entries().get(ConfigurationTree.VARIANT);
        if (variant == null) {
            return Failure.usage("%s: missing key `%s` %s%s".formatted(place(section), ConfigurationTree.VARIANT, in(keys.size()), accepted));
        }
        String nearest = mapping.variant() == null ? "" : didYouMean(mapping.variant(), known);
        return Failure.usage("%s: `%s` %s is %s%s%s"
                .formatted(place(variant), ConfigurationTree.VARIANT, in(keys.size()), variant.describe(), nearest, accepted));
    }

    /// Points at the first key that the constructor's message names, else at the section.
    private Failure refusedByConstructor(@Nullable Throwable cause) {
        ConfigurationTree section = nodes.getLast();
        String message = cause == null ? error.getOriginalMessage() : Objects.requireNonNullElse(cause.getMessage(), cause.toString());
        ConfigurationTree place = section;
        int first = Integer.MAX_VALUE;
        if (section instanceof ConfigurationTree.Mapping mapping) {
            for (Map.Entry<String, ConfigurationTree> entry : mapping.entries().entrySet()) {
                String either = Pattern.quote(entry.getKey()) + "|" + Pattern.quote(camelCase(entry.getKey()));
                Matcher mention = Pattern.compile("\\b(" + either + ")\\b").matcher(message);
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
        return Failure.usage("%s: %s is %s; expected %s".formatted(place(found), path(), found.describe(), describe(expected, found)));
    }

    private String describe(@Nullable Class<?> type, ConfigurationTree found) {
        if (type == null) {
            return "another value: " + error.getOriginalMessage();
        }
        if (type.isEnum()) {
            List<String> names = Arrays.stream(type.getEnumConstants()).map(name -> written.apply(name).stringValue()).toList();
            String text = found.toJson().isString() ? found.toJson().stringValue().toLowerCase(Locale.ROOT) : "";
            return "one of " + String.join(", ", names) + didYouMean(text, names);
        }
        boolean isInteger = found.toJson().isIntegralNumber();
        if (type == int.class || type == Integer.class) {
            return isInteger ? "an integer of 32 bits" : "an integer";
        }
        if (type == long.class || type == Long.class) {
            return isInteger ? "an integer of 64 bits" : "an integer";
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
        return knownKeys.containsKey(type) ? "a section with the keys " + String.join(", ", knownKeys.get(type)) : "a section";
    }

    private String in(int depth) {
        return depth == 0 ? "at the top level" : "in " + Failure.quote(String.join(".", keys.subList(0, depth)));
    }

    private String path() {
        return Failure.quote(String.join(".", keys));
    }

    private static String didYouMean(String word, Collection<String> known) {
        return Nearest.of(word, known).map(nearest -> " - did you mean `" + nearest + "`?").orElse("");
    }

    /// A value that is a default has no place in the file: then the nearest section around it that has one.
    private String place(ConfigurationTree node) {
        if (!node.origin().equals(ConfigurationTree.DEFAULT)) {
            return node.origin();
        }
        return nodes.reversed().stream()
                .map(ConfigurationTree::origin)
                .filter(origin -> !origin.equals(ConfigurationTree.DEFAULT))
                .findFirst()
                .orElse(source);
    }

    private static String camelCase(String key) {
        return Pattern.compile("_(.)").matcher(key).replaceAll(match -> match.group(1).toUpperCase(Locale.ROOT));
    }
}
