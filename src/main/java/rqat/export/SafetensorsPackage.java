package rqat.export;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import rqat.export.SafetensorsContainer.CommonGrid;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.format.ModelFiles;
import rqat.io.DataType;
import rqat.io.HostBuffer;
import rqat.io.JsonFiles;
import rqat.io.SafetensorsWriter;
import rqat.io.TensorSource;
import rqat.model.Linear;
import tools.jackson.databind.node.ObjectNode;

/// A Hugging Face model directory: dequantised weights (`container` null), or codes in a [SafetensorsContainer].
final class SafetensorsPackage {
    private final Path source;
    private final CodedModel model;
    private final OpenedWeight opened;
    private final @Nullable SafetensorsContainer container;
    private final String label;
    private final DataType type;
    private final Survey survey = new Survey();
    private final SequencedMap<String, TensorSource> tensors = new LinkedHashMap<>();
    private final List<Piece> pieces = new ArrayList<>();
    private final SequencedMap<String, Recoded> recoded = new LinkedHashMap<>();
    private final @Nullable CommonGrid grid;

    /// Decides how every tensor is stored.
    ///
    /// @param source   the model's directory
    /// @param watch    told of every tensor that was looked at
    /// @throws Unfit when a tensor does not fit, or would change and may not
    SafetensorsPackage(Path source, CodedModel model, @Nullable SafetensorsContainer container, ExportSettings settings, Runnable watch) {
        this.source = source;
        this.model = model;
        this.opened = new OpenedWeight(model);
        this.container = container;
        this.label = settings.format().label();
        if (container != null) survey(container, settings, watch);
        this.grid = container == null ? null : grid();
        Map<String, Map<DataType, Change>> rounding = rounding(settings, watch);
        this.type = container == null ? valueType(rounding, settings) : scaleType(settings);
        for (String name : model.config().tensors().keySet()) {
            Recoded weight = recoded.get(name);
            if (weight != null) addCoded(container, weight, settings);
            else addPlain(name, rounding.get(name), settings);
        }
    }

    private static Set<DataType> candidates(ExportSettings settings) {
        return settings.type() != null ? EnumSet.of(settings.type()) : EnumSet.of(DataType.F16, DataType.BF16);
    }

    private void survey(SafetensorsContainer container, ExportSettings settings, Runnable watch) {
        for (String name : model.codedNames()) {
            CodedWeight weight = opened.get(name);
            weight.verify(source);
            Recoded fitted = container.fit(weight, () -> opened.get(name));
            recoded.put(name, fitted);
            Recoded.Codes codes = fitted.open();
            survey.add(model, weight, candidates(settings), (type, row, into) -> container.values(codes, type, row, into));
            watch.run();
        }
        if (recoded.isEmpty()) throw new Unfit("the model has no quantised weight, which %s is for".formatted(label));
    }

    /// What a configuration says once for all maps.
    ///
    /// @throws Unfit when there is no such thing
    private CommonGrid grid() {
        Recoded first = recoded.firstEntry().getValue();
        int groupSize = container.hasCommonGroups() ? groupSize() : 0;
        for (Recoded weight : recoded.values()) {
            if (first.bits() != weight.bits() || first.symmetric() != weight.symmetric()) {
                throw new Unfit("%s has %s, %s has %s; %s has one grid for all".formatted(weight.name(), grid(weight), first.name(), grid(first), label));
            }
        }
        return new CommonGrid(first.bits(), first.symmetric(), groupSize);
    }

    /// The size of all groups; a row that is no longer is one group.
    private int groupSize() {
        List<Recoded> cut = recoded.values().stream().filter(weight -> weight.groups() > 1).toList();
        if (cut.isEmpty()) {
            boolean whole = recoded.values().stream().anyMatch(weight -> weight.groupSize() == 0);
            return whole ? 0 : recoded.values().stream().mapToInt(Recoded::groupSize).max().orElseThrow();
        }
        Recoded first = cut.getFirst();
        for (Recoded weight : recoded.values()) {
            boolean fits = weight.groups() == 1 ? weight.columns() <= first.groupColumns() : weight.groupColumns() == first.groupColumns();
            if (!fits) {
                throw new Unfit("%s has %s, %s has %s; %s has one grid for all".formatted(weight.name(), grid(weight), first.name(), grid(first), label));
            }
        }
        return first.groupColumns();
    }

    private static String grid(Recoded weight) {
        return "%d bits, %s, groups of %d".formatted(weight.bits(), weight.symmetric() ? "symmetric" : "asymmetric", weight.groupColumns());
    }

    /// What rounding each plain tensor to each candidate changes.
    private Map<String, Map<DataType, Change>> rounding(ExportSettings settings, Runnable watch) {
        var changes = new LinkedHashMap<String, Map<DataType, Change>>();
        for (String name : model.config().tensors().keySet()) {
            if (recoded.containsKey(name)) continue;
            var byType = new LinkedHashMap<DataType, Change>();
            model.value(name).lend(tensor -> candidates(settings).forEach(candidate -> byType.put(candidate, Survey.rounding(name, tensor, candidate))));
            changes.put(name, byType);
            watch.run();
        }
        return changes;
    }

