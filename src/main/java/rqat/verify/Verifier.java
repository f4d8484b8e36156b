package rqat.verify;

/// Decides whether a completion answers its problem. Implementations are stateless, safe to share between threads, deterministic and
/// total: whatever the model wrote, they return a verdict.
public interface Verifier {

    /// The verdict on one completion.
    ///
    /// @param completion what the model generated after the prompt, special tokens removed or not
    /// @param truncated  whether the generation stopped at its length limit instead of at an end-of-text token
    /// @param gold       the reference answer as the data set publishes it
    Verdict verify(String completion, boolean truncated, String gold);
}
