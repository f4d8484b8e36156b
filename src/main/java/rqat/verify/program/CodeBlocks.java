package rqat.verify.program;

import java.util.Locale;

/// Finds the program in a completion.
final class CodeBlocks {
    private static final String FENCE = "```";

    private CodeBlocks() {}

    /// As LiveCodeBench does: the text between the last two lines that contain three backticks; empty when there are fewer.
    static String lastTwoFences(String completion) {
        int last = completion.lastIndexOf(FENCE);
        int end = last < 0 ? -1 : completion.lastIndexOf('\n', last);
        int first = end < 0 ? -1 : completion.lastIndexOf(FENCE, end - 1);
        if (first < 0) return "";
        int start = completion.indexOf('\n', first) + 1;
        return start > end ? "" : completion.substring(start, end);
    }

    /// The last closed block that is marked as Python, else the last closed block; empty when there is none. Fences open and close in turn,
    /// each at the beginning of a line, or of an item of a list; what an opening fence is indented by, its lines are too.
    static String lastProgram(String completion) {
        String program = "";
        String other = "";
        String fence = "";
        int indent = 0;
        boolean python = false;
        var block = new StringBuilder();
        for (String line : completion.lines().toList()) {
            String text = line.strip();
            if (fence.isEmpty()) {
                int start = itemStart(line);
                fence = mark(line, start);
                indent = start;
                python = line.substring(start + fence.length()).strip().toLowerCase(Locale.ROOT).startsWith("py");
                block.setLength(0);
            } else if (text.startsWith(fence) && mark(text, 0).length() == text.length()) {
                if (python) program = block.toString();
                else other = block.toString();
                fence = "";
            } else {
                block.append(unindented(line, indent)).append('\n');
            }
        }
        return program.isEmpty() ? other : program;
    }

    /// Where the text of a line begins, behind its indent and the mark of a list's item.
    private static int itemStart(String line) {
        int start = skipSpace(line, 0);
        int mark = start;
        while (mark < line.length() && mark < start + 4 && line.charAt(mark) >= '0' && line.charAt(mark) <= '9') mark++;
        boolean numbered = mark > start && mark < line.length() && ".)".indexOf(line.charAt(mark)) >= 0;
        boolean bullet = mark == start && mark < line.length() && "-*+".indexOf(line.charAt(mark)) >= 0;
        int behind = numbered || bullet ? skipSpace(line, mark + 1) : start;
        return behind > mark + 1 ? behind : start;
    }

    private static int skipSpace(String line, int from) {
        int at = from;
        while (at < line.length() && Character.isWhitespace(line.charAt(at))) at++;
        return at;
    }

    /// The backticks or tildes here, three or more of them and none behind them in the line; empty when there are none.
    private static String mark(String line, int start) {
        int end = start;
        while (end < line.length() && line.charAt(end) == line.charAt(start) && "`~".indexOf(line.charAt(start)) >= 0) end++;
        boolean fence = end - start >= FENCE.length() && line.indexOf('`', end) < 0;
        return fence ? line.substring(start, end) : "";
    }

    /// Without as much white space in front as its fence has.
    private static String unindented(String line, int indent) {
        int at = 0;
        while (at < indent && at < line.length() && Character.isWhitespace(line.charAt(at))) at++;
        return line.substring(at);
    }
}
