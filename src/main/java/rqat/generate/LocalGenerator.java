package rqat.generate;

import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import rqat.Failure;

/// Samples with a model of this process: a [Scheduler] that is given all requests at once and stepped until they are done. Every call opens the
/// model anew, so that between calls no cache takes memory and weights may change. Not for several threads at once.
public final class LocalGenerator implements Generator {
    private final Supplier<? extends StepModel> model;
    private final int maxBatch;

    /// A generator over the models that `model` opens, each of which is closed again.
    ///
    /// @param maxBatch sequences in flight at most
    public LocalGenerator(Supplier<? extends StepModel> model, int maxBatch) {
        this.model = model;
        this.maxBatch = Scheduler.checkedBatch(maxBatch);
    }

    @Override
    public List<Completion> generate(List<Request> requests, Listener listener) {
        var batch = new Batch(requests.size(), listener);
        try (var scheduler = new Scheduler(model.get(), maxBatch)) {
            for (int i = 0; i < requests.size(); i++) scheduler.submit(requests.get(i), batch.listener(i));
            while (batch.finished < requests.size()) {
                if (Thread.interrupted()) {
                    throw Failure.interrupted("interrupted after %d of %d completions".formatted(batch.finished, requests.size()));
                }
                scheduler.step();
                if (batch.failure != null) throw batch.failure;
            }
        }
        return List.of(batch.completions);
    }

    /// The requests of one call. The first that fails, or whose listener does, ends the call.
    private static final class Batch {
        final @Nullable Completion[] completions;
        final Listener listener;
        int finished;
        @Nullable RuntimeException failure;

        Batch(int requests, Listener listener) {
            this.completions = new Completion[requests];
            this.listener = listener;
        }

        RequestListener listener(int request) {
            return new RequestListener() {
                @Override
                public void token(Choice choice, String text) {
                    tell(() -> listener.token(request, choice.token()));
                }

                @Override
                public void completed(Completion completion) {
                    // The call has ended before the request.
                    if (completion.stop() == StopReason.ABORTED) return;
                    completions[request] = completion;
                    finished++;
                    tell(() -> listener.completed(request, completion));
                }

                @Override
                public void failed(Failure cause) {
                    if (failure == null) failure = cause;
                }
            };
        }

        private void tell(Runnable what) {
            if (failure != null) return;
            try {
                what.run();
            } catch (RuntimeException e) {
                failure = e;
            }
        }
    }
}
