"""What ships to Lambda under each Python that Lambda has, where it is not that of the tests.

Python 3.13 runs whole packages, in containers (test_packages.py). 3.12 and 3.14 are CPython in WebAssembly, which
`make test-system` gets from npm: the same C modules and compiler, without processes and sockets.
"""

import json
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "pythons"
MODULES = sorted(path.stem for path in FOLDER.parents[1].glob("src/pilotlight/function/*.py") if path.stem[0] != "_")

pytestmark = pytest.mark.system


@pytest.mark.parametrize("version", ["3.12", "3.14"])
def test_what_ships_runs(version: str) -> None:
    command = ["node", "run.mjs", f"python{version.replace('.', '')}", "shipped.py"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "python": version,
        "modules": MODULES,
        "greeting": {"greeting": "Guten Tag, Ada! Guten Tag, Ada!"},
        "wrong": [400, [{"field": "name", "reason": "missing ('nam' was given: did you mean 'name'?)"}]],
        "schema": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "language": {"type": "string", "default": "en"},
                "times": {"type": "integer", "default": 1},
            },
            "required": ["name"],
        },
        "place": [
            [200, [{"x": 1, "label": None}, ["a"]]],
            [400, [{"field": "point.x", "reason": "expected int, got str"}]],
        ],
        "signature": "(status: 'int' = 200, headers: 'Headers' = (), body: 'bytes' = b'')",
        "ids": [1, 2, 3, 4, 0, 5],
    }
