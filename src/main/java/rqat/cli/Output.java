package rqat.cli;

import java.io.PrintWriter;
import picocli.CommandLine.Model.CommandSpec;

/// Results on standard output.
final class Output {
    private Output() {}

    /// Prints a result, ending its last line.
    static void print(CommandSpec spec, String text) {
        PrintWriter out = spec.commandLine().getOut();
        out.print(text.endsWith("\n") ? text : text + "\n");
        out.flush();
    }
}
