package rqat.text.jinja;

import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.text.jinja.JinjaNode.Arguments;
import rqat.text.jinja.JinjaNode.Expression;
import rqat.text.jinja.JinjaNode.Statement;
import rqat.text.jinja.JinjaValues.Callable;
import rqat.text.jinja.JinjaValues.Loop;
import rqat.text.jinja.JinjaValues.Method;
import rqat.text.jinja.JinjaValues.Namespace;
import rqat.text.jinja.JinjaValues.Values;
import rqat.text.jinja.PythonValues.Tuple;
import rqat.text.jinja.PythonValues.Undefined;

/// Runs a template once. A value is only ever data: nothing that a message contains is parsed.
final class JinjaInterpreter {

    /// A `macro` with the variables it was defined among.
    record Macro(JinjaNode.Macro node, Scope scope) implements Callable {}

    /// `range`, `namespace` and the like.
    record Global(String name) implements Callable {}

    /// Variables of a block; reading falls through to the enclosing ones.
    private record Scope(Map<String, @Nullable Object> variables, @Nullable Scope outer) {
        Scope(Scope outer) {
            this(new HashMap<>(), outer);
        }

        @Nullable Object get(String name) {
            for (Scope scope = this; scope != null; scope = scope.outer) {
                if (scope.variables.containsKey(name)) {
                    return scope.variables.get(name);
                }
            }
            return JinjaFunctions.GLOBALS.contains(name) ? new Global(name) : new Undefined(name);
        }
    }

    private enum Flow {
        NEXT,
        BREAK,
        CONTINUE
    }

    /// Nested evaluations, statements and macro calls together; what the Java stack holds with ease.
    private static final int MAXIMUM_DEPTH = 400;

    final PythonValues values = new PythonValues();
    private final JinjaFunctions functions;
    private final JinjaFilters filters;
    private final StringBuilder rendered = new StringBuilder();
    private final List<JinjaRendering.Range> generated = new ArrayList<>();
    /// Where output goes: [#rendered], or what a macro or a `set` block collects.
    private StringBuilder out = rendered;

    private int depth;

    /// `now` is what `strftime_now` formats.
    JinjaInterpreter(LocalDateTime now) {
        this.functions = new JinjaFunctions(values, now);
        this.filters = new JinjaFilters(values, functions);
    }

    /// Renders `template` with `variables` (values of JSON kind).
    JinjaRendering render(List<Statement> template, Map<String, ? extends @Nullable Object> variables) {
        Scope scope = new Scope(new HashMap<>(), null);
        variables.forEach((name, value) -> scope.variables.put(name, values.fromJava(value)));
        run(template, new Scope(scope));
        return new JinjaRendering(rendered.toString(), List.copyOf(generated));
    }

    // ---- statements

    private Flow run(List<Statement> statements, Scope scope) {
        for (Statement statement : statements) {
            Flow flow = run(statement, scope);
            if (flow != Flow.NEXT) {
                return flow;
            }
        }
        return Flow.NEXT;
    }

    private Flow run(Statement statement, Scope scope) {
        enter(statement);
        try {
            return execute(statement, scope);
        } catch (JinjaError e) {
            throw e.at(statement.line());
        } finally {
            depth--;
        }
    }

    private Flow execute(Statement statement, Scope scope) {
        switch (statement) {
            case JinjaNode.Text text -> values.append(out, text.text());
            case JinjaNode.Output output -> values.append(out, values.str(evaluate(output.value(), scope)));
            case JinjaNode.If branch -> {
                return run(isTrue(branch.condition(), scope) ? branch.body() : branch.otherwise(), scope);
            }
            case JinjaNode.For loop -> loop(loop, scope);
            case JinjaNode.Assign assign -> {
                Object value = evaluate(assign.value(), scope);
                if (assign.attribute() != null) {
                    setAttribute(assign.targets().getFirst(), assign.attribute(), value, scope);
                } else {
                    bind(assign.targets(), value, scope);
                }
            }
            case JinjaNode.Capture capture -> {
                Scope inner = new Scope(scope);
                inner.variables.put(JinjaNode.CAPTURED, capture(capture.body(), inner));
                Object value = evaluate(capture.filters(), inner);
                if (capture.attribute() != null) {
                    setAttribute(capture.target(), capture.attribute(), value, scope);
                } else {
                    scope.variables.put(capture.target(), value);
                }
            }
            case JinjaNode.Macro macro -> scope.variables.put(macro.name(), new Macro(macro, scope));
            case JinjaNode.Generation generation -> {
                if (out != rendered) {
                    throw new JinjaError("a generation block inside a macro or a set block has no place in the text");
                }
                int start = out.length();
                run(generation.body(), new Scope(scope));
                generated.add(new JinjaRendering.Range(start, out.length()));
            }
            case JinjaNode.Break _ -> {
                return Flow.BREAK;
            }
            case JinjaNode.Continue _ -> {
                return Flow.CONTINUE;
            }
        }
        return Flow.NEXT;
    }

