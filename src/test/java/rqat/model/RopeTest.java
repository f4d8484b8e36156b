package rqat.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.io.JsonFiles;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Rotary frequencies against their closed forms in float64, and which of the places of a `config.json` they come from.
class RopeTest {
    private static final int WIDTH = 128;
    private static final String DEEPSEEK = "\"rope_type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 32768";

    /// The keys of an object, `'` for `"`.
    private static Rope rope(String json) {
        String text = "{" + json.replace('\'', '"') + "}";
        return RopeReader.read(new ConfigKeys(Path.of("config.json"), JsonFiles.parse(text.getBytes(), "config.json", 1)));
    }

    private static Rope yarn(String more) {
        return rope("'max_position_embeddings': 131072, 'rope_theta': 1000000, 'rope_scaling': {" + DEEPSEEK + more + "}");
    }

    /// YaRN as its paper has it: with r(i) the turns of frequency i within the original context, the share that is divided by the factor is a ramp in i between the two
    /// indices at which r is the fast and the slow bound.
    private static double[] closedForm(double theta, double factor, double fast, double slow, double original, boolean truncate) {
        // r(i) = original theta^(-2i/D) / 2 pi, solved for i.
        double first = WIDTH / 2.0 * Math.log(original / (2 * Math.PI * fast)) / Math.log(theta);
        double last = WIDTH / 2.0 * Math.log(original / (2 * Math.PI * slow)) / Math.log(theta);
        if (truncate) {
            first = Math.floor(first);
            last = Math.ceil(last);
        }
        first = Math.max(0, first);
        last = Math.min(WIDTH - 1, last);
        double[] frequencies = new double[WIDTH / 2];
        for (int i = 0; i < frequencies.length; i++) {
            double plain = Math.pow(theta, -2.0 * i / WIDTH), divided = Math.min(1, Math.max(0, (i - first) / (last - first)));
            frequencies[i] = plain * (1 - divided) + plain / factor * divided;
        }
        return frequencies;
    }

