package rqat.run;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.JsonFiles;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Sends a stage's metrics to an MLflow server while they are written, by its REST API (version 2.0), as a run of the experiment `rqat`. It follows `metrics.jsonl` from a thread of its own, so that
/// training neither waits for the server nor knows of it: whatever goes wrong is said once and is no failure. A stage that resumes goes on in the run that it began, whose id is in `mlflow.json`.
///
/// `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, are sent where they are set, as MLflow's own clients do.
public final class MlflowRun implements AutoCloseable {
    /// The run's id and the last step that was sent, in the stage's directory.
    public static final String STATE = "mlflow.json";

    private static final String EXPERIMENT = "rqat";
    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    /// MLflow takes so many at once.
    private static final int BATCH = 1_000;
    private static final int MAXIMUM_TAG = 5_000;

    private final URI server;
    private final String name;
    private final Map<String, String> tags;
    private final Path directory;
    private final Consumer<String> warn;
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(TIMEOUT).build();
    private final CountDownLatch end = new CountDownLatch(1);
    private final Thread thread;
    private final long every;
    private @Nullable String run;
    private long sent = -1;
    private boolean warned;
    private volatile boolean finished;

    private MlflowRun(URI server, String name, Map<String, String> tags, Path directory, Duration every, Consumer<String> warn) {
        this.server = server;
        this.name = name;
        this.tags = tags;
        this.directory = directory;
        this.every = every.toMillis();
        this.warn = warn;
        this.thread = Thread.ofVirtual().name("mlflow").unstarted(this::follow);
    }

    /// Begins to follow `metrics.jsonl` of a stage's directory.
    ///
    /// @param name  of the run
    /// @param tags  that it gets
    /// @param every how often new steps are sent
    /// @param warn  told once what went wrong
    public static MlflowRun follow(URI server, String name, Map<String, String> tags, Path directory, Duration every, Consumer<String> warn) {
        var run = new MlflowRun(server, name, Map.copyOf(tags), directory, every, warn);
        run.thread.start();
        return run;
    }

    /// The stage has come to its end; otherwise the run is told to be killed when this is closed.
    public void finished() {
        finished = true;
    }

    /// Sends what is left, for half a minute at most.
    @Override
    public void close() {
        end.countDown();
        boolean interrupted = Thread.interrupted();
        try {
            if (!thread.join(Duration.ofSeconds(30))) warn("it did not answer in time", null);
        } catch (InterruptedException e) {
            interrupted = true;
        }
        client.shutdownNow();
        if (interrupted) Thread.currentThread().interrupt();
    }

