package rqat.eval;

/// How a published benchmark is put and judged.
public enum Protocol {
    /// As the paper's own evaluation: its checker's rules on the whole completion, the reasoning included, and its habit of putting the
    /// beginning-of-sequence token twice. For figures that are compared with published ones.
    PAPER,
    /// Without the faults of the former: the answer is what comes after the reasoning, and the text begins once.
    CLEAN
}
