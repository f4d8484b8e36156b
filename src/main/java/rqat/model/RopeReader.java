package rqat.model;

import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import rqat.Failure;

/// The rotary frequencies that a `config.json` asks for, as transformers 5 (`modeling_rope_utils.py` of 5.18) understands it:
///
///  - `rope_parameters` holds base and scaling; before, these were `rope_theta` and `rope_scaling`. Where both are present, `rope_scaling` is what transformers
///    takes; we do so only where nothing is lost by it, and refuse two that contradict each other.
///  - the base is the object's own `rope_theta`, else that of the top level, else 10,000, the default of all three families
///  - the length of the pretraining context is `original_max_position_embeddings` of the top level, else the object's, else `max_position_embeddings`
///  - YaRN's `attn_factor`, which some published files have and other engines multiply by, is no key of transformers and changes nothing; `attention_factor` does
///
/// `dynamic` changes frequencies beyond `max_position_embeddings` only, where no text of ours gets, and so is none at all. `longrope` has one set of frequencies for
/// short texts and another for long ones, so that keys in a cache would go stale as a text grows; it is refused, as is everything else.
final class RopeReader {
    private static final double DEFAULT_THETA = 10_000;
    private static final String SUPPORTED = "supported are default, linear, llama3, yarn, dynamic";
    /// Files whose `attn_factor` has been spoken of.
    private static final Set<Path> TOLD = ConcurrentHashMap.newKeySet();

    private final ConfigKeys config;

    private RopeReader(ConfigKeys config) {
        this.config = config;
    }

    /// @throws Failure BAD_FILE when a key is missing, mistyped, unsupported or contradicted
    static Rope read(ConfigKeys config) {
        return new RopeReader(config).read();
    }

    private Rope read() {
        ConfigKeys parameters = whole(config.object("rope_parameters")), scaling = whole(config.object("rope_scaling"));
        if (scaling.isEmpty()) return rope(parameters);
        Rope taken = rope(scaling);
        if (parameters.isEmpty()) return taken;
        Rope other = rope(parameters);
        boolean nothingLost = taken.equals(other) || other.scaling() instanceof Rope.None && other.theta() == taken.theta();
        if (nothingLost) return taken;
        throw config.bad(("rope_parameters (%s) and rope_scaling (%s) contradict each other; put what the model was trained with into rope_parameters and remove"
                        + " rope_scaling")
                .formatted(shown(parameters, other), shown(scaling, taken)));
    }

    /// Models with layers of several kinds have an object for each kind; ours have one kind.
    private static ConfigKeys whole(ConfigKeys keys) {
        return keys.json().path("full_attention").isObject() ? keys.object("full_attention") : keys;
    }

    private static String type(ConfigKeys keys) {
        return keys.text("rope_type", keys.text("type", "default"));
    }

    private static String shown(ConfigKeys keys, Rope rope) {
        return "%s, base %s".formatted(Failure.quote(type(keys)), rope.theta());
    }

    private Rope rope(ConfigKeys keys) {
        double theta = keys.positive("rope_theta", config.positive("rope_theta", DEFAULT_THETA));
        for (ConfigKeys each : new ConfigKeys[] {keys, config}) {
            if (each.positive("partial_rotary_factor", 1) != 1) {
                throw config.bad("partial_rotary_factor is %s; only heads that are rotated as a whole (1) are supported"
                        .formatted(ConfigKeys.shown(each.json().path("partial_rotary_factor"))));
            }
        }
        return new Rope(theta, switch (type(keys)) {
            case "default", "dynamic" -> new Rope.None();
            case "linear" -> new Rope.Uniform(keys.positive("factor"));
            case "llama3" -> llama3(keys);
            case "yarn" -> yarn(keys, theta);
            case "longrope", "su" -> throw config.bad("rotary scaling %s has other frequencies for long texts than for short ones; it is not supported; %s"
                    .formatted(Failure.quote(type(keys)), SUPPORTED));
            default -> throw config.bad("rotary scaling %s is not supported; %s".formatted(Failure.quote(type(keys)), SUPPORTED));
        });
    }

    private double originalPositions(ConfigKeys keys) {
        String key = "original_max_position_embeddings";
        return config.has(key) ? config.positive(key) : keys.has(key) ? keys.positive(key) : config.positive("max_position_embeddings");
    }

    private Rope.Llama3 llama3(ConfigKeys keys) {
        double low = keys.positive("low_freq_factor"), high = keys.positive("high_freq_factor");
        if (low >= high) throw config.bad("low_freq_factor is %s and high_freq_factor %s; expected the first to be less".formatted(low, high));
        return new Rope.Llama3(keys.positive("factor"), low, high, originalPositions(keys));
    }

    private Rope.Yarn yarn(ConfigKeys keys, double theta) {
        if (theta <= 1) throw config.bad("`rope_theta` is %s; YaRN needs one above 1".formatted(theta));
        double original = originalPositions(keys);
        // Null stands for what the lengths say, as DeepSeek-V3 has it; transformers, too, wants the key.
        double factor = keys.json().path("factor").isNull() ? config.positive("max_position_embeddings") / original : keys.positive("factor");
        double attention = keys.has("attention_factor")
                ? keys.positive("attention_factor")
                : Rope.Yarn.attentionFactor(factor, keys.positiveOrZero("mscale", 0), keys.positiveOrZero("mscale_all_dim", 0));
        if (keys.has("attn_factor") && TOLD.add(config.file().toAbsolutePath().normalize())) {
            System.err.println("rqat: %s: attn_factor is no key of transformers and is not used; cosines and sines are multiplied by %s (set attention_factor for another factor)"
                    .formatted(config.file(), attention));
        }
        boolean truncate = !keys.json().path("truncate").isNull() && keys.flag("truncate", true);
        return new Rope.Yarn(factor, attention, keys.positiveOrZero("beta_fast", 32), keys.positiveOrZero("beta_slow", 1), truncate, original);
    }
}
