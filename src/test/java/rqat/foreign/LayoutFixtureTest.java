package rqat.foreign;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import rqat.Fixtures;
import rqat.export.ExportFixtures;
import rqat.format.CodedWeight;
import rqat.io.GgufFile;
import rqat.io.HostTensor;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;

/// What AutoGPTQ, compressed-tensors, AutoAWQ and gguf-py packed comes back as the codes, zero points, scales and values that went in.
class LayoutFixtureTest {
    private static final String MODULE = ExportFixtures.WEIGHT.substring(0, ExportFixtures.WEIGHT.length() - ".weight".length());

    private final ExportFixtures fixtures = new ExportFixtures();
    private final JsonNode expected = JsonFiles.read(Fixtures.path("export/packed.json")).path("combinations");

    @AfterEach
    void close() {
        fixtures.close();
    }

    /// The golden tensors `NAME.FORMAT.*` as those of a module, with scales as that format has them; empty where there are none.
    private Tensors golden(String name, String format, String scaleName, boolean transposed) {
        var tensors = new LinkedHashMap<String, HostTensor>();
        String prefix = name + "." + format + ".";
        fixtures.tensors().forEach((key, tensor) -> {
            if (key.startsWith(prefix)) tensors.put(MODULE + "." + key.substring(prefix.length()), tensor);
        });
        if (tensors.isEmpty()) return new Tensors(Path.of("golden"), Map.of());
        HostTensor scales = fixtures.tensors().get(name + ".scales");
        tensors.put(MODULE + "." + scaleName, transposed ? transposed(scales) : scales);
        return new Tensors(Path.of("golden"), tensors);
    }

    private static HostTensor transposed(HostTensor matrix) {
        int rows = (int) matrix.shape()[0], columns = (int) matrix.shape()[1];
        byte[] from = matrix.data().toArray(ValueLayout.JAVA_BYTE), to = new byte[from.length];
        for (int i = 0; i < rows * columns; i++) System.arraycopy(from, 2 * i, to, 2 * (i % columns * rows + i / columns), 2);
        return HostTensor.ofBytes(matrix.type(), new long[] {columns, rows}, to);
    }

    private void compareCodes(CodedWeight read, CodedWeight original) {
        assertThat(read.spec().bits()).isEqualTo(original.spec().bits());
        assertThat(read.spec().symmetric()).isEqualTo(original.spec().symmetric());
        assertThat(read.spec().groupSize()).isEqualTo(original.spec().groupSize());
        assertThat(read.codes()).isEqualTo(original.codes());
        assertThat(read.scales()).isEqualTo(original.scales());
        assertThat(read.zeros()).isEqualTo(original.zeros());
    }

