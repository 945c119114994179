"""What a function must not do. `do` says which; each is bounded, should nobody stop it."""

import os
import signal
import socket
import subprocess
import sys
import time

CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(90)"
API = "/2018-06-01/runtime"


def handler(event, context):
    return globals()[event["do"]](event, context)


def echo(event, context):
    return event


def start_children(event, context):
    """Children in sessions of their own that ignore SIGTERM; some have children that lost their parent."""
    orphan = f"import os; os.fork() and os._exit(0)\nos.setsid()\n{CHILD}"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for number in range(event["count"]):
        code = orphan if number % 2 else CHILD
        subprocess.Popen([sys.executable, "-S", "-E", "-c", code], start_new_session=True, **quiet)
    return event["count"]


def start_children_and_die(event, context):
    start_children(event, context)
    os.kill(os.getpid(), signal.SIGKILL)


def fork_without_end(event, context):
    """Grow as far as the machine lets it, or as far as this is ready to go."""
    for _ in range(event["count"]):
        if os.fork() == 0:
            time.sleep(90)
            os._exit(0)
    return event["count"]


def close_everything(event, context):
    os.closerange(0, 256)
    return "closed"


def stop_itself(event, context):
    os.kill(os.getpid(), signal.SIGSTOP)
    return "continued"


def ignore_sigterm(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def answer_wrong_id(event, context):
    return _ask(_post("/invocation/00000000-0000-4000-8000-000000000000/response", b'"not mine"'))


def answer_twice(event, context):
    """The first answer counts; the runtime's own comes second."""
    return _ask(_post(f"/invocation/{context.aws_request_id}/response", b'"first"'))


def ask_for_two(event, context):
    return _ask(f"GET {API}/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def fail_init_late(event, context):
    return _ask(_post("/init/error", b'{"errorType": "Late", "errorMessage": "late"}'))


def say_garbage(event, context):
    return _ask(b"\x16\x03\x01\x02\x00\x01\x00 this is no HTTP \xff\xfe\r\n\r\n")


def say_half(event, context):
    """Half a request, and a connection left open beside it."""
    head = f"POST {API}/invocation/{context.aws_request_id}/response HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf"
    globals()["kept"] = _send(head.encode())
    return "whole"


def say_half_and_die(event, context):
    say_half(event, context)
    os._exit(1)


def answer_too_much(event, context):
    """Twenty times what an answer may be, by a connection of its own."""
    request = _post(f"/invocation/{context.aws_request_id}/response", b"x" * event["megabytes"] * 1_000_000)
    return _ask(request)


def promise_too_much(event, context):
    """A Content-Length that no body follows."""
    head = f"POST {API}/invocation/{context.aws_request_id}/response HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"
    globals()["kept"] = _send(head.encode())
    return "whole"


def say_endless_header(event, context):
    return _ask(b"GET / HTTP/1.1\r\nx: " + b"y" * event["megabytes"] * 1_000_000)


def _post(path, body):
    return f"POST {API}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _send(request):
    host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
    connection = socket.create_connection((host, int(port)), timeout=2)
    connection.sendall(request)
    return connection


def _ask(request):
    """The first line of the answer, or how there was none."""
    try:
        with _send(request) as connection:
            return connection.recv(4096).partition(b"\r\n")[0].decode("latin-1")
    except OSError as error:
        return f"none: {type(error).__name__}"
