package rqat.openai;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.model.output.FinishReason;
import java.io.InputStream;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Split;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.Scheduler;
import rqat.generate.ServerGenerator;
import rqat.generate.StopReason;
import rqat.io.Patience;
import rqat.recipe.Engines;
import rqat.run.RandomStream;
import rqat.tensor.Torch;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The server with the embedded model on the loopback interface, asked by clients that nobody here wrote and by raw bytes.
class ServerTest {
    private static final Path MODEL = Path.of("models/embedded");
    private static final Tokenizer TOKENIZER = Tokenizer.load(MODEL);
    private static final String QUESTION = "Mia has 15 cards. Then she triples the pile. She doubles the pile. How many cards does Mia own now?";
    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private static Engines.Engine engine;
    private @Nullable Server server;

    @BeforeAll
    static void open() {
        engine = Engines.open(MODEL, Torch.Compute.FLOAT32);
    }

    @AfterAll
    static void close() {
        engine.close();
    }

    @AfterEach
    void stop() {
        if (server != null) server.close();
    }

    private void start(@Nullable String key, int batch, int waiting) {
        var model = new ServedModel("embedded", TOKENIZER, ChatTemplate.load(MODEL), engine.config().maxPositions(), true);
        server = new Server(new Server.Settings("127.0.0.1", 0, key, waiting, Duration.ofSeconds(10)), model, new Scheduler(engine.steps(1), batch));
    }

    private void start() {
        start(null, 32, 256);
    }

    // ---- clients of others

    @Test
    void langChain4jChatsAndCountsTokens() {
        start();
        OpenAiChatModel model = OpenAiChatModel.builder()
                .baseUrl("http://127.0.0.1:%d/v1".formatted(server.port())).apiKey("none").modelName("embedded")
                .temperature(0.0).seed(7).maxTokens(100).returnThinking(true).build();
        ChatResponse response = model.chat(ChatRequest.builder().messages(UserMessage.from(QUESTION)).build());
        AiMessage message = response.aiMessage();
        assertThat(message.text()).isEqualTo("\\boxed{90}");
        assertThat(message.thinking()).isEqualTo("15*3=45\n45*2=90\n");
        assertThat(response.finishReason()).isEqualTo(FinishReason.STOP);
        int prompt = TOKENIZER.encode("<|im_start|>user\n" + QUESTION + "<|im_end|>\n<|im_start|>assistant\n").length;
        int completion = TOKENIZER.encode("<think>\n15*3=45\n45*2=90\n</think>\n\\boxed{90}<|im_end|>").length;
        assertThat(response.tokenUsage().inputTokenCount()).isEqualTo(prompt);
        assertThat(response.tokenUsage().outputTokenCount()).isEqualTo(completion);
        assertThat(response.tokenUsage().totalTokenCount()).isEqualTo(prompt + completion);
    }

    @Test
    void langChain4jStreams() throws Exception {
        start();
        OpenAiStreamingChatModel model = OpenAiStreamingChatModel.builder()
                .baseUrl("http://127.0.0.1:%d/v1".formatted(server.port())).apiKey("none").modelName("embedded").temperature(0.0).build();
        var pieces = new ArrayList<String>();
        var done = new CompletableFuture<ChatResponse>();
        model.chat(QUESTION, new StreamingChatResponseHandler() {
            @Override
            public void onPartialResponse(String piece) {
                pieces.add(piece);
            }

            @Override
            public void onCompleteResponse(ChatResponse response) {
                done.complete(response);
            }

            @Override
            public void onError(Throwable error) {
                done.completeExceptionally(error);
            }
        });
        ChatResponse response = done.get(30, TimeUnit.SECONDS);
        assertThat(String.join("", pieces)).isEqualTo("\\boxed{90}").isEqualTo(response.aiMessage().text());
        assertThat(pieces.size()).isGreaterThan(1);
        assertThat(response.tokenUsage().outputTokenCount()).isEqualTo(26);
    }

