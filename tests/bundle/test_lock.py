"""Requirements are resolved by the real uv, from wheels in a folder."""

import re
from pathlib import Path

import pytest
import wheels

from pilotlight.bundle import lock
from pilotlight.bundle.needs import Need, Needs
from pilotlight.bundle.target import Target
from pilotlight.errors import BuildError, RequirementError

X86, ARM = Target("3.13", "x86_64"), Target("3.13", "arm64")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheels.use(monkeypatch, folder)
    return folder


def resolve(root: Path, target: Target, *lines: str, ours: tuple[Need, ...] = ()) -> str:
    return lock.resolve(Needs(lines, ours), target, lock.file(root, "ask", target), root)


def ours(name: str) -> Need:
    return Need(name, "", "module", "the function imports it")


def test_versions_are_exact_with_hashes_and_so_are_those_that_they_need(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp", "1.0", requires=("wick>=2",))
    wheels.wheel(index, "wick", "2.1")
    wheels.wheel(index, "wick", "1.0")
    text = resolve(tmp_path, X86, "lamp")
    assert lock.pins(text) == {"lamp": "1.0", "wick": "2.1"}
    assert text.count("--hash=sha256:") == 2
    assert lock.file(tmp_path, "ask", X86).name == "ask-python3.13-x86_64.txt"
    assert lock.file(tmp_path, "ask", X86).read_text() == text


def test_libraries_of_ours_come_without_what_they_need_for_other_things(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "onnxruntime", requires=("protobuf",))
    assert lock.pins(resolve(tmp_path, X86, ours=(ours("onnxruntime"),))) == {"onnxruntime": "1.0"}


def test_they_have_the_version_that_the_project_holds_them_to(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "numpy", "1.0")
    wheels.wheel(index, "numpy", "2.0")
    wheels.wheel(index, "lamp", requires=("numpy<2",))
    assert lock.pins(resolve(tmp_path, X86, "lamp", ours=(ours("numpy"),))) == {"lamp": "1.0", "numpy": "1.0"}


def test_a_lock_stays_until_what_was_asked_for_changes(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp", "1.0")
    first = resolve(tmp_path, X86, "lamp")
    wheels.wheel(index, "lamp", "2.0")
    assert resolve(tmp_path, X86, "lamp") == first
    assert lock.pins(resolve(tmp_path, X86, "lamp<3")) == {"lamp": "2.0"}


def test_a_lock_is_made_anew_when_a_file_that_is_included_changes(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp", "1.0")
    wheels.wheel(index, "wick", "1.0")
    (tmp_path / "more.txt").write_text("lamp\n")
    assert lock.pins(resolve(tmp_path, X86, "-r more.txt")) == {"lamp": "1.0"}
    (tmp_path / "more.txt").write_text("wick\n")
    assert lock.pins(resolve(tmp_path, X86, "-r more.txt")) == {"wick": "1.0"}


def test_a_requirement_without_a_wheel_for_the_target_is_named(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp", tag="cp313-cp313-manylinux_2_17_x86_64")
    assert lock.pins(resolve(tmp_path, X86, "lamp")) == {"lamp": "1.0"}
    with pytest.raises(
        RequirementError, match=r"resolving the requirements: .*lamp.* has no wheels with a matching"
    ) as no:
        resolve(tmp_path, ARM, "lamp")
    assert (
        no.value.hint == "only wheels are taken: ask for a version that has one for the target, or for another library"
    )
    assert not lock.file(tmp_path, "ask", ARM).exists()


def test_a_wheel_for_a_newer_glibc_than_lambda_has_is_none(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp", tag="cp313-cp313-manylinux_2_35_x86_64")
    with pytest.raises(RequirementError, match="lamp"):
        resolve(tmp_path, X86, "lamp")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("lamp", "wick<2"), "lamp.* wick"),
        (("lamp", "lamp==3.0"), "lamp==3.0"),
        (("no-such-thing",), "no-such-thing was not found"),
        (("lamp ===",), "parse"),
    ],
)
def test_what_cannot_be_resolved_is_said_in_the_resolvers_words(
    index: Path, tmp_path: Path, lines: tuple[str, ...], reason: str
) -> None:
    wheels.wheel(index, "lamp", requires=("wick>=2",))
    wheels.wheel(index, "wick", "1.0")
    wheels.wheel(index, "wick", "2.0")
    with pytest.raises(RequirementError, match=reason) as refused:
        resolve(tmp_path, X86, *lines)
    assert "requirements.txt" in refused.value.hint


def test_every_requirement_has_a_hash_also_where_the_index_has_none(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp")
    wheels.wheel(index, "wick")
    page = index / "simple/lamp/index.html"
    page.write_text(re.sub("#sha256=[0-9a-f]+", "", page.read_text()))
    assert all("--hash=sha256:" in block for block in lock.blocks(resolve(tmp_path, X86, "lamp", "wick")).values())


def test_a_lock_with_a_requirement_without_a_hash_is_refused(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp")
    wheels.wheel(index, "wick")
    text = resolve(tmp_path, X86, "lamp", "wick")
    path = lock.file(tmp_path, "ask", X86)
    path.write_text(text.replace(lock.blocks(text)["lamp"], "lamp==1.0\n"))
    with pytest.raises(BuildError) as refused:
        resolve(tmp_path, X86, "lamp", "wick")
    assert str(refused.value) == f"reading {path}: lamp: it has no hash"
    path.unlink()
    assert resolve(tmp_path, X86, "lamp", "wick") == text


def test_a_wheel_of_the_project_s_own_is_locked_and_seen_when_it_changes(index: Path, tmp_path: Path) -> None:
    wheels.wheel(tmp_path / "vendor", "lamp")
    first = resolve(tmp_path, X86, "./vendor/lamp-1.0-py3-none-any.whl")
    assert list(lock.blocks(first)) == ["./vendor/lamp-1.0-py3-none-any.whl"]
    assert "--hash=sha256:" in first
    wheels.wheel(tmp_path / "vendor", "lamp", files={"lamp/__init__.py": "another"})
    assert resolve(tmp_path, X86, "./vendor/lamp-1.0-py3-none-any.whl") != first


def test_where_the_project_says_that_wheels_are_holds_for_libraries_of_ours_and_stays_out(
    index: Path, tmp_path: Path
) -> None:
    wheels.wheel(tmp_path / "private", "lamp")
    wheels.wheel(tmp_path / "private", "numpy")
    text = resolve(tmp_path, X86, f"--find-links {tmp_path / 'private'}", "lamp", ours=(ours("numpy"),))
    assert lock.pins(text) == {"lamp": "1.0", "numpy": "1.0"}
    assert "private" not in text