    private static String hash(CodedWeight weight) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        float[] row = new float[weight.columns()];
        ByteBuffer bytes = ByteBuffer.allocate(4 * row.length).order(ByteOrder.LITTLE_ENDIAN);
        for (int r = 0; r < weight.rows(); r++) {
            weight.dequantise(r, row);
            bytes.clear().asFloatBuffer().put(row);
            digest.update(bytes.array());
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private void compareValues(String name, CodedWeight read) throws Exception {
        assertThat(hash(read)).as(name).isEqualTo(expected.path(name).path("sha256_dequantised_f32le").stringValue());
    }

    @Test
    void gptq() throws Exception {
        int read = 0;
        for (ExportFixtures.Case each : fixtures.cases()) {
            int rows = each.weight().rows(), columns = each.weight().columns();
            for (boolean version1 : new boolean[] {true, false}) {
                Tensors tensors = golden(each.name(), version1 ? "gptq_v1" : "gptq_v2", "scales", true);
                if (tensors.tensors().isEmpty()) continue;
                if (!tensors.has(MODULE + ".qweight")) {
                    // Symmetric codes are the same in both versions.
                    tensors.tensors().put(MODULE + ".qweight", fixtures.tensors().get(each.name() + ".gptq_v1.qweight"));
                }
                var reading = version1 ? GptqLayout.Reading.VERSION_1 : GptqLayout.Reading.VERSION_2;
                CodedWeight weight = new GptqLayout(tensors, reading, !each.isAsymmetric(), Layout.Label.NONE).read(MODULE, rows, columns);
                compareCodes(weight, each.weight());
                compareValues(each.name(), weight);
                for (GptqLayout.Reading label : GptqLayout.Reading.values()) {
                    if (!each.isAsymmetric()) compareCodes(new GptqLayout(tensors, label, true, Layout.Label.NONE).read(MODULE, rows, columns), each.weight());
                }
                read++;
            }
            Tensors wide = golden(each.name(), "gptq_4bit_container", "scales", true);
            if (wide.tensors().isEmpty()) continue;
            compareValues(each.name(), new GptqLayout(wide, GptqLayout.Reading.VERSION_1, true, Layout.Label.NONE).read(MODULE, rows, columns));
        }
        assertThat(read).isGreaterThanOrEqualTo(fixtures.cases().size());
    }

    @Test
    void compressedTensors() throws Exception {
        for (ExportFixtures.Case each : fixtures.cases()) {
            Tensors tensors = golden(each.name(), "ct", "weight_scale", false);
            CodedWeight weight = new CompressedTensorsLayout(tensors, Set.of(each.weight().spec().bits()), false, Layout.Label.NONE)
                    .read(MODULE, each.weight().rows(), each.weight().columns());
            compareCodes(weight, each.weight());
            compareValues(each.name(), weight);
        }
    }

    @Test
    void awq() throws Exception {
        int read = 0;
        for (ExportFixtures.Case each : fixtures.cases()) {
            for (String format : new String[] {"awq", "awq_in_4bit"}) {
                Tensors tensors = golden(each.name(), format, "scales", true);
                if (tensors.tensors().isEmpty()) continue;
                CodedWeight weight = new AwqLayout(tensors, Layout.Label.NONE).read(MODULE, each.weight().rows(), each.weight().columns());
                if (format.equals("awq")) compareCodes(weight, each.weight());
                compareValues(each.name(), weight);
                read++;
            }
        }
        assertThat(read).isPositive();
    }

    @Test
    void gguf() throws Exception {
        try (GgufFile file = GgufFile.open(Fixtures.path("export/tensors.gguf"))) {
            int read = 0;
            for (ExportFixtures.Case each : fixtures.cases()) {
                for (String type : new String[] {"q4_0", "q2_0"}) {
                    var tensor = file.tensors().get(each.name() + "." + type);
                    if (tensor == null) continue;
                    compareValues(each.name(), GgufWeights.coded(file.path(), ExportFixtures.WEIGHT, tensor, row -> row));
                    read++;
                }
            }
            assertThat(read).isPositive();
        }
    }

    /// Codes as compressed-tensors 0.17 packed them, by hand: whole codes in each word.
    @Test
    void alignedWords() {
        CodedWeight original = fixtures.weight("w3.asym", true);
        Tensors tensors = golden("w3.asym", "ct", "weight_scale", false);
        int rows = original.rows(), columns = original.columns(), groups = 2, words = (columns + 9) / 10, zeroWords = (rows + 9) / 10;
        int[] packed = new int[rows * words], zeros = new int[zeroWords * groups];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) packed[row * words + column / 10] |= original.code(row, column) << 3 * (column % 10);
            for (int group = 0; group < groups; group++) zeros[row / 10 * groups + group] |= original.zero(row, group) << 3 * (row % 10);
        }
        tensors.tensors().put(MODULE + ".weight_packed", HostTensor.ofInts(new long[] {rows, words}, packed));
        tensors.tensors().put(MODULE + ".weight_zero_point", HostTensor.ofInts(new long[] {zeroWords, groups}, zeros));
        compareCodes(new CompressedTensorsLayout(tensors, Set.of(3), true, Layout.Label.NONE).read(MODULE, rows, columns), original);
    }

    /// Zero points as GPTQModel stores them in version 1: the words of version 2 less its constants, whatever borrows from what.
    @Test
    void constantsOfGptqModel() {
        int[][] constants = {{}, {}, {0x55555555}, {0x24924924, 0x92492492, 0x49249249}, {0x11111111}};
        for (ExportFixtures.Case each : fixtures.cases()) {
            Tensors tensors = golden(each.name(), "gptq_v2", "scales", true);
            int bits = each.weight().spec().bits();
            HostTensor words = tensors.find(MODULE + ".qzeros");
            int[] less = words.toInts();
            int wordsOfGroup = (int) words.shape()[1];
            for (int i = 0; i < less.length; i++) less[i] -= constants[bits][i % wordsOfGroup % constants[bits].length];
            tensors.tensors().put(MODULE + ".qzeros", HostTensor.ofInts(words.shape(), less));
            tensors.tensors().putIfAbsent(MODULE + ".qweight", fixtures.tensors().get(each.name() + ".gptq_v1.qweight"));
            CodedWeight read = new GptqLayout(tensors, GptqLayout.Reading.GPTQMODEL_1, !each.isAsymmetric(), Layout.Label.NONE)
                    .read(MODULE, each.weight().rows(), each.weight().columns());
            compareCodes(read, each.weight());
        }
    }

    /// Activation order, by hand: a permutation of columns with groups of 128 in the permuted order.
    @Test
    void activationOrder() {
        CodedWeight original = fixtures.weight("w4.asym", true);
        Tensors tensors = golden("w4.asym", "gptq_v2", "scales", true);
        int columns = original.columns();
        int[] order = new int[columns];
        for (int column = 0; column < columns; column++) order[column] = column * 7 % columns / 128;
        tensors.tensors().put(MODULE + ".g_idx", HostTensor.ofInts(new long[] {columns}, order));
        CodedWeight read = new GptqLayout(tensors, GptqLayout.Reading.VERSION_2, false, Layout.Label.NONE).read(MODULE, original.rows(), columns);
        float[] values = new float[columns];
        for (int row = 0; row < original.rows(); row++) {
            read.dequantise(row, values);
            for (int column = 0; column < columns; column++) {
                assertThat(values[column]).isEqualTo(original.scale(row, order[column]) * (original.code(row, column) - original.zero(row, order[column])));
            }
        }
    }

    /// A negative scale turns the codes over, a scale of 0 makes zeros; every value stays.
    @Test
    void scalesOfAnySign() {
        CodedWeight original = fixtures.weight("w3.sym", false);
        Tensors tensors = golden("w3.sym", "gptq_v1", "scales", true);
        float[] scales = fixtures.tensors().get("w3.sym.scales").toFloats();
        int rows = original.rows();
        float[] changed = new float[scales.length];
        for (int i = 0; i < scales.length; i++) changed[i % 2 * rows + i / 2] = i % 3 == 0 ? -scales[i] : i % 5 == 0 ? 0 : scales[i];
        tensors.tensors().put(MODULE + ".scales", HostTensor.ofFloats(new long[] {2, rows}, changed));
        CodedWeight read = new GptqLayout(tensors, GptqLayout.Reading.VERSION_1, true, Layout.Label.NONE).read(MODULE, rows, original.columns());
        float[] values = new float[original.columns()];
        for (int row = 0; row < rows; row++) {
            read.dequantise(row, values);
            for (int column = 0; column < values.length; column++) {
                float scale = changed[column / 128 * rows + row];
                assertThat(values[column]).isEqualTo(scale * original.code(row, column) + 0f);
                assertThat(read.scale(row, column / 128)).isPositive();
            }
        }
    }
}
