package rqat.export;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.IntUnaryOperator;
import rqat.foreign.GgufNames;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.GgmlType;
import rqat.io.GgufValue;
import rqat.io.GgufWriter;
import rqat.io.HostBuffer;
import rqat.io.HostTensor;
import rqat.io.TensorSource;
import rqat.model.ModelConfig;

/// One GGUF file.
///
/// llama.cpp's Llama turns pairs of neighbouring elements where the checkpoint turns an element of the first half of a head with one of the second: the rows of its query and
/// key maps are written in that order. Vectors are float32, as llama.cpp wants them.
final class GgufPackage {
    private static final int LET_GO = 4096;
    private static final Set<DataType> SCALES = Set.of(DataType.F16);

    private final Path source;
    private final CodedModel model;
    private final OpenedWeight opened;
    private final Survey survey = new Survey();
    private final SequencedMap<String, GgufWriter.Source> tensors = new LinkedHashMap<>();
    private final SequencedMap<String, GgufValue> metadata;
    private final List<Piece> pieces = new ArrayList<>();
    private final DataType type;

    /// Decides how every tensor is stored.
    ///
    /// @param source the model's directory
    /// @param name   what the file calls the model
    /// @param watch  told of every tensor that was looked at
    /// @throws Unfit when a tensor does not fit, or would change and may not
    GgufPackage(Path source, CodedModel model, ExportSettings settings, String name, Optional<String> licence, Runnable watch) {
        this.source = source;
        this.model = model;
        this.opened = new OpenedWeight(model);
        var container = new GgufContainer(settings.containerBits());
        Map<String, String> names = GgufNames.of(model.config());
        var kinds = new LinkedHashMap<GgmlType, Long>();
        DataType widest = DataType.F16;
        for (Map.Entry<String, String> entry : names.entrySet()) {
            boolean coded = model.codedNames().contains(entry.getKey()) && !container.dequantises();
            GgmlType kind = coded ? addCoded(container, entry.getKey(), entry.getValue(), settings) : addPlain(entry.getKey(), entry.getValue(), settings);
            TensorSource value = model.value(entry.getKey());
            if (value.shape().length > 1) {
                kinds.merge(kind, value.elementCount(), Long::sum);
                if (kind == GgmlType.F32) widest = DataType.F32;
                else if (kind == GgmlType.BF16 && widest == DataType.F16) widest = DataType.BF16;
            }
            watch.run();
        }
        GgufMetadata.rotaryFactors(model.config()).ifPresent(factors -> {
            HostTensor tensor = HostTensor.ofFloats(new long[] {factors.length}, factors);
            tensors.put(GgufNames.ROTARY_FACTORS, new GgufWriter.Source(GgmlType.F32, tensor.shape(), out -> out.write(tensor.data().toArray(ValueLayout.JAVA_BYTE))));
        });
        type = widest;
        GgmlType most = kinds.entrySet().stream().max(Map.Entry.comparingByValue()).orElseThrow().getKey();
        metadata = GgufMetadata.of(source, model.config(), name, fileType(most), licence);
    }

    /// llama.cpp's number for a file whose tensors are mostly of a type.
    private static int fileType(GgmlType most) {
        return switch (most) {
            case F32 -> 0;
            case F16 -> 1;
            case Q4_0 -> 2;
            case Q4_1 -> 3;
            case Q8_0 -> 7;
            case BF16 -> 32;
            case Q2_0 -> 41;
        };
    }

    private GgmlType addCoded(GgufContainer container, String name, String stored, ExportSettings settings) {
        CodedWeight weight = opened.get(name);
        weight.verify(source);
        GgufContainer.Fit fit = container.fit(weight, () -> opened.get(name));
        var own = new Survey();
        Recoded.Codes open = fit.weight().open();
        own.add(model, weight, SCALES, (_, row, into) -> fit.values(open, row, into));
        survey.add(own);
        Change change = own.weights(DataType.F16);
        if (!change.isNone() && !settings.lossy()) throw lossy(fit.type(), change);
        IntUnaryOperator order = order(name);
        Recoded shape = fit.weight();
        tensors.put(stored, new GgufWriter.Source(fit.type(), new long[] {shape.rows(), shape.columns()}, out -> {
            Recoded.Codes written = shape.open();
            int[] codes = new int[shape.columns()];
            byte[] bytes = new byte[fit.rowBytes()];
            for (int row = 0; row < shape.rows(); row++) {
                fit.blocks(written, order.applyAsInt(row), codes, bytes);
                out.write(bytes);
            }
        }));
        String grid = "%d bits, %s, groups of %d".formatted(
                fit.weight().bits(), fit.weight().symmetric() ? "symmetric" : "asymmetric", fit.weight().groupColumns());
        pieces.add(new Piece(
                name, stored, fit.type().name(), (long) shape.rows() * shape.columns(), tensors.get(stored).byteSize(), true, grid, change,
                proof -> proof.coded(shape, DataType.F16, fit::values)));
        return fit.type();
    }

