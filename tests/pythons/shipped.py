"""What ships to Lambda, imported and used by another Python than that of the tests: run by run.mjs.

There are no processes and no network, so what needs those is imported only. Prints one JSON object.
"""

# ruff: noqa: E402

import importlib
import inspect
import json
import os
import pkgutil
import sys
import types
from typing import NamedTuple

sys.dont_write_bytecode = True
sys.path[:0] = ["/repo/src", "/repo/examples/minimal"]
sys.modules.setdefault("fcntl", types.ModuleType("fcntl"))  # which not every version in WebAssembly has
os.environ["PILOTLIGHT_HANDLER"] = "inference.hello.handler"  # what `recorded` imports

import pilotlight.function

names = [module.name for module in pkgutil.iter_modules(pilotlight.function.__path__)]
for name in names:
    importlib.import_module(f"pilotlight.function.{name}")

from inference.hello import handler

from pilotlight import Response, endpoint
from pilotlight.function import vocabulary, wordpiece
from pilotlight.function.describe import describe

WRONG = {"version": "2.0", "requestContext": {"http": {"method": "POST"}}, "body": '{"nam": "Ada"}'}
PIECES = ["[UNK]", "read", "##ing", "the", "cafe", "\u96e8"]
TOKENIZER = wordpiece.WordPiece(
    vocabulary.Listed(PIECES), lowercase=True, strip_accents=True, chinese=True, special=("[UNK]",)
)


class Point(NamedTuple):
    x: int
    label: str | None = None


@endpoint
def place(point: Point, tags: list[str] | None = None) -> object:
    return [point, tags]


def answered(body: str) -> list[object]:
    answer = place({"version": "2.0", "requestContext": {"http": {"method": "POST"}}, "body": body}, None)
    said = json.loads(answer["body"])
    return [answer["statusCode"], said["errors"] if isinstance(said, dict) else said]


print(
    json.dumps(
        {
            "python": ".".join(map(str, sys.version_info[:2])),
            "modules": names,
            "greeting": handler({"name": "Ada", "language": "de", "times": 2}, None),
            "wrong": [handler(WRONG, None)["statusCode"], json.loads(handler(WRONG, None)["body"])["errors"]],
            "schema": describe(handler)["input"],
            "place": [answered('{"point": {"x": 1}, "tags": ["a"]}'), answered('{"point": {"x": "1"}}')],
            "signature": str(inspect.signature(Response)),
            "ids": list(TOKENIZER.encode("Reading the Café: \u96e8").ids),
        }
    )
)
