"""Modules compiled by an interpreter, here the one that runs the tests."""

import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.bundle import compiled, files, interpreter
from pilotlight.bundle.files import Entry, Part, part
from pilotlight.bundle.interpreter import Interpreter
from pilotlight.bundle.target import Target
from pilotlight.errors import UsageError

HERE = Target(f"{sys.version_info.major}.{sys.version_info.minor}")
TAG = sys.implementation.cache_tag
CODE = part(
    "code", [Entry("a/words.py", b"WORDS = {'one', 'two'}\n"), Entry("b.txt", b""), Entry("old.py", b"print 'x'")]
)


@pytest.fixture
def python() -> Interpreter:
    found = interpreter.find(HERE, sys.executable)
    assert found is not None
    return found


def test_modules_are_compiled_beside_their_sources_and_never_checked(python: Interpreter, tmp_path: Path) -> None:
    made = compiled.add(CODE, python, tmp_path / "cache")
    assert [entry.path for entry in made.entries] == [f"a/__pycache__/words.{TAG}.pyc", "a/words.py", "b.txt", "old.py"]
    data = made.entries[0].read()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(data[4:8], "little") == 0b01  # PEP 552: by hash, and not checked
    assert data[8:16] == importlib.util.source_hash(b"WORDS = {'one', 'two'}\n")
    assert marshal.loads(data[16:]).co_filename == "/var/task/a/words.py"


def test_they_are_what_is_imported(python: Interpreter, tmp_path: Path) -> None:
    made = compiled.add(CODE, python, tmp_path / "cache")
    files.tree([made], tmp_path / "tree")
    (tmp_path / "tree/a/words.py").write_text("raise SystemExit('the source was read')")
    script = "import sys; sys.path.insert(0, sys.argv[1]); import a.words; print(sorted(a.words.WORDS))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(tmp_path / "tree")], capture_output=True, text=True
    )
    assert done.stdout == "['one', 'two']\n"


def test_two_caches_give_the_same_bytes_and_one_is_used_again(python: Interpreter, tmp_path: Path) -> None:
    one, two = (compiled.add(CODE, python, tmp_path / name).entries for name in "ab")
    assert [entry.read() for entry in one] == [entry.read() for entry in two]
    [kept] = (tmp_path / "a").iterdir()
    before = kept.stat().st_mtime_ns
    compiled.add(CODE, python, tmp_path / "a")
    assert [path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()] == [before]


def test_a_part_without_modules_stays_as_it_is(python: Interpreter, tmp_path: Path) -> None:
    model = Part("model", (Entry("weights", b"1"),))
    assert compiled.add(model, python, tmp_path) is model


def test_the_interpreter_on_the_path_is_the_first_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, text in (
        (first, "#!/bin/sh\necho 'not found' >&2\nexit 127\n"),
        (second, f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        folder.mkdir()
        (folder / HERE.runtime).write_text(text)
        (folder / HERE.runtime).chmod(0o755)
    monkeypatch.setenv("PATH", f"{first}:{second}")
    found = interpreter.find(HERE)
    assert found is not None
    assert found.path == str(second / HERE.runtime)
    assert found.version == sys.version
    monkeypatch.setenv("PATH", str(first))
    assert interpreter.find(HERE) is None


def test_a_chosen_interpreter_is_found_from_every_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    found = interpreter.find(HERE, "./python")
    assert found is not None
    assert found.path == str(tmp_path / "python")


def test_an_interpreter_of_another_version_is_refused() -> None:
    with pytest.raises(UsageError, match=r"it is no Python 3\.99"):
        interpreter.find(Target("3.99"), sys.executable)
    with pytest.raises(UsageError, match="taking no-such-python"):
        interpreter.find(HERE, "no-such-python")
