package rqat.engine;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/// Threads that share loops. A token takes hundreds of loops of some ten microseconds each, so a thread that waits for the next one looks for it busily at first and sleeps only after a while.
///
/// Who computes what is left to chance; what is computed must not depend on it. One thread at a time calls [#run].
final class Workers implements AutoCloseable {
    /// How often a thread looks before it sleeps.
    private static final int LOOKS = 4_000;
    private static final int SHUT = -1;

    private final Thread[] helpers;
    private final AtomicInteger next = new AtomicInteger();
    /// Helpers inside the loop that is running; [#SHUT] between loops. What a helper reads in there does not change until it has left.
    private final AtomicInteger gate = new AtomicInteger(SHUT);
    private int count;
    private @Nullable Task task;
    /// Grows by one with every loop; helpers wait for it.
    private volatile int loop;
    private volatile boolean closed;
    private volatile @Nullable Throwable failure;

    /// The body of a loop.
    @FunctionalInterface
    interface Task {
        /// @param index  0 to count - 1
        /// @param worker who does it, 0 to threads - 1
        void run(int index, int worker);
    }

    /// @param threads that work together, the caller's among them
    Workers(int threads) {
        helpers = new Thread[threads - 1];
        for (int i = 0; i < helpers.length; i++) {
            int worker = i + 1;
            helpers[i] = Thread.ofPlatform().daemon().name("rqat-engine-" + worker).start(() -> help(worker));
        }
    }

    int threads() {
        return helpers.length + 1;
    }

    /// Runs `body` for every index below `indices`, in any order, and returns when all are done.
    void run(int indices, Task body) {
        if (indices <= 1 || helpers.length == 0) {
            for (int i = 0; i < indices; i++) body.run(i, 0);
            return;
        }
        task = body;
        count = indices;
        next.set(0);
        gate.set(0);
        loop++;
        for (Thread helper : helpers) LockSupport.unpark(helper);
        work(body, indices, 0);
        // A helper that comes too late is not waited for.
        for (int looks = 0; !gate.compareAndSet(0, SHUT); looks++) {
            if (looks < LOOKS) Thread.onSpinWait();
            else Thread.yield();
        }
        Throwable thrown = failure;
        if (thrown == null) return;
        failure = null;
        if (thrown instanceof Error error) throw error;
        throw (RuntimeException) thrown;
    }

    private void work(Task body, int indices, int worker) {
        try {
            for (int i = next.getAndIncrement(); i < indices; i = next.getAndIncrement()) body.run(i, worker);
        } catch (RuntimeException | Error e) {
            failure = e;
            next.set(indices);
        }
    }

    private void help(int worker) {
        int seen = 0;
        while (true) {
            for (int looks = 0; loop == seen; looks++) {
                if (closed) return;
                if (looks < LOOKS) Thread.onSpinWait();
                else LockSupport.park(this);
            }
            seen = loop;
            if (!enter()) continue;
            Task body = task;
            if (body != null) work(body, count, worker);
            gate.decrementAndGet();
        }
    }

    private boolean enter() {
        while (true) {
            int inside = gate.get();
            if (inside == SHUT) return false;
            if (gate.compareAndSet(inside, inside + 1)) return true;
        }
    }

    @Override
    public void close() {
        closed = true;
        for (Thread helper : helpers) LockSupport.unpark(helper);
    }
}
