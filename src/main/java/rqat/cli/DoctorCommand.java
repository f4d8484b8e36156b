package rqat.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import rqat.recipe.Machine;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// `rqat doctor`.
@Command(name = "doctor", description = "What this machine has, measured, and what that allows.", mixinStandardHelpOptions = true)
final class DoctorCommand implements Callable<Integer> {
    private static final JsonMapper JSON =
            JsonMapper.builder().propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

    @Spec
    private CommandSpec spec;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Override
    public Integer call() {
        Machine machine = Machine.measure();
        Output.print(spec, json ? json(machine) : machine.text());
        return 0;
    }

    private static String json(Machine machine) {
        ObjectNode fields = JSON.valueToTree(machine);
        fields.set("allows", JSON.valueToTree(machine.allows()));
        return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(fields);
    }
}
