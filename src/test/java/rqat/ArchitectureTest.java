package rqat;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static java.util.stream.Collectors.toMap;
import static java.util.stream.Collectors.toSet;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.Source;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The walls between packages and between files. The world is closed: a package that [#LAYERS] does not know is an error, whatever it imports.
class ArchitectureTest {
    private static final JavaClasses CLASSES =
            new ClassFileImporter().withImportOption(new ImportOption.DoNotIncludeTests()).importPackages("rqat");

    /// Every package, from top to bottom, a layer a line. A package imports from the lines below its own and nothing else of ours; one with a
    /// star may import libtorch. Packages below a package stand for themselves (`verify.mathematics`). A new package is one word here.
    private static final List<List<String>> LAYERS = """
            cli api
            study plan
            recipe
            rl*
            train*
            eval openai export engine quant*
            foreign
            texts generate.torch* format
            generate
            data dist* optim* model*
            report run tensor* text
            verify.mathematics verify.program io text.jinja
            verify
            """.lines().map(line -> List.of(line.split(" "))).toList();

    /// Those of [#LAYERS] that may still be missing.
    private static final Set<String> TO_COME =
            Set.of("study", "plan", "dist", "optim");

    /// The line of each package, `rqat` itself below all.
    private static final Map<String, Integer> LEVELS = Stream.concat(
                    Stream.of(Map.entry("rqat", LAYERS.size())),
                    IntStream.range(0, LAYERS.size()).boxed()
                            .flatMap(level -> LAYERS.get(level).stream().map(entry -> Map.entry(packageOf(entry), level))))
            .collect(toMap(Map.Entry::getKey, Map.Entry::getValue, (a, b) -> {
                throw new AssertionError("a package stands twice in LAYERS, on lines %d and %d".formatted(a, b));
            }));

    /// Files that depend on each other in a circle today; none may be added.
    private static final List<Set<String>> CIRCLES_TO_MEND = List.of(
            Set.of("rqat.data.Hub", "rqat.data.Download"),
            Set.of("rqat.text.Tokenizer", "rqat.text.TokenizerReader", "rqat.text.Detokenizer"),
            Set.of("rqat.verify.mathematics.StatementParser", "rqat.verify.mathematics.NumericEvaluator",
                    "rqat.verify.mathematics.ExpressionEquality"),
            Set.of("rqat.verify.mathematics.ReferenceVerifier", "rqat.verify.mathematics.CandidateFinder",
                    "rqat.verify.mathematics.PlainScanner", "rqat.verify.mathematics.ArithmeticParser"),
            Set.of("rqat.texts.StageTexts", "rqat.texts.WordProblemTexts", "rqat.texts.DataSetTexts"),
            Set.of("rqat.recipe.Study", "rqat.recipe.StudyCharts", "rqat.recipe.Difference"));

    @Test
    void everyPackageStandsInOneLayer() {
        assertThat(packages()).filteredOn(name -> !LEVELS.containsKey(name))
                .as("packages that ArchitectureTest.LAYERS does not know; each goes on a line above all that it uses").isEmpty();
        assertThat(LEVELS.keySet()).filteredOn(name -> !packages().contains(name) && !TO_COME.contains(name.replaceFirst("^rqat\\.", "")))
                .as("packages in ArchitectureTest.LAYERS that are not there").isEmpty();
    }

    @Test
    void importsPointDownwards() {
        assertThat(CLASSES.stream().flatMap(c -> c.getDirectDependenciesFromSelf().stream()).filter(ArchitectureTest::pointsUpwards))
                .extracting(Dependency::getDescription).isEmpty();
    }

    private static boolean pointsUpwards(Dependency dependency) {
        String from = dependency.getOriginClass().getPackageName(), to = element(dependency.getTargetClass()).getPackageName();
        if (from.equals(to) || !(to.equals("rqat") || to.startsWith("rqat."))) return false;
        return LEVELS.getOrDefault(from, -1) >= LEVELS.getOrDefault(to, -1);
    }

    @Test
    void thereAreNoCirclesOfPackages() {
        slices().matching("(**)").should().beFreeOfCycles().check(CLASSES);
    }

    /// A file is what one reads: the classes in it may know each other, two files may not, so that each can be read after those it uses. A sealed
    /// type and those that it permits are one thing in several files: the language has it name them, and they name it.
    @Test
    void thereAreNoCirclesOfFiles() {
        var rule = slices().assignedFrom(new SliceAssignment() {
            @Override
            public SliceIdentifier getIdentifierOf(JavaClass c) {
                return c.getPackageName().matches("rqat(\\..*)?") ? SliceIdentifier.of(file(element(c))) : SliceIdentifier.ignore();
            }

            @Override
            public String getDescription() {
                return "files";
            }
        }).should().beFreeOfCycles();
        for (Set<String> circle : CIRCLES_TO_MEND) {
            var members = DescribedPredicate.<JavaClass>describe("in a circle", c -> circle.contains(file(c)));
            rule = rule.ignoreDependency(members, members);
        }
        for (JavaClass sealed : CLASSES) {
            Set<String> family = family(sealed);
            var members = DescribedPredicate.<JavaClass>describe("of a sealed family", c -> family.contains(file(c)));
            if (family.size() > 1) rule = rule.ignoreDependency(members, members);
        }
        rule.check(CLASSES);
    }

    /// The files of a type and of those that it permits; none where it is not sealed.
    private static Set<String> family(JavaClass c) {
        try {
            Class<?> type = Class.forName(c.getName(), false, ArchitectureTest.class.getClassLoader());
            if (!type.isSealed()) return Set.of();
            return Stream.concat(Stream.of(type), Arrays.stream(type.getPermittedSubclasses())).map(member -> file(CLASSES.get(member))).collect(toSet());
        } catch (ClassNotFoundException e) {
            throw new AssertionError(c.getName(), e);
        }
    }

    /// As the class of the same name: `rqat.io.JsonFiles`.
    private static String file(JavaClass c) {
        return c.getPackageName() + "." + c.getSource().flatMap(Source::getFileName).orElse(c.getName()).replace(".java", "");
    }

    @Test
    void libtorchStaysInItsPackages() {
        String[] starred = LAYERS.stream().flatMap(List::stream).filter(entry -> entry.endsWith("*"))
                .map(ArchitectureTest::packageOf).toArray(String[]::new);
        noClasses().that().resideOutsideOfPackages(starred).should().dependOnClassesThat(libtorch()).check(CLASSES);
    }

    /// These read, write, serve, decode and judge where libtorch cannot be loaded: neither they nor anything that they use imports it.
    @ParameterizedTest
    @ValueSource(strings = {"format", "foreign", "export", "engine", "openai", "texts", "verify", "text", "data", "io"})
    void doesWithoutLibtorch(String name) {
        assertThat(LAYERS.stream().flatMap(List::stream)).doesNotContain(name + "*").anyMatch(name::equals);
        Predicate<JavaClass> member = resideInAPackage("rqat." + name + "..");
        if (!TO_COME.contains(name)) assertThat(CLASSES).anyMatch(member);
        var used = new LinkedHashSet<JavaClass>();
        var next = new ArrayDeque<>(CLASSES.stream().filter(member).toList());
        while (!next.isEmpty()) {
            JavaClass c = next.remove();
            if (used.add(c)) usedBy(c).filter(CLASSES::contains).forEach(next::add);
        }
        assertThat(used.stream().filter(c -> usedBy(c).anyMatch(libtorch()))).extracting(JavaClass::getName)
                .as("classes with libtorch that %s uses", name).isEmpty();
    }

    private static Stream<JavaClass> usedBy(JavaClass c) {
        return c.getDirectDependenciesFromSelf().stream().map(Dependency::getTargetClass).map(ArchitectureTest::element);
    }

    @Test
    void theEngineServesWithoutTheQuantisers() {
        noClasses().that().resideInAPackage("rqat.engine..").should().dependOnClassesThat().resideInAPackage("rqat.quant..")
                .check(CLASSES);
    }

    @Test
    void mathematicsKnowsNeitherFilesNorJson() {
        noClasses().that().resideInAPackage("rqat.verify.mathematics..")
                .should().dependOnClassesThat().resideInAnyPackage("java.nio.file..", "tools.jackson..", "com.fasterxml..")
                .check(CLASSES);
    }

    /// Where a tensor lives is said in `tensor` alone: creators elsewhere would put it on the CPU without a word, and raw addresses would read a
    /// device's memory as ours. `zeros_like` and its kind follow what they are given.
    @Test
    void tensorsAreMadeInOnePlace() {
        Set<String> creators = Set.of(
                "empty", "zeros", "ones", "full", "arange", "range", "linspace", "logspace", "eye", "rand", "randn", "randint", "randperm", "normal",
                "tensor", "from_blob", "from_file", "scalar_tensor", "tril_indices", "triu_indices", "hann_window", "complex", "empty_strided", "data_ptr",
                "const_data_ptr", "mutable_data_ptr", "cpu", "cuda");
        noClasses().that().resideOutsideOfPackage("rqat.tensor..")
                .should().callMethodWhere(DescribedPredicate.describe(
                        "creates a tensor or reads its address",
                        call -> call.getTargetOwner().getPackageName().startsWith("org.bytedeco.pytorch") && creators.contains(call.getName())))
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

    private static DescribedPredicate<JavaClass> libtorch() {
        return resideInAPackage("org.bytedeco..");
    }

    private static String packageOf(String entry) {
        return "rqat." + entry.replace("*", "");
    }

    private static List<String> packages() {
        return CLASSES.stream().map(JavaClass::getPackageName).distinct().toList();
    }

    private static JavaClass element(JavaClass c) {
        return c.isArray() ? c.getBaseComponentType() : c;
    }
}
