package rqat.export;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.foreign.ForeignModel;
import rqat.foreign.GgufDirectory;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.format.Description;
import rqat.io.AtomicFiles;
import rqat.io.DataType;
import rqat.run.Progress;

/// A model directory becomes files that other engines serve, in four steps: decide how every tensor is stored, which refuses what would change; write; read everything
/// back and compare; give the result its name. Before the last step nothing is to be seen but a hidden temporary directory, which the next attempt
/// overwrites if this one is killed.
public final class Exporter {
    private static final String EXTENSION = ".gguf";

    private final Path source;
    private final Path out;
    private final ExportSettings settings;
    private final ModelCard.Facts facts;
    private final Progress progress;

    private Exporter(Path source, Path out, ExportSettings settings, ModelCard.Facts facts, Progress progress) {
        this.source = source;
        this.out = out;
        this.settings = settings;
        this.facts = facts;
        this.progress = progress;
    }

    /// Exports the model in the directory `source`, ours or one that `rqat.foreign` reads.
    ///
    /// @param out a directory to make, or for `gguf` a file `NAME.gguf`
    /// @throws Failure USAGE when `out` is there already or has the wrong form, or when the format cannot hold a tensor: the message names it and one that can; BAD_FILE when
    ///                 the model is damaged; INTERRUPTED when the thread was
    public static ExportResult run(Path source, Path out, ExportSettings settings, Progress progress) {
        return run(source, out, settings, ModelCard.Facts.of(out, source), progress);
    }

    /// As [#run(Path, Path, ExportSettings, Progress)], with more for the model card: a directory's `README.md`; beside a GGUF file there is none, but the result has its text.
    public static ExportResult run(Path source, Path out, ExportSettings settings, ModelCard.Facts facts, Progress progress) {
        return new Exporter(source, out, settings, facts, progress).run();
    }

    private ExportResult run() {
        checkPlace();
        try (CodedModel model = ForeignModel.open(source)) {
            try {
                return settings.format() == ExportFormat.GGUF ? gguf(model) : directory(model);
            } catch (Unfit unfit) {
                throw Failure.usage("cannot export %s: %s. %s".formatted(source, unfit.getMessage(), advice(model)));
            }
        }
    }

    private void checkPlace() {
        boolean file = out.getFileName() != null && out.getFileName().toString().endsWith(EXTENSION);
        if (file != (settings.format() == ExportFormat.GGUF)) {
            throw Failure.usage(file
                    ? "%s names a GGUF file, but the format is %s".formatted(out, settings.format().label())
                    : "%s: a gguf export is one file; name it NAME%s".formatted(out, EXTENSION));
        }
        if (Files.exists(out, LinkOption.NOFOLLOW_LINKS)) throw Failure.usage("%s is there already; move it away or choose another name".formatted(out));
    }

    /// The container of a format, null for dequantised weights.
    private static @Nullable SafetensorsContainer container(CodedModel model, ExportFormat format, int bits) {
        return switch (format) {
            case GPTQ -> new GptqContainer(bits);
            case COMPRESSED_TENSORS -> new CompressedTensorsContainer(bits);
            case AWQ -> new AwqContainer();
            case MLX -> MlxContainer.of(model);
            case HF, GGUF -> null;
        };
    }

    private ExportResult directory(CodedModel model) {
        refuseActivations(model);
        var made = task("checking", model.config().tensors().size(), watch -> new SafetensorsPackage(
                source, model, container(model, settings.format(), settings.containerBits()), settings, watch));
        var result = new ExportResult[1];
        AtomicFiles.writeDirectory(out, made.bytes(), directory -> {
            task("writing", made.count(), watch -> {
                made.write(directory, watch);
                if (!model.activations().quantisers().isEmpty()) copySites(directory);
                return null;
            });
            SequencedMap<String, Proof.Hashes> hashes;
            try (CodedModel written = ForeignModel.open(directory)) {
                hashes = prove(model, made.pieces(), written);
            }
            result[0] = result(model, made.pieces(), made.survey(), made.type(), made.change(), made.bytes());
            ExportManifest.write(directory.resolve("export-manifest.json"), source, result[0], made.pieces(), hashes);
            AtomicFiles.write(directory.resolve("README.md"), result[0].card());
        });
        return result[0];
    }

