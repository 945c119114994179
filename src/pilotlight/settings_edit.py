"""Changes one value of `pilotlight.toml`, and leaves all else as it was written: comments, order, blanks.

Does not ship to Lambda.
"""

import re
import tomllib
from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from pilotlight.errors import ProjectError
from pilotlight.settings import FILE

_HEADER = re.compile(r"\s*\[")
_BY_HAND = "write it there by hand"


def with_memory(text: str, function: str, memory: int) -> str:
    """The settings with `memory` of that function in MB. Raises `ProjectError` where they are written in a form that
    this cannot change, such as an inline table."""
    wanted = _set(tomllib.loads(text), function, memory)
    changed = _edited(text.splitlines(keepends=True), function, memory)
    try:
        is_right = tomllib.loads(changed) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        reason = f"{FILE}: functions.{function} is written in a form that is not changed by a program"
        raise ProjectError(reason, f"{_BY_HAND}: memory = {memory}")
    return changed


def diff(before: str, after: str) -> list[str]:
    """What differs, as `diff -u` shows it."""
    lines = unified_diff(before.splitlines(), after.splitlines(), FILE, FILE, n=2, lineterm="")
    return list(lines)


def _set(settings: Mapping[str, Any], function: str, memory: int) -> dict[str, Any]:
    functions = settings.get("functions", {})
    return {**settings, "functions": {**functions, function: {**functions.get(function, {}), "memory": memory}}}


def _edited(lines: list[str], function: str, memory: int) -> str:
    """A line of the function's own table changed, or one more in it, or one more table."""
    table = re.compile(rf"""\s*\[\s*functions\s*\.\s*(["']?){re.escape(function)}\1\s*\]\s*(#.*)?$""")
    begin = next((number for number, line in enumerate(lines) if table.match(line)), None)
    end_of_line = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if begin is None:
        return _with_table(lines, f"[functions.{function}]{end_of_line}memory = {memory}{end_of_line}", end_of_line)
    if not lines[begin].endswith("\n"):
        lines[begin] += end_of_line
    end = next((at for at in range(begin + 1, len(lines)) if _HEADER.match(lines[at])), len(lines))
    for number in range(begin + 1, end):
        if re.match(r"\s*memory\s*=", lines[number]):
            lines[number] = re.sub(r"(=\s*)[\d_]+", rf"\g<1>{memory}", lines[number], count=1)
            return "".join(lines)
    lines.insert(begin + 1, f"memory = {memory}{end_of_line}")
    return "".join(lines)


def _with_table(lines: list[str], table: str, end_of_line: str) -> str:
    text = "".join(lines)
    between = "" if not text else end_of_line if text.endswith("\n") else end_of_line * 2
    return f"{text}{between}{table}"
