package rqat.openai;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.generate.Choice;
import rqat.generate.Completion;
import rqat.generate.Request;
import rqat.generate.RequestListener;
import rqat.generate.Scheduler;

/// Runs a [Scheduler] on a thread of its own for callers on theirs. What happens to a call's requests arrives in its queue, so that a slow
/// client never holds up the batch; how much can pile up is bounded by the tokens that it asked for.
final class Serving implements AutoCloseable {

    /// What happened to one of a call's requests.
    sealed interface Event {
        /// The prompt was scored.
        record Prompt(int index, List<Choice> choices) implements Event {}

        /// There is one more token.
        record Token(int index, Choice choice, String text) implements Event {}

        /// It is complete.
        record Completed(int index, Completion completion) implements Event {}

        /// It failed.
        record Failed(int index, Failure failure) implements Event {}
    }

    /// A call's requests in the scheduler. Closing cancels what is not done.
    static final class Running implements AutoCloseable {
        final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
        private final List<Scheduler.Handle> handles = new ArrayList<>();

        @Override
        public void close() {
            handles.forEach(Scheduler.Handle::cancel);
        }
    }

    private final Scheduler scheduler;
    private final int maxWaiting;
    private final Thread stepping;
    private final LongAdder refused = new LongAdder();
    private volatile boolean stopping;
    private volatile @Nullable Throwable broken;

    /// Starts stepping.
    ///
    /// @param scheduler  which it owns from now on
    /// @param maxWaiting requests that may wait at a time
    Serving(Scheduler scheduler, int maxWaiting) {
        this.scheduler = scheduler;
        this.maxWaiting = maxWaiting;
        this.stepping = Thread.ofPlatform().name("model").start(this::step);
    }

    private void step() {
        try (scheduler) {
            while (true) {
                while (scheduler.step()) {}
                scheduler.await();
            }
        } catch (InterruptedException e) {
            // closed
        } catch (RuntimeException | Error e) {
            broken = e;
        }
    }

    /// Puts requests in the queue.
    ///
    /// @throws RequestError when the queue is full, the server stops, the model has failed before, or a request cannot be served
    Running submit(List<Request> requests) {
        if (stopping) throw RequestError.stopping();
        if (broken != null) throw RequestError.failed("the model has failed: %s. Start the server again.".formatted(Failure.quote(String.valueOf(broken.getMessage()))));
        if (requests.size() > maxWaiting) throw RequestError.invalid("n", "the call asks for %,d completions; the queue holds %,d".formatted(requests.size(), maxWaiting));
        var running = new Running();
        try {
            synchronized (this) {
                if (scheduler.load().waiting() + requests.size() > maxWaiting) {
                    refused.add(requests.size());
                    throw RequestError.busy("the queue of %,d requests is full; try again later".formatted(maxWaiting));
                }
                for (int i = 0; i < requests.size(); i++) running.handles.add(scheduler.submit(requests.get(i), listener(running, i)));
            }
        } catch (Failure e) {
            running.close();
            throw e.kind() == Failure.Kind.USAGE ? RequestError.invalid("prompt", e.getMessage()) : RequestError.stopping();
        }
        return running;
    }

    private static RequestListener listener(Running running, int index) {
        return new RequestListener() {
            @Override
            public void prompt(List<Choice> choices) {
                running.events.add(new Event.Prompt(index, choices));
            }

            @Override
            public void token(Choice choice, String text) {
                running.events.add(new Event.Token(index, choice, text));
            }

            @Override
            public void completed(Completion completion) {
                running.events.add(new Event.Completed(index, completion));
            }

            @Override
            public void failed(Failure failure) {
                running.events.add(new Event.Failed(index, failure));
            }
        };
    }

    /// What the scheduler does and has done.
    Scheduler.Load load() {
        return scheduler.load();
    }

    /// Requests that found the queue full.
    long refused() {
        return refused.sum();
    }

    /// Whether requests can be served.
    boolean healthy() {
        return !stopping && broken == null;
    }

    /// Refuses new requests from now on; those that are running and waiting go on.
    void refuse() {
        stopping = true;
    }

    /// Waits until nothing runs or waits.
    ///
    /// @return whether that was so in time
    boolean awaitIdle(long milliseconds) throws InterruptedException {
        long end = System.nanoTime() + milliseconds * 1_000_000;
        while (stepping.isAlive() && load().running() + load().waiting() > 0) {
            if (System.nanoTime() >= end) return false;
            Thread.sleep(20);
        }
        return true;
    }

    /// Ends what is left and closes the model.
    @Override
    public void close() {
        refuse();
        stepping.interrupt();
        boolean interrupted = false;
        while (true) {
            try {
                stepping.join();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) Thread.currentThread().interrupt();
    }
}
