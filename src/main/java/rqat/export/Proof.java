package rqat.export;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import rqat.Failure;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.HostBuffer;
import rqat.io.TensorSource;

/// Reads back what was written, with `rqat.foreign`, and compares every code, zero point, scale and value with the source. Whatever differs is a defect of ours; the export
/// then fails and nothing appears.
///
/// @param place what is being proved, for messages
record Proof(Path place, CodedModel written) {

    /// What an independent reader must find.
    ///
    /// @param codes       SHA-256 of the codes as the container counts them from 0, uint8 `[R, C]`; null for plain tensors, as the next two
    /// @param zeros       of the zero points, uint8 `[R, groups]`
    /// @param scales      of the scales, float32 `[R, groups]`
    /// @param dequantised of the values, float32 in the tensor's shape
    record Hashes(String codes, String zeros, String scales, String dequantised) {}

    /// What readers get for a row.
    @FunctionalInterface
    interface Row {
        void values(int row, float[] into);
    }

    /// Proves a coded weight.
    ///
    /// @param scaleType what its scales were rounded to
    /// @param served    what readers dequantise it to
    Hashes coded(Recoded expected, DataType scaleType, Row served) {
        var codes = new Digest();
        var zeros = new Digest();
        var scales = new Digest();
        var values = new Digest();
        // A minimum that had to be rounded is on no grid of ours: then the values are compared alone.
        CodedWeight read = written.codedNames().contains(expected.name()) ? written.coded(expected.name()) : null;
        if (read != null && (read.rows() != expected.rows() || read.columns() != expected.columns())) throw differs(expected.name(), "shape", 0, 0);
        byte[] bytes = new byte[expected.columns()];
        float[] wanted = new float[expected.columns()], found = new float[expected.columns()];
        Row reader = read == null ? plainRows(expected.name()) : read::dequantise;
        for (int row = 0; row < expected.rows(); row++) {
            served.values(row, wanted);
            reader.values(row, found);
            for (int column = 0; column < bytes.length; column++) {
                // The sign of a zero is lost where a scale is stored negative.
                if (found[column] != wanted[column]) throw differs(expected.name(), "value", row, column);
                bytes[column] = (byte) expected.code(row, column);
            }
            if (read != null) compareGrid(expected, read, scaleType, row);
            codes.add(bytes, bytes.length);
            values.add(wanted, wanted.length);
            for (int group = 0; group < expected.groups(); group++) {
                zeros.add(new byte[] {(byte) expected.zero(row, group)}, 1);
                scales.add(new float[] {scaleType.round(expected.scale(row, group))}, 1);
            }
        }
        return new Hashes(codes.end(), zeros.end(), scales.end(), values.end());
    }

    /// The rows of a matrix that is on no grid.
    private Row plainRows(String name) {
        var values = new float[1][];
        written.value(name).lend(tensor -> values[0] = tensor.toFloats());
        return (row, into) -> System.arraycopy(values[0], row * into.length, into, 0, into.length);
    }

    /// Where the container has the source's codes, they are the same, and so are zero points; in any container every step and every scale is.
    private void compareGrid(Recoded expected, CodedWeight read, DataType scaleType, int row) {
        int width = expected.groupColumns(), readWidth = read.columns() / read.groups();
        boolean same = read.spec().bits() == expected.bits() && read.spec().symmetric() == expected.symmetric() && readWidth == width;
        int half = read.spec().symmetric() ? 1 << read.spec().bits() - 1 : 0;
        for (int column = 0; column < expected.columns(); column++) {
            int group = column / width, readGroup = column / readWidth;
            int code = read.code(row, column), zero = read.zero(row, readGroup);
            if (code - zero != expected.step(row, column)) throw differs(expected.name(), "code", row, column);
            if (read.scale(row, readGroup) != scaleType.round(expected.scale(row, group))) throw differs(expected.name(), "scale", row, column);
            if (same && code + half != expected.code(row, column)) throw differs(expected.name(), "code", row, column);
            if (same && zero + half != expected.zero(row, group)) throw differs(expected.name(), "zero point", row, column);
        }
    }

    /// Proves a tensor without a grid: `source` rounded to `type`.
    Hashes plain(String name, TensorSource source, DataType type) {
        var values = new Digest();
        written.value(name).lend(read -> source.lend(tensor -> {
            if (read.elementCount() != tensor.elementCount()) throw differs(name, "shape", 0, 0);
            HostBuffer.eachPart(tensor, (from, wanted) -> {
                float[] found = read.part(from, wanted.length).toFloats();
                for (int i = 0; i < wanted.length; i++) {
                    wanted[i] = type.round(wanted[i]);
                    if (found[i] != wanted[i]) throw differs(name, "value", 0, from + i);
                }
                values.add(wanted, wanted.length);
            });
        }));
        return new Hashes("", "", "", values.end());
    }

    private Failure differs(String name, String what, long row, long column) {
        return Failure.failed("%s: reading back what was written gives another %s of %s at row %d, column %d; nothing was kept. This is a defect of rqat: please report it"
                .formatted(place, what, name, row, column));
    }

    /// SHA-256 of bytes and of little-endian float32 numbers.
    private static final class Digest {
        private final MessageDigest digest;

        Digest() {
            try {
                digest = MessageDigest.getInstance("SHA-256");
            } catch (NoSuchAlgorithmException e) {
                throw new AssertionError("every Java platform has SHA-256", e);
            }
        }

        void add(byte[] bytes, int count) {
            digest.update(bytes, 0, count);
        }

        void add(float[] values, int count) {
            ByteBuffer bytes = ByteBuffer.allocate(4 * count).order(ByteOrder.LITTLE_ENDIAN);
            // So that zeros of either sign count as the same number.
            for (int i = 0; i < count; i++) bytes.putFloat(values[i] + 0f);
            digest.update(bytes.array());
        }

        String end() {
            return HexFormat.of().formatHex(digest.digest());
        }
    }
}
