package rqat.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.function.Supplier;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/// Ctrl-C and `kill` as an orderly stop: the working thread is interrupted, writes its checkpoint and ends with the exit code for
/// "interrupted but resumable". A second signal ends the process at once.
final class Interruption {
    private Interruption() {}

    /// Runs `work` so that a signal interrupts its thread.
    static <T> T stopping(Supplier<T> work) {
        Thread worker = Thread.currentThread();
        var before = new LinkedHashMap<Signal, SignalHandler>();
        for (String name : List.of("INT", "TERM")) {
            Signal signal = new Signal(name);
            before.put(signal, Signal.handle(signal, _ -> {
                System.err.println("\nrqat: stopping at the next checkpoint; once more to stop at once");
                Signal.handle(signal, SignalHandler.SIG_DFL);
                worker.interrupt();
            }));
        }
        try {
            return work.get();
        } finally {
            before.forEach(Signal::handle);
        }
    }
}
