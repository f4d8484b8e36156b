package rqat.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.recipe.Engines;
import rqat.recipe.Generate;
import rqat.run.Seeds;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;
import tools.jackson.databind.json.JsonMapper;

/// `rqat generate`.
@Command(name = "generate", description = "Sample completions of a prompt; a single one is streamed.", mixinStandardHelpOptions = true)
final class GenerateCommand implements Callable<Integer> {
    private static final int MAX_SAMPLES = 100_000;

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "MODEL", description = "Model directory, or `embedded`.")
    private String model;

    @Mixin
    private EngineOptions engineOptions;

    @Option(names = "--prompt", required = true, paramLabel = "TEXT", description = "What the user says.")
    private String prompt;

    @Option(names = "--raw", description = "Continue the text as it is, without the chat template.")
    private boolean raw;

    @Option(names = "--temperature", defaultValue = "0.6", description = "0 takes the most probable token (default: ${DEFAULT-VALUE}).")
    private double temperature;

    @Option(names = "--top-p", defaultValue = "0.95", description = "Default: ${DEFAULT-VALUE}.")
    private double topP;

    @Option(names = "--top-k", defaultValue = "0", description = "0 is off (default).")
    private int topK;

    @Option(names = "--max-new-tokens", defaultValue = "256", description = "Default: ${DEFAULT-VALUE}.")
    private int maxNewTokens;

    @Option(names = "--seed", defaultValue = "42", description = "Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--samples", defaultValue = "1", description = "Default: ${DEFAULT-VALUE}.")
    private int samples;

    @Option(names = "--json", description = "Print a JSON line per sample.")
    private boolean json;

    @Override
    public Integer call() {
        if (samples < 1 || samples > MAX_SAMPLES) {
            throw Failure.usage("--samples is %d; expected 1 to %,d".formatted(samples, MAX_SAMPLES));
        }
        Engines.Settings engine = engineOptions.settings();
        var directory = Models.directory(model);
        Tokenizer tokenizer = Tokenizer.load(directory);
        String text = raw
                ? prompt
                : ChatTemplate.load(directory).render(List.of(Map.of("role", "user", "content", prompt)), true, Map.of());
        int[] ids = raw ? tokenizer.encodeWithSpecial(text) : tokenizer.encode(text);
        var sampling = new Sampling(temperature, topP, topK, maxNewTokens, tokenizer.stopIds());
        List<Request> requests = LongStream.range(0, samples)
                .mapToObj(sample -> new Request(ids, sampling, Seeds.mix(seed, sample)))
                .toList();
        boolean stream = samples == 1 && !json;
        List<Completion> completions = Interruption.stopping(
                () -> Generate.run(directory, engine, engineOptions::tell, requests, stream ? streaming(tokenizer) : Listener.NONE));
        if (stream) {
            Output.print(spec, "\n");
        } else {
            for (int i = 0; i < completions.size(); i++) Output.print(spec, described(tokenizer, i, completions.get(i)));
        }
        return 0;
    }

    private Listener streaming(Tokenizer tokenizer) {
        var detokenizer = tokenizer.detokenizer(true);
        return new Listener() {
            @Override
            public void token(int request, int token) {
                if (tokenizer.stopIds().contains(token)) return;
                Output.stream(spec, detokenizer.push(token));
            }
        };
    }

    private String described(Tokenizer tokenizer, int sample, Completion completion) {
        String text = tokenizer.decode(completion.tokens(), true);
        if (!json) return "--- sample %d (%s)%n%s".formatted(sample, completion.stop().name().toLowerCase(java.util.Locale.ROOT), text);
        var fields = new LinkedHashMap<String, @Nullable Object>();
        fields.put("sample", sample);
        fields.put("text", text);
        fields.put("ids", completion.tokens());
        fields.put("log_probabilities", completion.logProbabilities());
        fields.put("stop", completion.stop().name().toLowerCase(java.util.Locale.ROOT));
        return JsonMapper.shared().writeValueAsString(fields);
    }
}
