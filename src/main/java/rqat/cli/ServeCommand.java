package rqat.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.generate.Scheduler;
import rqat.openai.ServedModel;
import rqat.openai.Server;
import rqat.recipe.Engines;
import rqat.tensor.Torch;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/// `rqat serve`.
@Command(
        name = "serve",
        description = "Serve a model over OpenAI's HTTP interface, with a page to talk to it. Ends on Ctrl-C or SIGTERM when what runs is done.",
        mixinStandardHelpOptions = true)
final class ServeCommand implements Callable<Integer> {
    private static final long MAXIMUM_KEY_BYTES = 4096;

    /// What becomes of the model's thinking.
    enum Reasoning {
        /// It is told as `reasoning_content`.
        apart,
        /// It stays in `content`, with its tags.
        none
    }

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "MODEL", description = "Model directory, or `embedded`.")
    private String model;

    @Mixin
    private EngineOptions engineOptions;

    @Option(names = "--host", paramLabel = "ADDRESS", defaultValue = "127.0.0.1", description = "Address to listen at; 0.0.0.0 for all of this machine (default: ${DEFAULT-VALUE}).")
    private String host;

    @Option(names = "--port", paramLabel = "N", defaultValue = "8080", description = "Port to listen at; 0 for any that is free (default: ${DEFAULT-VALUE}).")
    private int port;

    @Option(names = "--api-key-file", paramLabel = "FILE", description = "File with the key that clients must send; without it anybody who reaches the port may ask.")
    private @Nullable Path keyFile;

    @Option(names = "--max-batch", paramLabel = "N", defaultValue = "64", description = "Completions that are sampled together (default: ${DEFAULT-VALUE}).")
    private int maxBatch;

    @Option(names = "--max-waiting", paramLabel = "N", defaultValue = "256", description = "Completions that may wait; more are refused with 429 (default: ${DEFAULT-VALUE}).")
    private int maxWaiting;

    @Option(names = "--kv-cache-gib", paramLabel = "GIB", defaultValue = "4", description = "Memory for keys and values (default: ${DEFAULT-VALUE}).")
    private double cacheGib;

    @Option(names = "--threads", paramLabel = "N", description = "Threads of one operation (default: all processors).")
    private @Nullable Integer threads;

    @Option(names = "--name", paramLabel = "NAME", description = "By which clients call the model (default: the directory's name).")
    private @Nullable String name;

    @Option(names = "--reasoning", paramLabel = "HOW", defaultValue = "apart", description = "Thinking as `reasoning_content` (apart), or in `content` (none) (default: ${DEFAULT-VALUE}).")
    private Reasoning reasoning;

    @Option(names = "--grace", paramLabel = "SECONDS", defaultValue = "30", description = "How long running completions may go on when the server is ended (default: ${DEFAULT-VALUE}).")
    private int grace;

    @Override
    public Integer call() throws InterruptedException {
        if (grace < 0) throw Failure.usage("--grace is %d; expected seconds, 0 or more".formatted(grace));
        if (!(cacheGib > 0)) throw Failure.usage("--kv-cache-gib is %s; expected more than 0".formatted(cacheGib));
        if (threads != null && threads < 1) throw Failure.usage("--threads is %d; expected 1 or more".formatted(threads));
        Engines.Settings engineSettings = engineOptions.settings();
        var settings = new Server.Settings(host, port, key(), maxWaiting, Duration.ofSeconds(grace));
        Path directory = Models.directory(model);
        Tokenizer tokenizer = Tokenizer.load(directory);
        ChatTemplate template = ChatTemplate.find(directory).orElse(null);
        if (template == null) spec.commandLine().getErr().println("rqat: the model has no chat template; /v1/completions only");
        int together = threads == null ? Runtime.getRuntime().availableProcessors() : threads;
        Torch.threads(together);
        String called = name != null ? name : directory.toAbsolutePath().normalize().getFileName().toString();
        var end = new CountDownLatch(1);
        try (var engine = Engines.open(directory, Torch.Compute.FLOAT32, engineSettings, together)) {
            engineOptions.tell(engine);
            var served = new ServedModel(called, tokenizer, template, engine.config().maxPositions(), reasoning == Reasoning.apart);
            try (var server = new Server(settings, served, new Scheduler(engine.steps(cacheGib), maxBatch))) {
                for (String signal : List.of("INT", "TERM")) Signal.handle(new Signal(signal), caught -> ending(caught, end));
                spec.commandLine().getErr().println("rqat: serving %s at http://%s:%d; Ctrl-C ends".formatted(called, host.contains(":") ? "[" + host + "]" : host, server.port()));
                spec.commandLine().getErr().flush();
                end.await();
                if (!server.stop()) spec.commandLine().getErr().println("rqat: some completions were cut off after %d s".formatted(grace));
            }
        }
        return 0;
    }

    private void ending(Signal signal, CountDownLatch end) {
        System.err.println("rqat: finishing what runs, at most %d s; once more to stop at once".formatted(grace));
        Signal.handle(signal, SignalHandler.SIG_DFL);
        end.countDown();
    }

    private @Nullable String key() {
        if (keyFile == null) return null;
        try {
            if (Files.size(keyFile) > MAXIMUM_KEY_BYTES) throw Failure.usage("%s: larger than %,d bytes; expected a key".formatted(keyFile, MAXIMUM_KEY_BYTES));
            String key = Files.readString(keyFile).strip();
            if (key.isEmpty() || key.lines().count() > 1) throw Failure.usage("%s: expected one line with a key".formatted(keyFile));
            return key;
        } catch (IOException e) {
            throw Failure.usage("%s: cannot be read (%s)".formatted(keyFile, e));
        }
    }
}
