package rqat.run;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/// "Did you mean": the known word closest to a misspelt one.
public final class Nearest {

    private static final int MAXIMUM_LENGTH = 100;

    private Nearest() {}

    /// The word at the smallest edit distance, if that is at most a third of its length.
    public static Optional<String> of(String misspelt, Collection<String> known) {
        if (misspelt.length() > MAXIMUM_LENGTH) {
            return Optional.empty();
        }
        return known.stream()
                .min(Comparator.comparingInt((String word) -> distance(misspelt, word)).thenComparing(Comparator.naturalOrder()))
                .filter(word -> 3 * distance(misspelt, word) <= Math.max(3, Math.max(word.length(), misspelt.length())));
    }

    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    static int distance(String a, String b) {
        int[][] cost = new int[a.length() + 1][b.length() + 1];
        for (int i = 0; i <= a.length(); i++) {
            for (int j = 0; j <= b.length(); j++) {
                if (i == 0 || j == 0) {
                    cost[i][j] = i + j;
                    continue;
                }
                int replace = cost[i - 1][j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                cost[i][j] = Math.min(replace, Math.min(cost[i - 1][j], cost[i][j - 1]) + 1);
                if (i > 1 && j > 1 && a.charAt(i - 1) == b.charAt(j - 2) && a.charAt(i - 2) == b.charAt(j - 1)) {
                    cost[i][j] = Math.min(cost[i][j], cost[i - 2][j - 2] + 1);
                }
            }
        }
        return cost[a.length()][b.length()];
    }
}
