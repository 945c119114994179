"""Shared objects are read for what they ask of a machine."""

import os
from pathlib import Path

import pytest
import shared_objects

from pilotlight.bundle import elf
from pilotlight.bundle.elf import Object
from pilotlight.bundle.target import Target

X86, ARM = Target("3.13", "x86_64"), Target("3.13", "arm64")
NONE: frozenset[str] = frozenset()


def read(folder: Path, data: bytes) -> Object | str:
    path = folder / "lib.so"
    path.write_bytes(data)
    return elf.read(path)


def test_a_shared_object_says_its_machine_and_what_it_needs(tmp_path: Path) -> None:
    found = read(tmp_path, shared_objects.real())
    assert isinstance(found, Object)
    assert found.machine == os.uname().machine
    assert any(library == "libc.so.6" and version.startswith("GLIBC_2.") for library, version in found.needs)
    assert elf.problems(found, X86 if found.machine == "x86_64" else ARM, NONE) == []


def test_one_for_another_machine_is_a_problem(tmp_path: Path) -> None:
    found = read(tmp_path, shared_objects.for_other_machine())
    assert isinstance(found, Object)
    here = os.uname().machine
    assert elf.problems(found, X86 if here == "x86_64" else ARM, NONE) == [f"it is for {found.machine}, not for {here}"]


def test_one_for_a_newer_c_library_is_a_problem(tmp_path: Path) -> None:
    found = read(tmp_path, shared_objects.for_newer_library())
    target = X86 if os.uname().machine == "x86_64" else ARM
    assert "it needs GLIBC_2.99, and Amazon Linux 2023 has GLIBC_2.34" in elf.problems(found, target, NONE)


@pytest.mark.parametrize(
    ("needs", "problems"),
    [
        ([("libc.so.6", "GLIBC_2.34"), ("libstdc++.so.6", "GLIBCXX_3.4.29")], []),
        ([("libc.so.6", "GLIBC_2.3.4"), ("libm.so.6", "GLIBC_2.4")], []),
        ([("libc.so.6", "GLIBC_2.38")], ["it needs GLIBC_2.38, and Amazon Linux 2023 has GLIBC_2.34"]),
        (
            [("libstdc++.so.6", "GLIBCXX_3.4.30"), ("libstdc++.so.6", "CXXABI_1.3.11")],
            ["it needs GLIBCXX_3.4.30, and Amazon Linux 2023 has GLIBCXX_3.4.29"],
        ),
        ([("libown.so", "GLIBC_9.9")], []),
        ([("libssl.so.3", "OPENSSL_3.0.0"), ("libc.so.6", "GLIBC_PRIVATE")], []),
    ],
)
def test_versions_are_compared_as_numbers(needs: list[tuple[str, str]], problems: list[str]) -> None:
    assert elf.problems(Object("x86_64", tuple(needs)), X86, frozenset({"libown.so"})) == problems


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"text", b"\x7fELF\x02\x01\x01"])
def test_what_is_none_is_said(tmp_path: Path, data: bytes) -> None:
    found = read(tmp_path, data)
    assert isinstance(found, str)
    assert elf.problems(found, X86, NONE) == [found]
    assert found.startswith("it is no whole shared object")


def test_one_that_is_cut_off_is_said(tmp_path: Path) -> None:
    data = shared_objects.real()
    assert isinstance(read(tmp_path, data[: len(data) // 2]), str)
