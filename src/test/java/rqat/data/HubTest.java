package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.data.DataSource.Publication;
import rqat.run.Progress;
import rqat.run.RandomStream;

/// The client against a server of our own on the loopback interface, which behaves as badly as it is told to.
class HubTest {
    private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

    @TempDir
    private Path home;

    /// What the server does with one request for a file instead of answering it rightly.
    private interface Behaviour {
        void answer(HttpExchange exchange, byte[] content, int from) throws IOException;
    }

    private final Map<String, byte[]> files = new TreeMap<>();
    private final Map<String, Queue<Behaviour>> behaviours = new ConcurrentHashMap<>();
    private final Queue<Behaviour> describing = new ArrayDeque<>();
    private final List<String> requests = Collections.synchronizedList(new ArrayList<>());
    private String description = null;
    private String requiredToken = null;
    private long bytesPerSecond = Long.MAX_VALUE;
    private HttpServer server;

    @BeforeEach
    void start() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newCachedThreadPool(Thread.ofPlatform().daemon().factory()));
        server.createContext("/", this::serve);
        server.start();
        files.put("config.json", "{\"model_type\": \"qwen3\"}\n".getBytes(StandardCharsets.UTF_8));
        files.put("model-00001-of-00002.safetensors", random(1, 300_000));
        files.put("model-00002-of-00002.safetensors", random(2, 150_001));
        files.put("pytorch_model.bin", random(3, 10));
        files.put("data/train-00000-of-00001.jsonl", "{\"question\": \"q\", \"answer\": \"1\"}\n".getBytes(StandardCharsets.UTF_8));
        files.put("README.md", new byte[] {1});
    }

    @AfterEach
    void stop() {
        server.stop(0);
    }

    @Test
    void aModelLiesInTheCacheAsOtherToolsKeepIt() throws Exception {
        Path model = hub(null, false).model("some-org/Tiny.Model-1");

        Path repository = home.resolve("hub/models--some-org--Tiny.Model-1");
        assertThat(model).isEqualTo(repository.resolve("snapshots").resolve(COMMIT));
        assertThat(repository.resolve("refs/main")).hasContent(COMMIT);
        assertModel(model);
        Path shard = model.resolve("model-00001-of-00002.safetensors");
        assertThat(Files.readSymbolicLink(shard)).hasToString("../../blobs/" + hash("SHA-256", files.get("model-00001-of-00002.safetensors")));
        assertThat(Files.readSymbolicLink(model.resolve("config.json"))).hasToString("../../blobs/" + gitName(files.get("config.json")));
        assertThat(model.resolve("pytorch_model.bin")).doesNotExist();
        assertThat(model.resolve("data")).doesNotExist();
        assertThat(names(repository.resolve("blobs"))).hasSize(3);

        requests.clear();
        hub(null, false).model("some-org/Tiny.Model-1");
        assertThat(requests).singleElement().asString().contains("/api/models/some-org/Tiny.Model-1/revision/main");
    }

    @Test
    void aModelsFurtherChatTemplatesComeToo() throws IOException {
        files.put("additional_chat_templates/tool_use.jinja", "tools".getBytes(StandardCharsets.UTF_8));
        assertThat(hub(null, false).model("some-org/Tiny.Model-1").resolve("additional_chat_templates/tool_use.jinja")).hasContent("tools");
    }

    @Test
    void aDataSetGivesTheFilesOfItsFirstPatternThatMatches() throws IOException {
        DataSource hub = hub(null, false);
        Publication publication = Publication.of("made", "org/set", "nothing-*", "data/train-*", "**");

        List<Path> found = hub.files(publication);

        assertThat(found).containsExactly(home.resolve("hub/datasets--org--set/snapshots").resolve(COMMIT).resolve("data/train-00000-of-00001.jsonl"));
        assertThat(Files.readSymbolicLink(found.getFirst()).toString()).startsWith("../../../blobs/");
        try (var rows = hub.rows(publication)) {
            assertThat(rows.map(row -> row.text("answer"))).containsExactly("1");
        }
        assertThat(requests).anyMatch(request -> request.contains("/datasets/org/set/resolve/" + COMMIT + "/data/train-00000-of-00001.jsonl"));
    }

    @Test
    void whatPythonDownloadedIsUsedAsItIs() throws Exception {
        Path repository = home.resolve("hub/models--o--m");
        for (String name : List.of("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")) {
            String blob = name.endsWith("json") ? gitName(files.get(name)) : hash("SHA-256", files.get(name));
            Files.createDirectories(repository.resolve("blobs"));
            Files.createDirectories(repository.resolve("snapshots").resolve(COMMIT));
            Files.write(repository.resolve("blobs").resolve(blob), files.get(name));
            Files.createSymbolicLink(repository.resolve("snapshots").resolve(COMMIT).resolve(name), Path.of("../../blobs/" + blob));
        }
        assertModel(hub(null, false).model("o/m"));
        assertThat(requests).hasSize(1);
    }

    @Test
    void otherRevisionsHaveTheirOwnReference() throws IOException {
        hub(null, false).model("o/m@refs/pr/7");
        assertThat(home.resolve("hub/models--o--m/refs/refs/pr/7")).hasContent(COMMIT);
        assertThat(requests.getFirst()).contains("/revision/refs%2Fpr%2F7");
    }

    @Test
    void aCutConnectionIsGoneOnWithAfterTheLastByte() throws IOException {
        String shard = "model-00001-of-00002.safetensors";
        behave(shard, cutAfter(100_000), cutAfter(0), cutAfter(1), cutAfter(150_000));
        assertModel(hub(null, false).model("o/m"));
        assertThat(requests.stream().filter(request -> request.contains(shard)).map(request -> request.replaceAll(".* ", "")))
                .containsExactly("-", "bytes=100000-", "bytes=100000-", "bytes=100001-", "bytes=250001-");
    }

    @Test
    void busyServersAreAskedAgain() throws IOException {
        behave("config.json", status(503), status(429, "Retry-After", "0"), status(500), status(408), status(502));
        describing.add(status(429, "Retry-After", "Mon, 01 Jan 2024 00:00:00 GMT"));
        assertModel(hub(null, false).model("o/m"));
        assertThat(requests).filteredOn(request -> request.contains("config.json")).hasSize(6);
    }

    @Test
    void whatNeverGetsBetterIsGivenUpAndSaid() {
        behave("config.json", Collections.nCopies(20, status(503)).toArray(Behaviour[]::new));
        assertThatThrownBy(() -> hub(null, false).model("o/m"))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.FAILED))
                .hasMessageContaining("o/m/config.json: given up after 8 attempts; the last one: the server answered 503")
                .hasMessageContaining("resumes");
        assertThat(home.resolve("hub/models--o--m/refs")).doesNotExist();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            401 | it is private, or does not exist; set HF_TOKEN
            403 | accept its conditions at
            404 | there is no such repository, revision or file
            410 | expected 200
            """)
    void aRefusalIsFinalAndExplained(int status, String message) {
        describing.add(status(status, "X-Error-Message", "said so"));
        assertThatThrownBy(() -> hub(null, false).model("o/m"))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining("o/m: the server answered " + status + " (`said so`)")
                .hasMessageContaining(message);
        assertThat(requests).hasSize(1);
    }

    @Test
    void theTokenGoesToTheHubAndNowhereElse() throws IOException {
        requiredToken = "hf_secret";
        assertThatThrownBy(() -> hub(null, false).model("o/m")).hasMessageContaining("401");
        var elsewhere = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        var seen = new ArrayList<String>();
        elsewhere.createContext("/", exchange -> {
            seen.add(exchange.getRequestURI() + " " + exchange.getRequestHeaders().getFirst("Authorization"));
            requiredToken = null;
            whole(exchange, files.get(exchange.getRequestURI().getPath().substring(1)), 0);
        });
        elsewhere.start();
        try {
            for (String name : files.keySet()) {
                behave(name, (exchange, _, _) -> {
                    exchange.getResponseHeaders().add("Location", "http://127.0.0.1:" + elsewhere.getAddress().getPort() + "/" + name);
                    exchange.sendResponseHeaders(302, -1);
                });
            }
            assertModel(hub("hf_secret", false).model("o/m"));
            assertThat(seen).hasSize(3).allMatch(request -> request.endsWith(" null"));
        } finally {
            elsewhere.stop(0);
        }
    }

    @Test
    void redirectionsInACircleEnd() {
        behave("config.json", Collections.nCopies(20, (Behaviour) (exchange, _, _) -> {
            exchange.getResponseHeaders().add("Location", exchange.getRequestURI().toString());
            exchange.sendResponseHeaders(307, -1);
        }).toArray(Behaviour[]::new));
        assertThatThrownBy(() -> hub(null, false).model("o/m")).isInstanceOf(Failure.class).hasMessageContaining("from one address to the next");
    }

    @ParameterizedTest
    @ValueSource(strings = {"announces more", "sends more", "announces less", "sends other bytes", "ignores the range", "answers another range", "refuses the range"})
    void liesAboutLengthsAndContentsAreFoundOut(String lie) throws IOException {
        String shard = "model-00001-of-00002.safetensors";
        switch (lie) {
            case "announces more" -> behave(shard, (exchange, content, _) -> {
                exchange.sendResponseHeaders(200, content.length + 1000);
                exchange.getResponseBody().write(content, 0, 1000);
                exchange.close();
            });
            case "sends more" -> behave(shard, (exchange, content, _) -> {
                exchange.sendResponseHeaders(200, 0);
                exchange.getResponseBody().write(content);
                exchange.getResponseBody().write(content);
                exchange.close();
            });
            case "announces less" -> behave(shard, (exchange, content, _) -> {
                exchange.sendResponseHeaders(200, 500);
                exchange.getResponseBody().write(content, 0, 500);
                exchange.close();
            });
            case "sends other bytes" -> behave(shard, (exchange, content, from) -> whole(exchange, new byte[content.length], from));
            case "ignores the range" -> behave(shard, cutAfter(1000), (exchange, content, _) -> whole(exchange, content, 0));
            case "answers another range" -> behave(shard, cutAfter(1000), (exchange, content, _) -> whole(exchange, content, 500));
            default -> behave(shard, cutAfter(1000), status(416));
        }
        assertModel(hub(null, false).model("o/m"));
    }

    @Test
    void aServerThatAlwaysSendsOtherBytesIsNotBelieved() {
        behave("config.json", Collections.nCopies(9, (Behaviour) (exchange, content, from) -> whole(exchange, new byte[content.length], from))
                .toArray(Behaviour[]::new));
        assertThatThrownBy(() -> hub(null, false).model("o/m"))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining("config.json: what the server sent twice has the checksum");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            {"sha": "main", "siblings": []}                                     | names the commit
            {"siblings": []}                                                    | names the commit
            not JSON                                                            | Is HF_ENDPOINT
            {"sha": "C", "siblings": []}                                        | none of its 0 files
            {"sha": "C", "siblings": [{"rfilename": "../x.json", "size": 1, "blobId": "H"}]}  | a relative name
            {"sha": "C", "siblings": [{"rfilename": "/etc/x.json", "size": 1, "blobId": "H"}]} | a relative name
            {"sha": "C", "siblings": [{"rfilename": "a\\\\b.json", "size": 1, "blobId": "H"}]} | a relative name
            {"sha": "C", "siblings": [{"rfilename": "a.json", "size": -1, "blobId": "H"}]}    | a size and a checksum
            {"sha": "C", "siblings": [{"rfilename": "a.json", "size": 1, "blobId": "../../H"}]} | a size and a checksum
            {"sha": "C", "siblings": [{"rfilename": "a.json", "size": 1}]}      | a size and a checksum
            {"sha": "C", "siblings": [{"rfilename": "a.json", "size": 9000000000000000, "blobId": "H"}]} | more bytes in
            """)
    void aHostileDescriptionWritesNothing(String json, String message) throws IOException {
        description = json.replace("\"C\"", "\"" + COMMIT + "\"").replace("H\"", COMMIT + "\"");
        assertThatThrownBy(() -> hub(null, false).model("o/m")).isInstanceOf(Failure.class).hasMessageContaining(message);
        try (var paths = Files.walk(home)) {
            assertThat(paths.filter(path -> Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS))).isEmpty();
        }
    }

    @Test
    void offlineTheCacheIsAllThereIs() throws IOException {
        assertThatThrownBy(() -> hub(null, true).model("o/m"))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining("o/m is not in the cache")
                .hasMessageContaining("HF_HUB_OFFLINE");
        hub(null, false).model("o/m");
        requests.clear();
        assertModel(hub(null, true).model("o/m"));
        assertModel(hub(null, true).model("o/m@" + COMMIT));
        assertThatThrownBy(() -> hub(null, true).model("o/m@other")).hasMessageContaining("o/m@other is not in the cache");
        assertThat(requests).isEmpty();
    }

    @Test
    void aServerThatIsNotThereIsNamed() {
        server.stop(0);
        assertThatThrownBy(() -> hub(null, false).model("o/m"))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.FAILED))
                .hasMessageContaining("HF_HUB_OFFLINE=1");
    }

    @Test
    void aClientStoppedAtTenRandomMomentsEndsWithTheSameBytes() throws Exception {
        bytesPerSecond = 400_000;
        var random = new RandomStream(11);
        for (int i = 0; i < 10; i++) {
            var thrown = new Throwable[1];
            Thread client = Thread.ofPlatform().start(() -> {
                try {
                    hub(null, false).model("o/m");
                } catch (Throwable e) {
                    thrown[0] = e;
                }
            });
            Thread.sleep(random.nextInt(150));
            client.interrupt();
            client.join();
            if (thrown[0] != null) {
                assertThat(thrown[0]).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED));
            }
        }
        bytesPerSecond = Long.MAX_VALUE;
        assertModel(hub(null, false).model("o/m"));
        assertThat(names(home.resolve("hub/models--o--m/blobs"))).noneMatch(name -> name.contains("incomplete"));
    }

    @Test
    @Tag("slow")
    void aProcessKilledAtTenRandomMomentsEndsWithTheSameBytes() throws Exception {
        bytesPerSecond = 100_000;
        files.put("model-00001-of-00002.safetensors", random(5, 2_000_000));
        var random = new RandomStream(12);
        for (int i = 0; i < 10; i++) {
            Process process = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                            "-cp", System.getProperty("java.class.path"), Client.class.getName(), endpoint().toString(), home.resolve("hub").toString())
                    .inheritIO()
                    .start();
            process.waitFor(500 + random.nextInt(3000), TimeUnit.MILLISECONDS);
            process.destroyForcibly().waitFor();
        }
        bytesPerSecond = Long.MAX_VALUE;
        assertModel(hub(null, false).model("o/m"));
    }

    /// Downloads in a process of its own.
    static final class Client {
        public static void main(String[] arguments) {
            new Hub(new Hub.Settings(URI.create(arguments[0]), Path.of(arguments[1]), null, false, Duration.ofMillis(10)), Progress.silent()).model("o/m");
        }
    }

    @Test
    void theEnvironmentSaysWhereAndAsWhom() throws IOException {
        Path user = home.resolve("user");
        Hub.Settings plain = Hub.Settings.of(Map.of(), user);
        assertThat(plain.cache()).isEqualTo(user.resolve(".cache/huggingface/hub"));
        assertThat(plain.endpoint()).isEqualTo(Hub.ENDPOINT);
        assertThat(plain.token()).isNull();
        assertThat(plain.offline()).isFalse();
        Files.createDirectories(home.resolve("hf"));
        Files.writeString(home.resolve("hf/token"), "hf_file\n");
        Hub.Settings set = Hub.Settings.of(
                Map.of("HF_HOME", home.resolve("hf").toString(), "HF_ENDPOINT", "http://127.0.0.1:1/", "HF_HUB_OFFLINE", "1"), user);
        assertThat(set).isEqualTo(new Hub.Settings(URI.create("http://127.0.0.1:1"), home.resolve("hf/hub"), "hf_file", true, Duration.ofSeconds(1)));
        assertThat(Hub.Settings.of(Map.of("HF_HUB_CACHE", "/c", "HF_TOKEN", " hf_t "), user))
                .satisfies(settings -> assertThat(settings.cache()).isEqualTo(Path.of("/c")))
                .satisfies(settings -> assertThat(settings.token()).isEqualTo("hf_t"));
        assertThatThrownBy(() -> Hub.Settings.of(Map.of("HF_ENDPOINT", "hub"), user)).isInstanceOf(Failure.class).hasMessageContaining("HF_ENDPOINT");
        assertThatThrownBy(() -> Hub.Settings.of(Map.of("HF_TOKEN", "a\nb"), user)).isInstanceOf(Failure.class).hasMessageContaining("HF_TOKEN");
    }

    @Test
    void namesOfRepositoriesAreTold() {
        assertThat(List.of("Qwen/Qwen3-0.6B", "o/m@refs/pr/1")).allMatch(Hub::isId);
        assertThat(List.of("embedded", "./models/x", "/a/b", "a/b/c", "a/..", "o/m@../x", "o/", "a b/c")).noneMatch(Hub::isId);
    }

    private Hub hub(String token, boolean offline) {
        return new Hub(new Hub.Settings(endpoint(), home.resolve("hub"), token, offline, Duration.ofMillis(5)), Progress.silent());
    }

    private URI endpoint() {
        return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
    }

    private void assertModel(Path model) throws IOException {
        for (String name : List.of("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")) {
            assertThat(Files.readAllBytes(model.resolve(name))).as(name).isEqualTo(files.get(name));
        }
    }

    private void behave(String name, Behaviour... behaviour) {
        behaviours.put(name, new ArrayDeque<>(Arrays.asList(behaviour)));
    }

    private static Behaviour status(int status, String... header) {
        return (exchange, _, _) -> {
            if (header.length > 0) exchange.getResponseHeaders().add(header[0], header[1]);
            exchange.sendResponseHeaders(status, -1);
        };
    }

    private static Behaviour cutAfter(int bytes) {
        return (exchange, content, from) -> {
            if (from > 0) exchange.getResponseHeaders().add("Content-Range", "bytes %d-%d/%d".formatted(from, content.length - 1, content.length));
            exchange.sendResponseHeaders(from > 0 ? 206 : 200, content.length - from);
            exchange.getResponseBody().write(content, from, bytes);
            exchange.getResponseBody().flush();
            // The JDK's client forgets what it has not handed over when it hears of the end.
            LockSupport.parkNanos(300_000_000);
            exchange.close();
        };
    }

    private void serve(HttpExchange exchange) throws IOException {
        String range = exchange.getRequestHeaders().getFirst("Range");
        String path = exchange.getRequestURI().getPath();
        requests.add(exchange.getRequestURI() + " " + (range == null ? "-" : range));
        try (exchange) {
            boolean describe = path.startsWith("/api/");
            String name = describe ? "" : path.substring(path.indexOf(COMMIT) + COMMIT.length() + 1);
            Behaviour behaviour = describe ? describing.poll() : behaviours.getOrDefault(name, new ArrayDeque<>()).poll();
            byte[] content = describe ? description() : files.get(name);
            int from = range == null ? 0 : Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
            if (requiredToken != null && !("Bearer " + requiredToken).equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
                exchange.sendResponseHeaders(401, -1);
            } else if (behaviour != null) {
                behaviour.answer(exchange, content, from);
            } else {
                whole(exchange, content, from);
            }
        }
    }

    private void whole(HttpExchange exchange, byte[] content, int from) throws IOException {
        if (from > 0) exchange.getResponseHeaders().add("Content-Range", "bytes %d-%d/%d".formatted(from, content.length - 1, content.length));
        exchange.sendResponseHeaders(from > 0 ? 206 : 200, content.length - from);
        try (OutputStream out = exchange.getResponseBody()) {
            for (int sent = from; sent < content.length; ) {
                int count = (int) Math.min(content.length - sent, Math.min(8192, bytesPerSecond));
                out.write(content, sent, count);
                sent += count;
                if (bytesPerSecond < Long.MAX_VALUE) {
                    out.flush();
                    Thread.sleep(1000 * count / bytesPerSecond);
                }
            }
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }

    private byte[] description() {
        if (description != null) return description.getBytes(StandardCharsets.UTF_8);
        var json = new StringBuilder("{\"sha\": \"%s\", \"private\": false, \"siblings\": [".formatted(COMMIT));
        files.forEach((name, content) -> {
            String large = name.endsWith("json") || name.endsWith("jsonl") || name.endsWith("md")
                    ? ""
                    : ", \"lfs\": {\"sha256\": \"%s\", \"size\": %d, \"pointerSize\": 130}".formatted(hash("SHA-256", content), content.length);
            json.append("{\"rfilename\": \"%s\", \"size\": %d, \"blobId\": \"%s\"%s},".formatted(name, content.length, gitName(content), large));
        });
        json.setLength(json.length() - 1);
        return json.append("]}").toString().getBytes(StandardCharsets.UTF_8);
    }

    private static List<String> names(Path directory) throws IOException {
        try (var paths = Files.list(directory)) {
            return paths.map(path -> path.getFileName().toString()).toList();
        }
    }

    private static byte[] random(long seed, int length) {
        var random = new RandomStream(seed);
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = (byte) random.nextLong();
        return bytes;
    }

    private static String gitName(byte[] content) {
        byte[] header = ("blob " + content.length + "\0").getBytes(StandardCharsets.US_ASCII);
        byte[] both = Arrays.copyOf(header, header.length + content.length);
        System.arraycopy(content, 0, both, header.length, content.length);
        return hash("SHA-1", both);
    }

    private static String hash(String algorithm, byte[] content) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(content));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }
}
