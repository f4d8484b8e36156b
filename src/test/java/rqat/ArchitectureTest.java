package rqat;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// Imports point downwards, and what is special about libtorch stays where it belongs.
class ArchitectureTest {
    private static final JavaClasses CLASSES =
            new ClassFileImporter().withImportOption(new ImportOption.DoNotIncludeTests()).importPackages("rqat");

    /// From top to bottom; a package may use those of the layers below and those named beside it in [#BESIDE].
    private static final List<List<String>> LAYERS = List.of(
            List.of("cli"),
            List.of("recipe"),
            List.of("quant", "train", "rl", "eval", "report"),
            List.of("generate", "data", "format", "model"),
            List.of("tensor", "io", "text", "verify", "run"));

    /// The only imports within a layer.
    private static final Map<String, List<String>> BESIDE = Map.of(
            "train", List.of("quant"),
            "rl", List.of("train", "quant"),
            "generate", List.of("model"),
            "format", List.of("model"),
            "tensor", List.of("io"),
            "text", List.of("io"),
            "run", List.of("io"));

    @Test
    void importsPointDownwards() {
        for (int level = 0; level < LAYERS.size(); level++) {
            for (String name : LAYERS.get(level)) {
                var forbidden = LAYERS.subList(0, level + 1).stream()
                        .flatMap(List::stream)
                        .filter(other -> !other.equals(name) && !BESIDE.getOrDefault(name, List.of()).contains(other))
                        .map(other -> "rqat." + other + "..")
                        .toArray(String[]::new);
                if (forbidden.length == 0) continue;
                noClasses().that().resideInAPackage("rqat." + name + "..")
                        .should().dependOnClassesThat().resideInAnyPackage(forbidden)
                        .allowEmptyShould(true)
                        .check(CLASSES);
            }
        }
    }

    @Test
    void libtorchStaysInItsPackages() {
        noClasses().that().resideOutsideOfPackages("rqat.tensor..", "rqat.model..", "rqat.generate.torch..", "rqat.quant..", "rqat.train..", "rqat.rl..")
                .should().dependOnClassesThat().resideInAPackage("org.bytedeco..")
                .check(CLASSES);
    }

    @Test
    void nobodyUsesUnsafeIndexers() {
        noClasses().should().dependOnClassesThat().resideInAPackage("org.bytedeco.javacpp.indexer..").check(CLASSES);
        noClasses().should().dependOnClassesThat().haveFullyQualifiedName("org.bytedeco.pytorch.AbstractTensor").check(CLASSES);
    }

    @Test
    void onlyCommandsPrint() {
        noClasses().that().resideOutsideOfPackage("rqat.cli..")
                .should().accessField(System.class, "out")
                .check(CLASSES);
    }
}
