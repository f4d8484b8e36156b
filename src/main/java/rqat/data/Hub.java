package rqat.data;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.run.Progress;
import tools.jackson.databind.JsonNode;

/// Models and data sets of the Hugging Face Hub, kept in its standard cache so that Python tools and this program share one copy: contents in
/// `blobs/CHECKSUM`, `snapshots/COMMIT/FILE` linking to them, `refs/REVISION` naming commits.
///
/// Files are downloaded side by side, resumed where a connection or a process ended, and checked against the checksums of the repository
/// before they get their names: SHA-256 for large files, git's object name for small ones. What is there is not asked for again. Repositories
/// are named `owner/name`, or `owner/name@revision`.
public final class Hub implements DataSource {
    /// The public Hub, unless `HF_ENDPOINT` names another.
    public static final URI ENDPOINT = URI.create("https://huggingface.co");

    private static final Pattern ID = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}(@[A-Za-z0-9][A-Za-z0-9._/-]{0,200})?");
    private static final Pattern CHECKSUM = Pattern.compile("[0-9a-f]{40}|[0-9a-f]{64}");
    private static final Pattern MODEL_FILES = Pattern.compile("[^/]+\\.(safetensors|json|jinja|txt)|additional_chat_templates/[^/]+\\.jinja");
    private static final int PARALLEL_FILES = 4;

    /// Where and as whom.
    ///
    /// @param endpoint of the Hub or of a mirror
    /// @param cache    directory of the repositories
    /// @param token    for private and gated repositories; null for none
    /// @param offline  use what is in the cache and never the network
    /// @param patience how long to wait after a first failure; doubles with each further one
    public record Settings(URI endpoint, Path cache, @Nullable String token, boolean offline, Duration patience) {

        /// What the environment says, by the variables that all tools of the Hub know: `HF_ENDPOINT`; `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else
        /// in `.cache/huggingface` of the home directory; `HF_TOKEN`, else the file `token` in `HF_HOME`; `HF_HUB_OFFLINE`.
        ///
        /// @throws Failure USAGE when a variable cannot be meant
        public static Settings of(Map<String, String> environment, Path userHome) {
            String endpoint = environment.getOrDefault("HF_ENDPOINT", "");
            Path home = path(environment, "HF_HOME", userHome.resolve(".cache").resolve("huggingface"));
            String token = environment.getOrDefault("HF_TOKEN", "").strip();
            Path tokenFile = path(environment, "HF_TOKEN_PATH", home.resolve("token"));
            if (token.isEmpty() && Files.isRegularFile(tokenFile)) {
                try {
                    token = Files.readString(tokenFile).strip();
                } catch (IOException e) {
                    throw AtomicFiles.failure("read", tokenFile, e);
                }
            }
            if (!token.chars().allMatch(c -> c > ' ' && c < 127)) {
                throw Failure.usage("the token in HF_TOKEN or %s is not one; expected letters, digits and signs".formatted(tokenFile));
            }
            return new Settings(
                    endpoint.isBlank() ? ENDPOINT : uri(endpoint.strip()),
                    path(environment, "HF_HUB_CACHE", home.resolve("hub")),
                    token.isEmpty() ? null : token,
                    List.of("1", "ON", "YES", "TRUE").contains(environment.getOrDefault("HF_HUB_OFFLINE", "").toUpperCase(Locale.ROOT)),
                    Duration.ofSeconds(1));
        }

        private static Path path(Map<String, String> environment, String name, Path otherwise) {
            String value = environment.getOrDefault(name, "").strip();
            return value.isEmpty() ? otherwise : Path.of(value);
        }

        private static URI uri(String endpoint) {
            try {
                URI uri = URI.create(endpoint.replaceAll("/+$", ""));
                if (uri.getHost() != null && List.of("http", "https").contains(uri.getScheme())) return uri;
            } catch (IllegalArgumentException e) {
                // Said below.
            }
            throw Failure.usage("HF_ENDPOINT is %s; expected a web address such as %s".formatted(Failure.quote(endpoint), ENDPOINT));
        }
    }

    /// What kind of repository.
    private enum Kind {
        MODEL("models", ""),
        DATA_SET("datasets", "datasets/");

        private final String plural;
        private final String urlPrefix;

        Kind(String plural, String urlPrefix) {
            this.plural = plural;
            this.urlPrefix = urlPrefix;
        }
    }

    /// A repository at a revision, and its folder in the cache.
    private record Repository(Kind kind, String id, String revision, Path folder) {
        Path snapshot(String commit) {
            return folder.resolve("snapshots").resolve(commit);
        }

        Path reference() {
            return folder.resolve("refs").resolve(revision);
        }

        @Override
        public String toString() {
            return revision.equals("main") ? id : id + "@" + revision;
        }
    }

    /// @param checksum SHA-256 in 64 digits for a large file, git's SHA-1 in 40 for a small one
    record RemoteFile(String name, long size, String checksum) {}

    private final Settings settings;
    private final Progress progress;
    private final Download download;

    /// A client; `progress` hears of bytes.
    public Hub(Settings settings, Progress progress) {
        this.settings = settings;
        this.progress = progress;
        this.download = new Download(settings);
    }

    /// The client that the environment describes.
    public static Hub ofEnvironment(Progress progress) {
        return new Hub(Settings.of(System.getenv(), Path.of(System.getProperty("user.home"))), progress);
    }

    /// Whether `name` could be a repository.
    public static boolean isId(String name) {
        return ID.matcher(name).matches() && !name.contains("..");
    }

    /// Whether a file of the cache's `blobs`, which are called by their checksums, is what its name says; also for files that are called otherwise,
    /// of which nothing is known.
    ///
    /// @throws Failure BAD_FILE when it cannot be read
    public static boolean isIntact(Path blob) {
        String name = blob.getFileName().toString();
        if (!isBlob(blob)) return true;
        try (FileChannel file = FileChannel.open(blob)) {
            return Download.checksum(file, new RemoteFile(name, file.size(), name)).equals(name);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", blob, e);
        }
    }

    /// Whether this is a file of the cache that is called by its checksum.
    public static boolean isBlob(Path file) {
        Path folder = file.getParent();
        return folder != null && folder.endsWith("blobs") && CHECKSUM.matcher(file.getFileName().toString()).matches();
    }

    /// The directory of a model with its configuration, tokenizer and safetensors.
    ///
    /// @throws Failure BAD_FILE when there is no such repository or no access, offline and not in the cache, or what came is not what the repository
    ///                 says; FAILED when the network or the server is out of order for long
    public Path model(String id) {
        return snapshot(repository(Kind.MODEL, id), names -> names.stream().filter(name -> MODEL_FILES.matcher(name).matches()).toList()).directory;
    }

    @Override
    public List<Path> files(Publication publication) {
        Snapshot snapshot = snapshot(
                repository(Kind.DATA_SET, publication.repository()),
                names -> publication.select(names.stream().filter(name -> RowFiles.isReadable(Path.of(name))).toList()));
        return snapshot.names.stream().map(snapshot.directory::resolve).toList();
    }

    private record Snapshot(Path directory, List<String> names) {}

    private Repository repository(Kind kind, String name) {
        if (!isId(name)) throw Failure.usage("%s is not a repository of the Hub; expected owner/name or owner/name@revision".formatted(Failure.quote(name)));
        String id = name.contains("@") ? name.substring(0, name.indexOf('@')) : name;
        String revision = name.contains("@") ? name.substring(name.indexOf('@') + 1) : "main";
        return new Repository(kind, id, revision, settings.cache.resolve(kind.plural + "--" + id.replace("/", "--")));
    }

    private Snapshot snapshot(Repository repository, Function<List<String>, List<String>> select) {
        return settings.offline ? cached(repository, select) : fetched(repository, select);
    }

    private Snapshot cached(Repository repository, Function<List<String>, List<String>> select) {
        Path reference = repository.reference();
        String commit = repository.revision;
        if (Files.isRegularFile(reference)) {
            try {
                commit = Files.readString(reference, StandardCharsets.UTF_8).strip();
            } catch (IOException e) {
                throw AtomicFiles.failure("read", reference, e);
            }
        }
        Path directory = CHECKSUM.matcher(commit).matches() ? repository.snapshot(commit) : repository.folder;
        List<String> names = directory.equals(repository.folder) || !Files.isDirectory(directory) ? List.of() : select.apply(names(directory));
        if (names.isEmpty()) {
            throw Failure.badFile("%s is not in the cache %s, and HF_HUB_OFFLINE forbids the network; download it once without HF_HUB_OFFLINE"
                    .formatted(repository, settings.cache));
        }
        return new Snapshot(directory, names);
    }

    private static List<String> names(Path directory) {
        try (Stream<Path> paths = Files.walk(directory)) {
            return paths.filter(Files::isRegularFile).map(file -> directory.relativize(file).toString().replace('\\', '/')).sorted().toList();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", directory, e);
        }
    }

    private Snapshot fetched(Repository repository, Function<List<String>, List<String>> select) {
        JsonNode description = download.json(
                URI.create("%s/api/%s/%s/revision/%s?blobs=true"
                        .formatted(settings.endpoint, repository.kind.plural, repository.id, repository.revision.replace("/", "%2F"))),
                repository.toString());
        String commit = description.path("sha").asString("");
        if (!commit.matches("[0-9a-f]{40}")) {
            throw Failure.badFile("%s: the server at %s names the commit %s; expected 40 hexadecimal digits. Is it a Hub?"
                    .formatted(repository, settings.endpoint, Failure.quote(commit)));
        }
        Map<String, RemoteFile> remote = remoteFiles(repository, description);
        List<String> names = select.apply(remote.keySet().stream().sorted().toList());
        if (names.isEmpty()) {
            throw Failure.badFile("%s: none of its %d files is of use here: %s"
                    .formatted(repository, remote.size(), Failure.quote(String.join(", ", remote.keySet()))));
        }
        Path directory = repository.snapshot(commit);
        fetch(repository, commit, names.stream().map(remote::get).filter(file -> !isThere(repository, directory, file)).toList());
        // Last, so that offline use never meets an unfinished snapshot.
        if (!repository.revision.equals(commit)) AtomicFiles.write(repository.reference(), commit);
        return new Snapshot(directory, names);
    }

    private static Map<String, RemoteFile> remoteFiles(Repository repository, JsonNode description) {
        var files = new LinkedHashMap<String, RemoteFile>();
        for (JsonNode sibling : description.path("siblings")) {
            String name = sibling.path("rfilename").asString("");
            JsonNode large = sibling.path("lfs");
            long size = large.path("size").asLong(sibling.path("size").asLong(-1));
            String checksum = large.path("sha256").asString(sibling.path("blobId").asString(""));
            // Names become paths: nothing may point out of the snapshot.
            boolean safe = !name.isEmpty() && name.chars().allMatch(c -> c >= ' ' && c != '\\' && c != ':' && c != 127)
                    && Stream.of(name.split("/", -1)).noneMatch(part -> part.isEmpty() || part.equals(".") || part.equals(".."));
            if (!safe || size < 0 || !CHECKSUM.matcher(checksum).matches()) {
                throw Failure.badFile("%s: the server describes a file as %s; expected a relative name, a size and a checksum"
                        .formatted(repository, Failure.quote(sibling.toString())));
            }
            files.put(name, new RemoteFile(name, size, checksum));
        }
        return files;
    }

    private static boolean isThere(Repository repository, Path directory, RemoteFile file) {
        Path blob = repository.folder.resolve("blobs").resolve(file.checksum);
        Path entry = directory.resolve(file.name);
        try {
            return Files.isRegularFile(entry) && Files.size(entry) == file.size && (!Files.isSymbolicLink(entry) || Files.isSameFile(entry, blob));
        } catch (IOException e) {
            return false;
        }
    }

    private void fetch(Repository repository, String commit, List<RemoteFile> files) {
        if (files.isEmpty()) return;
        Path blobs = repository.folder.resolve("blobs");
        // Files of the same content are one download.
        var byChecksum = new LinkedHashMap<String, RemoteFile>();
        files.forEach(file -> byChecksum.putIfAbsent(file.checksum, file));
        long total = byChecksum.values().stream().mapToLong(RemoteFile::size).sum();
        long already = byChecksum.values().stream().mapToLong(file -> Download.present(blobs, file)).sum();
        requireSpace(blobs, repository, total - already);
        ExecutorService workers = Executors.newFixedThreadPool(PARALLEL_FILES, Thread.ofPlatform().daemon().name("download-", 1).factory());
        try (Progress.Task task = progress.start(repository.toString(), already, total, "bytes")) {
            var running = new ArrayList<Future<?>>();
            for (RemoteFile file : byChecksum.values()) {
                URI address = URI.create("%s/%s%s/resolve/%s/%s"
                        .formatted(settings.endpoint, repository.kind.urlPrefix, repository.id, commit, encoded(file.name)));
                running.add(workers.submit(() -> download.file(address, file, blobs, repository + "/" + file.name, task::advance)));
            }
            for (Future<?> one : running) one.get();
        } catch (InterruptedException e) {
            throw Failure.interrupted("interrupted while downloading %s; the same command resumes".formatted(repository));
        } catch (ExecutionException e) {
            if (e.getCause() instanceof Failure failure) throw failure;
            throw new IllegalStateException(e.getCause());
        } finally {
            workers.shutdownNow();
            workers.close();
        }
        files.forEach(file -> link(repository.snapshot(commit).resolve(file.name), blobs.resolve(file.checksum)));
    }

    private static void requireSpace(Path blobs, Repository repository, long bytes) {
        try {
            Files.createDirectories(blobs);
            long free = Files.getFileStore(blobs).getUsableSpace();
            if (free > 0 && free < bytes) {
                throw Failure.failed("%s needs %,d more bytes in %s, which has %,d free; free some space or set HF_HOME"
                        .formatted(repository, bytes, blobs, free));
            }
        } catch (IOException e) {
            throw AtomicFiles.failure("write", blobs, e);
        }
    }

    /// Makes `entry` a relative link to `blob`, or a copy where links cannot be made.
    private static void link(Path entry, Path blob) {
        try {
            Files.createDirectories(entry.getParent());
            Path temporary = entry.resolveSibling("." + entry.getFileName() + ".tmp");
            Files.deleteIfExists(temporary);
            try {
                Files.createSymbolicLink(temporary, entry.getParent().relativize(blob));
            } catch (UnsupportedOperationException | FileSystemException e) {
                Files.copy(blob, temporary);
            }
            try {
                Files.move(temporary, entry, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } catch (AtomicMoveNotSupportedException e) {
                Files.move(temporary, entry, StandardCopyOption.REPLACE_EXISTING, LinkOption.NOFOLLOW_LINKS);
            }
        } catch (IOException e) {
            throw AtomicFiles.failure("write", entry, e);
        }
    }

    private static String encoded(String name) {
        return Stream.of(name.split("/"))
                .map(part -> URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20"))
                .reduce((a, b) -> a + "/" + b)
                .orElseThrow();
    }
}
