package rqat.generate.torch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import rqat.model.ModelConfig;
import rqat.tensor.Grad;
import rqat.tensor.Place;

class KvCacheTest {

    /// However slots and lengths come and go, as long as what is asked for is within the budget, so is what is held.
    @Test
    void neverHoldsMoreThanItsBudget() {
        try (TinyModel model = TinyModel.of(ModelConfig.Family.QWEN3, 1, ScalarType.Float)) {
            var random = new Random(3);
            Grad.off(() -> {
                for (int budget : new int[] {70, 200, 1000}) {
                    try (var cache = new KvCache(model.config(), Place.cpu(ScalarType.Float), budget)) {
                        int rows = 0;
                        for (int i = 0; i < 200; i++) {
                            int kept = Math.min(rows, 1 + random.nextInt(8));
                            rows = 1 + random.nextInt(Math.min(20, budget));
                            int length = 1 + random.nextInt(budget / rows);
                            cache.reserve(rows, length, Math.min(kept, rows));
                            assertThat(cache.positions()).isBetween((long) rows * length, (long) budget);
                        }
                    }
                }
                return null;
            });
        }
    }
}
