"""What a package is made for: a Python of Lambda's on one of its processors, on Amazon Linux 2023.

Runtimes: docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, read in November 2026.
"""

from typing import NamedTuple

from pilotlight.errors import UsageError

GLIBC = (2, 34)
"""Of Amazon Linux 2023, on which Lambda's Python runtimes run: docs.aws.amazon.com/linux/al2023/ug/libc.html."""
PYTHONS = ("3.12", "3.13", "3.14")
ARCHITECTURES = ("x86_64", "arm64")
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
_OF_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}


class Target(NamedTuple):
    """`python` is one of `PYTHONS`, `architecture` one of `ARCHITECTURES`, in Lambda's own words."""

    python: str = "3.13"
    architecture: str = "x86_64"

    def __str__(self) -> str:
        return f"{self.runtime} on {self.architecture}"

    @property
    def runtime(self) -> str:
        """Lambda's identifier of the managed runtime, which is its interpreter's name too."""
        return f"python{self.python}"

    @property
    def machine(self) -> str:
        """What kernel, wheels and ELF call the architecture."""
        return _MACHINES[self.architecture]

    @property
    def platform(self) -> str:
        """Whose wheels fit, as uv says it."""
        return f"{self.machine}-manylinux_{GLIBC[0]}_{GLIBC[1]}"


def parse(text: str, default: Target) -> Target:
    """What "3.12", "arm64" or "python3.12-arm64" means, the rest being that of `default`. Raises `UsageError`."""
    python, architecture = default
    for word in text.strip().lower().split("-"):
        version = word.removeprefix("python")
        if version in PYTHONS:
            python = version
        elif word in _OF_MACHINES:
            architecture = _OF_MACHINES[word]
        else:
            hint = f"Lambda has Python {', '.join(PYTHONS)} on {' and '.join(ARCHITECTURES)}: such as 3.13-arm64"
            raise UsageError(f"reading the target {text!r}: {word!r} is no Python and no architecture of it", hint)
    return Target(python, architecture)
