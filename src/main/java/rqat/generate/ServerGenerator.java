package rqat.generate;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BiConsumer;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.JsonFiles;
import rqat.io.Patience;
import rqat.io.StallWatch;
import rqat.text.ChatTemplate;
import rqat.text.Message;
import rqat.text.ReasoningSplitter;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Samples and scores on any server with OpenAI's completions interface (vLLM, SGLang, llama.cpp). Prompts are sent as token ids, so that the
/// server sees what a local model would; completions come back as ids where it offers them, else their text is encoded again.
///
/// What a server cannot do like [LocalGenerator]: the random numbers are its own, though the seed of a request is given to it (`rqat serve`
/// samples the very tokens of a local model); and log-probabilities are known only at temperature 1 and where it sends them, elsewhere they are NaN.
///
/// Where a server has the chat interface only, a prompt that the template makes of one message of a user is asked there as that message, and
/// the reasoning that it sends apart is put back between its tags.
public final class ServerGenerator implements Generator, Scorer {
    private static final String ADVICE = "Is the server up? The same command resumes with what is missing";
    private static final String KEY = "OPENAI_API_KEY";
    private static final String THINK = "<think>";
    private static final String END_THINK = "</think>";
    /// Longer than any answer: a million tokens with their texts and log-probabilities.
    private static final int LONGEST_ANSWER = 256 << 20;
    /// How often a completion is asked for that the server breaks off.
    private static final int ABORTS = 3;
    /// Statuses of an interface that is not there.
    private static final Set<Integer> ABSENT = Set.of(404, 405, 501);
    /// Between two notices of trying again.
    private static final Duration QUIET = Duration.ofMinutes(1);
    /// What a template is rendered with to see what it puts around a message.
    private static final String MARK = "rqat-message-9c1f";

    /// Where and how.
    ///
    /// @param address     of the interface, up to and including `/v1`
    /// @param model       as the server calls it; empty for the only one that it has
    /// @param concurrency requests under way at a time
    /// @param timeout     for the beginning of one answer
    /// @param stall       for what follows: an answer of which nothing more comes for so long is asked for again
    /// @param patience    with failures that may pass
    public record Settings(URI address, String model, int concurrency, Duration timeout, Duration stall, Patience patience) {
        /// With a minute for what follows, as downloads have.
        public Settings(URI address, String model, int concurrency, Duration timeout, Patience patience) {
            this(address, model, concurrency, timeout, Duration.ofSeconds(60), patience);
        }

        /// Checks the ranges.
        public Settings {
            if (address.getHost() == null || !List.of("http", "https").contains(address.getScheme())) {
                throw Failure.usage("the backend is %s; expected a web address such as http://127.0.0.1:8000/v1".formatted(Failure.quote(address.toString())));
            }
            if (concurrency < 1) throw Failure.usage("the concurrency of the backend is %d; expected 1 or more".formatted(concurrency));
        }
    }

