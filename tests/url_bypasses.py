"""The URLs of url_bypasses.txt."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Bypass(NamedTuple):
    url: str
    reaches: str

    def at(self, port: int) -> str:
        """The URL, where the server that must not be reached has that port."""
        return self.url.replace("{port}", str(port))


def _read(text: str) -> Iterator[Bypass]:
    reaches = ""
    for line in text.splitlines():
        if line.startswith("["):
            reaches = line.strip("[]")
        elif line.startswith('"'):
            yield Bypass(json.loads(line), reaches)


BYPASSES = list(_read(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")))
