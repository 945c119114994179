"""Libraries installed by the real uv, cut down, and kept."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import wheels

from pilotlight.bundle import libraries, lock, prune
from pilotlight.bundle.files import Part, part
from pilotlight.bundle.libraries import Libraries, Source
from pilotlight.bundle.needs import Need, Needs
from pilotlight.bundle.target import Target
from pilotlight.errors import BuildError

TARGET = Target("3.13", "x86_64")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    wheels.use(monkeypatch, tmp_path / "wheels")
    return tmp_path / "wheels"


def install(folder: Path, *names: str, alone: tuple[str, ...] = ()) -> Libraries:
    needs = Needs((), tuple(Need(name, "", "module", "") for name in names))
    text = lock.resolve(needs, TARGET, folder / "locks/ask.txt", folder)
    return libraries.install(text, alone, TARGET, folder / "cache", Source(folder))


def paths(found: Libraries) -> list[str]:
    return [entry.path for entry in part("dependencies", found.entries()).entries]


def test_a_library_ships_without_what_inference_never_imports(index: Path, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "lamp/__init__.py": "",
        "lamp/__init__.pyi": "types",
        "lamp/tests/test_lamp.py": "tests",
        "lamp/include/lamp.h": "head",
        "lamp/oil.txt": "oil",
    }
    wheels.wheel(index, "lamp", "1.2", files, metadata="License: BSD-3-Clause\nHome-page: https://example.com/lamp\n")
    found = install(tmp_path, "lamp")
    assert paths(found) == [
        "lamp-1.2.dist-info/METADATA",
        "lamp-1.2.dist-info/licenses/LICENSE",
        "lamp/__init__.py",
        "lamp/oil.txt",
    ]
    assert found.left_out["tests"] == 5
    assert found.left_out["for compilers and type checkers"] == 9
    [lamp] = found.installed
    assert (lamp.name, lamp.version, lamp.licence, lamp.home) == (
        "lamp",
        "1.2",
        "BSD-3-Clause",
        "https://example.com/lamp",
    )
    assert lamp.modules == ("lamp",)
    assert lamp.size == sum(entry.size for entry in found.entries())


def test_a_c_library_ships_without_its_python_module(index: Path, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "onnxruntime/__init__.py": "",
        "onnxruntime/LICENSE": "You may.",
        "onnxruntime/capi/libonnxruntime.so.1.0": "library",
        "onnxruntime/capi/state.so": "module",
    }
    wheels.wheel(index, "onnxruntime", "1.0", files)
    alone, whole = install(tmp_path, "onnxruntime", alone=("onnxruntime",)), install(tmp_path, "onnxruntime")
    kept = [path for path in paths(alone) if ".dist-info" not in path]
    assert kept == ["onnxruntime/LICENSE", "onnxruntime/capi/libonnxruntime.so.1.0"]
    kept = [path for path in paths(whole) if ".dist-info" not in path]
    assert kept == ["onnxruntime/LICENSE", "onnxruntime/__init__.py", "onnxruntime/capi/state.so"]


def test_what_another_library_names_stays(index: Path, tmp_path: Path) -> None:
    numpy: dict[str, str | bytes] = {
        "numpy/__init__.py": "",
        "numpy/typing/__init__.py": "",
        "numpy/f2py/__init__.py": "",
    }
    wheels.wheel(index, "numpy", "1.0", numpy)
    wheels.wheel(index, "lamp", "1.0", {"lamp/__init__.py": "import numpy.typing\n"})
    assert "numpy/typing/__init__.py" not in paths(install(tmp_path, "numpy"))
    both = paths(install(tmp_path, "lamp", "numpy"))
    assert "numpy/typing/__init__.py" in both
    assert "numpy/f2py/__init__.py" not in both


def test_a_tree_is_installed_once(index: Path, tmp_path: Path) -> None:
    path = wheels.wheel(index, "lamp")
    first = install(tmp_path, "lamp")
    path.unlink()  # it could not be installed again
    assert install(tmp_path, "lamp") == first


def test_a_wheel_that_is_not_the_one_that_was_locked_is_refused(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "lamp")
    text = lock.resolve(Needs(("lamp",), ()), TARGET, tmp_path / "locks/ask.txt", tmp_path)
    wheels.wheel(index, "lamp", files={"lamp/__init__.py": "another"})
    with pytest.raises(BuildError, match=r"installing the requirements: .*[Hh]ash"):
        libraries.install(text, (), TARGET, tmp_path / "cache", Source(tmp_path))
    assert list((tmp_path / "cache").iterdir()) == []


def test_wheels_come_from_where_the_project_says(index: Path, tmp_path: Path) -> None:
    wheels.wheel(tmp_path / "private", "lamp")
    wheels.wheel(tmp_path / "vendor", "wick")
    lines = ("--find-links private", "lamp", "./vendor/wick-1.0-py3-none-any.whl")
    needs = Needs(lines, ())
    text = lock.resolve(needs, TARGET, tmp_path / "locks/ask.txt", tmp_path)
    found = libraries.install(text, (), TARGET, tmp_path / "cache", Source(tmp_path, needs.indexes))
    assert [each.name for each in found.installed] == ["lamp", "wick"]
    assert not [path for path in paths(found) if path.endswith("direct_url.json")]  # it has the folder's name
    [done] = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in done.iterdir()) == ["installed.json", "tree"]


def test_pilotlight_is_no_requirement(index: Path, tmp_path: Path) -> None:
    wheels.wheel(index, "pilotlight")
    with pytest.raises(BuildError, match="packing pilotlight: the requirements name it"):
        install(tmp_path, "pilotlight")


def test_nothing_needed_is_nothing_installed(tmp_path: Path) -> None:
    assert install(tmp_path) == libraries.NONE
    assert part("dependencies", ()) == Part("dependencies", ())


def test_every_rule_is_about_files_that_wheels_have() -> None:
    """Of the libraries that are installed with the tests, each rule leaves something out."""
    site = Path(str(find_spec("numpy").origin)).parents[1]  # type: ignore[union-attr]
    packages = ("numpy", "onnxruntime", "ai_edge_litert")
    there = [p.relative_to(site).as_posix() for name in packages for p in (site / name).rglob("*") if p.is_file()]
    found = set(prune.reasons(there, (), lambda path: b"").values())
    named = {rule.reason for rule in prune.RULES if rule.unless or rule.reason.startswith("ONNX")}
    assert named <= found, f"python {sys.version_info.minor}"
