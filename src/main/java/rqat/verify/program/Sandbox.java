package rqat.verify.program;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import rqat.Failure;

/// Runs a command where it can do no harm: in namespaces of its own (users, processes, network, mounts, IPC, host name), without a
/// network, without capabilities, seeing only the read-only system directories (`/usr` and what belongs to it) and an empty folder
/// `/box` in memory, counted with its own, that vanishes with it. Its memory, processes, open files, folder, output and time are limited, and at its end the
/// kernel kills every process of its PID namespace, whatever they did to get away.
///
/// Made by util-linux (`unshare`, `mount`, `pivot_root`), or by bubblewrap where the machine allows user namespaces to it alone;
/// bubblewrap comes second because it limits the bytes in the folder but not how many empty files it holds. Root gives itself up first
/// and becomes nobody, because the kernel does not limit the processes of root. Where neither way works there is no sandbox, and no
/// unsafe substitute: [#detect] says why. Linux 5.14 or later, where process limits count per user namespace.
///
/// A filter of system calls (`confine.py`) is the last wall: no memory that is charged to no process (shared anonymous mappings, System V
/// segments, memfd, io_uring), no news of the host's files (inotify), no sockets past the network namespace (AF_VSOCK), no new namespaces.
///
/// Not contained: what the kernel itself does wrong, and timing.
public final class Sandbox {
    /// The first places that are looked for Python; a Python outside `/usr` is not visible inside.
    private static final List<String> PYTHONS = List.of("/usr/bin/python3", "/usr/local/bin/python3");

    private static final String NOBODY = "65534";
    private static final List<String> SYSTEM = List.of("bin", "sbin", "lib", "lib32", "lib64");
    private static final String LOADER_CACHE = "/etc/ld.so.cache";
    private static final List<String> DEVICES = List.of("null", "full", "random", "urandom");

    /// Runs as the first process of fresh namespaces and builds the new root in a file system in memory; `$1` is the size of the folder.
    /// The old root is looked at once more for `/proc`, which `mount` and `umount` read, and is gone before the command starts.
    private static final String UNSHARED = """
            set -e
            size=$1; shift
            echo 0 2>/dev/null >/proc/sys/user/max_user_namespaces || :
            mount -t tmpfs -o size=1m,mode=755,nosuid root /tmp
            cd /tmp
            mkdir usr box dev old etc
            mount --rbind /usr usr
            mount -o remount,bind,ro,nosuid usr
            for name in %s; do
                if [ -L /$name ]; then ln -s "$(readlink /$name)" $name
                elif [ -d /$name ]; then mkdir $name; mount --rbind /$name $name; mount -o remount,bind,ro,nosuid $name
                fi
            done
            if [ -e %s ]; then : >.%2$s; mount --bind %2$s .%2$s; mount -o remount,bind,ro,nosuid .%2$s; fi
            for name in %s; do : >dev/$name; mount --bind /dev/$name dev/$name; done
            mount -t tmpfs -o "size=$size,nr_inodes=4096,mode=755,nosuid,nodev" box box
            ln -s old/proc proc
            pivot_root . old
            mount -o remount,bind,ro,nosuid /
            cd /box
            umount -l /old
            exec setsid setpriv --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
            """.formatted(String.join(" ", SYSTEM), LOADER_CACHE, String.join(" ", DEVICES));

    /// Takes system calls away and becomes the command.
    private static final String CONFINE = Resources.text("confine.py");

    /// Answers for itself: forks, is refused shared memory and sockets to the hypervisor, sees neither processes nor files of the host, and reaches no network.
    private static final String PROBE = """
            import mmap, os, socket
            if os.fork() == 0: os._exit(0)
            os.wait()
            for forbidden in (lambda: mmap.mmap(-1, 4096), lambda: socket.socket(40, 1)):
                try: print("not refused:", forbidden())
                except OSError: pass
            seen = [name for name in ("/proc/self", "/home", "/root", "/var", "/etc/passwd", "/tmp") if os.path.exists(name)]
            reached = [name for _, name in socket.if_nameindex() if name != "lo"]
            print("contained" if not seen and not reached and os.getpid() == 1 and os.getcwd() == "/box" else (seen, reached, os.getpid()))
            """;

    /// What builds the walls.
    public enum Kind {
        /// util-linux.
        UNSHARE,
        /// bubblewrap.
        BUBBLEWRAP
    }

    /// How a sandboxed command ended.
    public enum End {
        /// By itself, or by a signal of its own.
        EXITED,
        /// Killed at the limit of its time.
        TIME,
        /// Killed at the limit of its output.
        OUTPUT,
        /// Killed at the limit of the memory of all its processes together.
        MEMORY
    }

    /// What is left of a sandboxed command: nothing but this.
    ///
    /// @param end    how it ended
    /// @param status exit status; of no meaning unless it ended by itself
    /// @param output what it wrote to standard output, up to the limit
    /// @param error  the beginning of what it wrote to standard error
    public record Outcome(End end, int status, byte[] output, String error) {
        /// The output as UTF-8.
        public String text() {
            return new String(output, StandardCharsets.UTF_8);
        }
    }

