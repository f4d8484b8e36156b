package rqat.tensor;

import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.DeviceType;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Where a tensor lives and in which dtype: what every factory of [Tensors] is told. A model's place is chosen once, where it is loaded;
/// everything that is made later follows a tensor that is there ([#of]).
///
/// A value: equal places are [#equals], and none holds native memory.
///
/// @param device what computes
/// @param index  which of several such devices; -1 where there is one, as the CPU
/// @param type   the dtype
public record Place(DeviceType device, int index, ScalarType type) {
    private static final int ONLY = -1;

    /// libtorch answers with fresh objects that are `==` to no constant.
    public Place {
        device = device.intern();
        type = type.intern();
    }

    /// The memory of this process.
    public static Place cpu(ScalarType type) {
        return new Place(DeviceType.CPU, ONLY, type);
    }

    /// The device and the dtype of `like`.
    public static Place of(Tensor like) {
        return Scope.get(() -> {
            Device device = like.device();
            return new Place(device.type(), device.index(), like.scalar_type());
        });
    }

    /// The same device with another dtype.
    public Place as(ScalarType other) {
        return new Place(device, index, other);
    }

    /// Whether Java can read and write what is here in place.
    boolean isHost() {
        return device == DeviceType.CPU;
    }

    /// This place for libtorch; of the surrounding scope.
    TensorOptions options() {
        return new TensorOptions().dtype(new ScalarTypeOptional(type)).device(new DeviceOptional(libtorch()));
    }

    /// `tensor` here: itself if it is here already, else a copy, rounded if its dtype is wider.
    Tensor take(Tensor tensor) {
        return of(tensor).equals(this) ? tensor : tensor.to(libtorch(), type);
    }

    private Device libtorch() {
        return new Device(device, (byte) index);
    }
}
