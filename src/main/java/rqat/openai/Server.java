package rqat.openai;

import io.helidon.common.buffers.DataReader;
import io.helidon.http.DirectHandler;
import io.helidon.http.HeaderNames;
import io.helidon.http.HttpException;
import io.helidon.http.RequestException;
import io.helidon.http.ServerResponseHeaders;
import io.helidon.http.Status;
import io.helidon.webserver.WebServer;
import io.helidon.webserver.http.DirectHandlers;
import io.helidon.webserver.http.HttpRouting;
import io.helidon.webserver.http.ServerRequest;
import io.helidon.webserver.http.ServerResponse;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.generate.Scheduler;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// OpenAI's interface over HTTP to one model: `/v1/models`, `/v1/completions`, `/v1/chat/completions`, and beside it `/tokenize`, `/detokenize`,
/// `/health`, `/metrics` and a page to talk to the model. All requests share one continuous batch.
///
/// A client that goes away is noticed at the next byte that it should get, and its requests leave the batch. So that there is always such a
/// byte, a stream that has nothing to tell for a second gets a comment, and an answer that takes longer than two begins with white space,
/// which JSON allows; it then has the status 200 whatever comes, and what fails after that breaks the connection off.
///
/// HTTP is Helidon's, on virtual threads: bounded headers and bodies, and an answer in the interface's own form to what is no HTTP. (The JDK's own
/// server has neither: it answers malformed requests with bare text, and has no limit for bodies.)
public final class Server implements AutoCloseable {
    private static final Duration QUIET = Duration.ofSeconds(1);
    private static final Duration PATIENCE = Duration.ofSeconds(2);
    private static final long MAXIMUM_BODY = 32L << 20;
    private static final String JSON = "application/json";
    private static final String EVENTS = "text/event-stream; charset=utf-8";
    private static final Map<String, String> PAGE = Map.of("/", "text/html; charset=utf-8", "/chat.css", "text/css; charset=utf-8", "/chat.js", "text/javascript; charset=utf-8");
    private static final String PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// Where and for whom.
    ///
    /// @param host       an address of this machine
    /// @param port       0 for any that is free
    /// @param key        which clients must send; null when anybody may ask
    /// @param maxWaiting requests that may wait for the batch at a time; beyond that they are refused with 429
    /// @param grace      how long running requests may go on when the server is closed
    public record Settings(String host, int port, @Nullable String key, int maxWaiting, Duration grace) {
        /// Checks the ranges.
        public Settings {
            if (port < 0 || port > 65_535) throw Failure.usage("the port is %d; expected 0 to 65535".formatted(port));
            if (maxWaiting < 1) throw Failure.usage("the queue holds %d requests; expected 1 or more".formatted(maxWaiting));
            if (key != null && key.isBlank()) throw Failure.usage("the API key is empty");
        }
    }

    /// Held, or its level would be forgotten. Nothing that the library has to say is for whoever runs the server.
    private static final Logger LIBRARY = Logger.getLogger("io.helidon");

    static {
        LIBRARY.setLevel(Level.OFF);
    }

    private final Settings settings;
    private final ServedModel model;
    private final Serving serving;
    private final Measures measures = new Measures();
    private final SecureRandom random = new SecureRandom();
    private final long started = Instant.now().getEpochSecond();
    private final WebServer http;

    /// Starts serving.
    ///
    /// @param scheduler of the model, which the server owns from now on
    /// @throws Failure USAGE when the address cannot be had
    public Server(Settings settings, ServedModel model, Scheduler scheduler) {
        this.settings = settings;
        this.model = model;
        this.serving = new Serving(scheduler, settings.maxWaiting);
        try {
            this.http = WebServer.builder()
                    .host(settings.host)
                    .port(settings.port)
                    .maxPayloadSize(MAXIMUM_BODY)
                    .shutdownHook(false)
                    .shutdownGracePeriod(Duration.ofSeconds(1))
                    .directHandlers(directHandlers())
                    .routing(this::routes)
                    .build()
                    .start();
        } catch (RuntimeException e) {
            serving.close();
            throw e;
        }
        // The library has swallowed the reason.
        if (!http.isRunning()) {
            serving.close();
            throw Failure.usage("%s:%d: cannot serve there; the port is taken, or the address is not of this machine. Choose another --port or --host."
                    .formatted(settings.host, settings.port));
        }
    }