    private final Kind kind;
    private final String program;
    private final String python;

    private Sandbox(Kind kind, String program, String python) {
        this.kind = kind;
        this.program = program;
        this.python = python;
    }

    /// What was found on this machine.
    ///
    /// @param sandbox the first way that works; null when none does
    /// @param refusal why there is none, and what to install; empty when there is one
    public record Detection(@Nullable Sandbox sandbox, String refusal) {
        /// The sandbox.
        ///
        /// @throws Failure GATE when there is none: generated code is never run outside one
        public Sandbox required() {
            if (sandbox != null) return sandbox;
            throw Failure.gate(refusal + ". Generated code is not run without one; install bubblewrap and python3, or allow user "
                    + "namespaces (sysctl user.max_user_namespaces; in a container, its seccomp and AppArmor profiles)");
        }
    }

    /// Tries the ways to build a sandbox on this machine, each with a program that checks its own walls. Takes about half a second.
    public static Detection detect() {
        var directories = new ArrayList<>(Arrays.asList(System.getenv().getOrDefault("PATH", "").split(":")));
        directories.addAll(List.of("/usr/bin", "/bin"));
        return detect(directories);
    }

    /// As [#detect()] with the directories where `bwrap` and `unshare` are looked for.
    static Detection detect(List<String> directories) {
        String python = PYTHONS.stream().filter(name -> Files.isExecutable(Path.of(name))).findFirst().orElse(null);
        var refusals = new ArrayList<String>();
        if (python == null) refusals.add("there is no Python at " + String.join(" or ", PYTHONS));
        for (Kind kind : python == null ? new Kind[0] : Kind.values()) {
            String name = kind == Kind.BUBBLEWRAP ? "bwrap" : "unshare";
            String program = directories.stream().map(directory -> directory + "/" + name)
                    .filter(file -> file.startsWith("/") && Files.isExecutable(Path.of(file))).findFirst().orElse(null);
            if (program == null) {
                refusals.add("`%s` is not installed".formatted(name));
                continue;
            }
            var sandbox = new Sandbox(kind, program, python);
            try {
                Outcome outcome = sandbox.run(sandbox.python(PROBE), new byte[0], Limits.DEFAULT.seconds(20));
                if (outcome.text().strip().equals("contained")) return new Detection(sandbox, "");
                refusals.add("%s does not contain a program: %s".formatted(
                        program, Failure.quote((outcome.text() + " " + outcome.error()).strip())));
            } catch (Failure e) {
                refusals.add(e.getMessage());
            }
        }
        return new Detection(null, "no sandbox for generated programs: " + String.join("; ", refusals));
    }

    /// What builds the walls here.
    public Kind kind() {
        return kind;
    }

    /// The Python inside.
    public String python() {
        return python;
    }

    /// The command that runs a script by the Python inside, without the user's settings and packages.
    public List<String> python(String script) {
        return List.of(python, "-I", "-B", "-c", script);
    }

    /// Runs a command to its end or to a limit.
    ///
    /// @param command its program by its full path, and its arguments
    /// @param input   what it reads from standard input
    /// @throws Failure FAILED when it cannot be started
    public Outcome run(List<String> command, byte[] input, Limits limits) {
        try (Running running = start(command, limits)) {
            return running.finish(input);
        }
    }

