"""More of the table: what a function sees around it, what it keeps, what it writes."""

import json

from conformance_cases import SERVER, Answer, Case, case, events, failure

_CONTEXT = {
    "client": {"installation_id": "i", "app_title": "t", "app_version_name": "n", "app_version_code": "c", "x": 1},
    "custom": {"a": "b"},
    "env": {"locale": "de"},
}

CONTEXT = (
    case(
        "context",
        """
        import os, re

        def handler(event, context):
            environ = os.environ
            return [
                re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", context.aws_request_id) is not None,
                context.function_name == environ["AWS_LAMBDA_FUNCTION_NAME"],
                context.function_version == environ["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST",
                context.memory_limit_in_mb == environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
                context.log_group_name == environ["AWS_LAMBDA_LOG_GROUP_NAME"],
                context.log_stream_name == environ["AWS_LAMBDA_LOG_STREAM_NAME"],
                context.invoked_function_arn.startswith("arn:aws:lambda:"),
                context.invoked_function_arn.split(":")[5:7] == ["function", context.function_name],
            ]
        """,
        Answer([True] * 8),
        follows="docs.aws.amazon.com/lambda/latest/dg/python-context.html",
    ),
    case(
        "context-time",
        """
        import time

        def handler(event, context):
            first = context.get_remaining_time_in_millis()
            time.sleep(0.05)
            second = context.get_remaining_time_in_millis()
            return [type(first).__name__, 0 < second <= first - 50 and first <= 10_000]
        """,
        Answer(["int", True]),
    ),
    case(
        "context-anew",
        """
        seen = []

        def handler(event, context):
            seen.append((context, context.aws_request_id))
            return [len({id(context) for context, _ in seen}), len({name for _, name in seen})]
        """,
        Answer([1, 1]),
        Answer([2, 2]),
        events=(b"{}", b"{}"),
    ),
    case(
        "context-takes-attributes",
        "def handler(event, context):\n    context.started = 1\n    return context.started\n",
        Answer(1),
    ),
    case(
        "client-context",
        """
        def handler(event, context):
            given = context.client_context
            client = [given.client.installation_id, given.client.app_title, given.client.app_package_name]
            return [client, given.custom, given.env, hasattr(given.client, "x")]
        """,
        Answer([["i", "t", None], {"a": "b"}, {"locale": "de"}, False]),
        client_context=json.dumps(_CONTEXT),
    ),
    case(
        "client-context-of-one-part",
        """
        def handler(event, context):
            given = context.client_context
            return [given.client, given.custom, given.env]
        """,
        Answer([None, {"a": "é"}, None]),
        client_context='{"custom": {"a": "\\u00e9"}}',
    ),
    case("client-context-absent", "def handler(event, context):\n    return context.client_context\n", Answer(None)),
    case(
        "identity-absent",
        """
        def handler(event, context):
            return [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
        """,
        Answer([None, None]),
    ),
    case("tenant-absent", "def handler(event, context):\n    return context.tenant_id\n", Answer(None)),
)

SURROUNDINGS = (
    case(
        "variables",
        """
        import os

        NAMES = (
            "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "LAMBDA_TASK_ROOT", "LANG", "PATH",
            "TZ", "_HANDLER",
        )

        def handler(event, context):
            return [[name for name in NAMES if name not in os.environ], os.environ["GREETING"]]
        """,
        Answer([[], "grüß dich"]),
        variables={"GREETING": "grüß dich"},
        follows="docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
    ),
    case(
        "variables-of-the-caller",
        """
        import os

        def handler(event, context):
            return [os.environ.get(name) for name in ("USER", "SHELL", "PYTEST_VERSION")]
        """,
        Answer([None, None, None]),
        follows="docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
    ),
    case(
        "working-directory",
        """
        import os

        def handler(event, context):
            return [os.getcwd() == os.environ["LAMBDA_TASK_ROOT"], os.path.exists("inference/probe.py")]
        """,
        Answer([True, True]),
        follows="docs.aws.amazon.com/lambda/latest/dg/python-handler.html",
    ),
    case(
        "import-path",
        """
        import os, sys

        def handler(event, context):
            return [sys.path[0] == os.environ["LAMBDA_TASK_ROOT"], __name__, __file__.endswith("/inference/probe.py")]
        """,
        Answer([True, "inference.probe", True]),
    ),
    case(
        "signals",
        """
        import signal

        def handler(event, context):
            names = ("SIGTERM", "SIGINT", "SIGPIPE", "SIGCHLD", "SIGHUP", "SIGALRM")
            return [getattr(signal.getsignal(getattr(signal, name)), "name", "python") for name in names]
        """,
        Answer(["SIG_DFL", "python", "SIG_IGN", "SIG_DFL", "SIG_DFL", "SIG_DFL"]),
    ),
    case(
        "main-thread",
        """
        import threading

        def handler(event, context):
            return [threading.current_thread() is threading.main_thread(), threading.active_count()]
        """,
        Answer([True, 1]),
    ),
    case(
        "encodings",
        """
        import locale, sys

        def handler(event, context):
            return [sys.stdout.encoding.lower(), sys.getfilesystemencoding(), locale.getpreferredencoding().lower()]
        """,
        Answer(["utf-8", "utf-8", "utf-8"]),
    ),
    case(
        "input",
        "import sys\n\ndef handler(event, context):\n    return sys.stdin.read()\n",
        Answer(""),
        follows="(belief)",
    ),
    case(
        "trace",
        """
        import os

        def handler(event, context):
            return os.environ.get("_X_AMZN_TRACE_ID", "").startswith("Root=1-")
        """,
        Answer(True),
        follows="docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
    ),
)

