package rqat.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.io.Patience;
import rqat.text.ChatTemplate;
import rqat.text.Message;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// The client against a server of our own on the loopback interface, which answers every prompt with its own text again.
class ServerGeneratorTest {
    private static final Tokenizer TOKENIZER = Tokenizer.load(Path.of("models/embedded"));
    private static final ChatTemplate TEMPLATE = ChatTemplate.load(Path.of("models/embedded"));
    private static final int STOP = TOKENIZER.encode("<|im_end|>")[0];
    private static final Sampling SAMPLING = new Sampling(1, 0.95, 0, 50, Set.of(STOP));

    private final List<JsonNode> bodies = Collections.synchronizedList(new ArrayList<>());
    private final Queue<Integer> statuses = new ConcurrentLinkedQueue<>();
    private final AtomicInteger underWay = new AtomicInteger();
    private final AtomicInteger mostUnderWay = new AtomicInteger();
    private boolean offersIds = true;
    private boolean offersProbabilities = true;
    private String models = "[{\"id\": \"served\"}]";
    private HttpServer server;
    /// Choices that are sent before any other, as they are; `stall` sends half of one and then nothing.
    private final Queue<String> choices = new ConcurrentLinkedQueue<>();
    private final List<String> notices = Collections.synchronizedList(new ArrayList<>());
    private boolean chatOnly;

