package rqat.export;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.TensorSource;

/// Against the bytes that AutoGPTQ, compressed-tensors, AutoAWQ and the readers of llama.cpp agree on.
class ContainerFixtureTest {
    private static final String MODULE = SafetensorsContainer.module(ExportFixtures.WEIGHT) + ".";

    private final ExportFixtures fixtures = new ExportFixtures();

    @AfterEach
    void close() {
        fixtures.close();
    }

    private static Map<String, HostTensor> made(SafetensorsContainer container, CodedWeight weight) {
        SequencedMap<String, TensorSource> tensors = container.tensors(container.fit(weight, () -> weight), DataType.F16);
        var made = new LinkedHashMap<String, HostTensor>();
        tensors.forEach((name, source) -> source.lend(tensor -> made.put(
                name.substring(MODULE.length()), HostTensor.ofBytes(tensor.type(), tensor.shape(), tensor.data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE)))));
        return made;
    }

    /// Compares what was made with all golden tensors of that name.
    ///
    /// @return how many there are
    private int compare(String prefix, Map<String, HostTensor> made) {
        int compared = 0;
        for (Map.Entry<String, HostTensor> golden : fixtures.tensors().entrySet()) {
            if (!golden.getKey().startsWith(prefix + ".")) continue;
            assertThat(made.get(golden.getKey().substring(prefix.length() + 1)).equals(golden.getValue())).as(golden.getKey()).isTrue();
            compared++;
        }
        return compared;
    }

    private static float[] transposed(HostTensor matrix) {
        float[] values = matrix.toFloats(), transposed = new float[values.length];
        int rows = (int) matrix.shape()[0], columns = (int) matrix.shape()[1];
        for (int i = 0; i < values.length; i++) transposed[i % columns * rows + i / columns] = values[i];
        return transposed;
    }

    private void compareTransposedScales(String name, HostTensor made) {
        assertThat(made.type()).isEqualTo(DataType.F16);
        assertThat(transposed(made)).as(name).isEqualTo(fixtures.tensors().get(name + ".scales").toFloats());
    }

    @Test
    void gptq() {
        int compared = 0;
        for (ExportFixtures.Case each : fixtures.cases()) {
            if (!each.isAsymmetric()) {
                Map<String, HostTensor> made = made(new GptqContainer(0), each.weight());
                compared += compare(each.name() + ".gptq_v1", made);
                compareTransposedScales(each.name(), made.get("scales"));
            }
            compared += compare(each.name() + ".gptq_v2", made(new GptqContainer(0), fixtures.weight(each.name(), true)));
        }
        assertThat(compared).isGreaterThanOrEqualTo(fixtures.cases().size() * 2);
    }

    @Test
    void gptqInFourBits() {
        int compared = 0;
        for (ExportFixtures.Case each : fixtures.cases()) {
            if (each.weight().spec().bits() < 4) compared += compare(each.name() + ".gptq_4bit_container", made(new GptqContainer(4), each.weight()));
        }
        assertThat(compared).isPositive();
    }

    @Test
    void compressedTensors() {
        for (ExportFixtures.Case each : fixtures.cases()) {
            Map<String, HostTensor> made = made(new CompressedTensorsContainer(0), each.weight());
            assertThat(compare(each.name() + ".ct", made)).isEqualTo(each.isAsymmetric() ? 3 : 2);
            assertThat(made.get("weight_scale")).isEqualTo(fixtures.tensors().get(each.name() + ".scales"));
            assertThat(made).hasSize(each.isAsymmetric() ? 4 : 3);
        }
    }

    @Test
    void awq() {
        int compared = 0;
        for (ExportFixtures.Case each : fixtures.cases()) {
            Map<String, HostTensor> made = made(new AwqContainer(), each.weight());
            compared += compare(each.name() + ".awq", made) + compare(each.name() + ".awq_in_4bit", made);
            compareTransposedScales(each.name(), made.get("scales"));
        }
        assertThat(compared).isPositive();
    }

    private static byte[] blocks(GgufContainer.Fit fit) {
        int rows = fit.weight().rows();
        byte[] all = new byte[rows * fit.rowBytes()], row = new byte[fit.rowBytes()];
        int[] codes = new int[fit.weight().columns()];
        Recoded.Codes open = fit.weight().open();
        for (int r = 0; r < rows; r++) {
            fit.blocks(open, r, codes, row);
            System.arraycopy(row, 0, all, r * row.length, row.length);
        }
        return all;
    }

    @Test
    void gguf() {
        int compared = 0;
        for (ExportFixtures.Case each : fixtures.cases()) {
            for (Map.Entry<String, Integer> type : Map.of("q4_0", 4, "q4_1", 0, "q2_0", 2).entrySet()) {
                HostTensor golden = fixtures.tensors().get(each.name() + ".gguf_" + type.getKey());
                if (golden == null) continue;
                GgufContainer.Fit fit = new GgufContainer(type.getValue()).fit(each.weight(), each::weight);
                assertThat(fit.type().name()).isEqualToIgnoringCase(type.getKey());
                assertThat(blocks(fit)).as(each.name() + " " + type).isEqualTo(golden.data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
                compared++;
            }
        }
        assertThat(compared).isPositive();
    }
}
