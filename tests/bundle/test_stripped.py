"""Symbols are taken out by a tool that reads the target's shared objects, where there is one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.bundle import elf, stripped
from pilotlight.bundle.target import Target

HERE = Target("3.13", {"x86_64": "x86_64", "aarch64": "arm64"}[os.uname().machine])


@pytest.fixture(autouse=True)
def _tools_are_looked_for_anew() -> Iterator[None]:
    stripped.tool.cache_clear()
    yield
    stripped.tool.cache_clear()


def test_without_a_tool_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stripped.tool(HERE) is None


def test_a_tool_for_other_machines_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "strip").write_text("#!/bin/sh\necho 'strip: supported targets: elf64-s390 srec'\n")
    (tmp_path / "strip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stripped.tool(HERE) is None


@pytest.mark.system
def test_symbols_are_taken_out_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "add.c").write_text(
        "static int twice(int a) { return 2 * a; }\nint add(int a) { return twice(a) + 1; }\n"
    )
    for name in ("one.so", "two.so"):
        subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-o", name, "add.c"], cwd=tmp_path, check=True)
    tool = stripped.tool(HERE)
    assert tool is not None
    assert tool.version
    files = [tmp_path / "one.so", tmp_path / "two.so"]
    before = sum(file.stat().st_size for file in files)
    assert stripped.strip(files, tool) == before - sum(file.stat().st_size for file in files) > 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert isinstance(elf.read(files[0]), elf.Object)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["add.c", "one.so", "two.so"]


@pytest.mark.system
def test_what_the_tool_refuses_stays_as_it_is(tmp_path: Path) -> None:
    tool = stripped.tool(HERE)
    assert tool is not None
    (tmp_path / "text.so").write_text("no shared object")
    assert stripped.strip([tmp_path / "text.so"], tool) == 0
    assert (tmp_path / "text.so").read_text() == "no shared object"