    private void follow() {
        try {
            boolean last;
            do {
                last = end.await(every, TimeUnit.MILLISECONDS);
                attempt(this::send);
            } while (!last);
            if (run != null) attempt(() -> post("runs/update", update()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @FunctionalInterface
    private interface Attempt {
        void run() throws IOException, InterruptedException;
    }

    private void attempt(Attempt attempt) throws InterruptedException {
        try {
            attempt.run();
        } catch (IOException | RuntimeException e) {
            warn(e instanceof Failure || e instanceof Refused ? String.valueOf(e.getMessage()) : e.toString(), e);
        }
    }

    private void warn(String what, @Nullable Throwable cause) {
        if (warned) return;
        warned = true;
        warn.accept("MLflow at %s: %s. The run goes on; its metrics are in metrics.jsonl".formatted(server, Failure.quote(what)));
    }

    private void send() throws IOException, InterruptedException {
        Path file = directory.resolve("metrics.jsonl");
        if (!Files.exists(file)) return;
        List<Metrics.Row> rows = Metrics.read(file);
        if (run == null) begin();
        List<Metrics.Row> fresh = rows.stream().filter(row -> row.step() > sent).toList();
        if (fresh.isEmpty()) return;
        List<ObjectNode> metrics = new ArrayList<>();
        for (Metrics.Row row : fresh) {
            long time = Math.round(1000 * row.times().getOrDefault("at", 0.0));
            row.values().forEach((key, value) -> {
                ObjectNode metric = JsonFiles.object().put("key", key).put("timestamp", time).put("step", row.step());
                if (Double.isFinite(value)) metric.put("value", value);
                else metric.put("value", String.valueOf(value));
                metrics.add(metric);
            });
        }
        for (int from = 0; from < metrics.size(); from += BATCH) {
            ObjectNode batch = JsonFiles.object().put("run_id", run);
            ArrayNode list = batch.putArray("metrics");
            metrics.subList(from, Math.min(metrics.size(), from + BATCH)).forEach(list::add);
            post("runs/log-batch", batch);
        }
        sent = fresh.getLast().step();
        remember();
    }

    private void begin() throws IOException, InterruptedException {
        Path state = directory.resolve(STATE);
        if (Files.exists(state)) {
            JsonNode known = JsonFiles.read(state);
            run = known.path("run_id").asString("");
            sent = known.path("step").asLong(-1);
            return;
        }
        ObjectNode create = JsonFiles.object().put("experiment_id", experiment()).put("run_name", name).put("start_time", System.currentTimeMillis());
        ArrayNode list = create.putArray("tags");
        tags.forEach((key, value) -> list.addObject().put("key", key).put("value", value.substring(0, Math.min(value.length(), MAXIMUM_TAG))));
        run = required(post("runs/create", create).at("/run/info/run_id"), "a run id");
        remember();
    }

    private String experiment() throws IOException, InterruptedException {
        try {
            return required(send(request("experiments/get-by-name?experiment_name=" + EXPERIMENT).GET().build()).at("/experiment/experiment_id"), "an experiment id");
        } catch (Refused unknown) {
            return required(post("experiments/create", JsonFiles.object().put("name", EXPERIMENT)).path("experiment_id"), "an experiment id");
        }
    }

    private static String required(JsonNode node, String what) throws IOException {
        if (!node.isString()) throw new Refused("its answer has not " + what);
        return node.stringValue();
    }

    private ObjectNode update() {
        return JsonFiles.object().put("run_id", run).put("status", finished ? "FINISHED" : "KILLED").put("end_time", System.currentTimeMillis());
    }

    /// A directory that somebody has removed is not made anew.
    private void remember() {
        if (Files.exists(directory.resolve("metrics.jsonl"))) JsonFiles.write(directory.resolve(STATE), JsonFiles.object().put("run_id", run).put("step", sent));
    }

    /// The server said no.
    private static final class Refused extends IOException {
        private static final long serialVersionUID = 1;

        Refused(String message) {
            super(message);
        }
    }

    private JsonNode post(String method, ObjectNode body) throws IOException, InterruptedException {
        return send(request(method).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body.toString())).build());
    }

    private HttpRequest.Builder request(String method) {
        String base = server.toString().replaceAll("/+$", "");
        var request = HttpRequest.newBuilder(URI.create(base + "/api/2.0/mlflow/" + method)).timeout(TIMEOUT);
        String token = System.getenv("MLFLOW_TRACKING_TOKEN"), user = System.getenv("MLFLOW_TRACKING_USERNAME"), password = System.getenv("MLFLOW_TRACKING_PASSWORD");
        if (token != null) request.header("Authorization", "Bearer " + token);
        else if (user != null && password != null) {
            request.header("Authorization", "Basic " + Base64.getEncoder().encodeToString((user + ":" + password).getBytes(StandardCharsets.UTF_8)));
        }
        return request;
    }

    private JsonNode send(HttpRequest request) throws IOException, InterruptedException {
        HttpResponse<byte[]> response = client.send(request, HttpResponse.BodyHandlers.limiting(HttpResponse.BodyHandlers.ofByteArray(), 1 << 20));
        String text = new String(response.body(), StandardCharsets.UTF_8);
        if (response.statusCode() != 200) throw new Refused("status %d, %s".formatted(response.statusCode(), text.substring(0, Math.min(text.length(), 200))));
        try {
            return JsonMapper.shared().readTree(text);
        } catch (JacksonException e) {
            throw new Refused("its answer is no JSON");
        }
    }
}
