package rqat.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.report.RunReport;
import rqat.run.Checksums;

/// `rqat report`.
@Command(name = "report", description = "Write report.html of run directories, finished or not.", mixinStandardHelpOptions = true)
final class ReportCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(arity = "1..*", paramLabel = "DIR", description = "Run directories.")
    private List<Path> runs;

    @Override
    public Integer call() {
        for (Path run : runs) {
            if (!Files.isDirectory(run)) throw Failure.badFile("%s: no such run directory".formatted(run));
            Path html = run.resolve("report.html");
            RunReport.write(run, html);
            Checksums.renew(run, "report.html");
            Output.print(spec, html.toString());
        }
        return 0;
    }
}
