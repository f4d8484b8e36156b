package rqat.text;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// Tokens that are cut out of the text before anything else looks at it (`<|im_start|>`, `<think>`): the leftmost match wins, and among
/// those the longest.
final class AddedTokens {

    /// One entry of `added_tokens`: `leftStrip` and `rightStrip` swallow the white space beside a match, and `singleWord` allows no word
    /// character there.
    record AddedToken(int id, String content, boolean singleWord, boolean leftStrip, boolean rightStrip) {}

    /// A stretch of the text from `start` to `end`, either the token `id` or, with `id` -1, ordinary text.
    record Section(int start, int end, int id) {}

    /// Longest first.
    private final Map<Character, List<AddedToken>> byFirstCharacter = new HashMap<>();

    AddedTokens(List<AddedToken> tokens) {
        tokens.stream()
                .sorted(Comparator.comparingInt((AddedToken token) -> -token.content.length()))
                .forEach(token -> byFirstCharacter
                        .computeIfAbsent(token.content.charAt(0), _ -> new ArrayList<>())
                        .add(token));
    }

    /// The sections of `text`, in order; ordinary text is never empty.
    ///
    /// A token made of white space may be found inside what the one before it has swallowed. As in the reference, both stand in the result, and text goes on after the
    /// second: sections may overlap. (Where the second wants white space on its left, too, the reference aborts; here it covers nothing.)
    List<Section> sections(String text) {
        List<Section> sections = new ArrayList<>();
        int done = 0;
        int position = 0;
        while (position < text.length()) {
            AddedToken token = match(text, position);
            if (token == null) {
                position++;
                continue;
            }
            int start = position;
            int end = start + token.content.length();
            position = end;
            if (token.singleWord
                    && (start > 0 && isWord(text.codePointBefore(start))
                            || end < text.length() && isWord(text.codePointAt(end)))) {
                continue;
            }
            if (token.leftStrip) {
                while (start > 0 && isSpace(text.charAt(start - 1))) {
                    start--;
                }
                start = Math.max(start, done);
            }
            while (token.rightStrip && end < text.length() && isSpace(text.charAt(end))) {
                end++;
            }
            if (done < start) {
                sections.add(new Section(done, start, -1));
            }
            sections.add(new Section(Math.min(start, end), end, token.id));
            done = end;
        }
        if (done < text.length()) {
            sections.add(new Section(done, text.length(), -1));
        }
        return sections;
    }

    private @org.jspecify.annotations.Nullable AddedToken match(String text, int position) {
        for (AddedToken token : byFirstCharacter.getOrDefault(text.charAt(position), List.of())) {
            if (text.startsWith(token.content, position)) {
                return token;
            }
        }
        return null;
    }

    /// White_Space of Unicode, which has no member outside the basic plane.
    private static boolean isSpace(char c) {
        return Character.isSpaceChar(c) || c >= '\t' && c <= '\r' || c == 0x85;
    }

    /// `\w` of the reference's regular expressions.
    private static boolean isWord(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.NON_SPACING_MARK,
                    Character.ENCLOSING_MARK,
                    Character.COMBINING_SPACING_MARK,
                    Character.DECIMAL_DIGIT_NUMBER,
                    Character.CONNECTOR_PUNCTUATION -> true;
            default -> Character.isAlphabetic(codePoint) || codePoint == 0x200C || codePoint == 0x200D;
        };
    }
}
