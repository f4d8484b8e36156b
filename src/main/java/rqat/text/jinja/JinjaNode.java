package rqat.text.jinja;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// The syntax tree of a template. Every node knows the template line that it came from.
sealed interface JinjaNode {

    /// One-based line of the template.
    int line();

    /// What is executed for its effect on the output and the variables.
    sealed interface Statement extends JinjaNode {}

    /// Literal text.
    record Text(int line, String text) implements Statement {}

    /// `{{ value }}`
    record Output(int line, Expression value) implements Statement {}

    /// `if`, `elif`, `else`: the first branch whose condition holds.
    record If(int line, Expression condition, List<Statement> body, List<Statement> otherwise) implements Statement {}

    /// `for targets in items if filter`; `otherwise` runs when nothing was iterated.
    record For(
            int line,
            List<String> targets,
            Expression items,
            @Nullable Expression filter,
            List<Statement> body,
            List<Statement> otherwise)
            implements Statement {}

    /// `set targets = value`; the one target of the form `namespace.attribute` is `Assign(.., "namespace", "attribute", ..)`.
    record Assign(int line, List<String> targets, @Nullable String attribute, Expression value) implements Statement {}

    /// `set target` ... `endset`: the output of the body, through `filters` (a chain around [#CAPTURED]).
    record Capture(int line, String target, @Nullable String attribute, Expression filters, List<Statement> body)
            implements Statement {}

    /// `macro name(parameters)`; defaults belong to the last parameters.
    record Macro(int line, String name, List<String> parameters, List<Expression> defaults, List<Statement> body)
            implements Statement {}

    /// `generation` ... `endgeneration`: what the assistant says.
    record Generation(int line, List<Statement> body) implements Statement {}

    /// `break`
    record Break(int line) implements Statement {}

    /// `continue`
    record Continue(int line) implements Statement {}

    /// What has a value.
    sealed interface Expression extends JinjaNode {}

    /// A constant of the template, in the values of [PythonValues].
    record Literal(int line, @Nullable Object value) implements Expression {}

    /// A variable.
    record Name(int line, String name) implements Expression {}

    /// `[a, b]`, or `(a, b)` with `tuple`.
    record Sequence(int line, List<Expression> items, boolean tuple) implements Expression {}

    /// `{key: value}`
    record Dictionary(int line, List<Expression> keys, List<Expression> values) implements Expression {}

    /// `target.name`
    record Attribute(int line, Expression target, String name) implements Expression {}

    /// `target[index]`
    record Item(int line, Expression target, Expression index) implements Expression {}

    /// `target[start:stop:step]`
    record Slice(
            int line,
            Expression target,
            @Nullable Expression start,
            @Nullable Expression stop,
            @Nullable Expression step)
            implements Expression {}

    /// Positional and named arguments.
    record Arguments(List<Expression> positional, List<String> names, List<Expression> named) {
        static final Arguments NONE = new Arguments(List.of(), List.of(), List.of());
    }

    /// `target(arguments)`
    record Call(int line, Expression target, Arguments arguments) implements Expression {}

    /// `target | name(arguments)`
    record Filter(int line, Expression target, String name, Arguments arguments) implements Expression {}

    /// `target is name(arguments)`, or `is not`.
    record Test(int line, Expression target, String name, Arguments arguments, boolean negated) implements Expression {}

    /// `not`, `-` or `+`.
    record Unary(int line, String operator, Expression operand) implements Expression {}

    /// Arithmetic, `~`, and the two that may skip their right side, `and` and `or`.
    record Binary(int line, String operator, Expression left, Expression right) implements Expression {}

    /// `a < b <= c`: holds when every link does; `operators.get(i)` stands before `operands.get(i)`.
    record Comparison(int line, Expression first, List<String> operators, List<Expression> operands)
            implements Expression {}

    /// `then if condition else otherwise`
    record Conditional(int line, Expression condition, Expression then, @Nullable Expression otherwise)
            implements Expression {}

    /// The name under which [Capture#filters] finds the captured text; no template can spell it.
    String CAPTURED = "<captured>";
}
