"""Requirements resolved for a target: exact versions with hashes, in a file of the project that is to be checked in.

    locks/qa-python3.13-x86_64.txt

It is taken as it is until what was asked for changes. The resolver is uv, and only wheels for the target are admitted:
nothing is built here, for a machine that this one is not.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pilotlight.bundle.needs import Needs
from pilotlight.bundle.target import Target
from pilotlight.errors import BuildError, RequirementError, UsageError

FOLDER = "locks"
_HEAD = "# Written by pilotlight build, and to be checked in: delete it to take newer versions.\n# of: {asked}\n"
_LONGEST = 600.0  # seconds


def file(root: Path, function: str, target: Target) -> Path:
    return root / FOLDER / f"{function}-{target.runtime}-{target.architecture}.txt"


def resolve(needs: Needs, target: Target, path: Path, root: Path) -> str:
    """The lock of `needs`, as it is at `path` where that was made for the same, else resolved and written there.

    Raises `RequirementError` when there is no such set of wheels, `BuildError` when the index cannot be reached, or
    when the lock that is there has a requirement without a hash: uv gives each one, whatever the index has.
    """
    asked = _HEAD.format(asked=_digest(needs, target, root))
    if (text := _read(path)).startswith(asked):
        _check_hashes(text, path)
        return text
    text = asked + _resolve(needs, target, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"reading {path}: {error}", "delete it: it is made again") from None


def _check_hashes(text: str, path: Path) -> None:
    """What has none would be taken from an index unseen."""
    bare = [name for name, block in blocks(text).items() if "--hash=" not in block]
    if bare:
        reason = f"reading {path}: {', '.join(bare)}: it has no hash"
        raise BuildError(reason, "take back what was changed there, or delete the file: it is made again")


def pins(lock: str) -> dict[str, str]:
    """The versions in a lock by the names of distributions."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", lock, re.M))


def _digest(needs: Needs, target: Target, root: Path) -> str:
    """Of everything that the resolution depends on and that can be seen here: files that are included, and wheels."""
    words = [str(target), *needs.lines, "", *(need.requirement for need in needs.ours)]
    for line in needs.lines:
        named = re.match(r"(?:(?:-r|-c|--requirement|--constraint)[\s=]*)?(\S+)", line)
        if named and os.path.isfile(root / named[1]):
            words.append(hashlib.sha256((root / named[1]).read_bytes()).hexdigest())
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def _resolve(needs: Needs, target: Target, root: Path) -> str:
    """The project's own requirements with all that they need, then Pilotlight's libraries alone, held to the first."""
    others = _compile(needs.lines, target, root, ()) if needs.lines else ""
    found = blocks(others)
    held = [line.partition(" ")[0] for line in others.splitlines() if "==" in line]
    ours = [need.requirement for need in needs.ours]
    asked = [*needs.indexes, *ours, *(pin for pin in held if _has(ours, pin))]
    found |= blocks(_compile(asked, target, root, ("--no-deps",)) if ours else "")
    return "".join(found[name] for name in sorted(found))


def _has(requirements: Iterable[str], pin: str) -> bool:
    return any(re.match(rf"{re.escape(pin.partition('==')[0])}(?![A-Za-z0-9._-])", each) for each in requirements)


def blocks(lock: str) -> dict[str, str]:
    """Each requirement with its hashes, by its name, or its path where it is a file of the project's."""
    blocks = re.findall(r"^[^#\s-].*\n(?:[ \t].*\n)*", lock, re.M)
    return {re.split("[=@ ]", block, maxsplit=1)[0]: block for block in blocks}


def _compile(lines: Sequence[str], target: Target, root: Path, options: Iterable[str]) -> str:
    quiet = ("--no-header", "--no-annotate", "--no-emit-index-url", "--generate-hashes", "--quiet")
    text = "".join(f"{line}\n" for line in lines)
    return run("resolving the requirements", ["compile", *quiet, *options, *platform(target), "-"], root, text)


def platform(target: Target) -> tuple[str, ...]:
    """uv's options for wheels of the target."""
    return (
        *("--python-platform", target.platform, "--python-version", target.python),
        *("--only-binary", ":all:", "--no-python-downloads", "--python", sys.executable),
    )


def run(doing: str, arguments: Sequence[str], folder: Path, text: str = "") -> str:
    """What `uv pip` prints, run in `folder`, whose settings of uv hold. Raises as `resolve`, and `UsageError`."""
    try:
        done = subprocess.run(
            [_uv(), "pip", *arguments],
            input=text,
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=_LONGEST,
            env={"UV_SYSTEM_CERTS": "true", **os.environ},  # those that pip trusts, a company's own among them
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{doing}: uv had not ended after {_LONGEST:.0f} s", "is the index reachable?") from None
    if done.returncode != 0:
        raise _failure(doing, done.stderr)
    return done.stdout


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise UsageError("resolving the requirements: uv is not installed", "pip install 'pilotlight[build]'")
    return found


def _failure(doing: str, said: str) -> BuildError:
    """uv's own explanation, without what it says before and after it."""
    told = re.findall(r"^ *(error|cause): (.*?)(?=^ *cause: |^error: |^hint: |^\s*$|\Z)", f"{said}\n", re.M | re.S)
    kinds = ("cause",) if "No solution" in said else ("error", "cause")
    reason = " ".join(" ".join(text for kind, text in told if kind in kinds).split()) or said.strip()[-500:]
    if "no usable wheels" in said or "no wheels" in said:
        hint = "only wheels are taken: ask for a version that has one for the target, or for another library"
        return RequirementError(f"{doing}: {reason}", hint)
    if "No solution found" in said or "was not found in the package registry" in said:
        return RequirementError(f"{doing}: {reason}", "correct requirements.txt")
    if "parse" in said:
        return RequirementError(f"{doing}: {reason}", "correct the line in requirements.txt")
    return BuildError(f"{doing}: {reason}", "uv needs a package index: see UV_INDEX_URL, UV_FIND_LINKS, SSL_CERT_FILE")