STATE = (
    case(
        "state",
        "calls = 0\n\ndef handler(event, context):\n    global calls\n    calls += 1\n    return calls\n",
        Answer(1),
        Answer(2),
        Answer(3),
        events=(b"{}",) * 3,
    ),
    case(
        "temporary-files",
        """
        import os, tempfile

        def handler(event, context):
            path = os.path.join(tempfile.gettempdir(), "conformance-" + os.environ["AWS_LAMBDA_FUNCTION_NAME"])
            if event:
                with open(path, "w") as file:
                    file.write(event)
            text = open(path).read()
            if not event:
                os.remove(path)
            return text
        """,
        Answer("kept"),
        Answer("kept"),
        events=events("kept", ""),
    ),
    case(
        "variables-that-it-sets",
        """
        import os

        def handler(event, context):
            before = os.environ.get("MINE")
            os.environ["MINE"] = "kept"
            return before
        """,
        Answer(None),
        Answer("kept"),
        events=(b"{}", b"{}"),
    ),
    case(
        "background-thread",
        """
        import threading, time

        beats = []

        def beat():
            while True:
                beats.append(1)
                time.sleep(0.001)

        threading.Thread(target=beat, daemon=True).start()

        def handler(event, context):
            before = len(beats)
            for _ in range(1000):  # a busy machine may not run it at once
                time.sleep(0.005)
                if len(beats) > before:
                    return True
            return False
        """,
        Answer(True),
        Answer(True),
        events=(b"{}", b"{}"),
    ),
    case(
        "child-process",
        """
        import subprocess

        def handler(event, context):
            return subprocess.run(["echo", "hi"], capture_output=True, text=True).stdout
        """,
        Answer("hi\n"),
    ),
    case(
        "runs-its-own-loop",
        """
        import asyncio

        async def work(number):
            await asyncio.sleep(0)
            return number

        async def both():
            return await asyncio.gather(work(1), work(2))

        def handler(event, context):
            return asyncio.run(both())
        """,
        Answer([1, 2]),
    ),
)


OUTPUT = (
    case(
        "prints",
        """
        import sys

        def handler(event, context):
            print("out é漢字🔥")
            print("err é漢字🔥", file=sys.stderr)
            print("two", "lines", sep="\\n")
        """,
        Answer(None),
        log=("out é漢字🔥", "err é漢字🔥", "two", "lines"),
    ),
    case(
        "prints-without-end",
        "def handler(event, context):\n    print('no end', end='')\n    print(' of line', end='')\n",
        Answer(None),
        log=("no end of line",),
    ),
    case(
        "prints-and-exits",
        "import os\n\ndef handler(event, context):\n    print('last words')\n    os._exit(1)\n",
        Answer(
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: <id> Error: Runtime exited with error: exit status 1",
            },
            "Unhandled",
        ),
        log=("last words",),
        follows=SERVER,
    ),
    case(
        "prints-without-end-and-exits",
        "import os\n\ndef handler(event, context):\n    print('last words', end='')\n    os._exit(1)\n",
        Answer(
            {
                "errorType": "Runtime.ExitError",
                "errorMessage": "RequestId: <id> Error: Runtime exited with error: exit status 1",
            },
            "Unhandled",
        ),
        log=("last words",),
    ),
    case(
        "writes-bytes",
        "import os\n\ndef handler(event, context):\n    os.write(1, b'raw \\xc3\\xa9\\n')\n",
        Answer(None),
        log=("raw é",),
    ),
    case(
        "prints-a-long-line",
        "def handler(event, context):\n    print('x' * 20_000)\n",
        Answer(None),
        log=("x" * 20_000,),
    ),
    case(
        "context-log",
        "def handler(event, context):\n    context.log('said ')\n    context.log('so\\n')\n",
        Answer(None),
        log=("said so",),
    ),
    case(
        "logging",
        """
        import logging

        logging.basicConfig(level=logging.DEBUG)
        logger = logging.getLogger("words")
        logger.setLevel(logging.INFO)
        logger.debug("not this")

        def handler(event, context):
            logger.info("found %s", "é")
            logging.getLogger().info("nor this")
            logging.warning("%s", context.aws_request_id)
            return len(logging.getLogger().handlers)
        """,
        Answer(1),
        log=("[INFO]\t<time>\t<id>\tfound é", "[WARNING]\t<time>\t<id>\t<id>"),
        follows="docs.aws.amazon.com/lambda/latest/dg/python-logging.html",
    ),
    case(
        "logging-imported-late",
        """
        def handler(event, context):
            import logging
            logging.getLogger().setLevel("INFO")
            logging.info("late")
        """,
        Answer(None),
        log=("[INFO]\t<time>\t<id>\tlate",),
    ),
    case(
        "logging-json",
        """
        import logging

        def handler(event, context):
            logging.getLogger("words").info("found %s", "é", extra={"count": 2})
            raise ValueError("no luck")
        """,
        failure("ValueError", "no luck", "probe.py handler"),
        variables={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"},
        log=(
            '{"timestamp": "<time>", "level": "INFO", "message": "found é", "logger": "words", '
            '"requestId": "<id>", "count": 2}',
            '{"timestamp": "<time>", "level": "ERROR", "errorMessage": "no luck", "errorType": "ValueError", '
            '"requestId": "<id>",',
        ),
        follows="docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html",
    ),
)

ALL_SURROUNDINGS: tuple[Case, ...] = (*CONTEXT, *SURROUNDINGS, *STATE, *OUTPUT)
