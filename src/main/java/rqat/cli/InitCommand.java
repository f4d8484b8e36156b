package rqat.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.recipe.RandomModel;
import rqat.recipe.Session;
import rqat.run.Progress;
import rqat.tensor.Torch;

/// `rqat init`.
@Command(
        name = "init",
        description = "Write a model of a published shape with random weights in bfloat16, to try a recipe's memory and speed.",
        mixinStandardHelpOptions = true)
final class InitCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "OUT", description = "Directory to make; left alone when finished.")
    private Path out;

    @Option(
            names = "--like",
            required = true,
            paramLabel = "SHAPE",
            description = "qwen3-0.6b, qwen3-4b, r1-distill-qwen-1.5b, or a model directory whose config.json is taken.")
    private String like;

    @Option(names = "--tokenizer", paramLabel = "MODEL", defaultValue = "embedded", description = "Model whose tokenizer is taken: ${DEFAULT-VALUE}.")
    private String tokenizer;

    @Option(names = "--seed", defaultValue = "1", description = "Of the weights: ${DEFAULT-VALUE}.")
    private long seed;

    @Override
    public Integer call() {
        var configuration = RandomModel.configuration(like);
        var session = new Session(seed, Torch.Compute.FLOAT32, 1, 1, Progress.Display.ofStandardError());
        return Interruption.stopping(() -> {
            RandomModel.write(session, configuration, Models.directory(tokenizer), out);
            Output.print(spec, out.toString());
            return 0;
        });
    }
}