    private final Settings settings;
    private final Tokenizer tokenizer;
    private final int context;
    private final @Nullable String key;
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(20)).build();
    private final String model;
    /// Whether the server is this program's, whose samples are those of a local model of the same seed.
    private final boolean ours;
    private final Patience patience;
    /// What the template puts before and behind one message of a user; empty without a template, or where it changes the message.
    private final List<String> around;
    /// Whether the server has the chat interface alone.
    private volatile boolean chatOnly;

    /// A client of a server, which is asked for its model.
    ///
    /// @param tokenizer of that model
    /// @param template  of that model, for servers that have the chat interface alone; null where there is none
    /// @param context   of that model, in tokens
    /// @throws Failure when the server cannot be reached, does not have the model, or has several and none was named
    public ServerGenerator(Settings settings, Tokenizer tokenizer, @Nullable ChatTemplate template, int context) {
        this.settings = settings;
        this.tokenizer = tokenizer;
        // Many requests fail at a time, and one line says it.
        var last = new AtomicLong(System.nanoTime() - QUIET.toNanos());
        this.patience = settings.patience.told(line -> {
            long now = System.nanoTime();
            long told = last.get();
            if (now - told >= QUIET.toNanos() && last.compareAndSet(told, now)) settings.patience.notice().accept(line);
        });
        this.around = template == null ? List.of() : around(template);
        this.context = context;
        this.key = System.getenv(KEY);
        JsonNode served = ask(request("models").GET().build(), "models", false).path("data");
        this.model = settings.model.isEmpty() ? onlyModel(served) : known(served, settings.model);
        this.ours = served.valueStream().anyMatch(each -> each.path("id").asString("").equals(model) && each.path("owned_by").asString("").equals("rqat"));
    }

    private String known(JsonNode served, String name) {
        List<String> names = served.valueStream().map(each -> each.path("id").asString("")).toList();
        // Some list nothing and take any name.
        if (names.isEmpty() || names.contains(name)) return name;
        throw Failure.usage("the server at %s has no model %s; it has %s".formatted(settings.address, Failure.quote(name), Failure.quote(names.toString())));
    }

    private static List<String> around(ChatTemplate template) {
        try {
            String rendered = template.render(Message.maps(new Message("user", MARK)), true, Map.of());
            int at = rendered.indexOf(MARK);
            boolean once = at >= 0 && rendered.indexOf(MARK, at + 1) < 0;
            return once ? List.of(rendered.substring(0, at), rendered.substring(at + MARK.length())) : List.of();
        } catch (Failure e) {
            return List.of();
        }
    }

    private String onlyModel(JsonNode served) {
        List<String> names = served.valueStream().map(each -> each.path("id").asString("")).toList();
        if (names.size() == 1) return names.getFirst();
        throw Failure.usage("the server at %s has the models %s; name the one to use".formatted(settings.address, Failure.quote(names.toString())));
    }

    @Override
    public List<Completion> generate(List<Request> requests, Listener listener) {
        for (int i = 0; i < requests.size(); i++) {
            int length = requests.get(i).prompt().length;
            if (length == 0 || length >= Math.min(context, requests.get(i).limit())) {
                throw Failure.usage("the prompt of request %d has %d tokens; expected 1 to %d"
                        .formatted(i, length, Math.min(context, requests.get(i).limit()) - 1));
            }
        }
        return all(requests.size(), i -> sampled(requests.get(i)), (i, completion) -> {
            for (int token : completion.tokens()) listener.token(i, token);
            listener.completed(i, completion);
        });
    }

    private Completion sampled(Request request) {
        Sampling sampling = request.sampling();
        int room = Math.min(sampling.maxNewTokens(), Math.min(context, request.limit()) - request.prompt().length);
        JsonNode choice = JsonNodeFactory.instance.missingNode();
        StopReason stop = StopReason.ABORTED;
        for (int asked = 0; asked < ABORTS && stop == StopReason.ABORTED; asked++) {
            if (asked > 0) pause(asked);
            choice = chatOnly ? chat(request, room) : completion(request, room);
            stop = switch (choice.path("finish_reason").asString("")) {
                case "stop" -> stoppedByText(choice) ? StopReason.STOP_TEXT : StopReason.STOP_TOKEN;
                case "length" -> StopReason.LENGTH;
                // Aborted, filtered, broken off without a word: not what the model has to say.
                default -> StopReason.ABORTED;
            };
        }
        int[] tokens = tokens(choice, request, stop);
        if (stop == StopReason.STOP_TOKEN && !sampling.stopIds().isEmpty()
                && (tokens.length == 0 || !sampling.stopIds().contains(tokens[tokens.length - 1]))) {
            // Servers leave the token out that ended the completion; some say which one it was.
            int said = choice.path("stop_reason").asInt(-1);
            tokens = Arrays.copyOf(tokens, tokens.length + 1);
            tokens[tokens.length - 1] = sampling.stopIds().contains(said) ? said : sampling.stopIds().stream().min(Integer::compare).orElseThrow();
        }
        return new Completion(tokens, logProbabilities(choice, tokens.length, sampling.temperature() == 1), stop);
    }

    private void pause(int asked) {
        try {
            Thread.sleep(settings.patience.first().multipliedBy(asked));
        } catch (InterruptedException e) {
            throw Failure.interrupted("interrupted while waiting for %s; the same command resumes with what is missing".formatted(settings.address));
        }
    }

    private JsonNode completion(Request request, int room) {
        Sampling sampling = request.sampling();
        ObjectNode body = sampled(body(request.prompt()), request, room)
                .put("logprobs", 0)
                .put("skip_special_tokens", false)
                .put("return_token_ids", true);
        ArrayNode stops = body.putArray("stop_token_ids");
        sampling.stopIds().stream().sorted().forEach(stops::add);
        JsonNode answer = post("completions", body, message(request) != null);
        if (!answer.isMissingNode()) return choice(answer);
        chatOnly = true;
        return chat(request, room);
    }

    private ObjectNode sampled(ObjectNode body, Request request, int room) {
        Sampling sampling = request.sampling();
        body.put("max_tokens", room)
                .put("temperature", sampling.temperature())
                .put("top_p", sampling.topP())
                // Servers keep seeds in 32 or 64 bits, signed or not; all of them take 31.
                .put("seed", ours ? request.seed() : request.seed() & Integer.MAX_VALUE);
        if (sampling.topK() > 0) body.put("top_k", sampling.topK());
        if (!sampling.stopTexts().isEmpty()) sampling.stopTexts().forEach(body.putArray("stop")::add);
        return body;
    }

    /// The message of a user that the template makes this prompt of; null where it is another prompt.
    private @Nullable String message(Request request) {
        if (around.isEmpty()) return null;
        String prompt = tokenizer.decode(request.prompt());
        int start = around.getFirst().length();
        int end = prompt.length() - around.getLast().length();
        return start <= end && prompt.startsWith(around.getFirst()) && prompt.endsWith(around.getLast()) ? prompt.substring(start, end) : null;
    }

    /// The choice of the chat interface, asked with the message that the prompt was made of.
    private JsonNode chat(Request request, int room) {
        String message = message(request);
        if (message == null) {
            throw Failure.usage(("the server at %s has the chat interface only, and %s is no prompt that MODEL's template makes of one message;"
                            + " evaluate another task, or a server with /v1/completions")
                    .formatted(settings.address, Failure.quote(tokenizer.decode(request.prompt()))));
        }
        ObjectNode body = JsonNodeFactory.instance.objectNode().put("model", model);
        body.putArray("messages").addObject().put("role", "user").put("content", message);
        return choice(post("chat/completions", sampled(body, request, room), false));
    }

    /// Other servers say which text it was, or are taken to mean a token; ours says which token it was.
    private boolean stoppedByText(JsonNode choice) {
        JsonNode reason = choice.path("stop_reason");
        return reason.isString() || ours && reason.isMissingNode();
    }

    private int[] tokens(JsonNode choice, Request request, StopReason stop) {
        JsonNode ids = choice.path("token_ids");
        if (ids.isArray()) {
            int[] tokens = ids.valueStream().mapToInt(id -> id.isIntegralNumber() ? id.asInt(-1) : -1).toArray();
            for (int i = 0; i < tokens.length; i++) {
                if (tokenizer.bytes(tokens[i]).length == 0) {
                    throw Failure.usage("the server at %s sent the token id %s, which MODEL's tokenizer does not have (it has %,d): it serves another model"
                            .formatted(settings.address, Failure.quote(ids.get(i).toString()), tokenizer.size()));
                }
            }
            return tokens;
        }
        return tokenizer.encode(text(choice, request, stop));
    }

    /// What was written, with the reasoning that the server sends apart before it.
    private String text(JsonNode choice, Request request, StopReason stop) {
        JsonNode said = choice.path("message").isObject() ? choice.path("message") : choice;
        JsonNode text = said.path(said == choice ? "text" : "content");
        String reasoning = said.path("reasoning_content").asString(said.path("reasoning").asString(""));
        if (!text.isString() && reasoning.isEmpty() && stop != StopReason.ABORTED) {
            throw Failure.failed("the server at %s answered %s; expected a completion with a `text`".formatted(settings.address, Failure.quote(choice.toString())));
        }
        String answer = text.asString("");
        if (reasoning.isEmpty()) return answer;
        String opening = ReasoningSplitter.opens(tokenizer.decode(request.prompt())) || reasoning.stripLeading().startsWith(THINK) ? "" : THINK + "\n";
        // Cut while it was thinking, it has not ended that.
        boolean ended = !answer.isEmpty() || stop == StopReason.STOP_TOKEN;
        return opening + reasoning + (ended ? "\n" + END_THINK + "\n\n" + answer : "");
    }

    private static float[] logProbabilities(JsonNode choice, int count, boolean known) {
        float[] result = new float[count];
        Arrays.fill(result, Float.NaN);
        JsonNode values = choice.path("logprobs").path("token_logprobs");
        for (int i = 0; known && i < Math.min(count, values.size()); i++) result[i] = (float) values.get(i).asDouble(Double.NaN);
        return result;
    }

    @Override
    public List<float[]> score(List<int[]> sequences) {
        return all(sequences.size(), i -> scored(sequences.get(i)), (_, _) -> {});
    }

    private float[] scored(int[] sequence) {
        if (sequence.length == 0 || sequence.length > context) {
            throw Failure.usage("a sequence to score has %d tokens; expected 1 to %d, the model's context".formatted(sequence.length, context));
        }
        if (sequence.length == 1) return new float[0];
        // That a sequence as long as the context can be scored, nothing may be sampled; not every server takes a 0.
        JsonNode answer = post("completions", body(sequence).put("max_tokens", ours ? 0 : 1).put("temperature", 0).put("echo", true).put("logprobs", 0), true);
        JsonNode values = answer.path("choices").path(0).path("logprobs").path("token_logprobs");
        float[] result = new float[sequence.length - 1];
        for (int t = 0; t < result.length; t++) {
            JsonNode value = values.path(t + 1);
            if (!value.isNumber()) {
                throw Failure.usage(("the server at %s does not give the log-probabilities of prompts, which tasks of choices and perplexity need;"
                                + " leave them out or evaluate the model locally")
                        .formatted(settings.address));
            }
            result[t] = value.floatValue();
        }
        return result;
    }

    private ObjectNode body(int[] prompt) {
        ObjectNode body = JsonNodeFactory.instance.objectNode().put("model", model);
        ArrayNode ids = body.putArray("prompt");
        for (int id : prompt) ids.add(id);
        return body;
    }

    /// The answer, or a missing node where the server has no such interface.
    private JsonNode post(String path, ObjectNode body, boolean mayBeAbsent) {
        HttpRequest request = request(path)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(JsonMapper.shared().writeValueAsString(body)))
                .build();
        return ask(request, "completions", mayBeAbsent);
    }

    private JsonNode choice(JsonNode answer) {
        JsonNode choice = answer.path("choices").path(0);
        if (!choice.isObject()) {
            throw Failure.failed("the server at %s answered %s; expected a completion".formatted(settings.address, Failure.quote(answer.toString())));
        }
        return choice;
    }

    private HttpRequest.Builder request(String path) {
        var request = HttpRequest.newBuilder(URI.create(settings.address.toString().replaceAll("/+$", "") + "/" + path)).timeout(settings.timeout);
        return key == null || key.isBlank() ? request : request.header("Authorization", "Bearer " + key.strip());
    }

    private JsonNode ask(HttpRequest request, String what, boolean mayBeAbsent) {
        return patience.persist("%s of %s".formatted(what, settings.address), ADVICE, () -> 0L, () -> {
            HttpResponse<InputStream> response = client.send(request, BodyHandlers.ofInputStream());
            int status = response.statusCode();
            byte[] bytes;
            try {
                bytes = StallWatch.read(response.body(), LONGEST_ANSWER, settings.stall);
            } catch (IOException e) {
                throw new IOException("nothing more came, or the connection ended in the middle of an answer", e);
            }
            if (bytes == null) throw Failure.failed("the server at %s sent an answer of more than %,d bytes".formatted(settings.address, LONGEST_ANSWER));
            if (mayBeAbsent && ABSENT.contains(status)) return JsonNodeFactory.instance.missingNode();
            String said = Failure.quote(new String(bytes, StandardCharsets.UTF_8));
            if (Patience.mayPass(status)) throw new Patience.Passing("the server answered %d %s".formatted(status, said), Patience.retryAfter(response.headers()));
            if (status == 401 || status == 403) {
                throw Failure.usage("the server at %s answered %d %s; set %s to a key that it accepts".formatted(settings.address, status, said, KEY));
            }
            if (status != 200) throw Failure.failed("the server at %s answered %d %s; expected 200".formatted(settings.address, status, said));
            try {
                return JsonFiles.parse(bytes, "the answer of " + settings.address, 1);
            } catch (Failure e) {
                // A connection that ends early leaves half an answer.
                throw new IOException(e.getMessage(), e);
            }
        });
    }

    /// Results `0` to `count - 1`, several under way at a time; `done` hears of each as it comes, on this thread.
    private <T> List<T> all(int count, IntFunction<T> work, BiConsumer<Integer, T> done) {
        record Indexed<T>(int index, T value) {}
        var results = new ArrayList<@Nullable T>(Collections.nCopies(count, null));
        ExecutorService workers = Executors.newFixedThreadPool(
                Math.clamp(count, 1, settings.concurrency), Thread.ofPlatform().daemon().name("completion-", 1).factory());
        try {
            var arriving = new ExecutorCompletionService<Indexed<T>>(workers);
            for (int i = 0; i < count; i++) {
                int index = i;
                arriving.submit(() -> new Indexed<>(index, work.apply(index)));
            }
            for (int i = 0; i < count; i++) {
                Future<Indexed<T>> arrived = arriving.take();
                Indexed<T> result = arrived.get();
                results.set(result.index, result.value);
                done.accept(result.index, result.value);
            }
        } catch (InterruptedException e) {
            throw Failure.interrupted("interrupted while waiting for %s; the same command resumes with what is missing".formatted(settings.address));
        } catch (ExecutionException e) {
            if (e.getCause() instanceof Failure failure) throw failure;
            throw new IllegalStateException(e.getCause());
        } finally {
            workers.shutdownNow();
            workers.close();
        }
        return results.stream().map(Objects::requireNonNull).toList();
    }
}