    /// The client of this program, which evaluations use, samples and scores what a local model does.
    @Test
    void ourClientGetsTheTokensAndScoresOfALocalModel() {
        start();
        List<Request> requests = requests(24, 0.9);
        var client = new ServerGenerator(
                new ServerGenerator.Settings(URI.create("http://127.0.0.1:%d/v1".formatted(server.port())), "", 8, Duration.ofMinutes(1), new Patience(Duration.ofMillis(50))),
                TOKENIZER, null, engine.config().maxPositions());
        List<Completion> served = client.generate(requests, Listener.NONE);
        List<float[]> scores = client.score(requests.stream().map(Request::prompt).toList());
        server.close();
        List<Completion> local = engine.generator(32, 1).generate(requests, Listener.NONE);
        for (int i = 0; i < requests.size(); i++) {
            assertThat(served.get(i).tokens()).isEqualTo(local.get(i).tokens());
            assertThat(served.get(i).stop()).isEqualTo(local.get(i).stop());
        }
        List<float[]> expected = engine.scorer().score(requests.stream().map(Request::prompt).toList());
        for (int i = 0; i < expected.size(); i++) {
            assertThat(scores.get(i)).usingComparatorWithPrecision(1e-4f).containsExactly(expected.get(i));
        }
    }

    // ---- one batch for all

