package rqat.cli;

import java.io.PrintWriter;
import picocli.CommandLine.Model.CommandSpec;
import rqat.Failure;

/// Results on standard output. Nothing is lost in silence: a result that cannot be written there fails the command.
final class Output {
    private Output() {}

    /// Prints a result, ending its last line.
    static void print(CommandSpec spec, String text) {
        stream(spec, text.endsWith("\n") ? text : text + "\n");
    }

    /// Prints a piece of a result at once.
    static void stream(CommandSpec spec, String text) {
        PrintWriter out = spec.commandLine().getOut();
        out.print(text);
        if (out.checkError()) throw Failure.failed("cannot write to standard output: it is closed, or its disk is full");
    }
}
