package rqat.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiFunction;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import rqat.io.DataType;
import rqat.io.HostTensor;

class PlaceTest {
    private static final long[] SHAPE = {2, 3};
    private static final double[] VALUES = {1, -2, 3.25, 0, 1e-3, 5};

    /// On the meta device tensors have everything but memory, which shows where a factory puts what it makes without another device.
    private static Place meta(ScalarType type) {
        return new Place(DeviceType.Meta, -1, type);
    }

    private static Map<String, BiFunction<Place, long[], Tensor>> factories() {
        var factories = new LinkedHashMap<String, BiFunction<Place, long[], Tensor>>();
        factories.put("empty", Tensors::empty);
        factories.put("zeros", Tensors::zeros);
        factories.put("full", (place, shape) -> Tensors.full(place, 0.5, shape));
        factories.put("float[]", (place, shape) -> Tensors.of(place, new float[6], shape));
        factories.put("double[]", (place, shape) -> Tensors.of(place, VALUES, shape));
        factories.put("file", (place, shape) -> HostTensors.toTensor(stored(shape), place));
        return factories;
    }

    private static HostTensor stored(long[] shape) {
        return new HostTensor(DataType.F64, shape, MemorySegment.ofArray(VALUES));
    }

    @Test
    void everyFactoryMakesWhatItsPlaceSays() {
        for (ScalarType type : new ScalarType[] {ScalarType.Float, ScalarType.Double, ScalarType.BFloat16}) {
            for (Place place : new Place[] {Place.cpu(type), meta(type)}) {
                factories().forEach((name, factory) -> Scope.run(() -> {
                    Tensor made = factory.apply(place, SHAPE);
                    assertThat(Place.of(made)).as("%s at %s", name, place).isEqualTo(place);
                    assertThat(Tensors.shape(made)).as(name).isEqualTo(SHAPE);
                }));
                Scope.run(() -> {
                    Tensor identity = Tensors.identity(place, 3);
                    assertThat(Place.of(identity)).isEqualTo(place);
                    assertThat(Tensors.shape(identity)).containsExactly(3, 3);
                });
            }
        }
    }

    @Test
    void indicesAndMasksFollowTheDeviceAndKeepTheirDtype() {
        for (Place place : new Place[] {Place.cpu(ScalarType.BFloat16), meta(ScalarType.BFloat16)}) {
            Scope.run(() -> {
                assertThat(Place.of(Tensors.range(place, 3, 7))).isEqualTo(place.as(ScalarType.Long));
                assertThat(Tensors.shape(Tensors.range(place, 3, 7))).containsExactly(4);
                assertThat(Place.of(Tensors.of(place, new long[6], SHAPE))).isEqualTo(place.as(ScalarType.Long));
                assertThat(Place.of(Tensors.of(place, new int[6], SHAPE))).isEqualTo(place.as(ScalarType.Long));
                assertThat(Place.of(Tensors.of(place, new boolean[6], SHAPE))).isEqualTo(place.as(ScalarType.Bool));
                assertThat(Tensors.shape(Tensors.of(place, new boolean[6], SHAPE))).isEqualTo(SHAPE);
            });
        }
    }

    @Test
    void valuesArriveRoundedToTheDtypeOfThePlace() {
        Scope.run(() -> {
            assertThat(Tensors.doubles(Tensors.of(Place.cpu(ScalarType.Double), VALUES, SHAPE))).containsExactly(VALUES);
            // 1e-3 in bfloat16, whose last bit is 2^-17 there
            double rounded = Math.rint(1e-3 * 0x1p17) * 0x1p-17;
            assertThat(Tensors.doubles(Tensors.of(Place.cpu(ScalarType.BFloat16), VALUES, SHAPE))).containsExactly(1, -2, 3.25, 0, rounded, 5);
            assertThat(Tensors.doubles(HostTensors.toTensor(stored(SHAPE), Place.cpu(ScalarType.BFloat16)))).containsExactly(1, -2, 3.25, 0, rounded, 5);
            assertThat(Tensors.doubles(HostTensors.toTensor(stored(SHAPE), Place.cpu(ScalarType.Double)))).containsExactly(VALUES);
            assertThat(Tensors.longs(Tensors.range(Place.cpu(ScalarType.Float), 3, 7))).containsExactly(3, 4, 5, 6);
            assertThat(Tensors.floats(Tensors.identity(Place.cpu(ScalarType.Float), 2))).containsExactly(1, 0, 0, 1);
        });
    }

    @Test
    void valuesAreReadThroughACopyOnTheHost() {
        // There is nothing to copy on the meta device, and libtorch says so: the memory of a device is never taken for that of this process.
        Scope.run(() -> {
            Tensor elsewhere = Tensors.zeros(meta(ScalarType.Float), SHAPE);
            assertThatThrownBy(() -> Tensors.bytes(elsewhere)).hasMessageContaining("meta tensor");
            assertThatThrownBy(() -> Tensors.floats(elsewhere)).hasMessageContaining("meta tensor");
            assertThatThrownBy(() -> HostTensors.view(elsewhere)).hasMessageContaining("meta tensor");
        });
    }

    @Test
    void aPlaceIsAValue() {
        Scope.run(() -> {
            Tensor x = Tensors.zeros(Place.cpu(ScalarType.Half), 1);
            assertThat(Place.of(x)).isEqualTo(Place.cpu(ScalarType.Half)).isNotEqualTo(Place.cpu(ScalarType.Float));
            assertThat(Place.of(x).as(ScalarType.Float)).isEqualTo(Place.cpu(ScalarType.Float));
            assertThat(meta(ScalarType.Half)).isNotEqualTo(Place.cpu(ScalarType.Half));
            long before = Pointer.totalCount();
            Place.of(x);
            assertThat(Pointer.totalCount()).isEqualTo(before);
        });
    }
}