    private void loop(JinjaNode.For loop, Scope scope) {
        List<@Nullable Object> items = values.iterate(evaluate(loop.items(), scope));
        if (loop.filter() != null) {
            items.removeIf(item -> {
                Scope inner = new Scope(scope);
                bind(loop.targets(), item, inner);
                return !isTrue(loop.filter(), inner);
            });
        }
        for (int i = 0; i < items.size(); i++) {
            values.charge(1);
            Scope inner = new Scope(scope);
            bind(loop.targets(), items.get(i), inner);
            inner.variables.put("loop", new Loop(items, i));
            if (run(loop.body(), inner) == Flow.BREAK) {
                break;
            }
        }
        if (items.isEmpty()) {
            run(loop.otherwise(), new Scope(scope));
        }
    }

    private void bind(List<String> targets, @Nullable Object value, Scope scope) {
        if (targets.size() == 1) {
            scope.variables.put(targets.getFirst(), value);
            return;
        }
        List<@Nullable Object> items = values.iterate(value);
        if (items.size() != targets.size()) {
            throw new JinjaError(items.size() + " values for the " + targets.size() + " variables " + targets);
        }
        for (int i = 0; i < items.size(); i++) {
            scope.variables.put(targets.get(i), items.get(i));
        }
    }

    private static void setAttribute(String target, String attribute, @Nullable Object value, Scope scope) {
        if (scope.get(target) instanceof Namespace namespace) {
            namespace.attributes().put(attribute, value);
        } else {
            throw new JinjaError("'" + target + "' is no namespace; only those have attributes that can be set");
        }
    }

    private String capture(List<Statement> body, Scope scope) {
        StringBuilder outer = out;
        out = new StringBuilder();
        try {
            run(body, scope);
            return out.toString();
        } finally {
            out = outer;
        }
    }

    // ---- expressions

    private boolean isTrue(Expression expression, Scope scope) {
        return PythonValues.isTrue(evaluate(expression, scope));
    }

    private @Nullable Object evaluate(Expression expression, Scope scope) {
        enter(expression);
        try {
            return value(expression, scope);
        } catch (JinjaError e) {
            throw e.at(expression.line());
        } finally {
            depth--;
        }
    }

    private void enter(JinjaNode node) {
        if (++depth > MAXIMUM_DEPTH) {
            throw new JinjaError(node.line(), "calls and expressions nested more than " + MAXIMUM_DEPTH + " deep");
        }
        values.charge(1);
    }

