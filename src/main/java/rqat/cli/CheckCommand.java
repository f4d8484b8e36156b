package rqat.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.io.JsonFiles;
import rqat.recipe.Check;
import rqat.run.Progress;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `rqat check`.
@Command(
        name = "check",
        description = "Verify every checksum of a run, a study or a model directory. Changes nothing; exit code 3 when a file is damaged.",
        mixinStandardHelpOptions = true)
final class CheckCommand implements Callable<Integer> {
    private static final int SHOWN = 10;

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "DIR", description = "The directory of a run, of a study, of a stage, or of a downloaded model.")
    private Path directory;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Override
    public Integer call() {
        Check check = Interruption.stopping(() -> Check.of(directory, Progress.Display.ofStandardError()));
        Output.print(spec, json ? json(check) : text(check));
        if (check.damaged().isEmpty()) return 0;
        String shown = check.damaged().keySet().stream().limit(SHOWN).map(Path::toString).collect(Collectors.joining(", "));
        throw Failure.badFile("%s: %,d of %,d files are damaged: %s%s. Copy them again, or delete the stage that each belongs to and run the same command"
                .formatted(
                        directory,
                        check.damaged().size(),
                        check.damaged().size() + check.intact().size(),
                        shown,
                        check.damaged().size() > SHOWN ? " and more" : ""));
    }

    private static String text(Check check) {
        var text = new StringBuilder();
        check.damaged().forEach((file, what) -> text.append("damaged    %s: %s%n".formatted(file, what)));
        check.notes().forEach(note -> text.append("note       %s%n".formatted(note)));
        check.unchecked().stream().limit(SHOWN).forEach(file -> text.append("unchecked  %s%n".formatted(file)));
        if (check.unchecked().size() > SHOWN) text.append("unchecked  and %,d more%n".formatted(check.unchecked().size() - SHOWN));
        return text.append("%,d files intact (%,d bytes), %,d damaged, %,d without a checksum%n"
                        .formatted(check.intact().size(), check.bytes(), check.damaged().size(), check.unchecked().size()))
                .toString();
    }

    private static String json(Check check) {
        ObjectNode node = JsonFiles.object();
        node.put("intact", check.intact().size()).put("bytes", check.bytes());
        ArrayNode damaged = node.putArray("damaged");
        check.damaged().forEach((file, what) -> damaged.addObject().put("file", file.toString()).put("found", what));
        ArrayNode unchecked = node.putArray("unchecked");
        check.unchecked().forEach(file -> unchecked.add(file.toString()));
        ArrayNode notes = node.putArray("notes");
        check.notes().forEach(notes::add);
        return node.toPrettyString();
    }
}
