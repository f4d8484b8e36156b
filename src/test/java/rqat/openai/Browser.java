package rqat.openai;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A headless Chromium on one page, driven by its debugging protocol. Tests that need it are reported as skipped where there is none;
/// `.ci/run` installs it.
final class Browser implements AutoCloseable {
    private static final List<String> PLACES = List.of("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome");

    private final Process process;
    private final WebSocket socket;
    private final AtomicInteger calls = new AtomicInteger();
    private final ConcurrentHashMap<Integer, CompletableFuture<JsonNode>> answers = new ConcurrentHashMap<>();

    /// Opens a page of `width` x `height` points.
    Browser(URI page, Path profile, int width, int height, boolean dark) throws Exception {
        Path program = PLACES.stream().map(Path::of).filter(Files::isExecutable).findFirst().orElse(null);
        Assumptions.assumeTrue(program != null, "no Chromium at " + PLACES);
        process = new ProcessBuilder(program.toString(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
                        dark ? "--force-dark-mode" : "--lang=en", "--user-data-dir=" + profile, "--window-size=%d,%d".formatted(width, height), "about:blank")
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        String line;
        var err = new BufferedReader(new InputStreamReader(process.getErrorStream(), StandardCharsets.UTF_8));
        do {
            line = err.readLine();
            if (line == null) throw new IllegalStateException("Chromium ended before it listened");
        } while (!line.startsWith("DevTools listening on "));
        Thread.ofVirtual().start(() -> err.lines().forEach(_ -> {}));
        URI browser = URI.create(line.substring("DevTools listening on ".length()));
        var client = HttpClient.newHttpClient();
        var targets = client.send(
                java.net.http.HttpRequest.newBuilder(URI.create("http://127.0.0.1:%d/json".formatted(browser.getPort()))).build(),
                java.net.http.HttpResponse.BodyHandlers.ofString());
        String tab = JsonMapper.shared().readTree(targets.body()).valueStream()
                .filter(target -> target.path("type").asString().equals("page")).findFirst().orElseThrow().path("webSocketDebuggerUrl").asString();
        socket = client.newWebSocketBuilder().buildAsync(URI.create(tab), new WebSocket.Listener() {
            private final StringBuilder text = new StringBuilder();

            @Override
            public CompletionStage<?> onText(WebSocket from, CharSequence data, boolean last) {
                text.append(data);
                if (last) {
                    JsonNode message = JsonMapper.shared().readTree(text.toString());
                    text.setLength(0);
                    CompletableFuture<JsonNode> waiting = answers.remove(message.path("id").asInt(-1));
                    if (waiting != null) waiting.complete(message);
                }
                from.request(1);
                return null;
            }
        }).get(20, TimeUnit.SECONDS);
        ask("Page.enable", JsonMapper.shared().createObjectNode());
        ask("Page.navigate", JsonMapper.shared().createObjectNode().put("url", page.toString()));
        await("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    private JsonNode ask(String method, ObjectNode parameters) throws Exception {
        int id = calls.incrementAndGet();
        var answer = new CompletableFuture<JsonNode>();
        answers.put(id, answer);
        ObjectNode message = JsonMapper.shared().createObjectNode().put("id", id).put("method", method);
        message.set("params", parameters);
        socket.sendText(message.toString(), true).get(10, TimeUnit.SECONDS);
        JsonNode result = answer.get(30, TimeUnit.SECONDS);
        if (result.has("error")) throw new IllegalStateException(result.toString());
        return result.path("result");
    }

    /// The value of an expression.
    JsonNode evaluate(String expression) throws Exception {
        JsonNode result = ask("Runtime.evaluate", JsonMapper.shared().createObjectNode().put("expression", expression).put("returnByValue", true).put("awaitPromise", true));
        if (result.has("exceptionDetails")) throw new IllegalStateException(expression + ": " + result);
        return result.path("result").path("value");
    }

    /// Waits until an expression is true.
    void await(String expression) throws Exception {
        for (int i = 0; i < 400; i++) {
            if (evaluate(expression).asBoolean(false)) return;
            Thread.sleep(50);
        }
        throw new AssertionError("waited for 20 s: " + expression + "\n" + evaluate("document.body.innerText").asString());
    }

    /// What the page looks like, as a PNG.
    byte[] picture() throws Exception {
        return Base64.getDecoder().decode(ask("Page.captureScreenshot", JsonMapper.shared().createObjectNode()).path("data").asString());
    }

    @Override
    public void close() throws Exception {
        socket.abort();
        Stream.concat(process.descendants(), Stream.of(process.toHandle())).forEach(ProcessHandle::destroyForcibly);
        process.waitFor(10, TimeUnit.SECONDS);
    }
}
