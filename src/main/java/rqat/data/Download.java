package rqat.data;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongConsumer;
import rqat.Failure;
import rqat.data.Hub.RemoteFile;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.io.Patience;
import rqat.io.StallWatch;
import tools.jackson.databind.JsonNode;

/// HTTP as it is met in the wild: connections are cut or stall, servers are busy, lie about lengths, and send elsewhere.
///
/// Tried again with [Patience]: whatever failed on the way, 408, 429 and 5xx. Every other answer but success is final and is explained.
final class Download {
    private static final String ADVICE = "The same command resumes; with HF_HUB_OFFLINE=1 only the cache is used";
    /// Nothing is lost yet, and a name may be mistyped or the machine without a network: somebody is waiting to hear of it.
    private static final int DESCRIPTION_FAILURES = 4;

    private static final Duration ANSWER = Duration.ofSeconds(60);
    private static final Duration STALL = Duration.ofSeconds(60);
    private static final int MAXIMUM_REDIRECTS = 5;
    private static final int MAXIMUM_DESCRIPTION = 100_000_000;
    private static final String INCOMPLETE = ".rqat-incomplete";

    /// Within the process; other processes are kept away by a lock on the unfinished file.
    private static final Map<Path, Object> AT_WORK = new ConcurrentHashMap<>();