    private @Nullable Object value(Expression expression, Scope scope) {
        return switch (expression) {
            case JinjaNode.Literal literal -> literal.value();
            case JinjaNode.Name name -> scope.get(name.name());
            case JinjaNode.Sequence sequence -> {
                List<@Nullable Object> items = all(sequence.items(), scope);
                yield sequence.tuple() ? new Tuple(items) : items;
            }
            case JinjaNode.Dictionary dictionary -> {
                Map<@Nullable Object, @Nullable Object> entries = new LinkedHashMap<>();
                for (int i = 0; i < dictionary.keys().size(); i++) {
                    entries.put(
                            PythonValues.key(evaluate(dictionary.keys().get(i), scope)),
                            evaluate(dictionary.values().get(i), scope));
                }
                yield entries;
            }
            case JinjaNode.Attribute attribute ->
                functions.attribute(evaluate(attribute.target(), scope), attribute.name());
            case JinjaNode.Item item -> functions.item(evaluate(item.target(), scope), evaluate(item.index(), scope));
            case JinjaNode.Slice slice ->
                values.slice(
                        evaluate(slice.target(), scope),
                        optional(slice.start(), scope),
                        optional(slice.stop(), scope),
                        optional(slice.step(), scope));
            case JinjaNode.Call call -> call(evaluate(call.target(), scope), arguments(call.arguments(), scope));
            case JinjaNode.Filter filter ->
                filters.filter(filter.name(), evaluate(filter.target(), scope), arguments(filter.arguments(), scope));
            case JinjaNode.Test test ->
                functions.test(test.name(), evaluate(test.target(), scope), arguments(test.arguments(), scope))
                        != test.negated();
            case JinjaNode.Unary unary -> {
                Object operand = evaluate(unary.operand(), scope);
                yield switch (unary.operator()) {
                    case "not" -> !PythonValues.isTrue(operand);
                    case "-" -> PythonValues.negate(operand);
                    default -> values.binary("+", 0L, operand);
                };
            }
            case JinjaNode.Binary binary -> {
                Object left = evaluate(binary.left(), scope);
                yield switch (binary.operator()) {
                    case "and" -> PythonValues.isTrue(left) ? evaluate(binary.right(), scope) : left;
                    case "or" -> PythonValues.isTrue(left) ? left : evaluate(binary.right(), scope);
                    default -> functions.binary(binary.operator(), left, evaluate(binary.right(), scope));
                };
            }
            case JinjaNode.Comparison comparison -> {
                Object left = evaluate(comparison.first(), scope);
                boolean holds = true;
                for (int i = 0; i < comparison.operators().size() && holds; i++) {
                    Object right = evaluate(comparison.operands().get(i), scope);
                    holds = functions.compare(comparison.operators().get(i), left, right);
                    left = right;
                }
                yield holds;
            }
            case JinjaNode.Conditional conditional ->
                isTrue(conditional.condition(), scope)
                        ? evaluate(conditional.then(), scope)
                        : conditional.otherwise() == null
                                ? new Undefined("the else of an inline if")
                                : evaluate(conditional.otherwise(), scope);
        };
    }

    private @Nullable Object optional(@Nullable Expression expression, Scope scope) {
        return expression == null ? null : evaluate(expression, scope);
    }

    private List<@Nullable Object> all(List<Expression> expressions, Scope scope) {
        List<@Nullable Object> all = new ArrayList<>(expressions.size());
        for (Expression expression : expressions) {
            all.add(evaluate(expression, scope));
        }
        return all;
    }

    private Values arguments(Arguments arguments, Scope scope) {
        if (arguments == Arguments.NONE) {
            return Values.NONE;
        }
        Map<String, @Nullable Object> named = new LinkedHashMap<>();
        for (int i = 0; i < arguments.names().size(); i++) {
            named.put(arguments.names().get(i), evaluate(arguments.named().get(i), scope));
        }
        return new Values(all(arguments.positional(), scope), named);
    }

    private @Nullable Object call(@Nullable Object target, Values arguments) {
        return switch (target) {
            case Macro macro -> call(macro, arguments);
            case Method method -> functions.method(method.receiver(), method.name(), arguments);
            case Global global -> functions.global(global.name(), arguments);
            case null, default -> throw new JinjaError("cannot call " + PythonValues.typeName(target));
        };
    }

    private String call(Macro macro, Values arguments) {
        List<String> parameters = macro.node.parameters();
        @Nullable Object[] bound = arguments.bind(macro.node.name(), 0, parameters.toArray(String[]::new));
        int firstDefault = parameters.size() - macro.node.defaults().size();
        Scope inner = new Scope(macro.scope);
        for (int i = 0; i < bound.length; i++) {
            Object value = bound[i];
            if (JinjaValues.isMissing(value)) {
                value = i < firstDefault
                        ? new Undefined(parameters.get(i))
                        : evaluate(macro.node.defaults().get(i - firstDefault), inner);
            }
            inner.variables.put(parameters.get(i), value);
        }
        return capture(macro.node.body(), inner);
    }
}
