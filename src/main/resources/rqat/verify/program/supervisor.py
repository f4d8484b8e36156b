"""Runs one program against tests that arrive one at a time; the first process of the sandbox.

A function, and any program in the faithful mode, runs in one process for all tests, as the reference does it. Otherwise every test has a
process of its own with pipes for standard input and output, in which the program is run as it is.

Standard input:  a line {"code", "function" or null, "faithful", "seconds", "output"}, then a line {"input"} per test.
Standard output: the line `ready`, then a line per line read, the first for compiling:
    {"status": "done", "output": text}    a stdin test, or {"status": "done", "value": json} of a function
    {"status": "error", "detail": text}   it does not compile, raises, or dies
    {"status": "time"} {"status": "output"}   it was killed at the limit
Expected outputs never come here: they are compared outside, so nothing that runs here can learn or forge a verdict.
"""
import ctypes, json, os, select, signal, sys, time

NOT_DUMPABLE = (4, 0)  # prctl: no process of the same user may trace this one


def supervise():
    ctypes.CDLL(None).prctl(*NOT_DUMPABLE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process of a PID namespace is immune to what it does not handle
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what loses its parent comes here to die, and would count as a process until waited for
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(b"ready\n")
    answers.flush()
    request = json.loads(requests.readline())
    longest = 6 * request["output"] + 1000  # a control character takes six bytes in JSON
    to_child, from_child = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.dup2(to_child[0], 62)
        os.dup2(from_child[1], 63)
        os.closerange(3, 62)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            Program(request).serve(62, 63)
        finally:
            os._exit(1)
    os.close(to_child[0])
    os.close(from_child[1])
    os.set_blocking(to_child[1], False)
    message = b""
    while True:
        answer, alive = exchange(to_child[1], from_child[0], message, request["seconds"], longest)
        answers.write(answer + b"\n")
        answers.flush()
        message = requests.readline() if alive else b""
        if not message:
            break
    try:
        os.kill(-1, signal.SIGKILL)
    except OSError:
        pass


def exchange(sink, source, message, seconds, limit):
    """Sends a test to the program and waits for its answer; returns the answer and whether the program lives on."""
    deadline = time.monotonic() + seconds
    message, answer = memoryview(message), bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return b'{"status": "time"}', False
        readable, writable, _ = select.select([source], [sink] if len(message) else [], [], left)
        if writable:
            try:
                message = message[os.write(sink, message[:65536]):]
            except BlockingIOError:
                pass
            except OSError:
                message = message[:0]
        if readable:
            chunk = os.read(source, 65536)
            if not chunk:
                return b'{"status": "error", "detail": "the program ended its process"}', False
            answer += chunk
            if len(answer) > limit:
                return b'{"status": "output"}', False
            end = chunk.find(b"\n")
            if end >= 0:
                answer = bytes(answer[:len(answer) - len(chunk) + end])
                return answer, not answer.startswith(b'{"status": "error"')


PRELUDE_MODULES = ("string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json "
                   "builtins typing").split()
PRELUDE = ("\n".join("from %s import *" % name for name in PRELUDE_MODULES) + "\n"
           + "\n".join("import %s" % name for name in PRELUDE_MODULES if name not in ("builtins", "typing"))
           + "\nsys.setrecursionlimit(50000)\n")

# What the reference takes away from programs, name by name. It contains nothing (the sandbox does); it decides which programs fail.
REMOVED = {
    "os": "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate replace unlink fchmod "
          "fchown chmod chown chroot lchflags lchmod lchown getcwd chdir",
    "shutil": "rmtree move chown",
    "subprocess": "Popen",
    "builtins": "quit help",
}


class Program:
    """One generated program; every method runs in the child, beside hostile code."""

    def __init__(self, request):
        self.code = request["code"]
        self.function = request["function"]
        self.faithful = request["faithful"]
        self.limit = request["output"]

    def serve(self, source, sink):
        import io
        write, dumps, loads = os.write, json.dumps, json.loads

        def answer(**fields):
            data = memoryview(dumps(fields).encode() + b"\n")
            while len(data):
                data = data[write(sink, data):]

        tests = open(source, "rb")
        try:
            sys.set_int_max_str_digits(50000)
            if self.faithful or self.function:
                self.take_away()
            if self.function:
                run = self.compile_function()
            else:
                run = self.compile_script(io) if self.faithful else self.start_scripts()
        except BaseException as error:
            answer(status="error", detail=describe(error))
            return
        answer(status="done")
        while True:
            line = tests.readline()
            if not line:
                return
            try:
                result = run(loads(line)["input"])
            except BaseException as error:
                answer(status="error", detail=describe(error))
                return
            answer(**{"status": "done", **result})
            if result.get("status", "done") != "done":
                return

    def take_away(self):
        import importlib
        os.environ["OMP_NUM_THREADS"] = "1"
        for module, names in REMOVED.items():
            loaded = importlib.import_module(module)
            for name in names.split():
                setattr(loaded, name, None)
        for module in ("ipdb", "joblib", "resource", "psutil", "tkinter"):
            sys.modules[module] = None

    def load(self, source):
        """The module of `source`, or its Solution where there is one."""
        from types import ModuleType
        module = ModuleType("tmp_sol", "")
        exec(source, module.__dict__)
        if "class Solution" in source and (self.faithful or hasattr(module, "Solution")):
            return module.Solution()
        return module

    def compile_function(self):
        method = getattr(self.load(PRELUDE + "\n" + self.code), self.function)
        loads = json.loads

        def run(text):
            value = method(*[loads(line) for line in text.split("\n")])
            if isinstance(value, tuple):
                value = list(value)
            try:
                return {"value": plain(value)}
            except Exception:
                return {}  # not a value that JSON can hold, so it equals no expected output

        return run

    def compile_script(self, io):
        """The program with the reference's standard streams; the body of a function that is called for each test."""
        limit = self.limit

        class Output(io.StringIO):
            """Captured output of limited length."""

            def __init__(self):
                super().__init__()
                self.left = limit

            def write(self, text):
                self.left -= len(text)
                if self.left < 0:
                    raise MemoryError("the program writes too much")
                return super().write(text)

            def close(self):
                pass

        def run(text):
            lines = iter(text.split("\n"))
            # `from sys import stdin` bound this object before any test was there.
            first_stdin.read = lambda *_: text
            first_stdin.readlines = lambda *_: text.split("\n")
            first_stdin.readline = lambda *_: next(lines)
            sys.stdin, sys.stdout = MockedInput(io, text), Output()
            builtins.open = lambda *_, **__: io.StringIO(text)
            captured = sys.stdout
            try:
                main()
            except SystemExit:
                pass
            finally:
                builtins.open = real_open
            return {"output": captured.getvalue()}

        builtins, first_stdin, real_open = sys.modules["builtins"], sys.stdin, open
        main = self.load(as_function(self.code)).wrapped_function
        return run

    def start_scripts(self):
        """The program as it is: for each test a process of its own, whose standard input and output are pipes."""
        names = {}
        exec(PRELUDE, names)
        names.pop("__builtins__")
        names["open"] = open  # the prelude's star imports leave the one of `io` there, which is the same
        program = compile(self.code, "<program>", "exec", dont_inherit=True)

        def run(text):
            inward, outward, trouble = os.pipe(), os.pipe(), os.pipe()
            process = os.fork()
            if process == 0:
                os.setpgid(0, 0)
                for descriptor, pipe in ((0, inward[0]), (1, outward[1]), (2, trouble[1])):
                    os.dup2(pipe, descriptor)
                os.closerange(3, 64)
                execute(program, names)
            for pipe in (inward[0], outward[1], trouble[1]):
                os.close(pipe)
            data = text.encode("utf-8", "surrogatepass")
            return finished(process, inward[1], outward[0], trouble[0], data, self.limit)

        return run


COMPLETED = 77  # how a program's process ends that came to its end, or called exit; any other end is its own doing


def execute(program, names):
    """Runs a program in this process, which is for nothing else, to the end of it."""
    import atexit, builtins, threading
    from types import ModuleType
    status = COMPLETED
    try:
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        sys.argv = ["program.py"]
        real_open = open

        def opened(file, *rest, **options):
            return real_open(0 if file == "/dev/stdin" else file, *rest, **options)

        builtins.open = opened
        module = ModuleType("__main__")
        module.__dict__.update(names, open=opened)
        sys.modules["__main__"] = module
        try:
            exec(program, module.__dict__)
        except SystemExit:
            pass
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException as error:
        status = 1
        try:
            os.write(2, ("\n" + describe(error)).encode("utf-8", "backslashreplace"))
        except BaseException:
            pass
    finally:
        os._exit(status)


def finished(process, sink, source, trouble, data, limit):
    """Feeds a program, collects what it writes, and says how it ended; what it leaves behind, pipes and processes, goes."""
    held = [sink, source, trouble]
    try:
        return conversation(process, held, sink, source, data, limit)
    finally:
        for pipe in held:
            os.close(pipe)
        try:
            os.killpg(process, 9)
        except OSError:
            pass  # nothing is left, or it has gone to a group of its own


def conversation(process, held, sink, source, data, limit):
    def close(pipe):
        held.remove(pipe)
        os.close(pipe)

    os.set_blocking(sink, False)
    output, complaint, left, status = bytearray(), bytearray(), memoryview(data), None
    if not len(left):
        close(sink)
    while held != [sink] and held:
        reading = [pipe for pipe in held if pipe != sink]
        readable, writable, _ = select.select(reading, [sink] if sink in held else [], [], 0.02 if status is None else 0)
        if writable:
            try:
                left = left[os.write(sink, left[:65536]):]
            except BlockingIOError:
                pass
            except OSError:
                left = left[:0]
            if not len(left):
                close(sink)
        for pipe in readable:
            chunk = os.read(pipe, 65536)
            if not chunk:
                close(pipe)
            elif pipe == source:
                output += chunk
            else:
                complaint = (complaint + chunk)[-4000:]
        if len(output) > limit:
            return {"status": "output"}
        if status is not None and not readable:
            break  # what it left behind keeps its pipes open
        if status is None:
            ended, how = os.waitpid(process, os.WNOHANG)
            status = how if ended else None
    if status is None:
        _, status = os.waitpid(process, 0)
    text = output.decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(status)
    if code == COMPLETED or code == 0 and output:
        return {"status": "done", "output": text}
    if code == 1 and complaint:
        return {"status": "error", "detail": complaint.decode("utf-8", "replace").strip().split("\n")[-1][:300]}
    return {"status": "error", "detail": "the program ended its process"}


class MockedInput:
    """Standard input as the reference replaces it, its shortcomings included: `buffer.readline` always gives the first line, and it
    cannot be iterated over."""

    def __init__(self, io, text):
        self.text, self.stream, self.buffer = text, io.StringIO(text), MockedBuffer(text)

    def read(self, *_):
        return self.text

    def readline(self, *arguments):
        return self.stream.readline(*arguments)

    def readlines(self, *_):
        return self.text.split("\n")

    def __getattr__(self, name):
        return getattr(self.stream, name)


class MockedBuffer:
    def __init__(self, text):
        self.data = text.encode()

    def read(self, *_):
        return self.data

    def readline(self, *_):
        return self.data.split(b"\n")[0] + b"\n"


def as_function(code):
    """The program as the body of a function that can be called once per test, imports before it and the main guard opened."""
    import ast
    try:
        tree = ast.parse(code)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
            tree.body[-1:] = last.body
        imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        others = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
        function = ast.parse("def wrapped_function():\n    pass")
        function.body[0].body = others or function.body[0].body
        return PRELUDE + "\n" + "\n".join(map(ast.unparse, imports)) + "\n" + ast.unparse(function)
    except Exception:
        return code


def plain(value):
    """`value` as JSON can hold it without changing what it equals; raises for anything else, a nested tuple too."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key that JSON cannot hold")
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, (tuple, set, frozenset, bytes)):
        raise TypeError("never equal to what JSON can hold")
    for kind in (int, float):  # fractions, decimals and the like are equal to the number that they are
        if kind(value) == value:
            return kind(value)
    raise TypeError("not a number that JSON can hold")


def describe(error):
    try:
        return ("%s: %s" % (type(error).__name__, error))[:300]
    except BaseException:
        return type(error).__name__


supervise()
