package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class ProgressTest {

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private long seconds;

    private Progress.Display display(boolean terminal, int columns) {
        return new Progress.Display(new PrintStream(bytes, true, StandardCharsets.UTF_8), terminal, columns, () -> (long) (seconds * 1e9));
    }

    private String output() {
        return bytes.toString(StandardCharsets.UTF_8);
    }

    /// What a terminal shows after the output: cursor up, carriage return, erase to the end of line and of screen.
    private List<String> screen() {
        List<StringBuilder> lines = new ArrayList<>(List.of(new StringBuilder()));
        int row = 0;
        int column = 0;
        Matcher matcher = Pattern.compile("\033\\[([0-9]*)([A-Z])|\r|\n|[^\033\r\n]+").matcher(output());
        while (matcher.find()) {
            String token = matcher.group();
            if (token.equals("\n")) {
                row++;
                column = 0;
                if (row == lines.size()) {
                    lines.add(new StringBuilder());
                }
            } else if (token.equals("\r")) {
                column = 0;
            } else if (matcher.group(2) == null) {
                StringBuilder line = lines.get(row);
                line.replace(column, Math.min(line.length(), column + token.length()), token);
                column += token.length();
            } else if (matcher.group(2).equals("A")) {
                row -= Integer.parseInt(matcher.group(1));
                assertThat(row).as("cursor stays on the screen").isNotNegative();
            } else {
                lines.get(row).setLength(column);
                if (matcher.group(2).equals("J")) {
                    lines.subList(row + 1, lines.size()).clear();
                }
            }
        }
        return lines.stream().map(StringBuilder::toString).filter(line -> !line.isEmpty()).toList();
    }

    @Test
    void aLogGetsALineNowAndThenAndOneAtTheEnd() {
        Progress.Task task = display(false, 80).start("distil", 400, "steps");
        for (int i = 0; i < 100; i++) {
            seconds += 1;
            task.advance(2);
            if (i == 14) {
                task.note("loss 0.12\nsecret");
            }
        }
        task.done();
        task.done();
        task.advance(1);
        List<String> lines = output().lines().toList();
        assertThat(lines).hasSize(11);
        assertThat(lines.get(0)).isEqualTo("distil  20/400 steps  2.00 steps/s  3:10 left");
        assertThat(lines.get(1)).isEqualTo("distil  40/400 steps  2.00 steps/s  3:00 left  loss 0.12");
        assertThat(lines.get(10)).isEqualTo("distil  200/400 steps  2.00 steps/s  in 1:40  loss 0.12");
        assertThat(output()).doesNotContain("\033");
    }

    @Test
    void aTerminalShowsOneLineATask() {
        Progress.Display display = display(true, 100);
        Progress.Task first = display.start("quantise", 28, "layers");
        Progress.Task second = display.start("evaluate", 0, "answers");
        seconds += 10;
        first.advance(14);
        seconds += 10;
        second.advance(50_000);
        assertThat(screen()).containsExactly("quantise  [==========          ]  14/28 layers  0.70 layers/s  0:20 left",
                "evaluate  50,000 answers  2,500 answers/s");
        display.print("checkpoint of step 3 is broken");
        assertThat(screen().getFirst()).isEqualTo("checkpoint of step 3 is broken");
        assertThat(screen()).hasSize(3);
        first.done();
        assertThat(screen()).containsExactly("checkpoint of step 3 is broken", "quantise  14/28 layers  0.70 layers/s  in 0:20",
                "evaluate  50,000 answers  2,500 answers/s");
        second.done();
        assertThat(screen()).last().isEqualTo("evaluate  50,000 answers  2,500 answers/s  in 0:20");
    }

    @Test
    void resumedTasksAreNotFasterThanTheyAre() {
        Progress.Task task = display(false, 80).start("distil", 1000, 2000, "steps");
        seconds = 100;
        task.advance(10);
        assertThat(output()).isEqualTo("distil  1,010/2,000 steps  0.10 steps/s  2:45:00 left\n");
    }

    @Test
    void narrowTerminalsAndQuickStepsDoNotFlood() {
        Progress.Display display = display(true, 20);
        Progress.Task task = display.start("a very long label indeed", 1_000_000, "steps");
        int before = bytes.size();
        for (int i = 0; i < 10_000; i++) {
            task.advance(1);
        }
        assertThat(bytes.size()).isEqualTo(before);
        seconds = 1;
        task.advance(2_000_000);
        assertThat(screen()).hasSize(1).first().asString().hasSize(19);
    }

    @Test
    void threadsCountTogether() throws InterruptedException {
        Progress.Task task = display(false, 80).start("x", 40_000, "steps");
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            threads.add(Thread.startVirtualThread(() -> {
                for (int i = 0; i < 10_000; i++) {
                    task.advance(1);
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        task.done();
        assertThat(output()).isEqualTo("x  40,000/40,000 steps  in 0:00\n");
    }

    @Test
    void silenceIsSilent() {
        try (Progress.Task task = Progress.silent().start("x", 3, "steps")) {
            task.advance(1);
            task.note("y");
        }
        assertThat(output()).isEmpty();
    }
}
