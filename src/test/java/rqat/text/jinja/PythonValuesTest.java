package rqat.text.jinja;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import rqat.Property;

class PythonValuesTest {

    /// Python's `repr` of floats, against its definition: the shortest decimal that reads back.
    @Test
    void printsNumbersThatReadBack() {
        Property.forAll(2_000, random -> {
            double value = Double.longBitsToDouble(random.nextLong());
            if (Double.isFinite(value)) {
                String printed = PythonValues.number(value);
                assertThat(Double.parseDouble(printed)).isEqualTo(value);
                assertThat(printed).matches("-?([0-9]+\\.[0-9]+|[0-9](\\.[0-9]+)?e[+-][0-9]{2,3})");
                assertThat(printed.contains("e")).isEqualTo(value != 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e16));
            }
        });
        assertThat(Stream.of(1e16, 1e15, 1.0, 0.1, 1e-4, 1e-5, 1.5e300, -2.5, 123456789.123).map(PythonValues::number))
                .containsExactly("1e+16", "1000000000000000.0", "1.0", "0.1", "0.0001", "1e-05", "1.5e+300", "-2.5", "123456789.123");
    }
}
