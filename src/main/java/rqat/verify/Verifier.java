package rqat.verify;

/// Decides whether completions answer their problems. Implementations are stateless, safe to share between threads, deterministic and
/// total: whatever the model wrote, they return a verdict.
@FunctionalInterface
public interface Verifier {

    /// Judges the completions of one problem.
    @FunctionalInterface
    interface Judge {
        /// The verdict on one attempt.
        Verdict verdict(Attempt attempt);

        /// The verdict on an attempt at a prompt that does not open the thinking.
        default Verdict verdict(String completion, boolean truncated) {
            return verdict(new Attempt(completion, truncated, false));
        }
    }

    /// The judge of the problem with this reference answer, which is read once for all its completions.
    ///
    /// @param gold as the data set publishes it
    Judge judge(String gold);

    /// The verdict on a single completion, see [Judge#verdict].
    default Verdict verify(String completion, boolean truncated, String gold) {
        return judge(gold).verdict(completion, truncated);
    }
}
