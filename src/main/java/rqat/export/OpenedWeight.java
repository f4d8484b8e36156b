package rqat.export;

import org.jspecify.annotations.Nullable;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;

/// The weight that is being worked on, one at a time: a foreign model unpacks a weight each time it is asked, and what is mapped stays in memory until it is let go.
final class OpenedWeight {
    private final CodedModel model;
    private @Nullable CodedWeight weight;

    OpenedWeight(CodedModel model) {
        this.model = model;
    }

    CodedWeight get(String name) {
        CodedWeight current = weight;
        if (current != null && current.name().equals(name)) return current;
        if (current != null) {
            current.codes().unload();
            weight = null;
        }
        current = model.coded(name);
        weight = current;
        return current;
    }
}
