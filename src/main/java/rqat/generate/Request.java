package rqat.generate;

/// One sample to draw. Several samples of one prompt are several requests with different seeds; a generator computes their common prompt
/// once where it can.
///
/// @param prompt token ids, at least one; not copied, and not to be changed while generating
/// @param seed   names this sample's own random stream: token `i` uses draw `i` of [rqat.run.RandomStream] and nothing else, so the
///               sample does not depend on what is generated beside it
/// @param limit  how long prompt and completion may become together, besides the limits of the sampling and of the model
public record Request(int[] prompt, long seed, int limit) {
    /// A sample without a limit of its own.
    public Request(int[] prompt, long seed) {
        this(prompt, seed, Integer.MAX_VALUE);
    }
}
