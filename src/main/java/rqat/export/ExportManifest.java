package rqat.export;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import rqat.io.JsonFiles;
import rqat.run.Manifest;
import tools.jackson.databind.node.ObjectNode;

/// `export-manifest.json`: what every tensor became, so that anybody can check it with another reader.
final class ExportManifest {
    private ExportManifest() {}

    static void write(Path file, Path source, ExportResult result, List<Piece> pieces, Map<String, Proof.Hashes> hashes) {
        ObjectNode root = JsonFiles.object();
        root.put("rqat", Manifest.VERSION);
        root.put("format", result.format());
        root.put("dtype", result.dtype());
        root.put("bytes", result.bytes());
        root.put("bits_per_weight", rounded(result.quantisedBits()));
        root.put("bits_per_parameter", rounded(result.bits()));
        root.put("smaller_than_bfloat16", rounded(result.ratio()));
        change(root, "largest_change", result.change());
        ObjectNode products = root.putObject("rounding_of_products");
        result.products().forEach((type, change) -> change(products, type, change));
        ObjectNode tensors = root.putObject("tensors");
        for (Piece piece : pieces) {
            ObjectNode node = tensors.putObject(piece.name());
            node.put("stored_as", piece.stored());
            node.put("container", piece.container());
            if (!piece.grid().isEmpty()) node.put("grid", piece.grid());
            node.put("bits_per_weight", rounded(piece.bitsPerWeight()));
            Proof.Hashes hash = hashes.get(piece.name());
            ObjectNode sha256 = node.putObject("sha256");
            if (!hash.codes().isEmpty()) sha256.put("codes", hash.codes()).put("zeros", hash.zeros()).put("scales", hash.scales());
            sha256.put("dequantised", hash.dequantised());
        }
        JsonFiles.write(file, root);
    }

    private static void change(ObjectNode node, String key, Change change) {
        if (change.isNone()) node.putNull(key);
        else node.putObject(key).put("tensor", change.tensor()).put("absolute", change.absolute()).put("relative", change.relative());
    }

    static double rounded(double value) {
        return Math.round(value * 1e4) / 1e4;
    }
}
