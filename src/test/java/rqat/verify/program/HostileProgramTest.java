package rqat.verify.program;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.verify.Reason;
import rqat.verify.program.ProgramVerifier.Mode;
import rqat.verify.program.Sandbox.End;
import rqat.verify.program.Sandbox.Kind;
import rqat.verify.program.Sandbox.Outcome;

/// Programs that mean harm, each contained; after each, no process and no file of it remains.
class HostileProgramTest {
    private static final long MIB = 1 << 20;
    private static final Limits LIMITS = new Limits(256 * MIB, 16, 64, MIB, MIB, 20);
    private static final String MARK = "rqat-hostile-mark";

    private static Sandbox sandbox;
    private Set<Long> before;

    @TempDir
    Path host;

    @BeforeAll
    static void sandbox() {
        // -Drqat.sandbox=DIR: the walls are built by what lies there, to try bubblewrap where it is not installed
        String directory = System.getProperty("rqat.sandbox");
        Sandbox.Detection detection = directory == null ? Sandbox.detect() : Sandbox.detect(List.of(directory));
        Assumptions.assumeTrue(detection.sandbox() != null, detection.refusal());
        sandbox = detection.sandbox();
    }

    @BeforeEach
    void count() {
        before = nestedProcesses();
    }

    @AfterEach
    void nothingRemains() throws Exception {
        Set<Long> left = nestedProcesses();
        left.removeAll(before);
        assertThat(left).as("processes that outlive the sandbox").isEmpty();
        for (Path place : List.of(Path.of(System.getProperty("java.io.tmpdir")), Path.of("/dev/shm"), Path.of(""))) {
            try (var files = Files.list(place)) {
                assertThat(files.filter(file -> file.getFileName().toString().contains(MARK))).as("files in " + place).isEmpty();
            } catch (IOException e) {
                // there is no such place on this machine
            }
        }
        try (var files = Files.list(host)) {
            assertThat(files.filter(file -> !file.endsWith("secret"))).isEmpty();
        }
    }

    @Test
    void forkBomb() {
        Outcome outcome = run("""
                import os, time
                count = 0
                try:
                    while True:
                        if os.fork() == 0:
                            time.sleep(60)
                        count += 1
                except OSError as error:
                    print(count, flush=True)
                """);
        assertThat(outcome.end()).isEqualTo(End.EXITED);
        assertThat(Integer.parseInt(outcome.text().strip())).isBetween(1, LIMITS.processes());
    }

    @Test
    void exponentialForkBomb() {
        Outcome outcome = run("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", LIMITS.seconds(2));
        assertThat(outcome.end()).isEqualTo(End.TIME);
    }

    @Test
    void threadBomb() {
        Outcome outcome = run("""
                import threading, time
                count = 0
                try:
                    while True:
                        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                        count += 1
                except RuntimeError:
                    print(count)
                """);
        assertThat(Integer.parseInt(outcome.text().strip())).isBetween(1, LIMITS.processes());
    }

    @Test
    void memoryOfOneProcess() {
        assertThat(run("""
                held = []
                try:
                    while True: held.append(bytearray(8 << 20))
                except MemoryError:
                    print(len(held) * 8)
                """).text().strip()).satisfies(mebibytes -> assertThat(Integer.parseInt(mebibytes)).isLessThan(256));
    }

    @Test
    void memoryOfManyProcesses() {
        Outcome outcome = run("""
                import os, time
                for _ in range(8):
                    if os.fork() == 0:
                        held = bytearray(os.urandom(1 << 20) * 120)
                        time.sleep(60)
                time.sleep(60)
                """);
        assertThat(outcome.end()).isEqualTo(End.MEMORY);
    }

