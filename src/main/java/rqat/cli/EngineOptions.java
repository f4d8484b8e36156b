package rqat.cli;

import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.engine.CacheFormat;
import rqat.engine.HeadFormat;
import rqat.recipe.Engines;

/// The options that choose what computes, of all commands that sample or score.
final class EngineOptions {
    private static final String KINDS = "auto, packed or torch";

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(names = "--engine", paramLabel = "NAME", defaultValue = "auto", description = {
        "packed computes from codes, torch from the checkpoint;",
        "auto takes packed for weight-only models of which both say the same (default: ${DEFAULT-VALUE})."
    })
    private String engine;

    @Option(names = "--head-bits", paramLabel = "N", description = "Packed engine: round the head to 16 or 8 bits (default: as stored).")
    private @Nullable Integer headBits;

    @Option(names = "--kv-bits", paramLabel = "N", description = "Packed engine: round keys and values to 16, 8 or 4 bits (default: 32, as they are).")
    private @Nullable Integer cacheBits;

    /// What the options say.
    ///
    /// @throws Failure USAGE when they are unknown or do not go together
    Engines.Settings settings() {
        HeadFormat head = switch (headBits) {
            case null -> HeadFormat.STORED;
            case 16 -> HeadFormat.BFLOAT16;
            case 8 -> HeadFormat.INT8;
            default -> throw Failure.usage("--head-bits is %d; expected 16 or 8".formatted(headBits));
        };
        CacheFormat cache = switch (cacheBits) {
            case null -> CacheFormat.FLOAT32;
            case 32 -> CacheFormat.FLOAT32;
            case 16 -> CacheFormat.FLOAT16;
            case 8 -> CacheFormat.INT8;
            case 4 -> CacheFormat.INT4;
            default -> throw Failure.usage("--kv-bits is %d; expected 32, 16, 8 or 4".formatted(cacheBits));
        };
        return new Engines.Settings(kind(), head, cache);
    }

    private Engines.Kind kind() {
        try {
            return Engines.Kind.valueOf(engine.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw Failure.usage("--engine is %s; expected %s".formatted(Failure.quote(engine), KINDS));
        }
    }

    /// Says what computes, where it was chosen.
    void tell(Engines.Engine opened) {
        if (spec.commandLine().getParseResult().hasMatchedOption("--engine") || headBits != null || cacheBits != null) {
            spec.commandLine().getErr().println("rqat: " + opened.description());
            spec.commandLine().getErr().flush();
        }
    }
}
