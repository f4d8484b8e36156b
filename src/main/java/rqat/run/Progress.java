package rqat.run;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.LongSupplier;

/// Where library code says how far it is. Tasks may run at the same time on several threads.
public interface Progress {

    /// Begins a task of which `done` of `total` are done already, for example before a resumed run stopped; a total of 0 is unknown.
    /// `unit` is a plural: `steps`, `tokens`.
    Task start(String label, long done, long total, String unit);

    /// Begins a task from nothing.
    default Task start(String label, long total, String unit) {
        return start(label, 0, total, unit);
    }

    /// Says something that the user should read even when all is over.
    default void print(String message) {}

    /// A task on its way; it may be used by several threads.
    interface Task extends AutoCloseable {
        /// `count` more units are done.
        void advance(long count);

        /// Something short to show behind the bar, in place of the last note: `loss 0.12`.
        void note(String text);

        /// The task is over, whether all is done or not; later calls do nothing.
        void done();

        @Override
        default void close() {
            done();
        }
    }

    /// Tells nobody.
    static Progress silent() {
        Task task = new Task() {
            @Override
            public void advance(long count) {}

            @Override
            public void note(String text) {}

            @Override
            public void done() {}
        };
        return (label, done, total, unit) -> task;
    }

    /// The display of a whole process. On a terminal one live line a task, redrawn in place; elsewhere (a log file, a pipe) a plain line
    /// a task about every ten seconds and one at its end.
    final class Display implements Progress {
        private static final long REDRAW_NANOS = 100_000_000L;
        private static final long LINE_NANOS = 10_000_000_000L;
        private static final int BAR_WIDTH = 20;
        private static final int DEFAULT_COLUMNS = 80;

        private final PrintStream out;
        private final boolean terminal;
        private final int columns;
        private final LongSupplier nanoTime;
        private final List<Bar> bars = new ArrayList<>();
        private int drawnLines;
        private long lastDrawn = Long.MIN_VALUE;

        /// @param terminal whether `out` understands cursor movements
        /// @param columns how wide the terminal is; longer lines are cut
        /// @param nanoTime a clock as [System#nanoTime]
        public Display(PrintStream out, boolean terminal, int columns, LongSupplier nanoTime) {
            this.out = out;
            this.terminal = terminal;
            this.columns = columns;
            this.nanoTime = nanoTime;
        }

        /// The display of standard error.
        public static Display ofStandardError() {
            String given = System.getenv().getOrDefault("COLUMNS", "");
            int columns = given.matches("[1-9][0-9]{1,3}") ? Integer.parseInt(given) : DEFAULT_COLUMNS;
            return new Display(System.err, isTerminal(), columns, System::nanoTime);
        }

        private static boolean isTerminal() {
            Path standardError = Path.of("/proc/self/fd/2");
            try {
                if (Files.isSymbolicLink(standardError)) {
                    String target = Files.readSymbolicLink(standardError).toString();
                    return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty") || target.equals("/dev/console");
                }
            } catch (IOException e) {
                // No /proc: ask about standard input and output instead.
            }
            return System.console() != null && System.console().isTerminal();
        }

        @Override
        public synchronized Task start(String label, long done, long total, String unit) {
            Bar bar = new Bar(label, done, total, unit);
            bars.add(bar);
            draw(terminal);
            return bar;
        }

        /// Prints a message for the user above the bars.
        @Override
        public synchronized void print(String message) {
            erase();
            out.println(message);
            draw(terminal);
        }

        private void erase() {
            if (drawnLines > 0) {
                out.print("\033[" + drawnLines + "A\r\033[J");
                drawnLines = 0;
            }
        }

        private void draw(boolean now) {
            long time = nanoTime.getAsLong();
            if (!terminal || !now && time - lastDrawn < REDRAW_NANOS) {
                return;
            }
            lastDrawn = time;
            StringBuilder frame = new StringBuilder();
            if (drawnLines > 0) {
                frame.append("\033[").append(drawnLines).append("A\r");
            }
            for (Bar bar : bars) {
                frame.append(cut(bar.line(time, true))).append("\033[K\n");
            }
            frame.append("\033[J");
            drawnLines = bars.size();
            out.print(frame);
            out.flush();
        }

        private String cut(String line) {
            return line.length() < columns ? line : line.substring(0, columns - 1);
        }

        private final class Bar implements Task {
            private final String label;
            private final long initial;
            private final long total;
            private final String unit;
            private final long began;
            private long done;
            private long lastLine;
            private String note = "";
            private boolean over;

            Bar(String label, long done, long total, String unit) {
                this.label = label;
                this.initial = done;
                this.done = done;
                this.total = total;
                this.unit = unit;
                this.began = nanoTime.getAsLong();
                this.lastLine = began;
            }

            @Override
            public void advance(long count) {
                synchronized (Display.this) {
                    done += count;
                    refresh();
                }
            }

            @Override
            public void note(String text) {
                synchronized (Display.this) {
                    note = text.lines().findFirst().orElse("");
                    refresh();
                }
            }

            @Override
            public void done() {
                synchronized (Display.this) {
                    if (over) {
                        return;
                    }
                    over = true;
                    bars.remove(this);
                    erase();
                    out.println(line(nanoTime.getAsLong(), false));
                    draw(terminal);
                }
            }

            private void refresh() {
                if (over) {
                    return;
                }
                long time = nanoTime.getAsLong();
                if (terminal) {
                    draw(false);
                } else if (time - lastLine >= LINE_NANOS) {
                    lastLine = time;
                    out.println(line(time, false));
                }
            }

            private String line(long time, boolean bar) {
                double seconds = (time - began) / 1e9;
                double rate = seconds > 0 ? (done - initial) / seconds : 0;
                StringBuilder line = new StringBuilder(label).append("  ");
                if (bar && total > 0) {
                    int filled = (int) Math.clamp(BAR_WIDTH * (double) done / total, 0, BAR_WIDTH);
                    line.append('[').append("=".repeat(filled)).append(" ".repeat(BAR_WIDTH - filled)).append("]  ");
                }
                line.append(count(done));
                if (total > 0) {
                    line.append('/').append(count(total));
                }
                line.append(' ').append(unit);
                if (rate > 0) {
                    line.append("  ").append(String.format(Locale.ROOT, rate < 10 ? "%.2f %s/s" : "%,.0f %s/s", rate, unit));
                }
                if (over) {
                    line.append("  in ").append(duration(seconds));
                } else if (rate > 0 && total > done) {
                    line.append("  ").append(duration((total - done) / rate)).append(" left");
                }
                return note.isEmpty() ? line.toString() : line.append("  ").append(note).toString();
            }

            private static String count(long number) {
                return String.format(Locale.ROOT, "%,d", number);
            }

            private static String duration(double seconds) {
                long whole = Math.round(Math.min(seconds, 1e9));
                return whole >= 3600
                        ? String.format(Locale.ROOT, "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
                        : String.format(Locale.ROOT, "%d:%02d", whole / 60, whole % 60);
            }
        }
    }
}
