package rqat.generate;

import java.io.IOException;
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
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.BiConsumer;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.JsonFiles;
import rqat.io.Patience;
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
public final class ServerGenerator implements Generator, Scorer {
    private static final String ADVICE = "Is the server up? The same command resumes with what is missing";
    private static final String KEY = "OPENAI_API_KEY";

    /// Where and how.
    ///
    /// @param address     of the interface, up to and including `/v1`
    /// @param model       as the server calls it; empty for the only one that it has
    /// @param concurrency requests under way at a time
    /// @param timeout     for one completion
    /// @param patience    with failures that may pass
    public record Settings(URI address, String model, int concurrency, Duration timeout, Patience patience) {
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

    /// A client of a server, which is asked for its model.
    ///
    /// @param tokenizer of that model
    /// @param context   of that model, in tokens
    /// @throws Failure when the server cannot be reached, or has several models and none was named
    public ServerGenerator(Settings settings, Tokenizer tokenizer, int context) {
        this.settings = settings;
        this.tokenizer = tokenizer;
        this.context = context;
        this.key = System.getenv(KEY);
        JsonNode served = ask(request("models").GET().build(), "models").path("data");
        this.model = settings.model.isEmpty() ? onlyModel(served) : settings.model;
        this.ours = served.valueStream().anyMatch(each -> each.path("id").asString("").equals(model) && each.path("owned_by").asString("").equals("rqat"));
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
        ObjectNode body = body(request.prompt())
                .put("max_tokens", room)
                .put("temperature", sampling.temperature())
                .put("top_p", sampling.topP())
                // Servers keep seeds in 32 or 64 bits, signed or not; all of them take 31.
                .put("seed", ours ? request.seed() : request.seed() & Integer.MAX_VALUE)
                .put("logprobs", 0)
                .put("skip_special_tokens", false)
                .put("return_token_ids", true);
        if (sampling.topK() > 0) body.put("top_k", sampling.topK());
        ArrayNode stops = body.putArray("stop_token_ids");
        sampling.stopIds().stream().sorted().forEach(stops::add);
        if (!sampling.stopTexts().isEmpty()) sampling.stopTexts().forEach(body.putArray("stop")::add);
        JsonNode choice = choice(body);
        StopReason stop = switch (choice.path("finish_reason").asString("")) {
            case "stop" -> stoppedByText(choice) ? StopReason.STOP_TEXT : StopReason.STOP_TOKEN;
            case "length" -> StopReason.LENGTH;
            default -> StopReason.ABORTED;
        };
        int[] tokens = tokens(choice);
        if (stop == StopReason.STOP_TOKEN && !sampling.stopIds().isEmpty()
                && (tokens.length == 0 || !sampling.stopIds().contains(tokens[tokens.length - 1]))) {
            // Servers leave the token out that ended the completion; some say which one it was.
            int said = choice.path("stop_reason").asInt(-1);
            tokens = Arrays.copyOf(tokens, tokens.length + 1);
            tokens[tokens.length - 1] = sampling.stopIds().contains(said) ? said : sampling.stopIds().stream().min(Integer::compare).orElseThrow();
        }
        return new Completion(tokens, logProbabilities(choice, tokens.length, sampling.temperature() == 1), stop);
    }

    /// Other servers say which text it was, or are taken to mean a token; ours says which token it was.
    private boolean stoppedByText(JsonNode choice) {
        JsonNode reason = choice.path("stop_reason");
        return reason.isString() || ours && reason.isMissingNode();
    }

    private int[] tokens(JsonNode choice) {
        JsonNode ids = choice.path("token_ids");
        if (ids.isArray()) return ids.valueStream().mapToInt(id -> id.asInt(-1)).toArray();
        JsonNode text = choice.path("text");
        if (!text.isString()) {
            throw Failure.failed("the server at %s answered %s; expected a completion with a `text`".formatted(settings.address, Failure.quote(choice.toString())));
        }
        return tokenizer.encode(text.stringValue());
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
        JsonNode values = choice(body(sequence).put("max_tokens", ours ? 0 : 1).put("temperature", 0).put("echo", true).put("logprobs", 0))
                .path("logprobs").path("token_logprobs");
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

    private JsonNode choice(ObjectNode body) {
        HttpRequest request = request("completions")
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(JsonMapper.shared().writeValueAsString(body)))
                .build();
        JsonNode answer = ask(request, "completions");
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

    private JsonNode ask(HttpRequest request, String what) {
        return settings.patience.persist("%s of %s".formatted(what, settings.address), ADVICE, () -> 0L, () -> {
            HttpResponse<byte[]> response = client.send(request, BodyHandlers.ofByteArray());
            int status = response.statusCode();
            String said = Failure.quote(new String(response.body(), StandardCharsets.UTF_8));
            if (Patience.mayPass(status)) throw new Patience.Passing("the server answered %d %s".formatted(status, said), Patience.retryAfter(response.headers()));
            if (status == 401 || status == 403) {
                throw Failure.usage("the server at %s answered %d %s; set %s to a key that it accepts".formatted(settings.address, status, said, KEY));
            }
            if (status != 200) throw Failure.failed("the server at %s answered %d %s; expected 200".formatted(settings.address, status, said));
            try {
                return JsonFiles.parse(response.body(), "the answer of " + settings.address, 1);
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
