"""Functions, the events that they get, and what Lambda answers: one table for every runtime and every emulator.

Where no document says what Lambda does, or two disagree, `follows` names what the expected answer was taken from:
`awslambdaric` is AWS's own runtime loop, 4.2.2, which the managed Python runtimes ship.
"""

import json
import textwrap
from collections.abc import Mapping
from typing import NamedTuple

PAYLOAD = 6_291_556  # the largest event, and the largest answer


class Answer(NamedTuple):
    """What the caller gets. `value` is the payload as JSON, or as text where it is none; `error` is the header
    X-Amz-Function-Error, or "refused" where the call never reached the function and `value` is the error's code."""

    value: object
    error: str = ""


class Case(NamedTuple):
    """`source` is the file that `handler` names. `events` are sent one after the other, each answered by one of
    `answers`. `log` are parts of lines that the function's log has, in this order."""

    name: str
    source: str
    answers: tuple[Answer, ...]
    events: tuple[bytes, ...] = (b"{}",)
    log: tuple[str, ...] = ()
    handler: str = "inference/probe.handler"
    timeout: int = 10
    client_context: str = ""
    variables: Mapping[str, str] = {}
    follows: str = "awslambdaric"


def failure(kind: str, message: str, *stack: str) -> Answer:
    """What a runtime reports of a function that failed; `stack` has "file function" of each frame."""
    error = {"errorType": kind, "errorMessage": message, "requestId": "<id>", "stackTrace": list(stack)}
    return Answer(error, "Unhandled")


def init_failure(kind: str, message: str, *stack: str) -> Answer:
    error = {"errorType": kind, "errorMessage": message, "requestId": "", "stackTrace": list(stack)}
    return Answer(error, "Unhandled")


def ended(kind: str, message: str) -> Answer:
    """What Lambda itself reports of an invocation that it ended."""
    return Answer({"errorType": kind, "errorMessage": f"RequestId: <id> Error: {message}"}, "Unhandled")


def exited(how: str) -> Answer:
    return ended("Runtime.ExitError", f"Runtime exited {how}")


def returns(name: str, expression: str, value: object, follows: str = "awslambdaric") -> Case:
    return Case(
        name, f"{IMPORTS}def handler(event, context):\n    return {expression}\n", (Answer(value),), follows=follows
    )


def cannot_return(name: str, expression: str, reason: str) -> Case:
    source = f"{IMPORTS}def handler(event, context):\n    return {expression}\n"
    return Case(name, source, (failure("Runtime.MarshalError", f"Unable to marshal response: {reason}"),))


def raises(name: str, statement: str, kind: str, message: str) -> Case:
    source = f"{IMPORTS}def handler(event, context):\n    {statement}\n"
    return Case(name, source, (failure(kind, message, "probe.py handler"),))


def case(name: str, source: str, *answers: Answer, **others: object) -> Case:
    return Case(name, textwrap.dedent(source).lstrip("\n"), answers, **others)  # type: ignore[arg-type]


