package rqat.engine;

/// The inputs of matrices of one layout: rows of float32, ordered and scaled as the kernels read them.
///
/// Values are multiplied by the powers of two that [Layout#factors] says, which is exact, and every group is filled up with zeros to whole blocks. After each block of a matrix of codes comes the sum of
/// its inputs: the zero point of 32 weights is subtracted by one multiplication, and soon enough that the sums in between stay small.
final class Activations {
    private float[] values = {};
    private int stride;

    /// What the kernels read: row `r` begins at `r * stride()`.
    float[] values() {
        return values;
    }

    /// Values from one row to the next.
    int stride() {
        return stride;
    }

    /// Makes room for `rows` rows.
    void reserve(Layout layout, int rows) {
        stride = layout.blocks() * layout.packing().inputs();
        if (values.length < rows * stride) values = new float[rows * stride];
    }

    /// Takes over one row; several threads may do so for several rows.
    ///
    /// @param factors [Layout#factors]
    /// @param from    its columns, from `at` on
    void set(Layout layout, float[] factors, int row, float[] from, int at) {
        int width = layout.packing().inputs(), to = row * stride;
        for (int block = 0; block < layout.blocks(); block++, to += width) {
            int start = at + layout.startOfBlock(block), count = layout.widthOfBlock(block);
            if (layout.packing().isCoded()) {
                for (int i = 0; i < count; i++) values[to + i] = from[start + i] * factors[i];
                values[to + Packing.BLOCK] = Sums.of(from, start, count);
            } else {
                System.arraycopy(from, start, values, to, count);
            }
            for (int i = count; i < Packing.BLOCK; i++) values[to + i] = 0;
        }
    }
}
