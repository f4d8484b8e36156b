package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Test;
import rqat.Fixtures;
import rqat.data.TokenSequence;
import rqat.io.SafetensorsFile;
import rqat.tensor.Cpu;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Distillation losses against the reference trainer's, tolerances from the fixtures' README. Logits are fed as hidden states of a head
/// that is the identity matrix, so that the chunked head computes exactly them.
class LossFixtureTest {
    private static final int[] CHUNKS = {1, 3, 1000};

    private static JsonNode json() {
        return JsonMapper.shared().readTree(Fixtures.path("losses/kd.json").toFile());
    }

    private static void withTensors(java.util.function.Consumer<java.util.function.Function<String, Tensor>> body) {
        try (var file = SafetensorsFile.open(Fixtures.path("losses/kd.safetensors"))) {
            Scope.run(() -> body.accept(name -> Cpu.of(file.tensors().get(name))));
        }
    }

    /// Indices of the true entries of a nested array of 0 and 1, row major.
    private static Tensor rows(JsonNode mask) {
        var rows = new ArrayList<Integer>();
        int index = 0;
        for (JsonNode line : mask) {
            for (JsonNode entry : line) {
                if (entry.asInt() != 0) rows.add(index);
                index++;
            }
        }
        return Cpu.of(rows.stream().mapToInt(Integer::intValue).toArray(), rows.size());
    }

    private static Divergence divergence(String name, double beta) {
        if (name.startsWith("forward_kl")) return new Divergence.ForwardKl();
        if (name.startsWith("reverse_kl")) return new Divergence.ReverseKl();
        return new Divergence.JensenShannon(beta);
    }

    private static void assertClose(Tensor actual, Tensor expected, double tolerance) {
        double difference = Tensors.item(actual.to(ScalarType.Double).sub(expected.to(ScalarType.Double)).abs().max());
        assertThat(difference).isLessThanOrEqualTo(tolerance);
    }

    @TestFactory
    Stream<DynamicTest> distillation() {
        JsonNode json = json();
        return StreamSupport.stream(json.get("cases").spliterator(), false)
                .flatMap(test -> Stream.of(ScalarType.Double, ScalarType.Float)
                        .map(type -> DynamicTest.dynamicTest(
                                test.get("name").asString() + " " + type.name(), () -> distillation(json, test, type))));
    }

    private static void distillation(JsonNode json, JsonNode test, ScalarType type) {
        String name = test.get("name").asString();
        withTensors(tensor -> {
            Tensor student = tensor.apply("student_logits").to(type);
            Tensor teacher = tensor.apply("teacher_logits").to(type);
            long vocabulary = student.size(2);
            Tensor rows = name.endsWith("masked") ? rows(json.get("mask")) : Cpu.range(0, student.size(0) * student.size(1));
            assertThat(rows.size(0)).isEqualTo(test.get("positions_counted").asLong());
            Tensor identity = torch.eye(vocabulary).to(type);
            double expected = test.get("loss_mean_over_positions_times_T_squared").asDouble();
            for (int chunk : CHUNKS) {
                ChunkedHead.Loss loss = new ChunkedHead(identity, null, chunk)
                        .divergence(
                                student.view(-1, vocabulary).index_select(0, rows),
                                teacher.view(-1, vocabulary).index_select(0, rows),
                                identity,
                                divergence(name, test.get("beta_in_reference").asDouble()),
                                test.get("temperature").asDouble(),
                                1.0 / rows.size(0));
                double tolerance = type == ScalarType.Double ? 1e-9 : 1e-5 * expected;
                assertThat(loss.sum() / rows.size(0)).isCloseTo(expected, within(tolerance));
                Tensor gradient = Cpu.zeros(type, student.size(0) * student.size(1), vocabulary).index_copy_(0, rows, loss.hidden());
                assertClose(gradient, tensor.apply(name + ".grad").view(-1, vocabulary), 1e-6);
            }
        });
    }

