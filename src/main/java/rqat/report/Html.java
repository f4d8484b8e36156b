package rqat.report;

/// Text for a page: the one gate between what models and files say and the markup.
final class Html {

    private Html() {}

    /// Escapes text for element content and quoted attributes, in HTML and SVG alike. What a page may not contain or what would disturb
    /// it (control characters, lone surrogates, characters that reverse the direction of writing) becomes U+FFFD.
    static String escape(String text) {
        var escaped = new StringBuilder(text.length() + 16);
        text.codePoints().forEach(c -> {
            switch (c) {
                case '&' -> escaped.append("&amp;");
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '"' -> escaped.append("&quot;");
                case '\'' -> escaped.append("&#39;");
                case '\n', '\t' -> escaped.append((char) c);
                default -> escaped.appendCodePoint(isDisplayable(c) ? c : 0xFFFD);
            }
        });
        return escaped.toString();
    }

    private static boolean isDisplayable(int c) {
        boolean direction = c >= 0x202A && c <= 0x202E || c >= 0x2066 && c <= 0x2069 || c == 0x200E || c == 0x200F;
        boolean nonCharacter = (c & 0xFFFE) == 0xFFFE || c >= 0xFDD0 && c <= 0xFDEF;
        return !Character.isISOControl(c) && !direction && !nonCharacter && Character.getType(c) != Character.SURROGATE;
    }
}