    private static void assertFrequencies(Rope rope, double[] expected) {
        float[] found = rope.inverseFrequencies(WIDTH);
        for (int i = 0; i < found.length; i++) assertThat(found[i] / expected[i]).as("frequency %d", i).isCloseTo(1, within(2e-6));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "\"\"                                           | 4 | 32  | 1 | 32768  | true",
        ", 'beta_fast': 64, 'beta_slow': 2              | 4 | 64  | 2 | 32768  | true",
        ", 'beta_fast': null, 'beta_slow': 0            | 4 | 32  | 1 | 32768  | true",
        ", 'truncate': false                            | 4 | 32  | 1 | 32768  | false",
        ", 'truncate': false, 'beta_slow': 0.5          | 4 | 32  | 0.5 | 32768 | false",
    })
    void yarnBlendsFrequencies(String more, double factor, double fast, double slow, double original, boolean truncate) {
        assertFrequencies(yarn(more), closedForm(1e6, factor, fast, slow, original, truncate));
    }

    @Test
    void yarnTakesLengthsWhereTransformersDoes() {
        double[] expected = closedForm(1e4, 4, 32, 1, 1024, true);
        // The original length of the top level, of the object, and the whole length where neither has one.
        assertFrequencies(rope("'max_position_embeddings': 4096, 'original_max_position_embeddings': 1024, 'rope_scaling': {'type': 'yarn', 'factor': 4, 'original_max_position_embeddings': 77}"), expected);
        assertFrequencies(rope("'max_position_embeddings': 4096, 'rope_scaling': {'type': 'yarn', 'factor': 4, 'original_max_position_embeddings': 1024}"), expected);
        assertFrequencies(rope("'max_position_embeddings': 1024, 'rope_scaling': {'type': 'yarn', 'factor': 4}"), expected);
        // A factor that the lengths give.
        Rope rope = rope("'max_position_embeddings': 4096, 'rope_scaling': {'type': 'yarn', 'factor': null, 'original_max_position_embeddings': 1024}");
        assertFrequencies(rope, expected);
        assertThat(rope.attentionFactor()).isEqualTo(0.1 * Math.log(4) + 1);
        assertThatThrownBy(() -> rope("'max_position_embeddings': 4096, 'rope_scaling': {'type': 'yarn'}"))
                .isInstanceOf(Failure.class).hasMessageContaining("`factor` is missing");
    }

    @Test
    void yarnHasAnAttentionFactor() {
        assertThat(yarn("").attentionFactor()).isCloseTo(1.138629436111989, within(1e-15));
        assertThat(yarn(", 'attention_factor': 0.75").attentionFactor()).isEqualTo(0.75);
        assertThat(yarn(", 'attention_factor': null").attentionFactor()).isCloseTo(1.138629436111989, within(1e-15));
        // DeepSeek-V3 has mscale and mscale_all_dim of 1, which cancel; with one of them alone, or 0, neither counts.
        assertThat(yarn(", 'mscale': 1.0, 'mscale_all_dim': 1.0").attentionFactor()).isEqualTo(1);
        assertThat(yarn(", 'mscale': 0.707, 'mscale_all_dim': 0.5").attentionFactor())
                .isCloseTo((0.0707 * Math.log(4) + 1) / (0.05 * Math.log(4) + 1), within(1e-15));
        assertThat(yarn(", 'mscale': 0.707").attentionFactor()).isEqualTo(yarn("").attentionFactor());
        assertThat(yarn(", 'mscale': 0.707, 'mscale_all_dim': 0").attentionFactor()).isEqualTo(yarn("").attentionFactor());
        // DeepSeek-R1-0528-Qwen3-8B has this key, which transformers does not read.
        assertThat(yarn(", 'attn_factor': 0.8782488562869419")).isEqualTo(yarn(""));
        assertThat(rope("'max_position_embeddings': 1024, 'rope_scaling': {'type': 'yarn', 'factor': 0.5}").attentionFactor()).isEqualTo(1);
    }

    /// The angle of a position and the factor, in float64, against what the decoder multiplies with.
    @Test
    void rotationsHaveTheFactor() {
        Rope rope = yarn("");
        double[] frequencies = closedForm(1e6, 4, 32, 1, 32768, true);
        Scope.run(() -> {
            Tensor positions = Cpu.range(0, 50).unsqueeze(0);
            Rotation rotation = Rotation.of(positions, Cpu.of(rope.inverseFrequencies(WIDTH), WIDTH / 2), rope.attentionFactor(), ScalarType.Float);
            float[] cosines = Tensors.floats(rotation.cosine()), sines = Tensors.floats(rotation.sine());
            for (int position = 0; position < 50; position++) {
                for (int i = 0; i < WIDTH; i++) {
                    double angle = position * frequencies[i % (WIDTH / 2)], sign = i < WIDTH / 2 ? -1 : 1;
                    assertThat(cosines[position * WIDTH + i]).isCloseTo((float) (1.138629436111989 * Math.cos(angle)), within(1e-5f));
                    assertThat(sines[position * WIDTH + i]).isCloseTo((float) (sign * 1.138629436111989 * Math.sin(angle)), within(1e-5f));
                }
            }
        });
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "\"\"                                                               | 10000",
        "'rope_theta': null                                                 | 10000",
        "'rope_theta': 500000                                               | 500000",
        "'rope_parameters': {'rope_theta': 500000}                          | 500000",
        "'rope_parameters': {'rope_theta': 500000}, 'rope_theta': 7         | 500000",
        "'rope_parameters': {'rope_type': 'default'}, 'rope_theta': 500000  | 500000",
        "'rope_parameters': {}, 'rope_scaling': {}, 'rope_theta': 500000    | 500000",
        "'rope_parameters': null, 'rope_scaling': {'rope_theta': 500000, 'type': 'default'} | 500000",
        "'rope_parameters': {'full_attention': {'rope_type': 'default', 'rope_theta': 500000}} | 500000",
        "'rope_scaling': {'type': 'dynamic', 'factor': 4}                   | 10000",
    })
    void findsTheBase(String json, double theta) {
        assertThat(rope(json)).isEqualTo(new Rope(theta, new Rope.None()));
    }

    @Test
    void takesRopeScalingWhereNothingIsLost() {
        Rope expected = yarn("");
        String scaling = "'max_position_embeddings': 131072, 'rope_scaling': {" + DEEPSEEK;
        assertThat(rope(scaling + "}, 'rope_theta': 1000000, 'rope_parameters': {'rope_type': 'default', 'rope_theta': 1000000}")).isEqualTo(expected);
        assertThat(rope(scaling + ", 'rope_theta': 1000000}, 'rope_parameters': {'rope_theta': 1000000}")).isEqualTo(expected);
        assertThat(rope(scaling + "}, 'rope_theta': 1000000, 'rope_parameters': {" + DEEPSEEK + "}")).isEqualTo(expected);
        // transformers would forget the base, or the scaling.
        for (String other : new String[] {"'rope_theta': 1000000, 'rope_type': 'default'", "'rope_theta': 10000, 'rope_type': 'linear', 'factor': 4"}) {
            assertThatThrownBy(() -> rope(scaling + "}, 'rope_parameters': {" + other + "}"))
                    .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(3))
                    .hasMessageContaining("rope_parameters (`").hasMessageContaining("and rope_scaling (`yarn`, base 10000.0) contradict each other").hasMessageContaining("remove");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"longrope", "su", "proportional", "mrope", "\\u001b[2J"})
    void namesWhatItDoesNotCompute(String type) {
        assertThatThrownBy(() -> rope("'rope_scaling': {'rope_type': '%s', 'factor': 2}".formatted(type)))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(3))
                .hasMessageContaining("rotary scaling `" + type).hasMessageContaining("supported are default, linear, llama3, yarn, dynamic");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "'rope_scaling': 'yarn'                                          | `rope_scaling` is `\"yarn\"`; expected an object",
        "'rope_parameters': [4]                                          | `rope_parameters` is `[4]`; expected an object",
        "'partial_rotary_factor': 0.5                                    | partial_rotary_factor is `0.5`",
        "'rope_parameters': {'rope_theta': 1e4, 'partial_rotary_factor': 0.25} | partial_rotary_factor is `0.25`",
        "'rope_theta': 1e999                                             | `rope_theta` is",
        "'rope_theta': '10000'                                           | `rope_theta` is `\"10000\"`; expected a positive number",
        "'rope_scaling': {'type': 7}                                     | `type` is `7`; expected a string",
        "'rope_scaling': {'type': 'yarn', 'factor': 4, 'truncate': 1, 'original_max_position_embeddings': 9} | `truncate` is `1`",
        "'rope_scaling': {'type': 'yarn', 'factor': 4, 'attention_factor': -1, 'original_max_position_embeddings': 9} | `attention_factor` is `-1`",
        "'rope_scaling': {'type': 'llama3', 'factor': 4, 'low_freq_factor': 4, 'high_freq_factor': 4, 'original_max_position_embeddings': 9} | low_freq_factor is 4",
    })
    void saysWhatIsWrong(String json, String message) {
        assertThatThrownBy(() -> rope(json))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(3)).hasMessageContaining(message.replace('\'', '"'));
    }
}
