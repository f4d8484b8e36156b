package rqat.generate;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import rqat.Property;

class StopTextsTest {

    @Test
    void holdsBackOnlyWhatMayBecomeAStopText() {
        var stops = new StopTexts(List.of("END", "NO"));
        assertThat(stops.push("the E")).isEqualTo("the ");
        assertThat(stops.push("N")).isEmpty();
        assertThat(stops.push("T")).isEqualTo("ENT");
        assertThat(stops.push("E")).isEmpty();
        assertThat(stops.push("EN")).isEqualTo("E");
        // "EN" may become END, its "N" may become NO.
        assertThat(stops.push("O!")).isEqualTo("E");
        assertThat(stops.found()).isTrue();
        assertThat(stops.push("more")).isEmpty();
        assertThat(stops.rest()).isEmpty();
    }

    @Test
    void theRestComesWhenNothingFollows() {
        var stops = new StopTexts(List.of("END"));
        assertThat(stops.push("xEN")).isEqualTo("x");
        assertThat(stops.rest()).isEqualTo("EN");
        assertThat(stops.found()).isFalse();
    }

    /// Random texts over two letters in random pieces against a search of the whole text after every piece.
    @Test
    void agreesWithSearchingTheWholeTextAfterEveryPiece() {
        Property.forAll(2000, random -> {
            var texts = new ArrayList<String>();
            for (int i = random.nextInt(4); i > 0; i--) texts.add(letters(random, 1 + random.nextInt(5)));
            var stops = new StopTexts(texts);
            String whole = "", passed = "", expected = null;
            for (int pieces = random.nextInt(12); pieces > 0 && expected == null; pieces--) {
                String piece = letters(random, random.nextInt(4));
                whole += piece;
                passed += stops.push(piece);
                String so = whole;
                int cut = texts.stream().mapToInt(so::indexOf).filter(place -> place >= 0).min().orElse(-1);
                if (cut >= 0) expected = whole.substring(0, cut);
                assertThat(stops.found()).isEqualTo(cut >= 0);
                // Nothing is told too early, and nothing is kept that no stop text begins with.
                assertThat(whole).startsWith(passed);
                String kept = whole.substring(passed.length());
                if (cut < 0) assertThat(kept.isEmpty() || texts.stream().anyMatch(text -> text.startsWith(kept))).isTrue();
            }
            passed += stops.rest();
            assertThat(passed).isEqualTo(expected == null ? whole : expected);
        });
    }

    private static String letters(rqat.run.RandomStream random, int length) {
        var text = new StringBuilder();
        for (int i = 0; i < length; i++) text.append((char) ('a' + random.nextInt(2)));
        return text.toString();
    }
}