    /// Where it listens.
    public int port() {
        return http.port();
    }

    /// Refuses new requests, lets those that run and wait go on for the grace period, and closes the model.
    ///
    /// @return whether all of them ended in time
    public boolean stop() throws InterruptedException {
        serving.refuse();
        boolean ended = serving.awaitIdle(settings.grace.toMillis());
        close();
        return ended;
    }

    /// Ends everything at once.
    @Override
    public void close() {
        serving.close();
        http.stop();
    }

    // ---- routes

    private void routes(HttpRouting.Builder routing) {
        PAGE.forEach((path, type) -> routing.get(path, (_, response) -> page(path, type, response)));
        routing.get("/health", (_, response) -> send(response, serving.healthy() ? 200 : 503, object().put("status", serving.healthy() ? "ok" : "unavailable")));
        routing.get("/metrics", guarded("metrics", (_, response) -> {
            response.header(HeaderNames.CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
            response.send(measures.text(serving.load(), serving.refused()).getBytes(StandardCharsets.UTF_8));
        }));
        routing.get("/v1/models", guarded("models", (_, response) -> {
            ObjectNode list = object().put("object", "list");
            list.putArray("data").add(described());
            send(response, 200, list);
        }));
        routing.get("/v1/models/{id}", guarded("models", (request, response) -> {
            String id = request.path().pathParameters().get("id");
            if (!id.equals(model.name())) throw RequestError.notFound("model", "model_not_found", "there is no model %s here; this server has `%s`".formatted(Failure.quote(id), model.name()));
            send(response, 200, described());
        }));
        routing.post("/v1/completions", guarded("completions", (request, response) -> answer(request, response, Call::completion, "cmpl-")));
        routing.post("/v1/chat/completions", guarded("chat", (request, response) -> answer(request, response, Call::chat, "chatcmpl-")));
        routing.post("/tokenize", guarded("tokenize", (request, response) -> send(response, 200, tokenized(body(request)))));
        routing.post("/detokenize", guarded("detokenize", (request, response) -> send(response, 200, detokenized(body(request)))));
        routing.any((request, response) -> refuse(response, RequestError.notFound(null, null, "there is no %s %s here"
                .formatted(request.prologue().method().text(), Failure.quote(request.path().path())))));
    }

    private ObjectNode described() {
        // The client of this program takes seeds of 64 bits from its own server only, by this owner's name.
        return object().put("id", model.name()).put("object", "model").put("created", started).put("owned_by", "rqat").put("max_model_len", model.context());
    }

    private interface Handler {
        void handle(ServerRequest request, ServerResponse response) throws Exception;
    }

    /// A handler behind the key, counted, whose errors are told in the interface's form.
    private io.helidon.webserver.http.Handler guarded(String endpoint, Handler handler) {
        return (request, response) -> {
            long start = System.nanoTime();
            try {
                authorise(request);
                handler.handle(request, response);
            } catch (RequestError e) {
                if (!response.isSent()) refuse(response, e);
            } catch (Gone e) {
                measures.gone();
                throw e;
            } catch (RequestException e) {
                throw e; // a limit of HTTP, answered by the direct handlers
            } catch (HttpException e) {
                if (!response.isSent()) refuse(response, RequestError.of(e.status().code(), Failure.quote(String.valueOf(e.getMessage()))));
            } catch (RuntimeException e) {
                System.err.println("rqat: internal error while serving %s: %s".formatted(endpoint, Failure.quote(e.toString())));
                if (!response.isSent()) refuse(response, RequestError.failed("internal error"));
            } finally {
                measures.count(endpoint, response.status().code(), System.nanoTime() - start);
            }
        };
    }

    private void authorise(ServerRequest request) {
        if (settings.key == null) return;
        String given = request.headers().first(HeaderNames.AUTHORIZATION).orElse("");
        byte[] wanted = ("Bearer " + settings.key).getBytes(StandardCharsets.UTF_8);
        if (!MessageDigest.isEqual(wanted, given.strip().getBytes(StandardCharsets.UTF_8))) throw RequestError.unauthorised();
    }

    private static byte[] body(ServerRequest request) {
        // A page of another origin may send any other type without asking first.
        String type = request.headers().first(HeaderNames.CONTENT_TYPE).orElse("missing");
        if (!type.split(";", 2)[0].strip().equalsIgnoreCase(JSON)) throw RequestError.of(415, "the content type is %s; expected `%s`".formatted(Failure.quote(type), JSON));
        try (InputStream in = request.content().inputStream()) {
            return in.readAllBytes();
        } catch (RequestException e) {
            throw e; // too large
        } catch (IOException | RuntimeException e) {
            throw RequestError.invalid(null, "the body ends before it is complete");
        }
    }

    private ObjectNode tokenized(byte[] body) {
        Fields fields = Fields.of(body);
        Call.checkModel(fields, model);
        JsonNode prompt = fields.node("prompt");
        int[] ids = prompt == null ? model.tokenizer().encode(Call.rendered(fields, model)) : Call.ids(prompt, model);
        fields.refuseOthers();
        ObjectNode answer = object().put("count", ids.length).put("max_model_len", model.context());
        ArrayNode tokens = answer.putArray("tokens");
        for (int id : ids) tokens.add(id);
        return answer;
    }

    private ObjectNode detokenized(byte[] body) {
        Fields fields = Fields.of(body);
        Call.checkModel(fields, model);
        List<Integer> tokens = fields.integers("tokens", model.tokenizer().size() - 1);
        fields.refuseOthers();
        return object().put("prompt", model.tokenizer().decode(tokens.stream().mapToInt(Integer::intValue).toArray()));
    }

    // ---- completions

    /// The client is gone: nothing that is sent arrives.
    private static final class Gone extends RuntimeException {
        private static final long serialVersionUID = 1;

        Gone(Exception cause) {
            super("the client is gone", cause);
        }
    }

    private void answer(ServerRequest request, ServerResponse response, BiFunction<byte[], ServedModel, Call> reader, String prefix) throws Exception {
        Call call = reader.apply(body(request), model);
        var answer = new Answer(call, model, prefix + Long.toHexString(random.nextLong()) + Long.toHexString(random.nextLong()), Instant.now().getEpochSecond());
        try (var running = serving.submit(call.requests(model.tokenizer(), random.nextLong() >>> 1))) {
            if (call.stream()) stream(call, answer, running, response);
            else whole(answer, running, response);
        }
    }

    private static void stream(Call call, Answer answer, Serving.Running running, ServerResponse response) throws Exception {
        response.header(HeaderNames.CONTENT_TYPE, EVENTS);
        response.header(HeaderNames.CACHE_CONTROL, "no-cache");
        try (OutputStream out = response.outputStream()) {
            for (ObjectNode chunk : answer.first()) event(out, chunk.toString());
            while (!answer.isDone()) {
                Serving.Event next = running.events.poll(QUIET.toMillis(), TimeUnit.MILLISECONDS);
                if (next == null) {
                    write(out, ": waiting\n\n");
                    continue;
                }
                ObjectNode chunk;
                try {
                    chunk = told(answer, next);
                } catch (RequestError e) {
                    event(out, e.json().toString());
                    return;
                }
                if (chunk != null) event(out, chunk.toString());
            }
            if (call.usage()) event(out, answer.counted().toString());
            event(out, "[DONE]");
        }
    }

    private static void whole(Answer answer, Serving.Running running, ServerResponse response) throws Exception {
        long patient = System.nanoTime() + PATIENCE.toNanos();
        while (!answer.isDone()) {
            Serving.Event next = running.events.poll(Math.max(0, patient - System.nanoTime()), TimeUnit.NANOSECONDS);
            if (next == null) {
                late(answer, running, response);
                return;
            }
            told(answer, next);
        }
        send(response, 200, answer.whole());
    }

    /// An answer that takes long: white space shows whether somebody still waits for it.
    private static void late(Answer answer, Serving.Running running, ServerResponse response) throws Exception {
        response.header(HeaderNames.CONTENT_TYPE, JSON);
        OutputStream out = response.outputStream();
        while (!answer.isDone()) {
            Serving.Event next = running.events.poll(QUIET.toMillis(), TimeUnit.MILLISECONDS);
            if (next == null) {
                write(out, " ");
                continue;
            }
            try {
                told(answer, next);
            } catch (RequestError e) {
                throw new Gone(e); // without its last chunk the answer is no answer
            }
        }
        write(out, answer.whole().toString());
        out.close();
    }

    /// @throws RequestError when the request failed
    private static @Nullable ObjectNode told(Answer answer, Serving.Event event) {
        return switch (event) {
            case Serving.Event.Prompt(int index, var choices) -> {
                answer.prompt(index, choices);
                yield null;
            }
            case Serving.Event.Token(int index, var choice, String text) -> answer.token(index, choice, text);
            case Serving.Event.Completed(int index, var completion) -> answer.completed(index, completion);
            case Serving.Event.Failed(_, Failure failure) -> throw RequestError.failed(failure.getMessage());
        };
    }

    private static void event(OutputStream out, String data) {
        write(out, "data: " + data + "\n\n");
    }

    private static void write(OutputStream out, String text) {
        try {
            out.write(text.getBytes(StandardCharsets.UTF_8));
            out.flush();
        } catch (IOException | RuntimeException e) {
            throw new Gone(e);
        }
    }

    // ---- answers

    private static void page(String path, String type, ServerResponse response) throws IOException {
        String name = path.equals("/") ? "chat.html" : path.substring(1);
        try (@Nullable InputStream in = Server.class.getResourceAsStream(name)) {
            if (in == null) throw new IllegalStateException(name + " is missing from the build");
            response.header(HeaderNames.CONTENT_TYPE, type);
            response.header(HeaderNames.create("Content-Security-Policy"), PAGE_POLICY);
            response.header(HeaderNames.create("X-Content-Type-Options"), "nosniff");
            response.send(in.readAllBytes());
        }
    }

    private static void send(ServerResponse response, int status, ObjectNode json) {
        response.status(status);
        response.header(HeaderNames.CONTENT_TYPE, JSON);
        response.send(JsonMapper.shared().writeValueAsBytes(json));
    }

    private static void refuse(ServerResponse response, RequestError error) {
        if (error.status() == 429) response.header(HeaderNames.RETRY_AFTER, "1");
        if (error.status() == 401) response.header(HeaderNames.WWW_AUTHENTICATE, "Bearer");
        send(response, error.status(), error.json());
    }

    /// What is no request at all, or breaks a limit of HTTP, is answered in the interface's form too.
    private static DirectHandlers directHandlers() {
        var handlers = DirectHandlers.builder();
        for (DirectHandler.EventType type : DirectHandler.EventType.values()) handlers.addHandler(type, new Direct());
        return handlers.build();
    }

    private static final class Direct implements DirectHandler {
        @Override
        public TransportResponse handle(TransportRequest request, EventType type, Status status, ServerResponseHeaders headers, Throwable thrown, System.Logger logger) {
            return handle(request, type, status, headers, thrown);
        }

        @Override
        public TransportResponse handle(TransportRequest request, EventType type, Status status, ServerResponseHeaders headers, Throwable thrown) {
            for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
                if (cause instanceof DataReader.InsufficientDataAvailableException) return incomplete(headers);
            }
            return answer(status, headers, type.keepAlive(), said(status, String.valueOf(thrown.getMessage())));
        }

        /// What a connection meets before there is a request: an internal error there is a client that stopped in the middle of its header.
        @Override
        public TransportResponse handle(TransportRequest request, EventType type, Status status, ServerResponseHeaders headers, String message) {
            return type == EventType.INTERNAL_ERROR ? incomplete(headers) : answer(status, headers, type.keepAlive(), said(status, String.valueOf(message)));
        }

        private static TransportResponse incomplete(ServerResponseHeaders headers) {
            return answer(Status.BAD_REQUEST_400, headers, false, "the request ends before it is complete");
        }

        private static String said(Status status, String message) {
            return status.code() >= 500 ? "internal error" : "%s: %s".formatted(status.reasonPhrase(), Failure.quote(message));
        }

        private static TransportResponse answer(Status status, ServerResponseHeaders headers, boolean keepAlive, String message) {
            headers.set(HeaderNames.CONTENT_TYPE, JSON);
            return TransportResponse.builder()
                    .status(status)
                    .headers(headers)
                    .keepAlive(keepAlive)
                    .entity(RequestError.of(status.code(), message).json().toString())
                    .build();
        }
    }

    private static ObjectNode object() {
        return JsonNodeFactory.instance.objectNode();
    }
}
