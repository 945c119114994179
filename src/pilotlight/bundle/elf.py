"""What shared objects ask of the machine that they run on: an architecture, and versions of the C and C++ libraries."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from elftools.common.exceptions import ELFError, ELFParseError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from pilotlight.bundle.target import GLIBC, Target

_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}
_HIGHEST = {  # of Amazon Linux 2023: glibc 2.34, and libstdc++ and libgcc of GCC 11
    "GLIBC": GLIBC,
    "GLIBCXX": (3, 4, 29),
    "CXXABI": (1, 3, 13),
    "GCC": (11, 0),
}


class Object(NamedTuple):
    """`needs` are symbol versions, such as "GLIBC_2.28", by the name of the library that has to have them."""

    machine: str
    needs: tuple[tuple[str, str], ...]


def is_named(path: str) -> bool:
    """Whether a file is called as shared objects are."""
    return path.endswith(".so") or ".so." in path.rpartition("/")[2]


def read(file: Path) -> Object | str:
    """What the file says, or why it says nothing."""
    try:
        with file.open("rb") as opened:
            elf = ELFFile(opened)
            machine = str(elf["e_machine"])
            return Object(_MACHINES.get(machine, machine), tuple(sorted(set(_needs(elf)))))
    except (ELFError, ELFParseError, ConstructError, ValueError, KeyError, OSError) as error:
        return f"it is no whole shared object: {error}".removesuffix(": ")


def _needs(elf: ELFFile) -> Iterator[tuple[str, str]]:
    section = elf.get_section_by_name(".gnu.version_r")
    if isinstance(section, GNUVerNeedSection):
        for library, versions in section.iter_versions():
            for version in versions:
                yield str(library.name), str(version.name)


def problems(found: Object | str, target: Target, own: frozenset[str]) -> list[str]:
    """Why it cannot run on the target; `own` are the names of libraries that are in the package."""
    if isinstance(found, str):
        return [found]
    if found.machine != target.machine:
        return [f"it is for {found.machine}, not for {target.machine}"]
    high = [version for library, version in found.needs if library not in own and _is_too_high(version)]
    return [f"it needs {version}, and Amazon Linux 2023 has {_highest(version)}" for version in high]


def _is_too_high(version: str) -> bool:
    name, _, numbers = version.rpartition("_")
    parts = tuple(int(part) for part in numbers.split(".") if part.isdigit())
    return name in _HIGHEST and bool(parts) and parts > _HIGHEST[name]


def _highest(version: str) -> str:
    name = version.rpartition("_")[0]
    return f"{name}_{'.'.join(map(str, _HIGHEST[name]))}"
