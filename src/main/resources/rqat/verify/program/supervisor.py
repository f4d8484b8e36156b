"""Runs one program against tests that arrive one at a time; the first process of the sandbox.

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
            os.environ["OMP_NUM_THREADS"] = "1"
            if self.faithful:
                self.take_away()
            run = self.compile_function() if self.function else self.compile_script(io)
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
            answer(status="done", **result)

    def take_away(self):
        import importlib
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
        faithful, limit = self.faithful, self.limit

        class Output(io.StringIO):
            """Captured output of limited length, with bytes beneath it only where the reference is repaired."""

            def __init__(self, limit, with_buffer):
                super().__init__()
                self.left = limit
                if with_buffer:
                    self.buffer = Bytes(self)

            def write(self, text):
                self.left -= len(text)
                if self.left < 0:
                    raise MemoryError("the program writes too much")
                return super().write(text)

            def close(self):
                pass

        class Bytes:
            """The binary side of captured output."""

            def __init__(self, text):
                self.text = text

            def write(self, data):
                self.text.write(bytes(data).decode("utf-8", "replace"))
                return len(data)

            def flush(self):
                pass

        class Input(io.StringIO):
            """Standard input with its binary side, both working as they do in a process of one's own."""

            def __init__(self, text):
                super().__init__(text, None)  # any line ending is read as \n
                self.buffer = io.BytesIO(text.encode())

        def run_faithfully(text):
            lines = iter(text.split("\n"))
            # `from sys import stdin` bound this object before any test was there.
            first_stdin.read = lambda *_: text
            first_stdin.readlines = lambda *_: text.split("\n")
            first_stdin.readline = lambda *_: next(lines)
            sys.stdin, sys.stdout = MockedInput(io, text), Output(limit, False)
            builtins.open = lambda *_, **__: io.StringIO(text)
            return called(main)

        def run(text):
            stdin.__init__(text)
            stdout.__init__(limit, True)
            sys.stdin, sys.stdout = stdin, stdout

            def opened(file, mode="r", *rest, **options):
                if file not in (0, "/dev/stdin"):
                    return real_open(file, mode, *rest, **options)
                return stdin.buffer if "b" in mode else stdin

            # As a script is run: names of its own for every test, and the module that pickles, dataclasses and __main__ are looked up in.
            module = sys.modules["__main__"] = ModuleType("__main__")
            exec(prelude, module.__dict__)
            module.open = builtins.open = opened
            return called(lambda: exec(script, module.__dict__))

        def called(main):
            captured = sys.stdout
            try:
                main()
            except SystemExit:
                pass
            finally:
                builtins.open = real_open
            return {"output": captured.getvalue()}

        def leave(code=None):
            raise SystemExit(code)

        from types import ModuleType
        builtins, first_stdin, real_open = sys.modules["builtins"], sys.stdin, open
        if faithful:
            main = self.load(as_function(self.code)).wrapped_function
            return run_faithfully
        stdin, stdout = Input(""), Output(limit, True)
        builtins.quit = builtins.exit = leave
        prelude = compile(PRELUDE, "<prelude>", "exec", dont_inherit=True)
        script = compile(self.code, "<program>", "exec", dont_inherit=True)
        return run


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