    private ExportResult gguf(CodedModel model) {
        refuseActivations(model);
        String name = out.getFileName().toString();
        String base = name.substring(0, name.length() - EXTENSION.length());
        if (base.isEmpty()) throw Failure.usage("%s: name the file NAME%s".formatted(out, EXTENSION));
        var made = task("checking", model.config().tensors().size(), watch -> new GgufPackage(
                source, model, settings, base, java.util.Optional.empty(), watch));
        Path absolute = out.toAbsolutePath();
        Path temporary = absolute.resolveSibling("." + name + ".tmp");
        ExportResult result;
        try {
            AtomicFiles.delete(temporary);
            Path file = temporary.resolve(name), manifest = temporary.resolve(base + ".export-manifest.json");
            task("writing", made.count(), watch -> {
                made.write(file, watch);
                return null;
            });
            SequencedMap<String, Proof.Hashes> hashes;
            try (CodedModel written = ForeignModel.open(GgufDirectory.of(file, temporary.resolve("proof")))) {
                hashes = prove(model, made.pieces(), written);
            }
            result = result(model, made.pieces(), made.survey(), made.type(), made.change(), made.bytes());
            ExportManifest.write(manifest, source, result, made.pieces(), hashes);
            for (Path each : List.of(manifest, file)) Files.move(each, absolute.resolveSibling(each.getFileName()), StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw AtomicFiles.failure("write", out, e);
        } finally {
            AtomicFiles.delete(temporary);
        }
        return result;
    }

    /// Work on the tensors of a model, one after the other.
    @FunctionalInterface
    private interface Work<T> {
        T run(Runnable watch);
    }

    private <T> T task(String what, long total, Work<T> work) {
        try (Progress.Task task = progress.start("%s %s".formatted(what, out), total, "tensors")) {
            return work.run(() -> {
                task.advance(1);
                if (Thread.interrupted()) throw Failure.interrupted("interrupted; nothing was written to %s, run the same command again".formatted(out));
            });
        }
    }

    private SequencedMap<String, Proof.Hashes> prove(CodedModel model, List<Piece> pieces, CodedModel written) {
        if (!written.config().equals(model.config())) {
            throw Failure.failed("%s: reading back what was written gives the configuration %s instead of %s; nothing was kept. This is a defect of rqat: please report it"
                    .formatted(out, written.config(), model.config()));
        }
        var hashes = new LinkedHashMap<String, Proof.Hashes>();
        return task("proving", pieces.size(), watch -> {
            var proof = new Proof(out, written);
            for (Piece piece : pieces) {
                hashes.put(piece.name(), piece.proof().apply(proof));
                watch.run();
            }
            return hashes;
        });
    }

    private ExportResult result(CodedModel model, List<Piece> pieces, Survey survey, DataType type, Change change, long bytes) {
        var stored = new TreeMap<String, Integer>();
        pieces.stream().filter(piece -> !piece.grid().isEmpty()).forEach(piece -> stored.merge(piece.container() + ", " + piece.grid(), 1, Integer::sum));
        List<Piece> maps = pieces.stream().filter(piece -> piece.coded() || model.codedNames().isEmpty() && piece.name().contains("_proj.weight")).toList();
        double quantisedBits = 8.0 * maps.stream().mapToLong(Piece::bytes).sum() / maps.stream().mapToLong(Piece::elements).sum();
        long parameters = model.config().parameters();
        var products = new LinkedHashMap<String, Change>();
        if (!model.codedNames().isEmpty() && !stored.isEmpty()) {
            for (DataType each : List.of(DataType.F16, DataType.BF16)) products.put(SafetensorsPackage.name(each), survey.products(each));
        }
        var result = new ExportResult(
                out, settings.format().label(), stored, SafetensorsPackage.name(type), bytes, quantisedBits, 8.0 * bytes / parameters, 2.0 * parameters / bytes,
                change, products, pieces.size(), "");
        return result.with(ModelCard.text(result, model.description(), facts));
    }

    /// A model whose activations are quantised needs a reader that does so.
    private void refuseActivations(CodedModel model) {
        if (settings.format() == ExportFormat.HF || model.activations().quantisers().isEmpty()) return;
        throw Failure.usage(("cannot export %s as %s: it quantises activations as well (%s), and what they go through at run time has no word in that format. --format hf"
                        + " writes its weights with a `%s` folder, from which rqat does what was trained")
                .formatted(source, settings.format().label(), model.description() == null ? "" : model.description().method().name(), Description.FOLDER));
    }

    /// What rqat needs beside the weights to do to activations what was done in training: all of the folder but what training goes on from.
    private void copySites(Path directory) {
        for (String name : List.of(CodedModel.CODES, CodedModel.SITES, Description.FILE)) {
            Path file = source.resolve(Description.FOLDER).resolve(name);
            if (!Files.exists(file)) continue;
            try (var in = Files.newInputStream(file)) {
                AtomicFiles.write(directory.resolve(Description.FOLDER).resolve(name), in::transferTo);
            } catch (IOException e) {
                throw AtomicFiles.failure("read", file, e);
            }
        }
    }

    /// What can hold the model instead.
    private String advice(CodedModel model) {
        var candidates = new LinkedHashMap<String, Consumer<CodedWeight>>();
        boolean anyType = settings.type() == null || settings.lossy();
        for (int bits : new int[] {0, 8}) {
            candidates.put("gguf" + (bits == 0 ? "" : " --container-bits " + bits), weight -> {
                GgufContainer.Fit fit = new GgufContainer(bits).fit(weight, () -> weight);
                Recoded.Codes codes = fit.weight().open();
                exact(model, weight, Set.of(DataType.F16), (_, row, into) -> fit.values(codes, row, into));
            });
        }
        for (ExportFormat format : List.of(ExportFormat.COMPRESSED_TENSORS, ExportFormat.GPTQ, ExportFormat.MLX)) {
            candidates.put(format.label(), weight -> holds(model, weight, format, Set.of(DataType.F16, DataType.BF16)));
        }
        candidates.put("compressed-tensors --dtype float32", weight -> holds(model, weight, ExportFormat.COMPRESSED_TENSORS, Set.of(DataType.F32)));
        String own = settings.format().label() + (settings.containerBits() == 0 ? "" : " --container-bits " + settings.containerBits())
                + (settings.type() == null ? "" : " --dtype " + SafetensorsPackage.name(settings.type()));
        var order = new ArrayList<>(candidates.keySet());
        // The same format with other options is nearest.
        order.sort((a, b) -> Boolean.compare(!a.startsWith(settings.format().label()), !b.startsWith(settings.format().label())));
        String found = "hf";
        for (String candidate : order) {
            if (!candidate.equals(own) && !model.codedNames().isEmpty() && holdsAll(model, candidates.get(candidate))) {
                found = candidate;
                break;
            }
        }
        String lossy = settings.lossy() ? "" : ", or allow changes with --lossy where only values change";
        return "--format %s holds it exactly%s".formatted(found, lossy);
    }

    private static boolean holdsAll(CodedModel model, Consumer<CodedWeight> check) {
        try {
            for (String name : model.codedNames()) check.accept(model.coded(name));
            return true;
        } catch (Unfit e) {
            return false;
        }
    }

    private static void holds(CodedModel model, CodedWeight weight, ExportFormat format, Set<DataType> types) {
        SafetensorsContainer container = container(model, format, 0);
        Recoded.Codes codes = container.fit(weight, () -> weight).open();
        exact(model, weight, types, (type, row, into) -> container.values(codes, type, row, into));
    }

    private static void exact(CodedModel model, CodedWeight weight, Set<DataType> types, Survey.Served served) {
        var survey = new Survey();
        survey.add(model, weight, types, served);
        if (types.stream().noneMatch(type -> survey.weights(type).isNone())) throw new Unfit(weight.name() + " would change");
    }
}
