package rqat.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.recipe.Machine;
import rqat.recipe.Plan;
import rqat.recipe.Plan.Part;
import rqat.recipe.Plan.Stage;
import tools.jackson.databind.json.JsonMapper;

/// `rqat plan`.
@Command(
        name = "plan",
        description = "What a recipe will take, before anything is allocated: memory of every stage, disk, time; and what to change.",
        mixinStandardHelpOptions = true)
final class PlanCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "RECIPE.yaml", description = "The recipe.")
    private Path recipe;

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Override a value of the recipe.")
    private List<String> sets = new ArrayList<>();

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Override
    public Integer call() {
        Plan plan = Plan.of(recipe, sets, Models::directory);
        long available = Machine.memoryAvailable();
        Output.print(spec, json ? json(plan, available) : text(plan, available));
        return 0;
    }

    private static String json(Plan plan, long available) {
        var fields = new LinkedHashMap<String, Object>();
        fields.put("bytes", plan.bytes());
        fields.put("available_bytes", available);
        fields.put("disk_bytes", plan.disk());
        fields.put("seconds", Math.round(plan.seconds()));
        fields.put("binding_stage", plan.largest().name());
        fields.put("binding_part", plan.largest().binding().label());
        var stages = new ArrayList<Map<String, Object>>();
        for (Stage stage : plan.stages()) {
            var parts = new LinkedHashMap<String, Object>();
            stage.memory().forEach((part, bytes) -> parts.put(part.label(), bytes));
            var line = new LinkedHashMap<String, Object>();
            line.put("name", stage.name());
            line.put("bytes", stage.bytes());
            line.put("parts", parts);
            line.put("disk_bytes", stage.disk());
            line.put("checkpoint_bytes", stage.checkpoints());
            line.put("seconds", Math.round(plan.rates().seconds(stage)));
            stages.add(line);
        }
        fields.put("stages", stages);
        return JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(fields);
    }

    private static String text(Plan plan, long available) {
        var text = new StringBuilder();
        for (Stage stage : plan.stages()) {
            text.append("%-24s %10s   disk %s%s   about %s%n".formatted(
                    stage.name(),
                    size(stage.bytes()),
                    size(stage.disk()),
                    stage.checkpoints() == 0 ? "" : " and %s of checkpoints until it has finished".formatted(size(stage.checkpoints())),
                    duration(plan.rates().seconds(stage))));
            stage.memory().forEach((part, bytes) -> text.append("    %-30s %10s%n".formatted(part.label(), size(bytes))));
        }
        Stage largest = plan.largest();
        Part binding = largest.binding();
        text.append("%nall together: %s of memory at the peak (%d side by side; %s are available), %s of disk, about %s%n"
                .formatted(size(plan.bytes()), Math.min(plan.jobs(), plan.stages().size()), size(available), size(plan.disk()), duration(plan.seconds())));
        text.append("most goes to the %s of `%s` (%s): %s%n".formatted(binding.label(), largest.name(), size(largest.memory().get(binding)), binding.advice()));
        if (plan.bytes() > available) {
            text.append("this does NOT fit: %s are missing%s%n".formatted(
                    size(plan.bytes() - available), plan.jobs() > 1 ? "; with jobs: 1 it takes %s".formatted(size(largest.bytes())) : ""));
        }
        return text.toString();
    }

    private static String size(long bytes) {
        return bytes < 1L << 30
                ? String.format(Locale.ROOT, "%.0f MiB", bytes / 1048576.0)
                : String.format(Locale.ROOT, "%.2f GiB", bytes / 1073741824.0);
    }

    private static String duration(double seconds) {
        if (seconds < 90) return String.format(Locale.ROOT, "%.0f s", seconds);
        if (seconds < 5400) return String.format(Locale.ROOT, "%.0f min", seconds / 60);
        return String.format(Locale.ROOT, "%.1f h", seconds / 3600);
    }
}
