"""post.py PORT: sends standard input to the emulator there, as soon as it listens; writes seconds and answer.

It runs within a container's network, so it needs the standard library alone.
"""

import contextlib
import http.client
import json
import socket
import sys
import time

PATH = "/2015-03-31/functions/function/invocations"


def main() -> None:
    port = int(sys.argv[1])
    _wait_for(port)
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", PATH, sys.stdin.buffer.read())
    answer = connection.getresponse().read().decode()
    print(json.dumps([time.perf_counter() - started, answer]))


def _wait_for(port: int) -> None:
    for _ in range(6000):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    sys.exit(f"nothing has listened at port {port} for a minute")


main()
