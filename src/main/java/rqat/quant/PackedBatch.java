package rqat.quant;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import rqat.model.Attention;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Rotation;
import rqat.model.Weights;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Windows of any lengths that go through a block together: they lie one after another in one row and only attention tells them apart, so
/// nothing is padded.
///
/// @param states  `[1, N, hidden]`, the inputs of the current block
/// @param lengths of the windows, N together
record PackedBatch(Tensor states, int[] lengths) implements AutoCloseable {
    /// The embedded windows.
    static PackedBatch embed(ModelConfig config, Weights weights, int[][] windows) {
        int[] ids = Arrays.stream(windows).flatMapToInt(Arrays::stream).toArray();
        return new PackedBatch(
                Scope.own(() -> {
                    var decoder = new Decoder(config, weights);
                    return decoder.embed(Tensors.of(decoder.place(), ids, 1, ids.length)).clone();
                }),
                Arrays.stream(windows).mapToInt(window -> window.length).toArray());
    }

    /// The rotary embedding of these windows.
    Rotation rotation(Decoder decoder) {
        int[] positions = Arrays.stream(lengths).flatMap(length -> IntStream.range(0, length)).toArray();
        return decoder.rotation(Tensors.of(decoder.place(), positions, 1, positions.length));
    }

    /// The attention of these windows.
    Attention attention() {
        return Attention.packed(lengths);
    }

    /// Output of a decoder's block for [#states].
    Tensor through(Decoder decoder, int layer) {
        return decoder.block(layer, states, rotation(decoder), attention());
    }

    @Override
    public void close() {
        states.close();
    }
}