    @Test
    void noAnswerOf32StreamsDiffersFromItsLoneRun() throws Exception {
        start();
        List<Request> requests = requests(32, 0.8);
        List<String> bodies = requests.stream()
                .map(request -> "{\"prompt\": %s, \"temperature\": 0.8, \"seed\": %d, \"max_tokens\": 100, \"stream\": true, \"return_token_ids\": true}"
                        .formatted(Arrays.toString(request.prompt()), request.seed()))
                .toList();
        List<List<Integer>> together = new ArrayList<>();
        try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<List<Integer>>> running = bodies.stream().map(body -> threads.submit(() -> streamedIds(body))).toList();
            for (Future<List<Integer>> one : running) together.add(one.get(60, TimeUnit.SECONDS));
        }
        for (int i = 0; i < bodies.size(); i++) assertThat(together.get(i)).as("request %d", i).isEqualTo(streamedIds(bodies.get(i)));
        server.close();
        List<Completion> local = engine.generator(1, 1).generate(requests, Listener.NONE);
        for (int i = 0; i < bodies.size(); i++) {
            assertThat(together.get(i)).isEqualTo(Arrays.stream(local.get(i).tokens()).boxed().toList());
        }
    }

    private List<Integer> streamedIds(String body) throws Exception {
        return events(post("/v1/completions", body).body()).stream()
                .flatMap(event -> event.path("choices").valueStream())
                .flatMap(choice -> choice.path("token_ids").valueStream())
                .map(JsonNode::asInt)
                .toList();
    }

    @Test
    void aClientThatGoesAwayFreesItsSlot() throws Exception {
        start(null, 1, 8);
        // A model that never stops by itself, for as long as its context lasts.
        String body = "{\"prompt\": \"Mia has\", \"max_tokens\": 500, \"ignore_eos\": true, \"n\": 4, \"stream\": %s}";
        for (boolean stream : new boolean[] {true, false}) {
            try (var socket = new Socket("127.0.0.1", server.port())) {
                send(socket, body.formatted(stream));
                await(() -> measure("rqat_requests_running") == 1);
            }
            await(() -> measure("rqat_requests_running") + measure("rqat_requests_waiting") == 0);
        }
        assertThat(post("/v1/completions", "{\"prompt\": \"Mia has\", \"max_tokens\": 2}").statusCode()).isEqualTo(200);
    }

    @Test
    void aFullQueueIsSaidAndPasses() throws Exception {
        start(null, 1, 3);
        assertThat(error(post("/v1/completions", "{\"prompt\": \"a\", \"n\": 4}"), 400)).contains("the queue holds 3");
        var sockets = new ArrayList<Socket>();
        for (int i = 0; i < 4; i++) {
            var socket = new Socket("127.0.0.1", server.port());
            sockets.add(socket);
            send(socket, "{\"prompt\": \"Mia has\", \"max_tokens\": 500, \"ignore_eos\": true, \"stream\": true}");
            int expected = i;
            await(() -> measure("rqat_requests_running") == 1 && measure("rqat_requests_waiting") == expected || measure("rqat_completion_tokens_total") > 900);
        }
        HttpResponse<String> refused = post("/v1/completions", "{\"prompt\": \"b\", \"max_tokens\": 1}");
        if (refused.statusCode() != 200) { // or the machine was fast enough to have room again
            assertThat(error(refused, 429)).contains("queue of 3 requests is full");
            assertThat(refused.headers().firstValue("Retry-After")).hasValue("1");
        }
        for (Socket socket : sockets) socket.close();
        await(() -> measure("rqat_requests_running") + measure("rqat_requests_waiting") == 0);
        assertThat(post("/v1/completions", "{\"prompt\": \"b\", \"max_tokens\": 1}").statusCode()).isEqualTo(200);
    }

    @Test
    void stoppingFinishesWhatRunsAndRefusesTheRest() throws Exception {
        start(null, 4, 8);
        CompletableFuture<HttpResponse<String>> running = CLIENT.sendAsync(
                request("/v1/completions", "{\"prompt\": \"Mia has\", \"max_tokens\": 400, \"ignore_eos\": true}", null), HttpResponse.BodyHandlers.ofString());
        await(() -> measure("rqat_requests_running") == 1);
        assertThat(server.stop()).isTrue();
        assertThat(JsonMapper.shared().readTree(running.get(20, TimeUnit.SECONDS).body()).path("usage").path("completion_tokens").asInt()).isEqualTo(400);
    }

    // ---- the interface

    @Test
    void samplesOfOnePromptDifferAndRepeat() throws Exception {
        start();
        String body = "{\"prompt\": \"Mia has\", \"n\": 3, \"max_tokens\": 20, \"seed\": 5, \"temperature\": 1.5}";
        JsonNode first = json(post("/v1/completions", body)), second = json(post("/v1/completions", body));
        List<String> texts = first.path("choices").valueStream().map(choice -> choice.path("text").asString()).toList();
        assertThat(new HashSet<>(texts)).hasSize(3);
        assertThat(second.path("choices")).isEqualTo(first.path("choices"));
        assertThat(first.path("usage").path("prompt_tokens").asInt()).isEqualTo(TOKENIZER.encodeWithSpecial("Mia has").length);
    }

    @Test
    void stopTextsAreCutAndLengthIsSaid() throws Exception {
        start();
        String chat = "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}], \"temperature\": 0, %s}";
        JsonNode stopped = json(post("/v1/chat/completions", chat.formatted(QUESTION, "\"stop\": [\"45\\n45\"]"))).path("choices").path(0);
        assertThat(stopped.path("message").path("reasoning_content").asString()).isEqualTo("15*3=");
        assertThat(stopped.path("finish_reason").asString()).isEqualTo("stop");
        JsonNode cut = json(post("/v1/chat/completions", chat.formatted(QUESTION, "\"max_completion_tokens\": 4"))).path("choices").path(0);
        assertThat(cut.path("finish_reason").asString()).isEqualTo("length");
        assertThat(cut.path("message").path("content").asString()).isEmpty();
    }

    /// Prompt and completion as one sequence, scored by the model itself.
    @Test
    void logProbabilitiesAreTheModels() throws Exception {
        start();
        JsonNode choice = json(post("/v1/completions", "{\"prompt\": \"Mia has 15\", \"echo\": true, \"logprobs\": 2, \"max_tokens\": 8, \"temperature\": 1, \"seed\": 3, \"return_token_ids\": true}"))
                .path("choices").path(0);
        int[] prompt = TOKENIZER.encodeWithSpecial("Mia has 15");
        int[] sequence = IntStream.concat(Arrays.stream(prompt), choice.path("token_ids").valueStream().mapToInt(JsonNode::asInt)).toArray();
        JsonNode told = choice.path("logprobs");
        assertThat(told.path("token_logprobs").size()).isEqualTo(sequence.length);
        assertThat(told.path("token_logprobs").path(0).isNull()).isTrue();
        server.close();
        float[] scores = engine.scorer().score(List.of(sequence)).getFirst();
        for (int i = 1; i < sequence.length; i++) {
            assertThat(told.path("token_logprobs").path(i).asDouble()).as("token %d", i).isCloseTo(scores[i - 1], org.assertj.core.api.Assertions.within(1e-4));
            assertThat(told.path("top_logprobs").path(i).size()).isEqualTo(2);
        }
        String text = choice.path("text").asString();
        assertThat(text).startsWith("Mia has 15");
        // Offsets are where the tokens stand in the text.
        for (int i = 1; i < sequence.length; i++) {
            String token = told.path("tokens").path(i).asString();
            assertThat(text.startsWith(token, told.path("text_offset").path(i).asInt()) || TOKENIZER.isSpecial(sequence[i])).isTrue();
        }
    }

    @Test
    void sequencesAsLongAsTheContextAreScored() {
        start();
        int context = engine.config().maxPositions();
        var sequences = List.of(new int[context], new int[] {7}, new int[] {5, 6, 7, 8});
        for (int t = 0; t < context; t++) sequences.getFirst()[t] = (31 * t + t * t) % TOKENIZER.size();
        var settings = new ServerGenerator.Settings(
                URI.create("http://127.0.0.1:%d/v1".formatted(server.port())), "", 4, Duration.ofSeconds(60), new Patience(Duration.ofMillis(2)));
        List<float[]> scores = new ServerGenerator(settings, TOKENIZER, null, context).score(sequences);
        server.close();
        List<float[]> expected = engine.scorer().score(sequences);
        for (int i = 0; i < expected.size(); i++) {
            assertThat(scores.get(i)).containsExactly(expected.get(i), org.assertj.core.api.Assertions.within(1e-4f));
        }
    }

    /// Stopped by a text, a completion does not end with a token that nobody sampled.
    @Test
    void aClientOfOursLearnsWhatStoppedACompletion() {
        start();
        var settings = new ServerGenerator.Settings(
                URI.create("http://127.0.0.1:%d/v1".formatted(server.port())), "", 4, Duration.ofSeconds(60), new Patience(Duration.ofMillis(2)));
        int[] prompt = TOKENIZER.encode("<|im_start|>user\n" + QUESTION + "<|im_end|>\n<|im_start|>assistant\n");
        var generator = new ServerGenerator(settings, TOKENIZER, null, engine.config().maxPositions());
        for (List<String> stops : List.of(List.<String>of(), List.of("=4", "never"))) {
            var sampling = new Sampling(0, 1, 0, 100, TOKENIZER.stopIds(), stops);
            var details = new Request.Details(() -> TOKENIZER.detokenizer(true), 0, false);
            var completion = generator.generate(List.of(new Request(prompt, sampling, 1, Integer.MAX_VALUE, details)), Listener.NONE).getFirst();
            String text = TOKENIZER.decode(completion.tokens());
            assertThat(completion.stop()).isEqualTo(stops.isEmpty() ? StopReason.STOP_TOKEN : StopReason.STOP_TEXT);
            assertThat(text).isEqualTo(stops.isEmpty() ? "<think>\n15*3=45\n45*2=90\n</think>\n\\boxed{90}<|im_end|>" : "<think>\n15*3=4");
        }
    }

    @Test
    void tokensGoBothWays() throws Exception {
        start();
        JsonNode tokens = json(post("/tokenize", "{\"prompt\": \"Mia has 15 cards\"}"));
        assertThat(tokens.path("count").asInt()).isEqualTo(tokens.path("tokens").size());
        assertThat(json(post("/detokenize", "{\"tokens\": %s}".formatted(tokens.path("tokens")))).path("prompt").asString()).isEqualTo("Mia has 15 cards");
        JsonNode chat = json(post("/tokenize", "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}"));
        assertThat(chat.path("tokens").valueStream().mapToInt(JsonNode::asInt).toArray())
                .isEqualTo(TOKENIZER.encode("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"));
    }

    @Test
    void theKeyIsAsked() throws Exception {
        start("secret", 2, 2);
        assertThat(error(post("/v1/completions", "{\"prompt\": \"a\"}"), 401)).contains("API key");
        assertThat(CLIENT.send(request("/v1/completions", "{\"prompt\": \"a\"}", "secret"), HttpResponse.BodyHandlers.ofString()).statusCode()).isEqualTo(200);
        assertThat(CLIENT.send(request("/v1/completions", "{\"prompt\": \"a\"}", "secret "), HttpResponse.BodyHandlers.ofString()).statusCode()).isEqualTo(200);
        assertThat(error(CLIENT.send(request("/v1/completions", "{\"prompt\": \"a\"}", "secreT"), HttpResponse.BodyHandlers.ofString()), 401)).contains("API key");
        assertThat(get("/health").statusCode()).isEqualTo(200);
        assertThat(get("/v1/models").statusCode()).isEqualTo(401);
    }

    @Test
    void aTakenPortIsAMessage() {
        start();
        assertThatThrownBy(() -> {
            var model = new ServedModel("embedded", TOKENIZER, null, 512, true);
            new Server(new Server.Settings("127.0.0.1", server.port(), null, 1, Duration.ZERO), model, new Scheduler(engine.steps(1), 1)).close();
        }).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE)).hasMessageContaining("cannot serve there");
    }

    // ---- what is wrong

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
        "completions | {\"prompt\": \"\"} | prompt | the prompt is empty",
        "completions | {} | prompt | `prompt` is missing",
        "completions | [] | null | expected a JSON object",
        "completions | {\"prompt\": \"a\", \"temperature\": -1} | temperature | expected a number from 0 to 100",
        "completions | {\"prompt\": \"a\", \"temperature\": \"hot\"} | temperature | expected a number from 0 to 100",
        "completions | {\"prompt\": \"a\", \"top_p\": 2} | top_p | expected a number from 0 to 1",
        "completions | {\"prompt\": \"a\", \"n\": 0} | n | expected an integer from 1 to 128",
        "completions | {\"prompt\": \"a\", \"max_tokens\": 0} | max_tokens | at most 0 tokens",
        "completions | {\"prompt\": \"a\", \"max_tokens\": 1.5} | max_tokens | expected an integer",
        "completions | {\"prompt\": \"a\", \"stop\": \"\"} | stop | a text that is not empty",
        "completions | {\"prompt\": \"a\", \"seed\": 1e300} | seed | an integer of 64 bits",
        "completions | {\"prompt\": [1, -2]} | prompt | integers from 0",
        "completions | {\"prompt\": [1, 999999]} | prompt | contains token 999999",
        "completions | {\"prompt\": \"a\", \"mdoel\": \"x\"} | mdoel | unknown field",
        "completions | {\"prompt\": \"a\", \"frequency_penalty\": 1} | frequency_penalty | not supported",
        "completions | {\"prompt\": \"a\", \"best_of\": 5} | best_of | expected 1",
        "completions | {\"prompt\": \"a\", \"response_format\": {\"type\": \"json_object\"}} | response_format | only the response format",
        "chat/completions | {\"messages\": []} | messages | missing or empty",
        "chat/completions | {\"messages\": [{\"role\": \"king\", \"content\": \"a\"}]} | messages[0].role | expected system, user, assistant or tool",
        "chat/completions | {\"messages\": [{\"role\": \"user\"}]} | messages[0].content | is missing",
        "chat/completions | {\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]} | messages[0].content | reads text only",
        "chat/completions | {\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"tools\": [{}]} | tools | not supported",
        "chat/completions | {\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"top_logprobs\": 3} | top_logprobs | needs `logprobs: true`"
    })
    void wrongFieldsAreNamed(String path, String body, String parameter, String message) throws Exception {
        start();
        HttpResponse<String> response = post("/v1/" + path, body);
        assertThat(error(response, 400)).contains(message);
        assertThat(json(response).path("error").path("param").asString("null")).isEqualTo(parameter);
        assertThat(json(response).path("error").path("type").asString()).isEqualTo("invalid_request_error");
    }

    @Test
    void aMillionTokensAreTooMany() throws Exception {
        start();
        String ids = IntStream.range(0, 1_000_000).mapToObj(_ -> "7").collect(Collectors.joining(",", "[", "]"));
        HttpResponse<String> asIds = post("/v1/completions", "{\"prompt\": %s}".formatted(ids));
        assertThat(error(asIds, 400)).contains("the prompt has 1,000,000 tokens; the model's context of 512");
        assertThat(json(asIds).path("error").path("code").asString()).isEqualTo("context_length_exceeded");
        String words = "1 ".repeat(500_000);
        assertThat(error(post("/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}]}".formatted(words)), 400)).contains("the model's context of 512");
    }

    @Test
    void anotherModelIsNotFoundAndAnotherTypeNotRead() throws Exception {
        start();
        assertThat(error(post("/v1/completions", "{\"model\": \"gpt-4\", \"prompt\": \"a\"}"), 404)).contains("`gpt-4`", "`embedded`");
        assertThat(error(get("/v1/models/gpt-4"), 404)).contains("`gpt-4`");
        assertThat(error(get("/v1/completions"), 404)).contains("there is no GET");
        HttpResponse<String> form = CLIENT.send(
                HttpRequest.newBuilder(uri("/v1/completions")).header("Content-Type", "text/plain").POST(HttpRequest.BodyPublishers.ofString("{}")).build(),
                HttpResponse.BodyHandlers.ofString());
        assertThat(error(form, 415)).contains("expected `application/json`");
    }

    /// Mutations of good requests, as bytes on a socket: an answer that is no success, or a closed connection, and never a dead server.
    @Test
    void malformedRequestsAreAnsweredAndTheServerLives() throws Exception {
        start();
        long seed = Long.getLong("seed", 20_261_125);
        var random = new RandomStream(seed);
        String good = "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s";
        String body = "{\"prompt\": \"Mia has\", \"max_tokens\": 1, \"temperature\": 0.5, \"stop\": [\"x\"], \"logprobs\": 1}";
        int rounds = Integer.getInteger("rqat.mutations", 600);
        var statuses = new java.util.TreeMap<Integer, Integer>();
        for (int round = 0; round < rounds; round++) {
            byte[] request = good.formatted(body.length(), body).getBytes(StandardCharsets.UTF_8);
            for (int change = 1 + random.nextInt(4); change > 0; change--) request = mutated(request, random);
            try (var socket = new Socket("127.0.0.1", server.port())) {
                socket.setSoTimeout(10_000);
                socket.getOutputStream().write(request);
                socket.shutdownOutput();
                String answer = new String(read(socket), StandardCharsets.ISO_8859_1);
                int status = answer.startsWith("HTTP/1.1 ") ? Integer.parseInt(answer.substring(9, 12)) : 0;
                statuses.merge(status, 1, Integer::sum);
                assertThat(status).as("seed %d, round %d: %s\nto %s", seed, round, answer, new String(request, StandardCharsets.ISO_8859_1)).isIn(0, 200, 400, 401, 404, 405, 411, 413, 414, 415, 417, 431, 501, 505);
            }
        }
        assertThat(statuses.keySet()).contains(400, 200);
        assertThat(post("/v1/completions", body).statusCode()).isEqualTo(200);
        assertThat(measure("rqat_requests_running") + measure("rqat_requests_waiting")).isZero();
    }

    private static byte[] mutated(byte[] request, RandomStream random) {
        int place = random.nextInt(request.length);
        return switch (random.nextInt(4)) {
            case 0 -> { // another byte
                byte[] changed = request.clone();
                changed[place] = (byte) random.nextInt(256);
                yield changed;
            }
            case 1 -> Arrays.copyOf(request, Math.max(1, place)); // cut
            case 2 -> { // a piece twice
                int end = Math.min(request.length, place + 1 + random.nextInt(20));
                byte[] changed = Arrays.copyOf(request, request.length + end - place);
                System.arraycopy(request, place, changed, end, request.length - place);
                yield changed;
            }
            default -> { // a piece missing
                int end = Math.min(request.length, place + 1 + random.nextInt(10));
                byte[] changed = Arrays.copyOf(request, request.length - (end - place));
                System.arraycopy(request, end, changed, place, request.length - end);
                yield changed.length == 0 ? request : changed;
            }
        };
    }

    private static byte[] read(Socket socket) throws java.io.IOException {
        try (InputStream in = socket.getInputStream()) {
            return in.readAllBytes();
        } catch (java.net.SocketException e) {
            return new byte[0]; // closed without an answer
        }
    }

    // ---- asking

    private static List<Request> requests(int count, double temperature) {
        var sampling = new Sampling(temperature, 1, 0, 100, TOKENIZER.stopIds());
        List<WordProblems.Problem> problems = WordProblems.problems(Split.TEST, "medium", count, 11);
        return IntStream.range(0, count)
                .mapToObj(i -> new Request(TOKENIZER.encode(problems.get(i).prompt()), sampling, 0x7_0000_0000L + i))
                .toList();
    }

    private URI uri(String path) {
        return URI.create("http://127.0.0.1:%d%s".formatted(server.port(), path));
    }

    private HttpRequest request(String path, String body, @Nullable String key) {
        var request = HttpRequest.newBuilder(uri(path)).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body));
        return (key == null ? request : request.header("Authorization", "Bearer " + key)).build();
    }

    private HttpResponse<String> post(String path, String body) throws Exception {
        return CLIENT.send(request(path, body, null), HttpResponse.BodyHandlers.ofString());
    }

    private HttpResponse<String> get(String path) throws Exception {
        return CLIENT.send(HttpRequest.newBuilder(uri(path)).build(), HttpResponse.BodyHandlers.ofString());
    }

    private static JsonNode json(HttpResponse<String> response) {
        return JsonMapper.shared().readTree(response.body());
    }

    private static String error(HttpResponse<String> response, int status) {
        assertThat(response.statusCode()).as(response.body()).isEqualTo(status);
        return json(response).path("error").path("message").asString();
    }

    private static List<JsonNode> events(String stream) {
        List<String> data = stream.lines().filter(line -> line.startsWith("data: ")).map(line -> line.substring(6)).toList();
        assertThat(data.getLast()).isEqualTo("[DONE]");
        return data.subList(0, data.size() - 1).stream().map(line -> JsonMapper.shared().readTree(line)).toList();
    }

    private void send(Socket socket, String body) throws Exception {
        socket.getOutputStream().write("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                .formatted(body.length(), body).getBytes(StandardCharsets.UTF_8));
    }

    private long measure(String name) {
        try {
            return get("/metrics").body().lines().filter(line -> line.startsWith(name + " ")).mapToLong(line -> Long.parseLong(line.substring(name.length() + 1))).findFirst().orElseThrow();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static void await(java.util.function.BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + 20_000_000_000L;
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime()).as("waited for 20 s").isLessThan(end);
            Thread.sleep(10);
        }
    }
}
