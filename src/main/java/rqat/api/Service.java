package rqat.api;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import rqat.generate.Scheduler;
import rqat.openai.ServedModel;
import rqat.openai.Server;
import rqat.recipe.Engines;
import rqat.tensor.Torch;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;

/// A model behind OpenAI's HTTP interface, on this machine's own address only; see `docs/serving.md`. Closing it ends what runs.
public final class Service implements AutoCloseable {
    private static final int WAITING = 256, BATCH = 64;
    private static final double CACHE_GIB = 4;

    private final Engines.Engine engine;
    private final Server server;

    private Service(Engines.Engine engine, Server server) {
        this.engine = engine;
        this.server = server;
    }

    static Service of(Path model, int port) {
        Tokenizer tokenizer = Tokenizer.load(model);
        ChatTemplate template = ChatTemplate.find(model).orElse(null);
        Engines.Engine engine = Engines.open(model, Torch.Compute.FLOAT32);
        try {
            var served = new ServedModel(String.valueOf(model.toAbsolutePath().normalize().getFileName()), tokenizer, template, engine.config().maxPositions(), true);
            return new Service(engine, new Server(new Server.Settings("127.0.0.1", port, null, WAITING, Duration.ZERO), served, new Scheduler(engine.steps(CACHE_GIB), BATCH)));
        } catch (RuntimeException | Error e) {
            engine.close();
            throw e;
        }
    }

    /// What clients of OpenAI's interface call the base address: `http://127.0.0.1:PORT/v1`.
    public URI address() {
        return URI.create("http://127.0.0.1:%d/v1".formatted(server.port()));
    }

    /// Stops at once and gives the model's memory back.
    @Override
    public void close() {
        try {
            server.close();
        } finally {
            engine.close();
        }
    }
}
