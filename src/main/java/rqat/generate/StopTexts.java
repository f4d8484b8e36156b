package rqat.generate;

import java.util.List;

/// Looks for stop texts in a text that comes in pieces, and passes on what surely stands before the first of them: a tail that may be
/// the beginning of a stop text is held back until more is known.
///
/// The text ends where the whole text that is known would first contain a stop text; of several that one more piece completes, at the one that
/// begins first.
final class StopTexts {
    private final List<String> texts;
    private final int longest;
    private final StringBuilder held = new StringBuilder();
    private boolean found;

    /// @param texts none of them empty
    StopTexts(List<String> texts) {
        this.texts = texts;
        this.longest = texts.stream().mapToInt(String::length).max().orElse(0);
    }

    /// What of the text is certain with this piece.
    String push(String piece) {
        if (found) return "";
        held.append(piece);
        int end = held.length();
        for (String text : texts) {
            int place = held.indexOf(text);
            if (place < 0 || place >= end) continue;
            end = place;
            found = true;
        }
        return pass(found ? end : end - possible());
    }

    /// Whether a stop text was there; nothing comes after that.
    boolean found() {
        return found;
    }

    /// What was held back, when no more pieces come.
    String rest() {
        return found ? "" : pass(held.length());
    }

    private String pass(int length) {
        String passed = held.substring(0, length);
        held.delete(0, length);
        return passed;
    }

    /// Length of the longest tail that a stop text begins with.
    private int possible() {
        for (int length = Math.min(longest - 1, held.length()); length > 0; length--) {
            String tail = held.substring(held.length() - length);
            for (String text : texts) {
                if (text.startsWith(tail)) return length;
            }
        }
        return 0;
    }
}
