package rqat.text.jinja;

import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A template that has been read and can be rendered, any number of times and by any number of threads.
public final class JinjaTemplate {
    private final List<JinjaNode.Statement> statements;

    private JinjaTemplate(List<JinjaNode.Statement> statements) {
        this.statements = statements;
    }

    /// Reads a template.
    ///
    /// @throws JinjaError with the line of what is wrong or not supported
    public static JinjaTemplate parse(String source) {
        return new JinjaTemplate(JinjaParser.parse(source));
    }

    /// Renders it with these variables, values of JSON kind; `now` is what `strftime_now` tells.
    ///
    /// @throws JinjaError with the line at which it fails, refuses its input or does more work than it may
    public JinjaRendering render(Map<String, ? extends @Nullable Object> variables, LocalDateTime now) {
        return new JinjaInterpreter(now).render(statements, variables);
    }
}
