package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The elementary functions beside known digits and beside each other.
class ComplexDecimalTest {
    private static final String E = "2.71828182845904523536028747135266249775724709369995957496696762772407663";

    @Test
    void knownValues() {
        assertClose(real("1").exponential(), E);
        assertClose(real("2").squareRoot(), "1.41421356237309504880168872420969807856967187537694807317667973799073247846");
        assertClose(real("2").logarithm(), "0.69314718055994530941723212145817656807550013436025525412068000949339362197");
        assertClose(real("1").inverseTangent().times(real("4")), ComplexDecimal.PI.toString());
        assertClose(real("1").sine(), "0.84147098480789650665250232163029899962256306079837106567275170999191040439");
        assertClose(real("1").cosine(), "0.54030230586813971740093660744297660373231042061792222767009725538110039477");
        assertClose(ComplexDecimal.of(ComplexDecimal.PI).times(ComplexDecimal.I).exponential(), "-1");
        assertThat(ComplexDecimal.of(ComplexDecimal.PI).sine().isZero()).isTrue();
        assertThat(real("16").squareRoot().re()).isEqualByComparingTo("4");
        assertThat(real("0.0625").squareRoot().re()).isEqualByComparingTo("0.25");
        assertThat(real("0").squareRoot().isZero()).isTrue();
    }

    @Test
    void inversesAndIdentities() {
        var random = new Random(5);
        for (int i = 0; i < 200; i++) {
            BigDecimal size = new BigDecimal(random.nextInt(1_000_000_000) + 1).scaleByPowerOfTen(random.nextInt(40) - 29);
            ComplexDecimal x = ComplexDecimal.of(size);
            assertClose(x.logarithm().exponential(), size.toString());
            assertClose(x.squareRoot().times(x.squareRoot()), size.toString());
            assertClose(x.sine().times(x.sine()).plus(x.cosine().times(x.cosine())), "1");
            ComplexDecimal angle = x.inverseTangent();
            // the tangent of an angle close to a right one loses the digits of its argument
            if (size.compareTo(BigDecimal.TEN) < 0) assertClose(angle.sine().dividedBy(angle.cosine()), size.toString());
            assertClose(angle.negate().sine().plus(angle.sine()).plus(x), size.toString());
            var z = new ComplexDecimal(BigDecimal.valueOf(random.nextInt(2000) - 1000, 3), BigDecimal.valueOf(random.nextInt(2000) - 999, 3));
            ComplexDecimal same = z.logarithm().exponential();
            assertThat(same.minus(z).modulus()).isLessThan(new BigDecimal("1e-55"));
        }
        assertClose(real("-700").exponential().times(real("700").exponential()), "1");
        assertClose(real("100000").exponential().logarithm(), "100000");
    }

    private static ComplexDecimal real(String value) {
        return ComplexDecimal.of(new BigDecimal(value));
    }

    /// Equal to 55 significant digits; more than two answers are compared by.
    private static void assertClose(ComplexDecimal value, String expected) {
        BigDecimal wanted = new BigDecimal(expected);
        BigDecimal error = value.re().subtract(wanted).abs().add(value.im().abs());
        assertThat(error.divide(wanted.abs(), new MathContext(5))).as("%s beside %s", value, expected).isLessThan(new BigDecimal("1e-55"));
    }
}
