package rqat.verify.mathematics;

import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Candidate.Content;

/// Recognises numbers and arithmetic in running text. Both must begin the text or stand behind white space or an equals sign; arithmetic
/// must also end at white space or punctuation, so that `X1+2Y` is none.
final class PlainScanner {

    /// Arithmetic that is longer is not looked for.
    private static final int MAX_LENGTH = 400;
    private static final String OPERATORS = "+-*×/^()÷";
    private static final String[] PERCENTS = {"%", "percentage", "Percentage", "percent", "Percent", "pct", "Pct"};

    /// Something recognised: where it ends and what it is.
    record Scanned(int end, Content content) {}

    private final String text;
    private final Budget budget;
    /// The last stretch that was walked without meeting an operator, so that a row of numbers is not walked again from each of them.
    private int plainStart;
    private int plainEnd;

    PlainScanner(String text, Budget budget) {
        this.text = text;
        this.budget = budget;
    }

    @Nullable Scanned expressionOrNumber(int at) {
        Scanned expression = expression(at);
        return expression != null ? expression : number(at);
    }

    /// As [#expressionOrNumber] with as much left out at the end as is needed for no equals sign to follow. Of `12 = 13` that leaves a 1,
    /// which is what the reference makes of it.
    @Nullable Scanned notEquated(int at) {
        Scanned expression = expression(at, true);
        if (expression != null) {
            return expression;
        }
        Scanned number = number(at);
        return number == null || !isEquated(number.end()) ? number : shortened(number);
    }

    private boolean isEquated(int end) {
        int next = end;
        while (next < text.length() && next < end + 100 && CandidateFinder.isSpace(text.charAt(next))) {
            next++;
        }
        return charAt(next) == '=';
    }

    private static @Nullable Scanned shortened(Scanned number) {
        var content = (Candidate.PlainNumber) number.content();
        String digits = content.digits();
        if (content.percent()) {
            return new Scanned(number.end() - 1, new Candidate.PlainNumber(digits, false));
        }
        int point = digits.indexOf('.');
        String shorter = point == digits.length() - 2 && point >= 0 ? digits.substring(0, point) : digits.substring(0, digits.length() - 1);
        return shorter.isEmpty() || shorter.equals("-") || shorter.equals("0") ? null : new Scanned(number.end() - 1, new Candidate.PlainNumber(shorter, false));
    }

    /// The place behind the white space or equals sign and the asterisks that a number may have in front, or -1.
    private int behindPrefix(int at) {
        int start = at;
        if (at < text.length() && (CandidateFinder.isSpace(text.charAt(at)) || text.charAt(at) == '=')) {
            start = at + 1;
        } else if (at > 0) {
            return -1;
        }
        return text.startsWith("**", start) ? start + 2 : start;
    }

    /// A number, perhaps behind a currency sign and before a percent sign.
    @Nullable Scanned number(int at) {
        int start = behindPrefix(at);
        if (start < 0 || start >= text.length()) {
            return null;
        }
        start += CandidateFinder.isCurrency(text.charAt(start)) ? 1 : 0;
        int digits = start < text.length() && text.charAt(start) == '-' ? start + 1 : start;
        int end = digitsEnd(digits);
        String number;
        int grouped = groupsEnd(digits);
        if (grouped > 0) {
            int fraction = charAt(grouped) == '.' ? digitsEnd(grouped + 1) : grouped;
            boolean decimal = fraction > grouped + 1;
            number = text.substring(start, grouped).replace(",", "").replace(" ", "") + (decimal ? text.substring(grouped, fraction) : "");
            end = decimal ? fraction : grouped;
        } else if (end > digits && (charAt(end) == '.' || charAt(end) == ',') && digitsEnd(end + 1) > end + 1) {
            int fraction = digitsEnd(end + 1);
            number = text.substring(start, end) + "." + text.substring(end + 1, fraction);
            end = fraction;
        } else if (charAt(start) == '.' && digitsEnd(start + 1) > start + 1) {
            end = digitsEnd(start + 1);
            number = "0" + text.substring(start, end);
        } else if (end > digits) {
            number = text.substring(start, end);
        } else {
            return null;
        }
        int percent = percentEnd(end);
        return new Scanned(percent > 0 ? percent : end, new Candidate.PlainNumber(number, percent > 0));
    }

    /// The end of `1,234,567` or `1 234 567`, or -1.
    private int groupsEnd(int digits) {
        if (charAt(digits) < '1' || charAt(digits) > '9') {
            return -1;
        }
        for (int first = Math.min(digits + 3, digitsEnd(digits)); first > digits; first--) {
            int end = first;
            while ((charAt(end) == ',' || charAt(end) == ' ') && digitsEnd(end + 1) >= end + 4) {
                end += 4;
            }
            if (end > first) {
                return end;
            }
        }
        return -1;
    }

    private int percentEnd(int from) {
        int at = from;
        while (at < text.length() && at < from + 100 && CandidateFinder.isSpace(text.charAt(at))) {
            at++;
        }
        for (String percent : PERCENTS) {
            if (text.startsWith(percent, at)) {
                return at + percent.length();
            }
        }
        return -1;
    }

    /// Arithmetic with at least one operator, as much of it as ends well.
    @Nullable Scanned expression(int at) {
        return expression(at, false);
    }

    private @Nullable Scanned expression(int at, boolean notEquated) {
        int start = behindPrefix(at);
        if (start < 0) {
            return null;
        }
        int digit = start;
        digit += charAt(digit) == '-' ? 1 : 0;
        digit += charAt(digit) == '(' ? 1 : 0;
        digit += charAt(digit) == '-' ? 1 : 0;
        if (!CandidateFinder.isDigit(charAt(digit))) {
            return null;
        }
        int first = digit + 1;
        int run = first >= plainStart && first < plainEnd ? Math.min(plainEnd, start + MAX_LENGTH) : first;
        int operator = -1;
        while (run < text.length() && run < start + MAX_LENGTH && isArithmetic(text.charAt(run))) {
            operator = operator < 0 && OPERATORS.indexOf(text.charAt(run)) >= 0 ? run : operator;
            run++;
        }
        if (operator < 0) {
            plainStart = first;
            plainEnd = run;
            return null;
        }
        budget.spend((run - start) / 8);
        for (int end = run; end >= operator + 2; end--) {
            int after = suffixEnd(end);
            if (after >= 0 && !(notEquated && isEquated(after))) {
                return new Scanned(after, new Candidate.Arithmetic(text.substring(start, end)));
            }
        }
        return null;
    }

    private static boolean isArithmetic(char c) {
        return CandidateFinder.isDigit(c) || c == '.' || CandidateFinder.isSpace(c) || OPERATORS.indexOf(c) >= 0;
    }

    private int suffixEnd(int end) {
        int at = text.startsWith("**", end) ? end + 2 : end;
        if (at == text.length()) {
            return at;
        }
        char c = text.charAt(at);
        return CandidateFinder.isSpace(c) || ".,:)$".indexOf(c) >= 0 ? at + 1 : -1;
    }

    private int digitsEnd(int from) {
        int end = from;
        while (CandidateFinder.isDigit(charAt(end))) {
            end++;
        }
        return end;
    }

    private char charAt(int index) {
        return index < text.length() ? text.charAt(index) : 0;
    }
}
