package rqat.generate;

import java.util.List;

/// Whatever can sample completions: the model in this process, or a server.
public interface Generator {
    /// Samples every request and returns the completions in the same order.
    ///
    /// @throws rqat.Failure USAGE when a prompt is empty, too long or has unknown ids; INTERRUPTED when the thread is interrupted, after
    ///                      which completions told to `listener` stand and a repetition with the same seeds samples the same tokens
    List<Completion> generate(List<Request> requests, Listener listener);
}