def events(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


IMPORTS = "import collections, datetime, decimal, enum, math, os, signal, sys, uuid\nfrom decimal import Decimal\n\n"
ECHO = "def handler(event, context):\n    return event\n"
NOT_JSON = "Object of type {} is not JSON serializable"
SERVER = "Lambda's own text, as the runtime interface emulator and its documentation have it"

VALUES = (
    returns("none", "None", None),
    returns("booleans", "[True, False]", [True, False]),
    returns("integers", "[0, -1, 2**63, 10**40]", [0, -1, 2**63, 10**40]),
    returns("floats", "[0.1, -0.0, 1e300, 5e-324]", [0.1, -0.0, 1e300, 5e-324]),
    returns("not-finite", "[math.nan, math.inf, -math.inf]", ["NaN", "Infinity", "-Infinity"]),
    returns("text", "'é漢字🔥\\n\\0\\u2028\"'", 'é漢字🔥\n\0\u2028"'),
    returns("empty", "['', [], {}]", ["", [], {}]),
    returns("tuple", "(1, (2,))", [1, [2]]),
    returns("keys", "{1: 'a', True: 'b', None: 'c', 2.5: 'd'}", {"1": "b", "null": "c", "2.5": "d"}),
    returns("nested", "__import__('json').loads('[' * 200 + ']' * 200)", json.loads("[" * 200 + "]" * 200)),
    returns("decimals", "[Decimal('1.10'), Decimal('-3'), Decimal('1E+3'), Decimal('NaN')]", [1.1, -3, 1e3, "NaN"]),
    returns(
        "decimal-digits", "str(Decimal(1) / 7) and {'a': Decimal('0.1234567890123456789')}", {"a": 0.12345678901234568}
    ),
    returns("bytes", "b'{\"a\": 1}'", {"a": 1}),
    returns("bytes-not-json", "b'<p>'", "<p>"),
    returns("bytes-inside", "{'a': 'é'.encode()}", {"a": "é"}),
    returns("enums", "enum.IntEnum('E', 'a b').b", 2),
    returns("ordered", "collections.OrderedDict(b=1, a=2)", {"b": 1, "a": 2}),
    returns("namedtuple", "collections.namedtuple('Point', 'x y')(1, 2)", {"x": 1, "y": 2}),
    returns("status-is-nothing-special", "{'statusCode': 500, 'body': 'x'}", {"statusCode": 500, "body": "x"}),
    cannot_return("datetime", "datetime.datetime(2026, 1, 1)", NOT_JSON.format("datetime")),
    cannot_return("set", "{1, 2}", NOT_JSON.format("set")),
    cannot_return("generator", "(n for n in range(3))", NOT_JSON.format("generator")),
    cannot_return("object-inside", "{'a': [object()]}", NOT_JSON.format("object")),
    cannot_return("complex", "1j", NOT_JSON.format("complex")),
    cannot_return("uuid", "uuid.UUID(int=1)", NOT_JSON.format("UUID")),
    cannot_return(
        "bytes-not-utf-8", "[b'\\xff']", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    ),
    cannot_return("circular", "(lambda a: a.append(a) or a)([])", "Circular reference detected"),
    cannot_return("tuple-as-key", "{(1, 2): 3}", "keys must be str, int, float, bool or None, not tuple"),
    cannot_return(
        "integer-of-5000-digits",
        "10 ** 5000",
        "Exceeds the limit (4300 digits) for integer string conversion; use sys.set_int_max_str_digits() to increase "
        "the limit",
    ),
    returns(
        "surrogate", "'\\ud83d'", "\ud83d", follows="awslambdaric below Python 3.12, which escapes what is not ASCII"
    ),
)

EVENTS = (
    Case(
        "echo", ECHO, (Answer({"a": [1, 2.5, None, True, "é漢字🔥"]}),), events({"a": [1, 2.5, None, True, "é漢字🔥"]})
    ),
    Case("event-text", ECHO, (Answer("only text"),), (b'"only text"',)),
    Case("event-number", ECHO, (Answer(3),), (b" 3 ",)),
    Case("event-null", ECHO, (Answer(None),), (b"null",)),
    Case("event-raw-unicode", ECHO, (Answer("é漢字🔥"),), ('"é漢字🔥"'.encode(),)),
    Case("event-key-twice", ECHO, (Answer({"a": 2}),), (b'{"a": 1, "a": 2}',)),
    Case("event-big-integer", ECHO, (Answer(10**30),), (b"1" + b"0" * 30,)),
    Case(
        "event-empty",
        ECHO,
        (failure("Runtime.UnmarshalError", "Unable to unmarshal input: Expecting value: line 1 column 1 (char 0)"),),
        (b"",),
        follows="awslambdaric before a Runtime API that passes nothing on; the Invoke API makes {} of nothing",
    ),
    Case(
        "event-not-json",
        ECHO,
        (
            failure(
                "Runtime.UnmarshalError", "Unable to unmarshal input: Expecting ':' delimiter: line 1 column 5 (char 4)"
            ),
        ),
        (b'{"a"',),
        follows="awslambdaric; Lambda's Invoke API refuses such an event before it",
    ),
    Case(
        "event-not-utf-8",
        ECHO,
        (
            failure(
                "Runtime.UnmarshalError",
                "Unable to unmarshal input: 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte",
            ),
        ),
        (b'"\xff"',),
    ),
    Case(
        "event-of-6-MB",
        "def handler(event, context):\n    return len(event)\n",
        (Answer(PAYLOAD - 2),),
        (b'"%s"' % (b"x" * (PAYLOAD - 2)),),
    ),
    Case(
        "event-a-byte-too-large",
        ECHO,
        (Answer("RequestEntityTooLarge", "refused"),),
        (b'"%s"' % (b"x" * (PAYLOAD - 1)),),
    ),
    returns("answer-of-6-MB", f"'x' * {PAYLOAD - 2}", f"{PAYLOAD} bytes"),
    Case(
        "answer-a-byte-too-large",
        f"def handler(event, context):\n    return 'x' * {PAYLOAD - 1}\n",
        (
            Answer(
                {
                    "errorType": "Function.ResponseSizeTooLarge",
                    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({PAYLOAD} bytes).",
                },
                "Unhandled",
            ),
        ),
        follows=SERVER,
    ),
)

EXCEPTIONS = (
    raises("exception", "raise ValueError('no such word')", "ValueError", "no such word"),
    raises("exception-without-text", "raise KeyError", "KeyError", ""),
    raises("exception-of-a-key", "{}['é']", "KeyError", "'é'"),
    raises("exception-with-unicode", "raise ValueError('é漢字🔥 \\n \"')", "ValueError", 'é漢字🔥 \n "'),
    raises("exception-of-100-KB", "raise ValueError('x' * 100_000)", "ValueError", "x" * 100_000),
    raises("assertion", "assert event == 1, 'not one'", "AssertionError", "not one"),
    case(
        "exception-of-its-own",
        """
        class NoSuchWord(LookupError):
            def __str__(self):
                return "what it says of itself"

        def handler(event, context):
            find()

        def find():
            raise NoSuchWord("x")
        """,
        failure("NoSuchWord", "what it says of itself", "probe.py handler", "probe.py find"),
        log=("[ERROR] NoSuchWord: what it says of itself", "probe.py"),
    ),
    case(
        "exception-chained",
        """
        def handler(event, context):
            try:
                1 / 0
            except ZeroDivisionError as error:
                raise RuntimeError("no luck") from error
        """,
        failure("RuntimeError", "no luck", "probe.py handler"),
    ),
    case(
        "exception-group",
        """
        def handler(event, context):
            raise ExceptionGroup("both", [ValueError("a"), TypeError("b")])
        """,
        failure("ExceptionGroup", "both (2 sub-exceptions)", "probe.py handler"),
    ),
    case(
        "recursion",
        "def handler(event, context):\n    return handler(event, context)\n",
        failure("RecursionError", "maximum recursion depth exceeded", "probe.py handler"),
    ),
    case(
        "goes-on-after-an-exception",
        """
        calls = 0

        def handler(event, context):
            global calls
            calls += 1
            if event:
                raise ValueError(calls)
            return calls
        """,
        failure("ValueError", "1", "probe.py handler"),
        Answer(2),
        events=events([1], []),
    ),
    case(
        "exit",
        "import sys\n\ndef handler(event, context):\n    sys.exit(3)\n",
        exited("with error: exit status 3"),
        follows=SERVER,
    ),
    case(
        "exit-0",
        "import sys\n\ndef handler(event, context):\n    sys.exit()\n",
        exited("without providing a reason"),
        follows=SERVER,
    ),
    case(
        "exit-at-once",
        "import os\n\ndef handler(event, context):\n    os._exit(7)\n",
        exited("with error: exit status 7"),
        follows=SERVER,
    ),
    case(
        "interrupt",
        "def handler(event, context):\n    raise KeyboardInterrupt\n",
        exited("with error: signal: interrupt"),
        follows="how Python ends: by SIGINT itself; " + SERVER,
        log=("KeyboardInterrupt",),
    ),
    case(
        "base-exception",
        "class Stop(BaseException): ...\n\ndef handler(event, context):\n    raise Stop('now')\n",
        exited("with error: exit status 1"),
        log=("Stop: now",),
        follows=SERVER,
    ),
    case(
        "killed",
        "import os, signal\n\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
        exited("with error: signal: killed"),
        follows=SERVER,
    ),
    case(
        "segmentation-fault",
        "import ctypes\n\ndef handler(event, context):\n    ctypes.string_at(0)\n",
        exited("with error: signal: segmentation fault"),
        follows=SERVER,
    ),
    case(
        "goes-on-after-an-exit",
        """
        import os

        def handler(event, context):
            if event:
                os._exit(1)
            return "fresh"
        """,
        exited("with error: exit status 1"),
        Answer("fresh"),
        events=events([1], []),
        follows=SERVER,
    ),
    case(
        "timeout",
        "import time\n\ndef handler(event, context):\n    time.sleep(60 * event)\n    return 'fresh'\n",
        ended("Sandbox.Timedout", "Task timed out after 2.00 seconds"),
        Answer("fresh"),
        events=(b"1", b"0"),
        timeout=2,
        follows=SERVER,
    ),
)

INIT = (
    case(
        "import-missing",
        "import nowhere\n",
        init_failure(
            "Runtime.ImportModuleError", "Unable to import module 'inference/probe': No module named 'nowhere'"
        ),
    ),
    case(
        "import-missing-name",
        "from json import nothing\n",
        init_failure(
            "Runtime.ImportModuleError",
            "Unable to import module 'inference/probe': cannot import name 'nothing' from 'json' "
            "(<python>/json/__init__.py)",
        ),
    ),
    case(
        "module-missing",
        "",
        init_failure(
            "Runtime.ImportModuleError",
            "Unable to import module 'inference/absent': No module named 'inference.absent'",
        ),
        handler="inference/absent.handler",
    ),
    case(
        "handler-missing",
        "",
        init_failure("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'inference/probe'"),
    ),
    case(
        "handler-malformed",
        "",
        init_failure(
            "Runtime.MalformedHandlerName", "Bad handler 'probe': not enough values to unpack (expected 2, got 1)"
        ),
        handler="probe",
    ),
    case(
        "handler-built-in",
        "",
        init_failure("Runtime.BuiltInModuleConflict", "Cannot use built-in module time as a handler module"),
        handler="time.time",
    ),
    case("handler-dotted", ECHO, Answer({}), handler="inference.probe.handler"),
    case(
        "syntax",
        "def handler(:\n",
        init_failure(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'inference/probe': invalid syntax (probe.py, line 1)",
            "probe.py Line 1",
        ),
    ),
    case(
        "import-raises",
        "def load():\n    1 / 0\n\nload()\n",
        init_failure("ZeroDivisionError", "division by zero", "elsewhere", "probe.py <module>", "probe.py load"),
    ),
    case("import-exits", "import sys\n\nsys.exit(4)\n", exited("with error: exit status 4"), follows=SERVER),
    case("import-exits-at-once", "import os\n\nos._exit(5)\n", exited("with error: exit status 5"), follows=SERVER),
    case("import-prints", "print('loading')\n\ndef handler(event, context): ...\n", Answer(None), log=("loading",)),
)

CALLABLES = (
    case(
        "class-with-call",
        "class Probe:\n    def __call__(self, event, context):\n        return event\n\nhandler = Probe()\n",
        Answer({}),
    ),
    case(
        "class",
        "class handler(dict):\n    def __init__(self, event, context):\n        super().__init__(a=1)\n",
        Answer({"a": 1}),
    ),
    case("lambda", "handler = lambda event, context: [event, type(context).__name__[-7:]]\n", Answer([{}, "Context"])),
    case(
        "partial",
        "import functools\n\ndef add(a, event, context):\n    return a\n\nhandler = functools.partial(add, 1)\n",
        Answer(1),
    ),
    case("takes-anything", "def handler(*arguments):\n    return len(arguments)\n", Answer(2)),
    case(
        "takes-too-little",
        "def handler(event):\n    return 1\n",
        failure("TypeError", "handler() takes 1 positional argument but 2 were given", "elsewhere"),
    ),
    case("not-callable", "handler = 1\n", failure("TypeError", "'int' object is not callable", "elsewhere")),
    case(
        "async",
        "import warnings\nwarnings.simplefilter('ignore')\n\nasync def handler(event, context):\n    return 1\n",
        failure(
            "Runtime.MarshalError", "Unable to marshal response: Object of type coroutine is not JSON serializable"
        ),
    ),
    case(
        "generator-function",
        "def handler(event, context):\n    yield 1\n",
        failure(
            "Runtime.MarshalError", "Unable to marshal response: Object of type generator is not JSON serializable"
        ),
    ),
)
