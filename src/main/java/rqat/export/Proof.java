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

    /// What readers get for a row of a weight.
    @FunctionalInterface
    interface Served {
        void values(Recoded.Codes codes, int row, float[] into);
    }

    @FunctionalInterface
    private interface Values {
        void values(int row, float[] into);
    }

    /// What is wanted and what was found in a row.
    private record Row(int[] codes, int[] read, float[] values, float[] found) {}

    /// Proves a coded weight.
    ///
    /// @param scaleType what its scales were rounded to
    /// @param served    what readers dequantise it to
    Hashes coded(Recoded expected, DataType scaleType, Served served) {
        Recoded.Codes wanted = expected.open();
        var codes = new Digest();
        var zeros = new Digest();
        var scales = new Digest();
        var dequantised = new Digest();
        // A minimum that had to be rounded is on no grid of ours: then the values are compared alone.
        CodedWeight read = written.codedNames().contains(expected.name()) ? written.coded(expected.name()) : null;
        if (read != null && (read.rows() != expected.rows() || read.columns() != expected.columns())) throw differs(expected.name(), "shape", 0, 0);
        int columns = expected.columns(), groups = expected.groups();
        var row = new Row(new int[columns], new int[columns], new float[columns], new float[columns]);
        byte[] bytes = new byte[columns], zero = new byte[groups];
        float[] scale = new float[groups];
        Values reader = read == null ? plainRows(expected.name()) : read::dequantise;
        for (int r = 0; r < expected.rows(); r++) {
            served.values(wanted, r, row.values);
            reader.values(r, row.found);
            wanted.codes(r, row.codes);
            for (int column = 0; column < columns; column++) {
                // The sign of a zero is lost where a scale is stored negative.
                if (row.found[column] != row.values[column]) throw differs(expected.name(), "value", r, column);
                bytes[column] = (byte) row.codes[column];
            }
            for (int group = 0; group < groups; group++) {
                zero[group] = (byte) wanted.zero(r, group);
                scale[group] = scaleType.round(wanted.scale(r, group));
            }
            if (read != null) compareGrid(wanted, read, row, scale, r);
            codes.add(bytes, columns);
            dequantised.add(row.values, columns);
            zeros.add(zero, groups);
            scales.add(scale, groups);
        }
        return new Hashes(codes.end(), zeros.end(), scales.end(), dequantised.end());
    }

    /// The rows of a matrix that is on no grid.
    private Values plainRows(String name) {
        var values = new float[1][];
        written.value(name).lend(tensor -> values[0] = tensor.toFloats());
        return (row, into) -> System.arraycopy(values[0], row * into.length, into, 0, into.length);
    }

    /// Where the container has the source's codes, they are the same, and so are zero points; in any container every step and every scale is.
    ///
    /// @param scales of the groups of the row, as they must be
    private void compareGrid(Recoded.Codes wanted, CodedWeight read, Row row, float[] scales, int r) {
        Recoded expected = wanted.grid();
        String name = expected.name();
        int width = expected.groupColumns(), readWidth = read.columns() / read.groups();
        boolean same = read.spec().bits() == expected.bits() && read.spec().symmetric() == expected.symmetric() && readWidth == width;
        int half = read.spec().symmetric() ? 1 << read.spec().bits() - 1 : 0;
        read.codes(r, row.read);
        // Groups of one are multiples of those of the other.
        int step = Math.min(width, readWidth);
        for (int from = 0; from < expected.columns(); from += step) {
            int group = from / width, readGroup = from / readWidth;
            int zero = wanted.zero(r, group), readZero = read.zero(r, readGroup);
            if (read.scale(r, readGroup) != scales[group]) throw differs(name, "scale", r, from);
            if (same && readZero + half != zero) throw differs(name, "zero point", r, from);
            for (int column = from; column < from + step; column++) {
                if (row.read[column] - readZero != row.codes[column] - zero) throw differs(name, "code", r, column);
                if (same && row.read[column] + half != row.codes[column]) throw differs(name, "code", r, column);
            }
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
