package rqat.openai;

import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.LongAdder;
import rqat.generate.Scheduler;

/// What the server has done, for Prometheus.
final class Measures {
    private final Map<String, LongAdder> requests = new ConcurrentSkipListMap<>();
    private final Map<String, LongAdder> nanoseconds = new ConcurrentSkipListMap<>();
    private final LongAdder gone = new LongAdder();

    /// One more request was answered.
    void count(String endpoint, int status, long elapsed) {
        requests.computeIfAbsent("endpoint=\"%s\",status=\"%d\"".formatted(endpoint, status), _ -> new LongAdder()).increment();
        nanoseconds.computeIfAbsent("endpoint=\"%s\"".formatted(endpoint), _ -> new LongAdder()).add(elapsed);
    }

    /// A client went away before its answer was complete.
    void gone() {
        gone.increment();
    }

    /// In the text format 0.0.4.
    String text(Scheduler.Load load, long refused) {
        var text = new StringBuilder();
        family(text, "rqat_requests_total", "counter", "Requests answered, by endpoint and status.");
        requests.forEach((labels, count) -> text.append("rqat_requests_total{%s} %d\n".formatted(labels, count.sum())));
        family(text, "rqat_request_seconds_total", "counter", "Time spent in requests, by endpoint.");
        nanoseconds.forEach((labels, sum) -> text.append(String.format(Locale.ROOT, "rqat_request_seconds_total{%s} %.6f\n", labels, sum.sum() * 1e-9)));
        value(text, "rqat_clients_gone_total", "counter", "Clients that went away before their answer was complete.", gone.sum());
        value(text, "rqat_requests_refused_total", "counter", "Completions refused because the queue was full.", refused);
        value(text, "rqat_requests_running", "gauge", "Completions in the batch.", load.running());
        value(text, "rqat_requests_waiting", "gauge", "Completions that wait for a place in the batch.", load.waiting());
        value(text, "rqat_prompt_tokens_total", "counter", "Tokens of prompts that the model was given, shared ones once.", load.prompts());
        value(text, "rqat_completion_tokens_total", "counter", "Tokens generated.", load.tokens());
        value(text, "rqat_returns_total", "counter", "How often a completion had to leave the batch for lack of room and enter again.", load.returns());
        return text.toString();
    }

    private static void family(StringBuilder text, String name, String type, String help) {
        text.append("# HELP %s %s\n# TYPE %s %s\n".formatted(name, help, name, type));
    }

    private static void value(StringBuilder text, String name, String type, String help, long value) {
        family(text, name, type, help);
        text.append(name).append(' ').append(value).append('\n');
    }
}