    @Test
    void fusedHead() {
        double expected = json().get("fused").get("loss_forward_kl_T1_mean_over_kept").asDouble();
        for (ScalarType type : List.of(ScalarType.Double, ScalarType.Float)) {
            for (int chunk : CHUNKS) {
                withTensors(tensor -> {
                    Tensor rows = tensor.apply("fused.keep").nonzero().view(-1);
                    Tensor head = tensor.apply("fused.student_head").to(type);
                    Tensor gradient = torch.zeros_like(head);
                    Tensor hidden = tensor.apply("fused.student_hidden").to(type);
                    ChunkedHead.Loss loss = new ChunkedHead(head, gradient, chunk)
                            .divergence(
                                    hidden.index_select(0, rows),
                                    tensor.apply("fused.teacher_hidden").to(type).index_select(0, rows),
                                    tensor.apply("fused.teacher_head").to(type),
                                    new Divergence.ForwardKl(),
                                    1,
                                    1.0 / rows.size(0));
                    double tolerance = type == ScalarType.Double ? 1e-9 : 1e-5 * expected;
                    assertThat(loss.sum() / rows.size(0)).isCloseTo(expected, within(tolerance));
                    assertClose(gradient, tensor.apply("fused.grad_student_head"), 1e-6);
                    assertClose(
                            torch.zeros_like(hidden).index_copy_(0, rows, loss.hidden()), tensor.apply("fused.grad_student_hidden"), 1e-6);
                });
            }
        }
    }

    @Test
    void shiftedMask() {
        JsonNode shift = json().get("shift");
        var sequences = new ArrayList<TokenSequence>();
        for (JsonNode labels : shift.get("labels")) {
            int[] ids = new int[labels.size()];
            boolean[] inLoss = new boolean[labels.size()];
            for (int t = 0; t < ids.length; t++) {
                inLoss[t] = labels.get(t).asInt() >= 0;
                ids[t] = Math.max(0, labels.get(t).asInt());
            }
            sequences.add(new TokenSequence(ids, inLoss));
        }
        var batch = new MicroBatch(sequences);
        withTensors(tensor -> {
            assertThat(Tensors.longs(batch.lossRows(Place.cpu(ScalarType.Long)))).isEqualTo(Tensors.longs(rows(shift.get("logit_positions_counted"))));
            Tensor student = tensor.apply("student_logits").to(ScalarType.Double);
            Tensor teacher = tensor.apply("teacher_logits").to(ScalarType.Double);
            long vocabulary = student.size(2);
            Tensor hidden = student.view(-1, vocabulary).index_select(0, batch.lossRows(Place.cpu(ScalarType.Long)));
            Tensor identity = torch.eye(vocabulary).to(ScalarType.Double);
            var head = new ChunkedHead(identity, null, 4);
            double count = batch.lossTokens();
            ChunkedHead.Loss loss = head.crossEntropy(hidden, batch.targets(Place.cpu(ScalarType.Long)), 1 / count);
            assertThat(loss.sum() / count).isCloseTo(shift.get("sft_cross_entropy_mean").asDouble(), within(1e-5));
            Tensor gradient = torch.zeros_like(student).view(-1, vocabulary).index_copy_(0, batch.lossRows(Place.cpu(ScalarType.Long)), loss.hidden());
            assertClose(gradient, tensor.apply("shift.grad_sft").view(-1, vocabulary), 1e-6);
            ChunkedHead.Loss divergence = head.divergence(
                    hidden,
                    teacher.view(-1, vocabulary).index_select(0, batch.lossRows(Place.cpu(ScalarType.Long))),
                    identity,
                    new Divergence.ForwardKl(),
                    1,
                    1 / count);
            assertThat(divergence.sum() / count).isCloseTo(shift.get("forward_kl_T1_mean").asDouble(), within(1e-9));
        });
    }
}
