package rqat.cli;

import java.io.BufferedWriter;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;
import rqat.Failure;
import rqat.run.Manifest;
import rqat.run.Nearest;

/// The `rqat` command: one subcommand a verb. Turns every failure into one message on standard error and the documented exit code.
@Command(
        name = "rqat",
        description = "Reasoning-QAT for the JVM: from a Hugging Face model to a 2-4-bit model that still reasons.",
        mixinStandardHelpOptions = true,
        version = "rqat " + Manifest.VERSION,
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "",
            "Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 bad model or data file,",
            "4 a gate stopped the run, 5 interrupted but resumable."
        },
        subcommands = {
            RunCommand.class,
            StudyCommand.class,
            QuantizeCommand.class,
            FineTuneCommand.class,
            DistillCommand.class,
            ReinforceCommand.class,
            ExportCommand.class,
            EvalCommand.class,
            ScoreCommand.class,
            GenerateCommand.class,
            ChatCommand.class,
            ServeCommand.class,
            TokenizeCommand.class,
            GradeCommand.class,
            ReportCommand.class,
            CompareCommand.class,
            CheckCommand.class,
            PlanCommand.class,
            DoctorCommand.class,
            InitCommand.class,
            PretrainCommand.class
        })
public final class Rqat implements Runnable {
    @Spec
    private CommandSpec spec;

    @Option(names = "--debug", scope = ScopeType.INHERIT, description = "Show the stack trace of an error.")
    private boolean debug;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    /// Runs the command line and exits with its code.
    public static void main(String[] arguments) {
        System.exit(execute(arguments));
    }

    /// Runs the command line and returns its exit code.
    static int execute(String... arguments) {
        // Not System.out, which keeps it to itself when it cannot write.
        var out = new OutputStreamWriter(new FileOutputStream(FileDescriptor.out), System.out.charset());
        return commandLine().setOut(new PrintWriter(new BufferedWriter(out))).execute(arguments);
    }

    /// The command line, ready to parse or execute.
    static CommandLine commandLine() {
        Rqat root = new Rqat();
        CommandLine commandLine = new CommandLine(root);
        commandLine.setCaseInsensitiveEnumValuesAllowed(true);
        commandLine.setParameterExceptionHandler((exception, _) -> misused(exception));
        commandLine.setExecutionExceptionHandler((exception, failed, _) -> root.report(exception, failed.getErr()));
        return commandLine;
    }

    /// One line instead of the whole usage text: that is what `--help` is for.
    private static int misused(ParameterException exception) {
        CommandLine command = exception.getCommandLine();
        CommandSpec spec = command.getCommandSpec();
        Optional<String> meant = Optional.empty();
        if (exception instanceof UnmatchedArgumentException unmatched) {
            var known = new ArrayList<>(spec.optionsMap().keySet());
            known.addAll(spec.subcommands().keySet());
            meant = Nearest.of(unmatched.getUnmatched().getFirst(), known);
        }
        command.getErr().println("rqat: %s%s; see `%s --help`".formatted(
                exception.getMessage(), meant.map(word -> " - did you mean `%s`?".formatted(word)).orElse(""), spec.qualifiedName()));
        return Failure.Kind.USAGE.exitCode();
    }

    private int report(Exception exception, PrintWriter err) {
        if (debug) exception.printStackTrace(err);
        if (exception instanceof Failure failure) {
            err.println("rqat: " + failure.getMessage());
            return failure.exitCode();
        }
        err.println("rqat: internal error: %s%s".formatted(exception, debug ? "" : " (run again with --debug for the stack trace)"));
        return Failure.Kind.FAILED.exitCode();
    }
}
