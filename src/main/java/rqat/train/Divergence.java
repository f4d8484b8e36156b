package rqat.train;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/// How far the student's distribution `s` is from the teacher's `t`, per position over the whole vocabulary, with its gradient with
/// respect to the student's logits `z` in closed form. The three are separate names and not one family with a parameter: the generalised
/// Jensen-Shannon divergence goes to 0 as its weight goes to 0 or 1, and to neither Kullback-Leibler divergence.
///
///     forward KL   sum t (log t - log s)                               s - t
///     reverse KL   sum s d,  d = log s - log t                         s (d - sum s d)
///     JSD          b KL(t || m) + (1 - b) KL(s || m), m = b t + (1 - b) s     (1 - b) s (l - sum s l),  l = log s - log m
public sealed interface Divergence {

    /// KL(teacher || student): the student covers what the teacher does. What the references for distillation under quantisation use.
    record ForwardKl() implements Divergence {
        @Override
        public Rows of(Tensor student, Tensor teacher) {
            Tensor probabilities = teacher.exp();
            Tensor values = sum(teacher.sub_(student).mul_(probabilities));
            return new Rows(values, student.exp_().sub_(probabilities));
        }
    }

    /// KL(student || teacher): the student avoids what the teacher does not do.
    record ReverseKl() implements Divergence {
        @Override
        public Rows of(Tensor student, Tensor teacher) {
            Tensor difference = teacher.neg_().add_(student);
            Tensor probabilities = student.exp_();
            Tensor values = sum(probabilities.mul(difference));
            return new Rows(values, difference.sub_(values).mul_(probabilities));
        }
    }

    /// Generalised Jensen-Shannon divergence (Agarwal et al. 2024).
    ///
    /// @param weight `b`, the teacher's share of the mixture, above 0 and below 1
    record JensenShannon(double weight) implements Divergence {
        /// Checks the range.
        public JensenShannon {
            if (!(weight > 0 && weight < 1)) {
                throw new IllegalArgumentException("Jensen-Shannon weight is %s; expected above 0 and below 1".formatted(weight));
            }
        }

        @Override
        public Rows of(Tensor student, Tensor teacher) {
            Tensor mixture = torch.logaddexp(
                    teacher.add(new Scalar(Math.log(weight))), student.add(new Scalar(Math.log(1 - weight))));
            Tensor teacherPart = sum(teacher.exp().mul_(teacher.sub_(mixture)));
            Tensor difference = mixture.neg_().add_(student);
            Tensor probabilities = student.exp_();
            Tensor studentPart = sum(probabilities.mul(difference));
            Tensor slope = difference.sub_(studentPart).mul_(probabilities).mul_(new Scalar(1 - weight));
            Tensor values = teacherPart.mul_(new Scalar(weight)).add_(studentPart.mul(new Scalar(1 - weight)));
            return new Rows(values, slope);
        }
    }

    /// Values and gradients of N positions.
    ///
    /// @param values `[N, 1]`
    /// @param slope  `[N, V]`, gradient of each row's value with respect to the student's logits
    record Rows(Tensor values, Tensor slope) {}

    /// Computes both from log-probabilities `[N, V]`, which are overwritten.
    Rows of(Tensor student, Tensor teacher);

    /// Sums over the vocabulary, `[N, V]` to `[N, 1]`.
    static Tensor sum(Tensor terms) {
        return terms.sum(new long[] {-1}, true, new ScalarTypeOptional());
    }
}
