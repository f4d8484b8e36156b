package rqat.export;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import rqat.Fixtures;
import rqat.format.CodedWeight;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;

/// What `fixtures/export/packed.safetensors` holds, of whatever shapes.
public final class ExportFixtures implements AutoCloseable {
    public static final String WEIGHT = "model.layers.0.self_attn.q_proj.weight";

    private final SafetensorsFile file = SafetensorsFile.open(Fixtures.path("export/packed.safetensors"));

    /// A coded weight and the name under which its packed forms are.
    public record Case(String name, CodedWeight weight) {
        public boolean isAsymmetric() {
            return name.endsWith(".asym");
        }
    }

    /// All tensors by name.
    public Map<String, HostTensor> tensors() {
        return file.tensors();
    }

    /// The weights that the file holds, such as `w3.asym`.
    public List<Case> cases() {
        var cases = new ArrayList<Case>();
        for (String key : tensors().keySet()) {
            if (!key.endsWith(".codes")) continue;
            String name = key.substring(0, key.length() - ".codes".length());
            cases.add(new Case(name, weight(name, name.endsWith(".asym"))));
        }
        return cases;
    }

    /// The weight `name` in an asymmetric or symmetric grid.
    public CodedWeight weight(String name, boolean asymmetric) {
        int bits = name.charAt(1) - '0', half = asymmetric ? 0 : 1 << bits - 1;
        HostTensor codes = tensors().get(name + ".codes"), zeros = tensors().get(name + ".zeros"), scales = tensors().get(name + ".scales");
        long rows = codes.shape()[0], columns = codes.shape()[1], groups = zeros.shape()[1];
        var spec = new GridSpec(bits, (int) (columns / groups), !asymmetric, ScaleType.FLOAT16);
        return new CodedWeight(
                WEIGHT, spec, (int) rows, (int) columns,
                bytes(spec.codeType(), codes, half),
                HostTensor.ofFloats(scales.shape(), scales.toFloats()),
                asymmetric ? bytes(spec.codeType(), zeros, 0) : null);
    }

    private static HostTensor bytes(DataType type, HostTensor values, int less) {
        int[] numbers = values.toInts();
        byte[] bytes = new byte[numbers.length];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) (numbers[i] - less);
        return HostTensor.ofBytes(type, values.shape(), bytes);
    }

    @Override
    public void close() {
        file.close();
    }
}
