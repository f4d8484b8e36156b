package rqat.generate;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// A model as [Scheduler] sees it: sequences enter, every round each is given its last token and gets the next, sequences leave. Whoever
/// implements this owns tensors, caches and the choice of tokens; whoever uses it owns requests, order and ends.
///
/// The sequences in the model are numbered without gaps: slots `0` to `n - 1`. [#enter] adds slots at the end; [#leave] takes one out, and the last
/// slot moves into its place. What is cached of a sequence is all its tokens but the last, which is the next to be decoded: so
/// there is one place where logits are made and tokens chosen.
///
/// A row must depend on nothing but its own sequence and its own [Draw]; between batches of different shapes results may differ by
/// rounding. The model turns logits into tokens itself, because where they are made on another device only the token should come back; on the host
/// [TokenChooser#choose(Draw, float[])] is the one way to do it.
///
/// One thread at a time; but [#vocabularySize], [#maxPositions], [#capacity] and [#fits] never change and may be asked by any.
public interface StepModel extends AutoCloseable {

    /// A sequence that enters.
    ///
    /// @param tokens       its ids; not copied, not to be kept
    /// @param length       how many of them, from the first, are to be cached; the next one, `tokens[length]`, is the first to be decoded
    /// @param like         the slot, perhaps one that enters before it, that begins with the same `length` tokens; -1 when none does
    /// @param scored       whether the log-probabilities of tokens `1` to `length` are wanted; then `like` is -1
    /// @param alternatives how many of the most probable tokens are wanted beside each that is scored
    record Entry(int[] tokens, int length, int like, boolean scored, int alternatives) {}

    /// How one row chooses.
    ///
    /// @param uniform      the random number in [0, 1) that decides
    /// @param alternatives how many of the most probable tokens are wanted beside the chosen one
    record Draw(Sampling sampling, double uniform, int alternatives) {}

    /// Token ids are below this.
    int vocabularySize();

    /// How long a sequence may become, its last token included.
    int maxPositions();

    /// Positions that can be cached at most, over all sequences.
    long capacity();

    /// Whether sequences of these lengths can be in the model together.
    boolean fits(int... lengths);

    /// Takes sequences in, as the slots after those that are there. The caller has asked [#fits].
    ///
    /// @return for each entry its scored tokens, `length` of them, or none where they are not wanted
    List<List<Choice>> enter(List<Entry> entries);

    /// Appends `tokens[s]` to the sequence in slot `s`, and chooses the token after it by `draws[s]`, for all slots.
    ///
    /// @return for each slot its choice; null where the logits are not finite, so that there is none
    @Nullable Choice[] decode(int[] tokens, Draw[] draws);

    /// Takes the sequence in `slot` out; the last slot moves there.
    void leave(int slot);

    @Override
    void close();
}
