package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.io.AtomicFiles;
import rqat.model.ModelConfig;

/// The arithmetic of plans against counts by hand; `PlanTest` holds it against measured peaks.
class MemoryModelTest {
    @TempDir
    Path folder;

    private static final Path EMBEDDED = Path.of("models/embedded");

    @Test
    void countsTheEmbeddedModel() {
        var model = new MemoryModel(ModelConfig.load(EMBEDDED), 4, 128);
        // 4 blocks of q, o 128 x 128, k, v 64 x 128, gate, up 384 x 128, down 128 x 384; embedding 448 x 128; norms
        assertThat(model.quantised()).isEqualTo(4 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 384 * 128));
        assertThat(model.parameters()).isEqualTo(model.quantised() + 448 * 128 + 4 * (2 * 128 + 2 * 32) + 128);
        assertThat(model.grids()).isEqualTo(model.quantised() / 128 * 8);
        assertThat(model.largestTensor()).isEqualTo(448 * 128);
    }

    @Test
    void theCacheIsEnlargedByAQuarter() {
        var model = new MemoryModel(ModelConfig.load(EMBEDDED), 4, 128);
        long position = 2 * 4 * 2 * 32 * 4;
        assertThat(model.cache(10, 30, 40, 1)).isEqualTo(10 * 64 * position);
        // 64 positions are there and 128 are made when the 65th token comes
        assertThat(model.cache(10, 30, 65, 1)).isEqualTo(10 * (64 + 128) * position);
        assertThat(model.cache(1000, 30, 40, 40 * position / (double) (1 << 30))).isEqualTo(40 * position);
    }

    @Test
    void aPlanNamesWhatBindsAndGrowsWithTheMicroBatch() {
        Plan small = plan("kd.optimisation.micro_batch=8");
        Plan large = plan("kd.optimisation.micro_batch=32");
        assertThat(large.largest().name()).isEqualTo("gptq+kd");
        assertThat(large.largest().binding()).isEqualTo(Plan.Part.ACTIVATIONS);
        long less = small.largest().memory().get(Plan.Part.ACTIVATIONS);
        assertThat((double) large.largest().memory().get(Plan.Part.ACTIVATIONS) / less).isBetween(3.5, 4.5);
        Plan recomputed = plan("kd.optimisation.recompute_blocks=true");
        assertThat(tensors(recomputed.largest())).isLessThan(tensors(large.largest()));
        Plan one = plan("jobs=1");
        assertThat(one.bytes()).isEqualTo(one.largest().bytes());
        Plan two = plan("jobs=2");
        assertThat(two.bytes()).isGreaterThan(two.largest().bytes());
        // the same tokens, with less padding in smaller micro-batches
        assertThat(small.operations()).isBetween(0.5 * large.operations(), large.operations());
    }

    @Test
    void onPolicyDistillationHoldsATeacherAndWholeDistributions() {
        Plan.Stage grpo = plan("rows=[gptq+grpo]").stages().get(1);
        Path recipe = folder.resolve("recipe.yaml");
        Plan.Stage distillation = Plan.of(recipe, List.of("rows=[gptq+grpo]", "grpo.objective=distillation"), _ -> EMBEDDED).stages().get(1);
        Plan.Stage mixture = Plan.of(
                        recipe, List.of("rows=[gptq+grpo]", "grpo.objective=distillation", "grpo.divergence=jensen_shannon"), _ -> EMBEDDED)
                .stages().get(1);
        long parameters = new MemoryModel(ModelConfig.load(EMBEDDED), 4, 128).parameters();

        assertThat(grpo.memory()).doesNotContainKey(Plan.Part.TEACHER);
        assertThat(distillation.memory()).containsEntry(Plan.Part.TEACHER, 4 * parameters);
        // arrays of logits of a chunk: Jensen-Shannon 7, reverse KL 3, GRPO 2
        long rows = Math.min(32L * 112, 1024) * 448 * 4;
        assertThat(mixture.memory().get(Plan.Part.LOGITS) - distillation.memory().get(Plan.Part.LOGITS)).isEqualTo(4 * rows);
        assertThat(distillation.memory().get(Plan.Part.LOGITS) - grpo.memory().get(Plan.Part.LOGITS)).isEqualTo(rows);
        assertThat(tensors(distillation)).isGreaterThan(tensors(grpo) + 4 * parameters);
        assertThat(distillation.operations()).isEqualTo(1.2 * grpo.operations());
    }

    /// Without the program, of which this process is no measure.
    private static long tensors(Plan.Stage stage) {
        return stage.bytes() - stage.memory().get(Plan.Part.PROGRAM);
    }

    private Plan plan(String set) {
        Path recipe = folder.resolve("recipe.yaml");
        AtomicFiles.write(recipe, """
                rows: [gptq+kd]
                quantise: {calibration: 64}
                kd: {problems: 600, optimisation: {steps: 3, warm_up: 0}}
                """);
        return Plan.of(recipe, List.of(set), _ -> EMBEDDED);
    }
}