    /// Starts a command; closing what is returned kills all of it.
    Running start(List<String> command, Limits limits) {
        var line = new ArrayList<String>();
        if (isRoot()) {
            line.addAll(List.of("setpriv", "--reuid=" + NOBODY, "--regid=" + NOBODY, "--clear-groups", "--inh-caps=-all", "--"));
        }
        switch (kind) {
            case BUBBLEWRAP -> bubblewrap(line, limits);
            case UNSHARE -> {
                line.addAll(List.of(program, "--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork",
                        "--kill-child", "--propagation", "private", "sh", "-c", UNSHARED, "sandbox", Long.toString(limits.folder())));
            }
        }
        line.addAll(List.of("/usr/bin/prlimit", "--as=" + limits.memory(), "--nproc=" + limits.processes(), "--nofile=" + limits.files(),
                "--fsize=" + limits.folder(), "--core=0", "--msgqueue=0", "--"));
        line.addAll(List.of(python, "-I", "-S", "-B", "-c", CONFINE));
        line.addAll(command);
        var builder = new ProcessBuilder(line).directory(Path.of("/").toFile());
        builder.environment().clear();
        builder.environment().put("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        builder.environment().put("LC_ALL", "C.UTF-8");
        try {
            return new Running(builder.start(), limits);
        } catch (IOException e) {
            throw Failure.failed("cannot start the sandbox %s: %s".formatted(program, e.getMessage()), e);
        }
    }

    private void bubblewrap(List<String> line, Limits limits) {
        line.addAll(List.of(program, "--unshare-all", "--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL",
                "--ro-bind", "/usr", "/usr"));
        for (String name : SYSTEM) {
            Path directory = Path.of("/" + name);
            if (Files.isSymbolicLink(directory)) {
                try {
                    line.addAll(List.of("--symlink", Files.readSymbolicLink(directory).toString(), "/" + name));
                } catch (IOException e) {
                    throw Failure.failed("cannot read the link %s: %s".formatted(directory, e.getMessage()), e);
                }
            } else if (Files.isDirectory(directory)) {
                line.addAll(List.of("--ro-bind", "/" + name, "/" + name));
            }
        }
        line.addAll(List.of("--ro-bind-try", LOADER_CACHE, LOADER_CACHE));
        for (String device : DEVICES) line.addAll(List.of("--dev-bind", "/dev/" + device, "/dev/" + device));
        line.addAll(List.of("--size", Long.toString(limits.folder()), "--tmpfs", "/box", "--remount-ro", "/", "--chdir", "/box", "--"));
    }

    private static boolean isRoot() {
        return Files.isDirectory(Path.of("/proc/self")) && ProcessHandle.current().info().user().orElse("").equals("root");
    }

    /// A sandboxed command at work. Used by one thread; a second, of its own, watches its memory and the clock.
    static final class Running implements AutoCloseable {
        private static final int WATCH_MILLISECONDS = 50;
        private static final int KEPT_ERROR = 4000;

        private final Process process;
        private final Limits limits;
        private final Thread watch;
        private final long deadline;
        private volatile End end = End.EXITED;

        private Running(Process process, Limits limits) {
            this.process = process;
            this.limits = limits;
            this.deadline = System.nanoTime() + (long) (limits.seconds() * 1e9);
            this.watch = Thread.ofVirtual().name("sandbox-watch").start(this::watch);
        }

        /// Its standard input and output.
        Process process() {
            return process;
        }

        /// How it ended, once its output has ended.
        End end() {
            return end;
        }

        private Outcome finish(byte[] input) {
            Thread.ofVirtual().name("sandbox-input").start(() -> {
                try (OutputStream sink = process.getOutputStream()) {
                    sink.write(input);
                } catch (IOException e) {
                    // it does not read its input
                }
            });
            var error = new StringBuilder();
            Thread reader = Thread.ofVirtual().name("sandbox-error").start(() -> error.append(beginning()));
            var output = new ByteArrayOutputStream();
            try {
                var source = process.getInputStream();
                byte[] buffer = new byte[65536];
                for (int count; (count = source.read(buffer)) >= 0; ) {
                    output.write(buffer, 0, (int) Math.min(count, limits.output() - output.size()));
                    if (output.size() >= limits.output()) stop(End.OUTPUT);
                }
            } catch (IOException e) {
                // it was killed
            }
            close();
            try {
                reader.join(1000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return new Outcome(end, process.exitValue(), output.toByteArray(), error.toString());
        }

        private String beginning() {
            try (var source = process.getErrorStream()) {
                byte[] kept = source.readNBytes(KEPT_ERROR);
                byte[] rest = new byte[65536];
                while (source.read(rest) >= 0) {}
                return new String(kept, StandardCharsets.UTF_8);
            } catch (IOException e) {
                return "";
            }
        }

        private void watch() {
            try {
                while (!process.waitFor(WATCH_MILLISECONDS, TimeUnit.MILLISECONDS)) {
                    if (System.nanoTime() - deadline > 0) stop(End.TIME);
                    else if (residentBytes() > limits.memory() - limits.folder()) stop(End.MEMORY);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        private void stop(End why) {
            if (end == End.EXITED && process.isAlive()) {
                end = why;
                killFirst();
            }
        }

        /// Kills the first process of the PID namespace, and with it the kernel kills every other. The process that we started waits
        /// for it and then ends too; killed itself, it would leave a dead child to whatever reaps orphans on this machine.
        private void killFirst() {
            process.children().forEach(ProcessHandle::destroyForcibly);
        }

        /// Of all processes in the sandbox, without shared pages: those are of the program's files, or of files in the folder, which counts
        /// as full. Memory can be shared in no other way.
        private long residentBytes() {
            long pages = 0;
            for (ProcessHandle descendant : process.descendants().toList()) {
                try {
                    String[] counts = Files.readString(Path.of("/proc/" + descendant.pid() + "/statm")).split(" ");
                    pages += Long.parseLong(counts[1]) - Long.parseLong(counts[2]);
                } catch (IOException e) {
                    // it has ended
                }
            }
            return pages * 4096;
        }

        /// Kills all of it and waits until it is gone.
        @Override
        public void close() {
            List<ProcessHandle> tree = process.descendants().toList();
            try {
                // A command that has ended by itself keeps its exit status.
                boolean ended = process.waitFor(tree.isEmpty() ? 1000 : 0, TimeUnit.MILLISECONDS);
                for (int patience = 0; !ended && patience < 200; patience++) {
                    killFirst();
                    ended = process.waitFor(10, TimeUnit.MILLISECONDS);
                }
                process.destroyForcibly().waitFor();
                watch.join();
            } catch (InterruptedException e) {
                process.destroyForcibly();
                Thread.currentThread().interrupt();
            }
        }
    }
}
