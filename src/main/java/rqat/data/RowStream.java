package rqat.data;

import java.util.Spliterator;
import java.util.Spliterators.AbstractSpliterator;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/// Streams of what a reader gives one at a time.
final class RowStream {
    private RowStream() {}

    /// A stream that asks `next` until it gives null, and runs `close` when closed.
    static <T> Stream<T> of(Supplier<@Nullable T> next, Runnable close) {
        return StreamSupport.stream(
                        new AbstractSpliterator<T>(Long.MAX_VALUE, Spliterator.ORDERED | Spliterator.NONNULL) {
                            @Override
                            public boolean tryAdvance(Consumer<? super T> action) {
                                T value = next.get();
                                if (value == null) return false;
                                action.accept(value);
                                return true;
                            }
                        },
                        false)
                .onClose(close);
    }
}
