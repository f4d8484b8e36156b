package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Against a small server that keeps what MLflow's API is told.
class MlflowRunTest {
    @TempDir
    Path folder;

    private final List<String> warnings = Collections.synchronizedList(new ArrayList<>());
    private final List<String> calls = Collections.synchronizedList(new ArrayList<>());
    /// `key@step` to value, as it came.
    private final Map<String, String> metrics = Collections.synchronizedMap(new LinkedHashMap<>());

    private volatile boolean broken;
    private boolean experiment;
    private HttpServer server;

    @BeforeEach
    void start() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/base/api/2.0/mlflow/", this::answer);
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
    }

    private void answer(HttpExchange exchange) throws IOException {
        String method = exchange.getRequestURI().getPath().replaceFirst(".*/mlflow/", "");
        JsonNode body = exchange.getRequestMethod().equals("POST") ? JsonMapper.shared().readTree(exchange.getRequestBody().readAllBytes()) : JsonFiles.object();
        calls.add(method);
        int status = 200;
        String answer = "{}";
        if (broken) {
            status = 503;
            answer = "<html>\u001b[31mbusy</html>";
        } else {
            switch (method) {
                case "experiments/get-by-name" -> {
                    status = experiment ? 200 : 404;
                    answer = "{\"experiment\": {\"experiment_id\": \"7\"}}";
                }
                case "experiments/create" -> {
                    experiment = true;
                    answer = "{\"experiment_id\": \"7\"}";
                }
                case "runs/create" -> {
                    assertThat(body.path("experiment_id").stringValue()).isEqualTo("7");
                    assertThat(body.path("run_name").stringValue()).isEqualTo("gptq+kd");
                    answer = "{\"run\": {\"info\": {\"run_id\": \"abc\"}}}";
                }
                case "runs/log-batch" -> {
                    assertThat(body.path("run_id").stringValue()).isEqualTo("abc");
                    assertThat(body.path("metrics").size()).isBetween(1, 1_000);
                    for (JsonNode metric : body.path("metrics")) metrics.put(metric.path("key").stringValue() + "@" + metric.path("step"), metric.path("value").toString());
                }
                case "runs/update" -> calls.add(body.path("status").stringValue());
                default -> status = 404;
            }
        }
        byte[] bytes = answer.getBytes(java.nio.charset.StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    private MlflowRun follow() {
        URI address = URI.create("http://127.0.0.1:%d/base/".formatted(server.getAddress().getPort()));
        return MlflowRun.follow(address, "gptq+kd", Map.of("rqat.stage", "distill"), folder, Duration.ofMillis(20), warnings::add);
    }

    private void steps(int from, int to) {
        try (Metrics file = Metrics.append(folder.resolve("metrics.jsonl"))) {
            for (int step = from; step < to; step++) {
                var values = new LinkedHashMap<String, Number>();
                values.put("loss", step + 0.25);
                values.put("quant/code_flip_step", step == 3 ? Double.NaN : 1);
                file.write(step, values);
            }
        }
    }

    @Test
    void everyStepIsToldOnceAndAResumedStageGoesOnInItsRun() {
        try (MlflowRun _ = follow()) {
            steps(0, 1_200);
        }
        assertThat(calls).startsWith("experiments/get-by-name", "experiments/create", "runs/create").endsWith("runs/update", "KILLED");
        assertThat(metrics).hasSize(2_400).containsEntry("loss@0", "0.25").containsEntry("loss@1199", "1199.25").containsEntry("quant/code_flip_step@3", "\"NaN\"");
        calls.clear();
        metrics.clear();
        try (MlflowRun run = follow()) {
            steps(1_200, 1_203);
            run.finished();
        }
        assertThat(metrics.keySet()).containsExactlyInAnyOrder("loss@1200", "quant/code_flip_step@1200", "loss@1201", "quant/code_flip_step@1201", "loss@1202", "quant/code_flip_step@1202");
        assertThat(calls).doesNotContain("runs/create").endsWith("runs/update", "FINISHED");
        assertThat(warnings).isEmpty();
    }

    @Test
    void aServerThatRefusesIsSaidOnceAndToldWhenItIsBack() throws InterruptedException {
        broken = true;
        try (MlflowRun run = follow()) {
            steps(0, 2);
            for (int i = 0; i < 500 && warnings.isEmpty(); i++) Thread.sleep(10);
            Thread.sleep(100);
            broken = false;
            run.finished();
        }
        assertThat(warnings).hasSize(1);
        assertThat(warnings.getFirst()).contains("503", "The run goes on").doesNotContain("\u001b");
        assertThat(metrics).containsEntry("loss@1", "1.25");
    }

    @Test
    void noServerStopsNothing() {
        server.stop(0);
        try (MlflowRun run = follow()) {
            steps(0, 2);
            run.finished();
        }
        assertThat(warnings).hasSize(1);
        assertThat(warnings.getFirst()).contains("MLflow at http://127.0.0.1", "ConnectException");
    }
}