    private static Change largest(Map<String, Map<DataType, Change>> rounding, DataType type) {
        return rounding.values().stream().map(changes -> changes.getOrDefault(type, Change.NONE)).reduce(Change.NONE, Change::or);
    }

    /// The narrowest type that changes no value; with `lossy`, the one asked for.
    private DataType valueType(Map<String, Map<DataType, Change>> rounding, ExportSettings settings) {
        if (settings.type() != null) return settings.type();
        // bfloat16 first: what published models are in.
        if (largest(rounding, DataType.BF16).isNone()) return DataType.BF16;
        return largest(rounding, DataType.F16).isNone() ? DataType.F16 : DataType.F32;
    }

    private DataType scaleType(ExportSettings settings) {
        List<DataType> unchanged = candidates(settings).stream().filter(candidate -> survey.weights(candidate).isNone()).toList();
        // Best one in which an engine's own products are exact too.
        for (DataType candidate : unchanged) {
            if (candidate == DataType.F32 || survey.products(candidate).isNone()) return candidate;
        }
        if (!unchanged.isEmpty()) return unchanged.getFirst();
        DataType best = candidates(settings).stream().min((a, b) -> Double.compare(survey.weights(a).absolute(), survey.weights(b).absolute())).orElseThrow();
        if (!settings.lossy()) throw lossy(survey.weights(best), best);
        return best;
    }

    private Unfit lossy(Change change, DataType type) {
        return new Unfit("%s in %s changes values, the largest by %.3g in %s".formatted(label, name(type), change.absolute(), change.tensor()));
    }

    static String name(DataType type) {
        return switch (type) {
            case F16 -> "float16";
            case BF16 -> "bfloat16";
            default -> "float32";
        };
    }

    private void addCoded(SafetensorsContainer container, Recoded weight, ExportSettings settings) {
        SequencedMap<String, TensorSource> parts = container.tensors(weight, type);
        parts.forEach(tensors::put);
        long bytes = parts.values().stream().mapToLong(TensorSource::byteSize).sum();
        pieces.add(new Piece(
                weight.name(), SafetensorsContainer.module(weight.name()), label, (long) weight.rows() * weight.columns(), bytes, true, grid(weight), Change.NONE,
                proof -> proof.coded(weight, type, (codes, row, into) -> container.values(codes, type, row, into))));
    }

    private void addPlain(String name, Map<DataType, Change> rounding, ExportSettings settings) {
        TensorSource value = model.value(name);
        Change change = rounding.getOrDefault(type, Change.NONE);
        boolean keeps = !change.isNone() && settings.type() == null && container != null;
        if (!change.isNone() && !keeps && !settings.lossy()) throw lossy(change, type);
        DataType stored = keeps ? DataType.F32 : type;
        TensorSource rounded = HostBuffer.rounded(value, stored);
        tensors.put(name, rounded);
        pieces.add(new Piece(
                name, name, stored.name(), value.elementCount(), rounded.byteSize(), model.codedNames().contains(name), "", keeps ? Change.NONE : change,
                proof -> proof.plain(name, value, stored)));
    }

    List<Piece> pieces() {
        return pieces;
    }

    Survey survey() {
        return survey;
    }

    DataType type() {
        return type;
    }

    /// The largest change of a weight.
    Change change() {
        Change weights = container == null ? Change.NONE : survey.weights(type);
        return pieces.stream().map(Piece::change).reduce(weights, Change::or);
    }

    /// How many tensors the file has.
    int count() {
        return tensors.size();
    }

    /// Bytes of the tensors.
    long bytes() {
        return tensors.values().stream().mapToLong(TensorSource::byteSize).sum();
    }

    /// Writes tensors, configuration and the tokenizer's files into a directory that exists.
    ///
    /// @param watch told of every tensor that was written
    void write(Path directory, Runnable watch) {
        var watched = new LinkedHashMap<String, TensorSource>();
        tensors.forEach((name, tensor) -> watched.put(name, TensorSource.lent(tensor.type(), tensor.shape(), reader -> {
            tensor.lend(reader);
            watch.run();
        })));
        SafetensorsWriter.writeCheckpoint(
                directory, watched, Map.of("format", container == null ? "pt" : container.metadata()), SafetensorsWriter.DEFAULT_MAXIMUM_SHARD_BYTES);
        ModelFiles.copy(source, directory, this::describe);
        if (container instanceof GptqContainer gptq) {
            ObjectNode configuration = gptq.configuration(JsonFiles.object(), grid, unquantised());
            JsonFiles.write(directory.resolve("quantize_config.json"), configuration);
        }
    }

    private void describe(ObjectNode config) {
        config.remove(List.of("quantization_config", "quantization"));
        for (String key : List.of("torch_dtype", "dtype")) {
            if (config.has(key)) config.put(key, name(type));
        }
        if (!config.has("torch_dtype") && !config.has("dtype")) config.put("torch_dtype", name(type));
        if (container != null) container.describe(config, grid, unquantised());
    }

    private List<String> unquantised() {
        var modules = new ArrayList<String>();
        for (int layer = 0; layer < model.config().layers(); layer++) {
            for (Linear linear : Linear.values()) {
                if (!recoded.containsKey(linear.weight(layer))) modules.add(SafetensorsContainer.module(linear.weight(layer)));
            }
        }
        return modules;
    }
}
