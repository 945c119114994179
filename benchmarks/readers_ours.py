"""Our side of `readers.py`: the handler of a service as the runtime loads it, asked by event.

    python benchmarks/readers_ours.py        with the service's folder as working directory

Reads {"question", "context"} from standard input, a line each, and answers each with a line {"answer", "seconds"}. The
first line comes after loading. JSON is the product's: `json` is no part of what a function imports.
"""

import sys
import time

from pilotlight.function import plain_json
from pilotlight.function.runtime import load

handler = load("inference/qa.handler", ".")
for line in sys.stdin:
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST", "path": "/qa"}},
        "headers": {"content-type": "application/json"},
        "body": line,
    }
    started = time.perf_counter()
    answered = handler(event, None)
    taken = time.perf_counter() - started
    assert answered["statusCode"] == 200, answered
    sys.stdout.write(plain_json.dumps({**plain_json.loads(answered["body"]), "seconds": taken}) + "\n")
    sys.stdout.flush()
