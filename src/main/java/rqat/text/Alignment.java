package rqat.text;

import java.text.Normalizer;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A text, its Unicode normalisation (NFC), and the way back from characters of the second to those of the first.
///
/// The original is cut before every character that never joins the one before it; where normalisation changes a cut, each
/// character of its result counts as coming from the whole cut.
final class Alignment {

    /// Characters that Unicode made combining or composable after version 9. The reference's tables are of that version, and the ids that
    /// models were trained on depend on it, so these take no part in normalisation. Neither do absurd runs of marks, which would cost the
    /// platform's normaliser quadratic time.
    private static final Pattern EXEMPT = Pattern.compile("""
            [\\u07FD\\u0897-\\u089F\\u08CA-\\u08D3\\u09FE\\u0C3C\\u0D3B\\u0D3C\\u0EBA\\u1715\\u1ABF-\\u1ACE\\u1DF6-\\u1DFA\\uA82C\\
            \\x{10D24}-\\x{10D27}\\x{10D69}-\\x{10D6D}\\x{10EAB}\\x{10EAC}\\x{10EFD}-\\x{10EFF}\\x{10F46}-\\x{10F50}\\
            \\x{10F82}-\\x{10F85}\\x{105D2}\\x{105DA}\\x{11070}\\x{1133B}\\x{11382}\\x{11384}\\x{1138B}\\x{11390}\\x{113B8}\\x{113BB}\\
            \\x{113C2}\\x{113C9}\\x{113CE}-\\x{113D0}\\x{1145E}\\x{11839}\\x{1183A}\\x{11930}\\x{11935}\\x{1193D}\\x{1193E}\\x{11943}\\
            \\x{119E0}\\x{11A34}\\x{11A47}\\x{11A99}\\x{11D42}\\x{11D44}\\x{11D45}\\x{11D97}\\x{11F41}\\x{11F42}\\x{1611E}-\\x{16120}\\
            \\x{16129}\\x{1612F}\\x{16D63}\\x{16D67}\\x{16FF0}\\x{16FF1}\\x{1E08F}\\x{1E130}-\\x{1E136}\\x{1E2AE}\\x{1E2EC}-\\x{1E2EF}\\
            \\x{1E4EC}-\\x{1E4EF}\\x{1E5EE}\\x{1E5EF}]|\\p{M}{1000,}+""");

    /// The normalised text.
    final String text;

    private final String original;
    private final int offset;
    private final boolean changed;
    /// For each index of the normalised text, the original range of its cut; empty until asked for, and when nothing changed.
    private int[] starts = {};

    private int[] ends = {};

    /// Aligns `original`, which begins at index `offset` of the input, with its form NFC, or without `compose` with itself.
    Alignment(String original, boolean compose, int offset) {
        this.text = compose ? normalize(original) : original;
        this.original = original;
        this.offset = offset;
        this.changed = !text.equals(original);
    }

    /// The index in the input of the first character that the normalised text's character at `index` came from.
    int start(int index) {
        align();
        return offset + (changed ? starts[index] : index);
    }

    /// The index in the input after the last character that the normalised text before `index` came from.
    int end(int index) {
        align();
        return offset + (changed ? ends[index - 1] : index);
    }

    private void align() {
        if (!changed || starts.length > 0) {
            return;
        }
        starts = new int[text.length()];
        ends = new int[text.length()];
        int written = 0;
        int start = 0;
        while (start < original.length()) {
            int end = start + Character.charCount(original.codePointAt(start));
            while (end < original.length() && mayJoin(original.codePointAt(end))) {
                end += Character.charCount(original.codePointAt(end));
            }
            String cut = original.substring(start, end);
            String normalized = normalize(cut);
            if (!text.startsWith(normalized, written)) {
                break;
            }
            boolean same = normalized.equals(cut);
            for (int i = 0; i < normalized.length(); i++) {
                starts[written + i] = same ? start + i : start;
                ends[written + i] = same ? start + i + 1 : end;
            }
            written += normalized.length();
            start = end;
        }
        // Only reached early when characters joined across a cut (a few recent scripts): what is left counts as one cut.
        Arrays.fill(starts, written, text.length(), start);
        Arrays.fill(ends, written, text.length(), original.length());
    }

    private static String normalize(String text) {
        if (Normalizer.isNormalized(text, Normalizer.Form.NFC)) {
            return text;
        }
        StringBuilder normalized = new StringBuilder();
        Matcher exempt = EXEMPT.matcher(text);
        int done = 0;
        while (exempt.find()) {
            normalized.append(Normalizer.normalize(text.substring(done, exempt.start()), Normalizer.Form.NFC));
            normalized.append(exempt.group());
            done = exempt.end();
        }
        return normalized.append(Normalizer.normalize(text.substring(done), Normalizer.Form.NFC)).toString();
    }

    /// Whether normalisation may fuse or reorder this character with the one before it: marks, Hangul vowels and finals, half-width
    /// voicing marks.
    private static boolean mayJoin(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.NON_SPACING_MARK, Character.ENCLOSING_MARK, Character.COMBINING_SPACING_MARK -> true;
            default -> codePoint >= 0x1160 && codePoint <= 0x11FF || codePoint == 0xFF9E || codePoint == 0xFF9F;
        };
    }
}
