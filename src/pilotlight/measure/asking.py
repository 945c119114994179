"""A client in a process of its own, so that its time is not the server's: one request after another.

    python -m pilotlight.measure.asking URL COUNT < REQUEST

Prints a JSON object: `sent` and `received`, nanoseconds of CLOCK_MONOTONIC before each request and after its answer,
and `cpu`, the seconds of processor time that they took. SIGINT ends it, with those that were answered.
"""

import json
import sys
import time
from contextlib import suppress

from pilotlight.errors import FunctionError
from pilotlight.function.http1 import Connection, parse


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    request = sys.stdin.buffer.read()
    connection = Connection(parse(url), url)
    sent, received, began = [], [], time.process_time()
    with suppress(KeyboardInterrupt):
        for _ in range(count):
            sent.append(time.monotonic_ns())
            answer = connection.exchange(request)
            received.append(time.monotonic_ns())
            if answer.status >= 300:
                text = " ".join(answer.body.decode("utf-8", "replace")[:300].split())
                raise FunctionError(f"asking {url}: {answer.status}: {text}")
    cpu = time.process_time() - began
    sys.stdout.write(json.dumps({"sent": sent[: len(received)], "received": received, "cpu": cpu}))


if __name__ == "__main__":
    main()