    private final Hub.Settings settings;
    private final Patience patience;
    private final HttpClient client =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(20)).build();

    Download(Hub.Settings settings) {
        this.settings = settings;
        this.patience = new Patience(settings.patience());
    }

    /// A small JSON answer.
    JsonNode json(URI address, String what) {
        return new Patience(settings.patience(), DESCRIPTION_FAILURES).persist(what, ADVICE, () -> 0L, () -> {
            HttpResponse<InputStream> response = get(address, what, -1);
            byte[] bytes = StallWatch.read(response.body(), MAXIMUM_DESCRIPTION, STALL);
            if (bytes == null) throw Failure.badFile("%s: the server's description is longer than %,d bytes".formatted(what, MAXIMUM_DESCRIPTION));
            try {
                return JsonFiles.parse(bytes, "the answer of " + address, 1);
            } catch (Failure failure) {
                throw Failure.badFile("%s: %s. Is HF_ENDPOINT (%s) a Hub?".formatted(what, failure.getMessage(), settings.endpoint()));
            }
        });
    }

    /// How much of a file is there already.
    static long present(Path blobs, RemoteFile file) {
        try {
            if (Files.isRegularFile(blobs.resolve(file.checksum()))) return file.size();
            Path incomplete = blobs.resolve(file.checksum() + INCOMPLETE);
            return Files.isRegularFile(incomplete) ? Math.min(file.size(), Files.size(incomplete)) : 0;
        } catch (IOException e) {
            return 0;
        }
    }

    /// Brings `blobs/CHECKSUM` into being, going on where an earlier attempt ended.
    ///
    /// @param received hears of bytes as they come
    void file(URI address, RemoteFile file, Path blobs, String what, LongConsumer received) {
        Path target = blobs.resolve(file.checksum()).toAbsolutePath();
        synchronized (AT_WORK.computeIfAbsent(target, _ -> new Object())) {
            if (isRight(target, file)) return;
            Path incomplete = target.resolveSibling(file.checksum() + INCOMPLETE);
            try (FileChannel out = FileChannel.open(incomplete, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
                    FileLock _ = out.lock()) {
                // The process that held the lock before may have finished the file, and then it is what we have opened.
                if (isRight(target, file)) return;
                receive(address, file, out, what, received);
                out.force(true);
                Files.move(incomplete, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } catch (ClosedByInterruptException e) {
                throw interrupted(what);
            } catch (IOException e) {
                throw AtomicFiles.failure("write", incomplete, e);
            }
        }
    }

    private static boolean isRight(Path target, RemoteFile file) {
        try {
            return Files.isRegularFile(target) && Files.size(target) == file.size();
        } catch (IOException e) {
            return false;
        }
    }

    private void receive(URI address, RemoteFile file, FileChannel out, String what, LongConsumer received) throws IOException {
        if (out.size() > file.size()) out.truncate(0);
        for (int complete = 0; ; complete++) {
            patience.persist(what, ADVICE, () -> size(out), () -> {
                if (out.size() < file.size()) part(address, file, out, what, received);
                return out.size() == file.size() ? Boolean.TRUE : null;
            });
            String found = checksum(out, file);
            if (found.equals(file.checksum())) return;
            // A wrong part of an earlier attempt, or a server that answered a range with something else: once more from the beginning.
            out.truncate(0);
            if (complete == 1) {
                throw Failure.badFile("%s: what the server sent twice has the checksum %s; expected %s. Try again later, or another HF_ENDPOINT"
                        .formatted(what, found, file.checksum()));
            }
        }
    }

    private static long size(FileChannel channel) {
        try {
            return channel.size();
        } catch (IOException e) {
            return 0;
        }
    }

    /// Appends what one connection gives.
    private void part(URI address, RemoteFile file, FileChannel out, String what, LongConsumer received) throws IOException, InterruptedException {
        long from = out.size();
        HttpResponse<InputStream> response = get(address, what, from);
        try (InputStream body = response.body(); var watch = new StallWatch(body, STALL)) {
            if (response.statusCode() == 416 || from > 0 && response.statusCode() == 206 && !startsAt(response.headers(), from)) {
                out.truncate(0);
                throw new Patience.Passing("the server does not go on at byte %,d".formatted(from), Duration.ZERO);
            }
            if (response.statusCode() == 200 && from > 0) {
                out.truncate(0);
                from = 0;
            }
            out.position(from);
            byte[] buffer = new byte[1 << 16];
            while (true) {
                int read = body.read(buffer);
                if (read < 0) break;
                watch.alive();
                if (out.position() + read > file.size()) {
                    out.truncate(0);
                    throw new Patience.Passing("the server sent more than the %,d bytes of the file".formatted(file.size()), null);
                }
                ByteBuffer bytes = ByteBuffer.wrap(buffer, 0, read);
                while (bytes.hasRemaining()) out.write(bytes);
                received.accept(read);
            }
            if (out.size() < file.size()) throw new Patience.Passing("the connection ended at byte %,d of %,d".formatted(out.size(), file.size()), null);
        }
    }

    private static boolean startsAt(HttpHeaders headers, long from) {
        return headers.firstValue("Content-Range").orElse("").startsWith("bytes " + from + "-");
    }

    static String checksum(FileChannel file, RemoteFile expected) throws IOException {
        boolean large = expected.checksum().length() == 64;
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance(large ? "SHA-256" : "SHA-1");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
        // Git names a content by the hash of its kind, its length and itself.
        if (!large) digest.update("blob %d\0".formatted(expected.size()).getBytes(StandardCharsets.US_ASCII));
        ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
        file.position(0);
        while (file.read(buffer) >= 0) {
            digest.update(buffer.flip());
            buffer.clear();
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static Failure interrupted(String what) {
        return Failure.interrupted("interrupted while downloading %s; the same command resumes".formatted(what));
    }

    /// Asks for `address`, following where it is sent; the answer is 200, 206 or 416.
    ///
    /// @param from the first byte wanted; -1 or 0 for all
    private HttpResponse<InputStream> get(URI address, String what, long from) throws IOException, InterruptedException {
        URI current = address;
        for (int redirects = 0; redirects <= MAXIMUM_REDIRECTS; redirects++) {
            var request = HttpRequest.newBuilder(current).timeout(ANSWER).header("Accept-Encoding", "identity").header("User-Agent", "rqat");
            // The token is for the Hub alone, not for where it keeps its files.
            if (settings.token() != null && sameServer(current, settings.endpoint())) request.header("Authorization", "Bearer " + settings.token());
            if (from > 0) request.header("Range", "bytes=%d-".formatted(from));
            HttpResponse<InputStream> response = client.send(request.GET().build(), BodyHandlers.ofInputStream());
            int status = response.statusCode();
            if (status == 200 || status == 206 || status == 416) return response;
            response.body().close();
            if (!List.of(301, 302, 303, 307, 308).contains(status)) throw refused(response, what);
            current = redirected(current, response, what);
        }
        throw Failure.badFile("%s: the server sends from one address to the next, more than %d times".formatted(what, MAXIMUM_REDIRECTS));
    }

    private static URI redirected(URI from, HttpResponse<?> response, String what) {
        String location = response.headers().firstValue("Location").orElse("");
        try {
            URI to = from.resolve(location);
            boolean secure = "https".equals(to.getScheme()) || "http".equals(to.getScheme()) && "http".equals(from.getScheme());
            if (!location.isEmpty() && to.getHost() != null && secure) return to;
        } catch (IllegalArgumentException e) {
            // Said below.
        }
        throw Failure.badFile("%s: the server sends on to %s; expected a web address, and not from https to http".formatted(what, Failure.quote(location)));
    }

    private static boolean sameServer(URI one, URI other) {
        return one.getScheme().equals(other.getScheme()) && one.getHost().equalsIgnoreCase(other.getHost()) && one.getPort() == other.getPort();
    }

    /// What an answer that is no success means: thrown as [Patience.Passing] where waiting may help.
    private Failure refused(HttpResponse<?> response, String what) throws Patience.Passing {
        int status = response.statusCode();
        String said = response.headers().firstValue("X-Error-Message").map(text -> " (" + Failure.quote(text) + ")").orElse("");
        if (Patience.mayPass(status)) {
            throw new Patience.Passing("the server answered %d%s".formatted(status, said), Patience.retryAfter(response.headers()));
        }
        String token = settings.token() == null ? "set HF_TOKEN" : "check that the token in HF_TOKEN is valid and may read it";
        String page = settings.endpoint() + "/" + what;
        return Failure.badFile(switch (status) {
            case 401 -> "%s: the server answered 401%s: it is private, or does not exist; %s".formatted(what, said, token);
            case 403 -> "%s: the server answered 403%s: access is refused; if it is gated, accept its conditions at %s, then %s"
                    .formatted(what, said, page, token);
            case 404 -> "%s: the server answered 404%s: there is no such repository, revision or file at %s".formatted(what, said, settings.endpoint());
            default -> "%s: the server answered %d%s; expected 200".formatted(what, status, said);
        });
    }
}
