package rqat;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class FailureTest {

    @Test
    void quotedTextCanNeitherRepaintNorFloodATerminal() {
        assertThat(Failure.quote("model.weight")).isEqualTo("`model.weight`");
        assertThat(Failure.quote("größe 数")).isEqualTo("`größe 数`");
        assertThat(Failure.quote("a\u001b[2J\nb\u202e\u2028")).isEqualTo("`a\\u001b[2J\\u000ab\\u202e\\u2028`");
        assertThat(Failure.quote("x".repeat(1_000_000))).isEqualTo("`" + "x".repeat(120) + "...`");
        assertThat(Failure.quote("")).isEqualTo("``");
    }

    @Test
    void exitCodesAreTheDocumentedOnes() {
        assertThat(Failure.failed("x").exitCode()).isEqualTo(1);
        assertThat(Failure.usage("x").exitCode()).isEqualTo(2);
        assertThat(Failure.badFile("x").exitCode()).isEqualTo(3);
        assertThat(Failure.gate("x").exitCode()).isEqualTo(4);
        assertThat(Failure.interrupted("x").exitCode()).isEqualTo(5);
    }
}