    @BeforeEach
    void start() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newCachedThreadPool(Thread.ofPlatform().daemon().factory()));
        server.createContext("/v1/models", exchange -> answer(exchange, 200, "{\"data\": %s}".formatted(models)));
        server.createContext("/v1/completions", exchange -> {
            if (chatOnly) answer(exchange, 404, "{\"detail\": \"Not Found\"}");
            else complete(exchange);
        });
        server.createContext("/v1/chat/completions", this::complete);
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void completionsAreTheSameTokensWhetherTheServerSendsIdsOrText(boolean ids) {
        offersIds = ids;
        List<Request> requests = IntStream.range(0, 12).mapToObj(i -> request("<think>\nhow much is " + i + "?")).toList();
        var told = new ArrayList<String>();

        List<Completion> completions = generator(4).generate(requests, new Listener() {
            @Override
            public void completed(int request, Completion completion) {
                told.add(request + " " + TOKENIZER.decode(completion.tokens()));
            }
        });

        for (int i = 0; i < requests.size(); i++) {
            Completion completion = completions.get(i);
            assertThat(completion.stop()).isEqualTo(StopReason.STOP_TOKEN);
            int[] expected = Arrays.copyOf(requests.get(i).prompt(), requests.get(i).prompt().length + 1);
            expected[expected.length - 1] = STOP;
            assertThat(completion.tokens()).containsExactly(expected);
            assertThat(completion.logProbabilities()).hasSameSizeAs(completion.tokens()).startsWith(-0.5f, -0.5f);
        }
        assertThat(told).containsExactlyInAnyOrderElementsOf(IntStream.range(0, 12)
                .mapToObj(i -> i + " " + TOKENIZER.decode(completions.get(i).tokens()))
                .toList());
        assertThat(mostUnderWay.get()).isBetween(2, 4);
    }

    @Test
    void theServerIsAskedExactlyWhatALocalModelWouldBe() {
        var request = new Request(new int[] {5, 6, 7}, new Sampling(0.6, 0.95, 30, 50, Set.of(STOP)), -3, 20);
        generator(1).generate(List.of(request), Listener.NONE);
        JsonNode body = bodies.getFirst();
        assertThat(body.path("model").asString()).isEqualTo("served");
        assertThat(body.path("prompt").toString()).isEqualTo("[5,6,7]");
        assertThat(body.path("max_tokens").asInt()).isEqualTo(17);
        assertThat(body.path("temperature").asDouble()).isEqualTo(0.6);
        assertThat(body.path("top_p").asDouble()).isEqualTo(0.95);
        assertThat(body.path("top_k").asInt()).isEqualTo(30);
        assertThat(body.path("seed").asLong()).isEqualTo(-3 & Integer.MAX_VALUE);
        assertThat(body.path("stop_token_ids").toString()).isEqualTo("[" + STOP + "]");
    }

    @Test
    void logProbabilitiesAreKnownWhereTheyAreOfferedAtTemperatureOne() {
        Request tempered = request("a b c", new Sampling(0.6, 1, 0, 50, Set.of(STOP)));
        assertThat(generator(1).generate(List.of(tempered), Listener.NONE).getFirst().logProbabilities()).containsOnly(Float.NaN);
        offersProbabilities = false;
        assertThat(generator(1).generate(List.of(request("a b c")), Listener.NONE).getFirst().logProbabilities()).containsOnly(Float.NaN);
    }

    @Test
    void aCompletionCutAtItsLimitSaysSo() {
        Completion completion = generator(1)
                .generate(List.of(request("one two three four five", new Sampling(1, 1, 0, 2, Set.of(STOP)))), Listener.NONE)
                .getFirst();
        assertThat(completion.stop()).isEqualTo(StopReason.LENGTH);
        assertThat(completion.tokens()).hasSize(2);
    }

    @Test
    void promptsAreScored() {
        List<float[]> scores = generator(3).score(List.of(new int[] {1, 2, 3}, new int[] {9}, new int[] {4, 5}));
        // the server's log-probability of token t is -t / 10
        assertThat(scores.get(0)).containsExactly(-0.2f, -0.3f);
        assertThat(scores.get(1)).isEmpty();
        assertThat(scores.get(2)).containsExactly(-0.5f);
        offersProbabilities = false;
        assertThatThrownBy(() -> generator(1).score(List.of(new int[] {1, 2})))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE))
                .hasMessageContaining("does not give the log-probabilities of prompts");
    }

    @Test
    void aBusyServerIsAskedAgain() {
        statuses.addAll(List.of(503, 429, 0, 500));
        assertThat(generator(1).generate(List.of(request("hello")), Listener.NONE)).hasSize(1);
        assertThat(bodies).hasSize(5);
        statuses.addAll(Collections.nCopies(40, 503));
        assertThatThrownBy(() -> generator(1).generate(List.of(request("hello")), Listener.NONE))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.FAILED))
                .hasMessageContaining("given up after 8 attempts")
                .hasMessageContaining("503");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            400 | expected 200
            401 | OPENAI_API_KEY
            404 | expected 200
            """)
    void aRefusalIsFinalAndExplained(int status, String message) {
        statuses.add(status);
        assertThatThrownBy(() -> generator(2).generate(List.of(request("hello"), request("again")), Listener.NONE))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("answered " + status)
                .hasMessageContaining("refused as told")
                .hasMessageContaining(message);
    }

    @Test
    void whatCannotBeAskedIsRefusedBeforehand() {
        assertThatThrownBy(() -> generator(1).generate(List.of(new Request(new int[512], SAMPLING, 1)), Listener.NONE))
                .hasMessageContaining("512 tokens; expected 1 to 511");
        assertThatThrownBy(() -> settings(URI.create("server:8000"), 1)).isInstanceOf(Failure.class).hasMessageContaining("http://127.0.0.1:8000/v1");
        models = "[{\"id\": \"a\"}, {\"id\": \"b\"}]";
        assertThatThrownBy(() -> generator(1)).isInstanceOf(Failure.class).hasMessageContaining("[a, b]");
        assertThat(bodies).isEmpty();
        server.stop(0);
        assertThatThrownBy(() -> generator(1)).isInstanceOf(Failure.class).hasMessageContaining("Is the server up?");
    }

    /// What a server broke off is no answer of the model: it is asked again, and says so where that does not help.
    @ParameterizedTest
    @ValueSource(strings = {"\"abort\"", "\"content_filter\"", "null", "\"\"", "\"error\""})
    void whatWasBrokenOffIsAskedAgain(String reason) {
        String broken = "{\"text\": \"6 \", \"finish_reason\": %s}".formatted(reason);
        choices.addAll(List.of(broken, broken));
        Completion completion = generator(1).generate(List.of(request("hello")), Listener.NONE).getFirst();
        assertThat(completion.stop()).isEqualTo(StopReason.STOP_TOKEN);
        assertThat(bodies).hasSize(3);
        choices.addAll(Collections.nCopies(3, broken));
        Completion aborted = generator(1).generate(List.of(request("hello")), Listener.NONE).getFirst();
        assertThat(aborted.stop()).isEqualTo(StopReason.ABORTED);
        assertThat(TOKENIZER.decode(aborted.tokens())).isEqualTo("6 ");
        assertThat(bodies).hasSize(6);
    }

    @Test
    void anAnswerThatStallsIsAskedForAgain() {
        choices.add("stall");
        var settings = new ServerGenerator.Settings(address(), "", 1, Duration.ofSeconds(20), Duration.ofMillis(200), patience());
        var generator = new ServerGenerator(settings, TOKENIZER, TEMPLATE, 512);
        assertThat(generator.generate(List.of(request("hello")), Listener.NONE).getFirst().stop()).isEqualTo(StopReason.STOP_TOKEN);
        assertThat(notices).singleElement().asString().contains("completions of http://", "nothing more came", "trying again, up to 7 times");
    }

    @Test
    void oneLineSaysThatManyRequestsAreTriedAgain() {
        statuses.addAll(Collections.nCopies(6, 503));
        generator(4).generate(Collections.nCopies(8, request("hello")), Listener.NONE);
        assertThat(notices).singleElement().asString().contains("answered 503", "trying again");
    }

    @Test
    void aServerWithTheChatInterfaceOnlyIsAskedWithTheMessage() {
        chatOnly = true;
        String prompt = TEMPLATE.render(Message.maps(new Message("user", "What is 5*3?")), true, Map.of());
        choices.add("{\"message\": {\"content\": \"\\\\boxed{15}\", \"reasoning_content\": \"5*3=15\"}, \"finish_reason\": \"stop\"}");
        choices.add("{\"message\": {\"content\": null, \"reasoning_content\": \"5*3=\"}, \"finish_reason\": \"length\"}");
        choices.addAll(Collections.nCopies(2, "{\"message\": {\"content\": \"15\"}, \"finish_reason\": \"stop\"}"));
        List<Completion> completions = generator(1).generate(Collections.nCopies(3, request(prompt)), Listener.NONE);
        assertThat(completions).extracting(completion -> TOKENIZER.decode(completion.tokens(), true))
                .containsExactly("<think>\n5*3=15\n</think>\n\n\\boxed{15}", "<think>\n5*3=", "15");
        assertThat(completions).extracting(Completion::stop).containsExactly(StopReason.STOP_TOKEN, StopReason.LENGTH, StopReason.STOP_TOKEN);
        assertThat(bodies.getLast().path("messages").toString()).isEqualTo("[{\"role\":\"user\",\"content\":\"What is 5*3?\"}]");
        assertThat(bodies.getLast().path("max_tokens").asInt()).isEqualTo(50);
        assertThatThrownBy(() -> generator(1).generate(List.of(request(prompt), request("hello")), Listener.NONE))
                .isInstanceOf(Failure.class).hasMessageContaining("chat interface only");
    }

    /// vLLM with a reasoning parser.
    @Test
    void reasoningBesideATextIsPutBack() {
        choices.add("{\"text\": \"\", \"reasoning_content\": \"15*\", \"finish_reason\": \"length\"}");
        choices.add("{\"text\": \"15\", \"reasoning\": \"5*3\", \"finish_reason\": \"stop\"}");
        List<Completion> completions = generator(1).generate(List.of(request("hm"), request("5*3?<think>\n")), Listener.NONE);
        assertThat(completions).extracting(completion -> TOKENIZER.decode(completion.tokens(), true)).containsExactly("<think>\n15*", "5*3\n</think>\n\n15");
    }

    @Test
    void aServerOfAnotherModelIsRefused() {
        for (String ids : List.of("[5, 99999]", "[-1]", "[\"x\"]", "[1.5]")) {
            choices.add("{\"text\": \"\", \"token_ids\": %s, \"finish_reason\": \"length\"}".formatted(ids));
            assertThatThrownBy(() -> generator(1).generate(List.of(request("hello")), Listener.NONE))
                    .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE))
                    .hasMessageContaining("it serves another model");
        }
        var other = new ServerGenerator.Settings(address(), "qwen", 1, Duration.ofSeconds(20), patience());
        assertThatThrownBy(() -> new ServerGenerator(other, TOKENIZER, TEMPLATE, 512)).isInstanceOf(Failure.class).hasMessageContaining("no model `qwen`").hasMessageContaining("[served]");
    }

    private URI address() {
        return URI.create("http://127.0.0.1:%d/v1/".formatted(server.getAddress().getPort()));
    }

    private Patience patience() {
        return new Patience(Duration.ofMillis(2)).told(notices::add);
    }

    private ServerGenerator generator(int concurrency) {
        return new ServerGenerator(settings(address(), concurrency), TOKENIZER, TEMPLATE, 512);
    }

    private ServerGenerator.Settings settings(URI address, int concurrency) {
        return new ServerGenerator.Settings(address, "", concurrency, Duration.ofSeconds(20), patience());
    }

    private static Request request(String text) {
        return request(text, SAMPLING);
    }

    private static Request request(String text, Sampling sampling) {
        return new Request(TOKENIZER.encode(text), sampling, 7);
    }

    private void complete(HttpExchange exchange) throws IOException {
        JsonNode body = JsonMapper.shared().readTree(exchange.getRequestBody().readAllBytes());
        bodies.add(body);
        String choice = choices.poll();
        if (choice != null) {
            if (!choice.equals("stall")) {
                answer(exchange, 200, "{\"choices\": [%s]}".formatted(choice));
                return;
            }
            exchange.sendResponseHeaders(200, 1000);
            exchange.getResponseBody().write("{\"choices\": [".getBytes(StandardCharsets.UTF_8));
            exchange.getResponseBody().flush();
            return;
        }
        Integer status = statuses.poll();
        if (status != null && status == 0) {
            // half an answer, then nothing
            exchange.sendResponseHeaders(200, 1000);
            exchange.getResponseBody().write("{\"choices\": [".getBytes(StandardCharsets.UTF_8));
            exchange.close();
            return;
        }
        if (status != null) {
            exchange.getResponseHeaders().add("Retry-After", "0");
            answer(exchange, status, "refused as told");
            return;
        }
        mostUnderWay.accumulateAndGet(underWay.incrementAndGet(), Math::max);
        try {
            Thread.sleep(20);
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        int[] prompt = body.path("prompt").valueStream().mapToInt(JsonNode::asInt).toArray();
        int room = body.path("max_tokens").asInt();
        int[] said = Arrays.copyOf(prompt, Math.min(prompt.length, room));
        ObjectNode answer = JsonMapper.shared().createObjectNode();
        ObjectNode only = answer.putArray("choices").addObject();
        only.put("text", TOKENIZER.decode(said));
        only.put("finish_reason", prompt.length <= room ? "stop" : "length");
        if (offersIds && !body.path("echo").asBoolean(false)) {
            var ids = only.putArray("token_ids");
            for (int id : said) ids.add(id);
        }
        if (offersProbabilities) {
            var values = only.putObject("logprobs").putArray("token_logprobs");
            if (body.path("echo").asBoolean(false)) {
                values.addNull();
                for (int t = 1; t < prompt.length; t++) values.add(-prompt[t] / 10.0);
            }
            for (int i = 0; i < said.length; i++) values.add(-0.5);
        }
        underWay.decrementAndGet();
        answer(exchange, 200, answer.toString());
    }

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }
}
