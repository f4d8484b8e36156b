package rqat.quant;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Fixtures;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.io.SafetensorsFile;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The folder of reference outputs for quantisation; everything in it is found by enumerating keys.
final class QuantFixtures {
    private static final Pattern SETTING = Pattern.compile("w(\\d+)\\.(sym|asym)(?:\\.(minmax|mse))?\\.?(?:g(\\d+)|row)?.*");

    private QuantFixtures() {}

    static Path folder() {
        return Fixtures.path("quant");
    }

    static JsonNode json(String name) {
        try {
            return JsonMapper.shared().readTree(Files.readAllBytes(folder().resolve(name)));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /// All tensors of a file, owned by the surrounding scope.
    static Map<String, Tensor> tensors(String name) {
        Map<String, Tensor> result = new LinkedHashMap<>();
        try (SafetensorsFile file = SafetensorsFile.open(folder().resolve(name))) {
            file.tensors().forEach((key, tensor) -> result.put(key, Cpu.of(tensor)));
        }
        return result;
    }

    /// `w<bits>.<sym|asym>[.<minmax|mse>].<g<size>|row>` as a format.
    static GridSpec spec(String setting) {
        Matcher matcher = SETTING.matcher(setting);
        if (!matcher.matches()) throw new AssertionError("unknown setting " + setting);
        return new GridSpec(
                Integer.parseInt(matcher.group(1)),
                matcher.group(4) == null ? 0 : Integer.parseInt(matcher.group(4)),
                matcher.group(2).equals("sym"),
                ScaleType.FLOAT32);
    }

    static String sha256OfInt8(Tensor codes) {
        return sha256(codes.to(ScalarType.Char).contiguous());
    }

    /// Of the float32 values, with -0.0 as 0.0.
    static String sha256OfFloats(Tensor values) {
        return sha256(values.add(new Scalar(0.0)).contiguous());
    }

    private static String sha256(Tensor tensor) {
        try {
            byte[] bytes = Tensors.bytes(tensor).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    /// `|a - b| / |a|` in the Frobenius norm, in float64.
    static double relativeDifference(Tensor reference, Tensor other) {
        return Scope.get(() -> {
            Tensor exact = reference.to(ScalarType.Double);
            return Tensors.item(exact.sub(other.to(ScalarType.Double)).norm()) / Tensors.item(exact.norm());
        });
    }

    static double largestDifference(Tensor a, Tensor b) {
        return Scope.get(() ->
                Tensors.item(a.to(ScalarType.Double).sub(b.to(ScalarType.Double)).abs().max()));
    }
}
