package rqat.export;

/// A container cannot hold a tensor. [Exporter] turns it into a message that names one that can.
final class Unfit extends RuntimeException {
    private static final long serialVersionUID = 1;

    /// @param what the tensor and what is wrong with it, a sentence without a full stop
    Unfit(String what) {
        super(what, null, false, false);
    }
}
