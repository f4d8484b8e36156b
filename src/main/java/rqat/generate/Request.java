package rqat.generate;

import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.text.Detokenizer;

/// One sample to draw. Several samples of one prompt are several requests with different seeds; a generator computes their common prompt
/// once where it can.
///
/// @param prompt   token ids, at least one; not copied, and not to be changed while generating
/// @param sampling how its tokens are chosen, and what ends it
/// @param seed     names this sample's own random stream: token `i` uses draw `i` of [rqat.run.RandomStream] and nothing else, so the
///                 sample does not depend on what is generated beside it
/// @param limit    how long prompt and completion may become together, besides the limits of the sampling and of the model
/// @param details  what is to be told besides ids and log-probabilities
public record Request(int[] prompt, Sampling sampling, long seed, int limit, Details details) {

    /// What a [Scheduler] tells of a request besides the ids of its tokens and their log-probabilities. Nothing of it costs anything
    /// where it is not asked for.
    ///
    /// @param text         makes the detokeniser of the completion, `() -> tokenizer.detokenizer(true)`, called once; needed where the
    ///                     sampling has stop texts, null where nobody wants text
    /// @param alternatives how many of the most probable tokens to tell beside each token
    /// @param prompt       whether the log-probabilities of the prompt's own tokens are wanted; then the prompt may be as long as the limit or the
    ///                     model's context, and where it is, nothing else is done
    public record Details(@Nullable Supplier<Detokenizer> text, int alternatives, boolean prompt) {
        /// Ids and their log-probabilities are enough.
        public static final Details NONE = new Details(null, 0, false);

        /// @throws Failure USAGE when `alternatives` is negative
        public Details {
            if (alternatives < 0) throw Failure.usage("alternatives is " + alternatives + "; expected 0 or more");
        }
    }

    /// @throws Failure USAGE when there are stop texts but no text to look for them in
    public Request {
        if (!sampling.stopTexts().isEmpty() && details.text() == null) {
            throw Failure.usage("a request with stop texts needs a detokeniser to find them");
        }
    }

    /// A sample without details.
    public Request(int[] prompt, Sampling sampling, long seed, int limit) {
        this(prompt, sampling, seed, limit, Details.NONE);
    }

    /// A sample without details or a limit of its own.
    public Request(int[] prompt, Sampling sampling, long seed) {
        this(prompt, sampling, seed, Integer.MAX_VALUE);
    }
}
