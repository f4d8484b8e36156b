package rqat.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;

class SpeedTest {
    @Test
    void measuresWithinWhatMachinesCanDo() {
        int threads = torch.get_num_threads();
        try {
            // a machine below 0.1 GFLOP/s or above 100 TFLOP/s would mean that seconds or operations are counted wrongly
            assertThat(Speed.products(Torch.Compute.FLOAT32, 1)).isBetween(0.1, 1e5);
            assertThat(Speed.products(Torch.Compute.BFLOAT16, 1)).isBetween(0.1, 1e5);
            assertThat(Speed.reading(1)).isBetween(0.1, 1e4);
            assertThat(torch.get_num_threads()).as("threads of others are left alone").isEqualTo(threads);
        } finally {
            torch.set_num_threads(threads);
        }
    }
}
