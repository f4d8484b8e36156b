package rqat.engine;

import java.util.ArrayList;
import java.util.List;

/// Matrices that read the same inputs, and the layouts in which these have to be there: one, where the matrices are on one kind of grid.
final class Readers {
    private final List<PackedMatrix> matrices;
    private final List<Layout> layouts = new ArrayList<>();
    private final List<float[]> factors = new ArrayList<>();
    private final int[] layoutOf;

    Readers(PackedMatrix... matrices) {
        this.matrices = List.of(matrices);
        this.layoutOf = new int[matrices.length];
        for (int i = 0; i < matrices.length; i++) {
            Layout layout = matrices[i].layout();
            if (!layouts.contains(layout)) {
                layouts.add(layout);
                factors.add(layout.factors());
            }
            layoutOf[i] = layouts.indexOf(layout);
        }
    }

    PackedMatrix matrix(int index) {
        return matrices.get(index);
    }

    /// Makes room for `rows` rows of inputs in as many of `inputs` as there are layouts.
    void reserve(Activations[] inputs, int rows) {
        for (int i = 0; i < layouts.size(); i++) inputs[i].reserve(layouts.get(i), rows);
    }

    /// Takes over a row of inputs.
    void set(Activations[] inputs, int row, float[] from, int at) {
        for (int i = 0; i < layouts.size(); i++) inputs[i].set(layouts.get(i), factors.get(i), row, from, at);
    }

    /// Of [#reserve], those that matrix `index` reads.
    Activations of(Activations[] inputs, int index) {
        return inputs[layoutOf[index]];
    }
}
