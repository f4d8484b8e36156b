package rqat.verify.mathematics;

/// Thrown while reading an answer whose notation or size the exact arithmetic does not cover; the caller then compares its normalised
/// text instead. It carries no stack trace because it is a result, not a defect.
final class Unreadable extends RuntimeException {

    Unreadable(String what) {
        super(what, null, false, false);
    }
}