    /// Memory that no process is charged for, in every way that Linux has: what could be held is printed.
    @Test
    void sharedMemory() {
        assertThat(run("""
                import ctypes, mmap, os, platform
                libc = ctypes.CDLL(None, use_errno=True)
                libc.mmap.restype = ctypes.c_void_p
                size = 1 << 30
                for flags in (0x21, 0x23, 0x40021, 0x40022, 0x8021):
                    for protection in (0, 3):
                        if libc.mmap(None, ctypes.c_size_t(size), protection, flags, -1, ctypes.c_long(0)) not in (None, 2 ** 64 - 1): print("mapped", hex(flags))
                for name in ("/dev/zero", "/dev/full", "/dev/null"):
                    try: mmap.mmap(os.open(name, os.O_RDWR), 1 << 20)
                    except OSError: pass
                    else: print("mapped", name)
                try: mmap.mmap(-1, 1 << 20)
                except (OSError, ValueError): pass
                else: print("mapped by Python")
                for flags in (0, 1, 4, 7):
                    try: print("memfd", os.memfd_create("%s", flags))
                    except OSError: pass
                for key in (0, 12345):
                    for length in (4096, size):
                        if libc.shmget(key, ctypes.c_size_t(length), 0o1600) >= 0: print("a System V segment")
                if libc.msgget(0, 0o1600) >= 0 or libc.semget(0, 100, 0o1600) >= 0: print("System V queues")
                if platform.machine() == "x86_64":
                    # by number, and by the numbers of another ABI
                    for number in (29, 319, 425, 447, 0x40000000 + 29, 0x40000000 + 319):
                        if libc.syscall(ctypes.c_long(number), 0, ctypes.c_size_t(size), 0o1600) >= 0: print("call", number)
                print("done")
                """.formatted(MARK)).text()).isEqualTo("done\n");
    }

    /// Files of the folder, unlinked and mapped as shared, stay within its limit.
    @Test
    void mappedFiles() {
        assertThat(run("""
                import mmap, os
                held = []
                try:
                    while True:
                        name = "%s%%d" %% len(held)
                        descriptor = os.open(name, os.O_RDWR | os.O_CREAT)
                        os.unlink(name)
                        os.posix_fallocate(descriptor, 0, 1 << 16)
                        held.append(mmap.mmap(descriptor, 1 << 16))
                        held[-1].write(bytes(1 << 16))
                except OSError: print(len(held) << 16)
                """.formatted(MARK)).text().strip()).satisfies(bytes -> assertThat(Long.parseLong(bytes)).isBetween(1L, MIB));
    }

    @Test
    void memoryOfChildrenOfChildren() {
        Outcome outcome = run("""
                import os, time
                for _ in range(12):
                    if os.fork() == 0:
                        os.setsid()
                        if os.fork() == 0:
                            held = bytearray(os.urandom(1 << 20) * 60)
                            time.sleep(60)
                        os._exit(0)
                    os.wait()
                time.sleep(60)
                """);
        assertThat(outcome.end()).isEqualTo(End.MEMORY);
    }

    @Test
    void watchingTheFilesOfTheHost() {
        assertThat(run("""
                import ctypes, os
                libc = ctypes.CDLL(None, use_errno=True)
                for create in (libc.inotify_init, lambda: libc.inotify_init1(0), lambda: libc.fanotify_init(0, 0), lambda: libc.fanotify_init(0x200, 0)):
                    descriptor = create()
                    if descriptor >= 0: print("watches", libc.inotify_add_watch(descriptor, b"/usr", 0xFFF))
                import fcntl
                try: fcntl.fcntl(os.open("/usr", os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT)
                except OSError: pass
                else: print("directory notification")
                """).text()).isEmpty();
    }

    @Test
    void socketsOfOtherKinds() {
        assertThat(run("""
                import socket
                for family in range(64):
                    for kind in (1, 2, 3, 5):
                        try: socket.socket(family, kind).close()
                        except OSError: continue
                        print(family)
                        break
                """).text().lines().map(Integer::parseInt)).isSubsetOf(1, 2, 10, 16);
    }

    @Test
    void newNamespaces() {
        assertThat(run("""
                import ctypes, os
                libc = ctypes.CDLL(None, use_errno=True)
                for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x80):
                    if libc.unshare(flag) == 0: print("unshared", hex(flag))
                """).text()).isEmpty();
    }

    @Test
    void diskFilling() {
        Outcome outcome = run("""
                import os
                written = 0
                try:
                    for name in range(100):
                        with open("%s%%d" %% name, "wb", buffering=0) as file:
                            for _ in range(64): written += file.write(bytes(4096))
                except OSError as error:
                    print(written)
                """.formatted(MARK));
        assertThat(Long.parseLong(outcome.text().strip())).isBetween(1L, MIB);
    }

    @Test
    void oneHugeFile() {
        assertThat(run("""
                import signal
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                try:
                    with open("%s", "wb") as file: file.truncate(1 << 40)
                except OSError: print("refused")
                """.formatted(MARK)).text()).isEqualTo("refused\n");
    }

