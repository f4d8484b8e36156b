package rqat.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.StopReason;
import rqat.recipe.Engines;
import rqat.run.Seeds;
import rqat.tensor.Torch;
import rqat.text.ChatTemplate;
import rqat.text.Message;
import rqat.text.ReasoningSplitter;
import rqat.text.Tokenizer;
import sun.misc.Signal;

/// `rqat chat`.
@Command(
        name = "chat",
        description = {
            "Talk to a model: a line is a message, the answer streams, its thinking is dimmed.",
            "/clear begins a new conversation, /quit or the end of the input ends, Ctrl-C stops an answer."
        },
        mixinStandardHelpOptions = true)
final class ChatCommand implements Callable<Integer> {
    private static final String DIM = "\u001b[2m", PLAIN = "\u001b[0m";
    private static final double CACHE_GIB = 1;

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "MODEL", description = "Model directory, or `embedded`.")
    private String model;

    @Mixin
    private EngineOptions engineOptions;

    @Option(names = "--system", paramLabel = "TEXT", description = "What the system says first.")
    private @Nullable String system;

    @Option(names = "--temperature", defaultValue = "0.6", description = "0 takes the most probable token (default: ${DEFAULT-VALUE}).")
    private double temperature;

    @Option(names = "--top-p", defaultValue = "0.95", description = "Default: ${DEFAULT-VALUE}.")
    private double topP;

    @Option(names = "--max-new-tokens", defaultValue = "4096", description = "Of an answer (default: ${DEFAULT-VALUE}).")
    private int maxNewTokens;

    @Option(names = "--seed", defaultValue = "42", description = "Default: ${DEFAULT-VALUE}.")
    private long seed;

    private volatile boolean answering;

    @Override
    public Integer call() {
        Engines.Settings settings = engineOptions.settings();
        var directory = Models.directory(model);
        Tokenizer tokenizer = Tokenizer.load(directory);
        ChatTemplate template = ChatTemplate.load(directory);
        var sampling = new Sampling(temperature, topP, 0, maxNewTokens, tokenizer.stopIds());
        int threads = Runtime.getRuntime().availableProcessors();
        Torch.threads(threads);
        boolean terminal = System.console() != null && System.console().isTerminal();
        PrintWriter err = spec.commandLine().getErr();
        Thread worker = Thread.currentThread();
        Signal.handle(new Signal("INT"), _ -> {
            if (answering) worker.interrupt();
            else System.exit(0);
        });
        try (var engine = Engines.open(directory, Torch.Compute.FLOAT32, settings, threads)) {
            engineOptions.tell(engine);
            Generator generator = engine.generator(1, CACHE_GIB);
            var conversation = new ArrayList<Message>();
            begin(conversation);
            if (terminal) err.println("/clear begins anew, /quit ends, Ctrl-C stops an answer.");
            var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (int turn = 0; ; turn++) {
                if (terminal) {
                    err.print("> ");
                    err.flush();
                }
                String line = line(in);
                if (line == null || line.strip().equals("/quit")) return 0;
                if (line.isBlank()) continue;
                if (line.strip().equals("/clear")) {
                    begin(conversation);
                    continue;
                }
                conversation.add(new Message("user", line));
                String prompt = template.render(conversation.stream().map(Message::asMap).toList(), true, Map.of());
                var request = new Request(tokenizer.encode(prompt), sampling, Seeds.mix(seed, turn));
                var answer = new Told(tokenizer, prompt, terminal);
                long start = System.nanoTime();
                Failure failure = answer(generator, request, answer);
                answer.end();
                if (failure == null) {
                    conversation.add(answer.message());
                    if (terminal) err.println(measure(answer.completion, (System.nanoTime() - start) * 1e-9));
                } else if (failure.kind() == Failure.Kind.INTERRUPTED) {
                    conversation.add(answer.message());
                    err.println("(stopped)");
                } else {
                    // The message is what does not fit; the conversation before it does.
                    conversation.removeLast();
                    if (!terminal) throw failure;
                    err.println("rqat: " + failure.getMessage());
                }
            }
        }
    }

    private void begin(List<Message> conversation) {
        conversation.clear();
        if (system != null) conversation.add(new Message("system", system));
    }

    private static @Nullable String line(BufferedReader in) {
        try {
            return in.readLine();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private @Nullable Failure answer(Generator generator, Request request, Told answer) {
        answering = true;
        try {
            generator.generate(List.of(request), answer);
            return null;
        } catch (Failure failure) {
            return failure;
        } finally {
            answering = false;
            Thread.interrupted();
        }
    }

    private static String measure(@Nullable Completion completion, double seconds) {
        if (completion == null) return "";
        int tokens = completion.tokens().length;
        return String.format(Locale.ROOT, "(%d tokens, %.1f tokens/s%s)", tokens, tokens / seconds, completion.stop() == StopReason.LENGTH ? ", cut at the limit" : "");
    }

    /// An answer as it is told.
    private final class Told implements Listener {
        private final Tokenizer tokenizer;
        private final rqat.text.Detokenizer detokenizer;
        private final ReasoningSplitter splitter;
        private final boolean terminal;
        private final StringBuilder reasoning = new StringBuilder();
        private final StringBuilder content = new StringBuilder();
        private boolean dimmed;
        private @Nullable Completion completion;

        Told(Tokenizer tokenizer, String prompt, boolean terminal) {
            this.tokenizer = tokenizer;
            this.detokenizer = tokenizer.detokenizer(true);
            this.splitter = new ReasoningSplitter(ReasoningSplitter.opens(prompt));
            this.terminal = terminal;
        }

        @Override
        public void token(int request, int token) {
            if (!tokenizer.stopIds().contains(token)) tell(splitter.push(detokenizer.push(token)));
        }

        @Override
        public void completed(int request, Completion completed) {
            completion = completed;
        }

        private void tell(ReasoningSplitter.Parts parts) {
            if (!parts.reasoning().isEmpty()) {
                // Without a terminal to dim it, thinking would pass for the answer.
                if (terminal) show(true, parts.reasoning());
                reasoning.append(parts.reasoning());
            }
            if (!parts.content().isEmpty()) {
                if (terminal && dimmed && content.isEmpty() && !reasoning.toString().endsWith("\n")) show(true, "\n");
                show(false, parts.content());
                content.append(parts.content());
            }
        }

        private void show(boolean dim, String text) {
            String change = dim == dimmed ? "" : dim ? DIM : PLAIN;
            dimmed = dim;
            Output.stream(spec, (terminal ? change : "") + visible(text));
        }

        /// A model's control characters would reach the terminal.
        private static String visible(String text) {
            return text.codePoints()
                    .map(c -> Character.isISOControl(c) && c != '\n' && c != '\t' ? 0xFFFD : c)
                    .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                    .toString();
        }

        void end() {
            tell(splitter.push(detokenizer.finish()));
            tell(splitter.finish());
            Output.stream(spec, (terminal && dimmed ? PLAIN : "") + "\n");
            dimmed = false;
        }

        Message message() {
            return new Message("assistant", content.toString(), reasoning.isEmpty() ? null : reasoning.toString());
        }
    }
}