    private static Unfit lossy(Object type, Change change) {
        return new Unfit("%s changes values, the largest by %.3g in %s".formatted(type, change.absolute(), change.tensor()));
    }

    private GgmlType addPlain(String name, String stored, ExportSettings settings) {
        TensorSource value = model.value(name);
        DataType as = value.shape().length == 1 ? DataType.F32 : plainType(name, value, settings);
        Change[] change = {Change.NONE};
        value.lend(tensor -> change[0] = Survey.rounding(name, tensor, as));
        if (!change[0].isNone() && !settings.lossy()) throw lossy(SafetensorsPackage.name(as), change[0]);
        GgmlType kind = GgmlType.valueOf(as.name());
        IntUnaryOperator order = order(name);
        TensorSource rounded = HostBuffer.rounded(value, as);
        tensors.put(stored, new GgufWriter.Source(kind, value.shape(), out -> writeRows(out, rounded, order)));
        pieces.add(new Piece(
                name, stored, kind.name(), value.elementCount(), tensors.get(stored).byteSize(), model.codedNames().contains(name), "", change[0],
                proof -> proof.plain(name, value, as)));
        return kind;
    }

    private static DataType plainType(String name, TensorSource value, ExportSettings settings) {
        if (settings.containerBits() == 32) return DataType.F32;
        if (settings.type() != null) return settings.type();
        var found = new DataType[] {DataType.F32};
        value.lend(tensor -> {
            for (DataType type : List.of(DataType.BF16, DataType.F16)) {
                if (Survey.rounding(name, tensor, type).isNone()) found[0] = type;
            }
        });
        if (found[0] == DataType.F32 && settings.containerBits() == 16 && settings.lossy()) return DataType.F16;
        return found[0];
    }

    private static void writeRows(OutputStream out, TensorSource source, IntUnaryOperator order) {
        source.lend(tensor -> {
            long rows = tensor.shape()[0], bytes = tensor.byteSize() / rows;
            for (int row = 0; row < rows; row++) {
                try {
                    var data = tensor.data().asSlice(order.applyAsInt(row) * bytes, bytes);
                    out.write(data.toArray(ValueLayout.JAVA_BYTE));
                    // Pages that rows share are read again.
                    if (data.isMapped() && row % LET_GO == LET_GO - 1) tensor.data().asSlice(0, (row + 1) * bytes).unload();
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        });
    }

    /// The row of the checkpoint that stands at each row of the file.
    private IntUnaryOperator order(String name) {
        ModelConfig config = model.config();
        boolean turned = name.contains(".q_proj.") || name.contains(".k_proj.");
        if (config.family() != ModelConfig.Family.LLAMA || !turned) return row -> row;
        int width = config.headDimension();
        return row -> row - row % width + row % width / 2 + row % 2 * (width / 2);
    }

    List<Piece> pieces() {
        return pieces;
    }

    Survey survey() {
        return survey;
    }

    DataType type() {
        return type;
    }

    /// The largest change of a value.
    Change change() {
        return pieces.stream().map(Piece::change).reduce(Change.NONE, Change::or);
    }

    /// Bytes of the tensors.
    long bytes() {
        return tensors.values().stream().mapToLong(GgufWriter.Source::byteSize).sum();
    }

    /// How many tensors the file has.
    int count() {
        return tensors.size();
    }

    /// Writes the file.
    ///
    /// @param watch told of every tensor that was written
    void write(Path file, Runnable watch) {
        var watched = new LinkedHashMap<String, GgufWriter.Source>();
        tensors.forEach((name, tensor) -> watched.put(name, new GgufWriter.Source(tensor.type(), tensor.shape(), out -> {
            tensor.content().writeTo(out);
            watch.run();
        })));
        GgufWriter.write(file, metadata, watched);
    }
}
