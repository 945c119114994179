"""What requests of a measurement carry: a body for each line of a file."""

import json
from collections.abc import Callable, Iterable, Sequence

from pilotlight.errors import UsageError

_FORMS = "a line is a JSON object, a sentence, or with --field A --field B two texts with a tab between them"


def bodies(lines: Iterable[bytes], fields: Sequence[str], name: str) -> list[bytes]:
    """A request's body for each line of the file `name`; empty lines are none.

    With `fields` a line holds the value of each, separated by tabs; without, the first line tells whether all are JSON
    objects or each is the value of `input`. Raises `UsageError`, with the number of the line.
    """
    read = _fields(fields) if fields else None
    made = []
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            read = read or (_object if line.lstrip().startswith(b"{") else _fields(["input"]))
            try:
                made.append(read(line.decode().rstrip("\r\n")))
            except ValueError as error:
                raise UsageError(f"reading {name}, line {number}: {error}", _FORMS) from None
    if not made:
        raise UsageError(f"reading {name}: it has no lines", _FORMS)
    return made


def _object(text: str) -> bytes:
    if not isinstance(json.loads(text), dict):
        raise ValueError("not a JSON object")
    return text.encode()


def _fields(names: Sequence[str]) -> Callable[[str], bytes]:
    def body(text: str) -> bytes:
        values = text.split("\t") if len(names) > 1 else [text]
        if len(values) != len(names):
            raise ValueError(f"{len(values)} texts for the {len(names)} fields {', '.join(names)}")
        return json.dumps(dict(zip(names, values, strict=True))).encode()

    return body