    @Test
    void countlessFiles() {
        Outcome outcome = run("""
                import os
                count = 0
                try:
                    while True:
                        os.close(os.open("%s%%d" %% count, os.O_CREAT | os.O_WRONLY))
                        count += 1
                except OSError: print(count)
                """.formatted(MARK), LIMITS.seconds(2));
        // bubblewrap has no limit but time for empty files
        if (sandbox.kind() == Kind.BUBBLEWRAP) assertThat(outcome.end()).isIn(End.EXITED, End.TIME);
        else assertThat(Integer.parseInt(outcome.text().strip())).isLessThanOrEqualTo(4096);
    }

    @Test
    void countlessOpenFiles() {
        assertThat(run("""
                import os
                try:
                    while True: os.dup(0)
                except OSError as error: print(error.strerror)
                """).text()).contains("Too many open files");
    }

    @Test
    void network() throws IOException {
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            server.setSoTimeout(1);
            assertThat(run("""
                    import socket
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        try:
                            client = socket.socket(socket.AF_INET, kind)
                            client.settimeout(1)
                            client.connect(("127.0.0.1", %d))
                            client.send(b"hello")
                            print("sent")
                        except OSError as error: print("refused")
                    print([name for _, name in socket.if_nameindex()])
                    """.formatted(server.getLocalPort())).text()).startsWith("refused\n");
            org.assertj.core.api.Assertions.assertThatThrownBy(server::accept).isInstanceOf(java.net.SocketTimeoutException.class);
        }
    }

    @Test
    void readingOutsideItsFolder() throws IOException {
        Path secret = Files.writeString(host.resolve("secret"), "the secret");
        Path working = Path.of("").toAbsolutePath();
        assertThat(run("""
                import os
                for path in (%s, "/etc/passwd", "/etc/shadow", "/root", "/home", "/var", "/tmp", "/sys", "/run", "/boot", "/mnt", %s):
                    try:
                        print("read", path, os.listdir(path) if os.path.isdir(path) else open(path).read())
                    except OSError: pass
                for folder, _, names in os.walk("/"):
                    if not folder.startswith("/usr") and "secret" in names: print("found", folder)
                """.formatted(python(secret.toString()), python(working.resolve("pom.xml").toString()))).text()).isEmpty();
    }

    @Test
    void writingOutsideItsFolder() {
        assertThat(run("""
                import os
                own = os.getcwd()
                for folder, folders, _ in os.walk("/"):
                    if folder.count("/") > 3: folders.clear()
                    if folder == own: continue
                    try:
                        open(folder + "/%s", "w").close()
                        print("wrote", folder)
                    except OSError: pass
                """.formatted(MARK)).text()).isEmpty();
    }

    @Test
    void processFileSystem() {
        assertThat(run("""
                import os
                for path in ("/proc/1/mem", "/proc/self/root", "/proc/1/environ", "/proc/sysrq-trigger", "/proc/self/fd", "/old/proc/1"):
                    print(os.path.exists(path))
                """).text()).isEqualTo("False\n".repeat(6));
    }

    @Test
    void signalsToItsParents() {
        assertThat(run("""
                import os, signal
                for process in (os.getppid(), 1, -1):
                    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
                        if process == -1 and os.fork() == 0: os._exit(0)
                        try: os.kill(process, number)
                        except OSError: pass
                print("still here")
                """).text()).isEqualTo("still here\n");
    }

    @Test
    void signalsToProcessesOfTheHost() throws Exception {
        Process victim = new ProcessBuilder("sleep", "50").start();
        try {
            run("""
                    import os, signal
                    for process in list(range(2, 70000)) + [%d, %d]:
                        try: os.kill(process, signal.SIGKILL)
                        except OSError: pass
                    """.formatted(victim.pid(), ProcessHandle.current().pid()));
            assertThat(victim.isAlive()).isTrue();
        } finally {
            victim.destroyForcibly().waitFor();
        }
    }

    @Test
    void endlessOutput() {
        Outcome outcome = run("while True: print('x' * 10000)");
        assertThat(outcome.end()).isEqualTo(End.OUTPUT);
        assertThat(outcome.output()).hasSize((int) MIB);
    }

    @Test
    void endlessErrorOutput() {
        Outcome outcome = run("import os\nwhile True: os.write(2, b'x' * 10000)", LIMITS.seconds(1));
        assertThat(outcome.end()).isEqualTo(End.TIME);
        assertThat(outcome.error()).hasSizeLessThan(10_000);
    }

    @Test
    void symbolicLinksOutOfItsFolder() throws IOException {
        Path secret = Files.writeString(host.resolve("secret"), "the secret");
        assertThat(run("""
                import os
                for number, target in enumerate(("/../../.." + %s, "../../../../../../etc/passwd", "/proc/self/root/etc/passwd", "/dev/fd/0/..")):
                    name = "%s%%d" %% number
                    os.symlink(target, name)
                    try: print("read", open(name).read())
                    except OSError: pass
                try: os.link("/usr/bin/python3", "%2$s")
                except OSError: print("no hard link")
                """.formatted(python(secret.toString()), MARK)).text()).isEqualTo("no hard link\n");
    }

    @Test
    void daemonisedChildren() {
        Outcome outcome = run("""
                import os, signal, time
                for _ in range(4):
                    if os.fork() == 0:
                        os.setsid()
                        if os.fork() == 0:
                            for number in range(1, 32):
                                try: signal.signal(number, signal.SIG_IGN)
                                except (OSError, ValueError): pass
                            time.sleep(1000)
                        os._exit(0)
                time.sleep(0.2)
                print("gone")
                """);
        assertThat(outcome.end()).isEqualTo(End.EXITED);
        assertThat(outcome.text()).isEqualTo("gone\n");
    }

    @Test
    void zombies() {
        assertThat(run("""
                import os
                count = 0
                try:
                    while True:
                        if os.fork() == 0: os._exit(0)
                        count += 1
                except OSError: print(count <= 16)
                """).text()).isEqualTo("True\n");
    }

    @Test
    void closingStandardStreams() {
        Outcome outcome = run("""
                import os, time
                for descriptor in range(64):
                    try: os.close(descriptor)
                    except OSError: pass
                time.sleep(1000)
                """, LIMITS.seconds(1));
        assertThat(outcome.end()).isEqualTo(End.TIME);
    }

    @Test
    void hugeIntegers() {
        assertThat(run("print(len(str(7 ** 7 ** 9)))", LIMITS.seconds(1)).text()).isEmpty();
    }

    @Test
    void deepRecursion() {
        Outcome outcome = run("import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x): return sorted([x, 1], key=lambda y: f(y))\nf(0)");
        assertThat(outcome.end()).isIn(End.EXITED, End.MEMORY);
        assertThat(outcome.status()).isNotZero();
    }

    @Test
    void sleepingPastTheLimit() {
        Outcome outcome = run("""
                import signal, time
                for number in range(1, 32):
                    try: signal.signal(number, signal.SIG_IGN)
                    except (OSError, ValueError): pass
                while True: time.sleep(1000)
                """, LIMITS.seconds(1));
        assertThat(outcome.end()).isEqualTo(End.TIME);
    }

    @Test
    void raisingItsOwnLimits() {
        assertThat(run("""
                import resource
                for name in ("RLIMIT_NPROC", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NOFILE"):
                    try:
                        resource.setrlimit(getattr(resource, name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                        print("raised", name)
                    except (ValueError, OSError): pass
                """).text()).isEmpty();
    }

    @Test
    void privilegedSystemCalls() {
        assertThat(run("""
                import ctypes, os
                libc = ctypes.CDLL(None, use_errno=True)
                print(libc.mount(b"none", b".", b"tmpfs", 0, None), libc.umount2(b"/usr", 2), libc.chroot(b"/usr"),
                      libc.sethostname(b"x", 1), libc.pivot_root(b".", b"."), libc.reboot(0x1234567),
                      libc.mount(b"/usr", b"/usr", None, 32 | 4096, None))
                for identity in (os.setuid, os.setgid):
                    try: identity(0 if os.getuid() else 1)
                    except OSError: print("refused")
                """).text().lines().toList()).containsExactly("-1 -1 -1 -1 -1 -1 -1", "refused", "refused");
    }

    @Test
    void programsThatChangeTheUser() {
        Outcome outcome = run("""
                import os, subprocess
                for command in (["su", "-c", "id"], ["mount", "-t", "tmpfs", "x", "."], ["newgrp"], ["passwd"]):
                    try: print(subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5).returncode == 0)
                    except (OSError, subprocess.TimeoutExpired): print(False)
                """);
        assertThat(outcome.text()).isEqualTo("False\n".repeat(4));
    }

    @Test
    void busyProcesses() {
        Outcome outcome = run("import os\nfor _ in range(3): os.fork()\nwhile True: pass", LIMITS.seconds(1));
        assertThat(outcome.end()).isEqualTo(End.TIME);
    }

    // ---- against the verdict

    @Test
    void writingToItsOwnTests() {
        assertThat(verdict("""
                import os, glob
                for name in glob.glob("*") + glob.glob("/dev/fd/*"):
                    print(name)
                for descriptor in range(64):
                    try: os.write(descriptor, b'{"input": "1", "output": "1"}')
                    except OSError: pass
                print("")
                """)).isNotEqualTo(Reason.MATCH);
    }

    @Test
    void readingLaterTests() {
        assertThat(verdict("""
                import os
                seen = b""
                for descriptor in range(3, 64):
                    try:
                        os.set_blocking(descriptor, False)
                        seen += os.read(descriptor, 100000)
                    except OSError: pass
                print("42" if b"42" in seen else "nothing")
                """)).isNotEqualTo(Reason.MATCH);
    }

    @Test
    void standardInputTricks() {
        assertThat(verdict("while True:\n  try: input()\n  except EOFError: pass")).isEqualTo(Reason.TIMEOUT);
    }

    @Test
    void printingTheSupervisorsAnswer() {
        assertThat(verdict("""
                import os
                for descriptor in range(64):
                    for line in (b'{"status": "done", "output": "anything"}', b'{"status": "done"}', b'ready', b'{"status": "MATCH"}'):
                        try: os.write(descriptor, line + b"\\n")
                        except OSError: pass
                """)).isNotEqualTo(Reason.MATCH);
    }

    @Test
    void signalsToTheSupervisor() {
        assertThat(verdict("""
                import posix, signal
                for number in range(1, 32):
                    try: posix.kill(1, number)
                    except OSError: pass
                print("42")
                """, "42")).isEqualTo(Reason.MATCH);
    }

    @Test
    void memoryOfTheSupervisor() {
        assertThat(verdict("""
                import ctypes
                libc = ctypes.CDLL(None, use_errno=True)
                libc.ptrace(16, 1, 0, 0)
                libc.ptrace(4, 1, 0, 0)
                print("no")
                """)).isNotEqualTo(Reason.MATCH);
    }

    @Test
    void resultsThatEqualEverything() {
        var tests = new ProgramTests("answer", List.of("1"), List.of("2"));
        String code = """
                class Liar(int):
                    def __eq__(self, other): return True
                    def __hash__(self): return 0
                class Solution:
                    def answer(self, x): return Liar(1)
                """;
        assertThat(verifier().run(code, tests).reason()).isEqualTo(Reason.MISMATCH);
    }

    @Test
    void replacingWhatTheSupervisorUses() {
        assertThat(verdict("""
                import builtins, json, os
                json.dumps = lambda *_: '{"status": "done", "output": "42"}'
                builtins.print = lambda *_: None
                os.write = lambda *_: 0
                print("41")
                """, "42")).isNotEqualTo(Reason.MATCH);
    }

    @Test
    void endingItsProcess() {
        assertThat(verdict("import posix\nposix._exit(0)")).isEqualTo(Reason.PROGRAM_ERROR);
    }

    private static ProgramVerifier verifier() {
        return new ProgramVerifier(sandbox, Mode.REPAIRED, 1.5, LIMITS);
    }

    private static Reason verdict(String code) {
        return verdict(code, "right");
    }

    private static Reason verdict(String code, String expected) {
        return verifier().run(code, new ProgramTests(null, List.of("1", "42\n"), List.of(expected, expected))).reason();
    }

    private static Outcome run(String script) {
        return run(script, LIMITS);
    }

    private static Outcome run(String script, Limits limits) {
        return sandbox.run(sandbox.python(script), new byte[0], limits);
    }

    private static String python(String text) {
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'";
    }

    /// Processes of this machine that live in a PID namespace below ours: every process of every sandbox.
    private static Set<Long> nestedProcesses() {
        return ProcessHandle.allProcesses().map(ProcessHandle::pid).filter(pid -> {
            try (var lines = Files.lines(Path.of("/proc/" + pid + "/status"))) {
                return lines.anyMatch(line -> line.startsWith("NSpid:") && line.split("\\s+").length > 2);
            } catch (IOException | java.io.UncheckedIOException e) {
                return false;
            }
        }).collect(Collectors.toCollection(TreeSet::new));
    }
}
