package rqat.api;

import java.util.OptionalDouble;

/// How a model did on one benchmark.
///
/// @param task       its name
/// @param accuracy   share of right answers, 0 to 1, mean over seeds; NaN for a text that was read
/// @param deviation  sample standard deviation over seeds; empty below two
/// @param perplexity of a text that was read; empty otherwise
/// @param problems   for each seed
/// @param seeds      how often the problems were put
public record Score(String task, double accuracy, OptionalDouble deviation, OptionalDouble perplexity, int problems, int seeds) {}
