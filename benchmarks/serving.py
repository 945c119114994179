"""`pilotlight serve` over all examples, for what looks at its page."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import machine

EXAMPLES = Path(__file__).parents[1] / "examples"
SERVICES = ("captioning", "clothing", "minimal", "question_answering", "sentences", "translation")


@contextmanager
def served() -> Iterator[str]:
    """The URL of a server of all examples, when each of their functions is known."""
    folders = [str(EXAMPLES / name) for name in SERVICES]
    command = [sys.executable, "-m", "pilotlight", "serve", *folders, "--port", "0", "--json", "--no-reload"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=machine.environ()) as process:
        assert process.stdout is not None
        try:
            listening = json.loads(process.stdout.readline())
            for _ in listening["functions"]:
                while json.loads(process.stdout.readline())["event"] != "described":
                    pass
            Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop the server
            yield listening["url"]
        finally:
            process.terminate()
