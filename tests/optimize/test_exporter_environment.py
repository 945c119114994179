"""An exporter's environment, made by a real pip from a real wheel that lies in a folder."""

import base64
import hashlib
import subprocess
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from told import Told

from pilotlight.errors import PilotlightError, UsageError
from pilotlight.optimize import environment
from pilotlight.optimize.environment import Specification
from pilotlight.optimize.progress import Progress


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name in ("lamp", "wick"):
        wheel(folder, name)
    return folder


def wheel(folder: Path, name: str) -> None:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        f"{name}.py": "lit = True\n",
        f"{name}-1.0.dist-info/METADATA": metadata,
        f"{name}-1.0.dist-info/WHEEL": kind,
    }
    record = "".join(f"{path},sha256={digest(text)},{len(text)}\n" for path, text in files.items())
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{name}-1.0.dist-info/RECORD", f"{record}{name}-1.0.dist-info/RECORD,,\n")


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.fixture
def wanted(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Specification:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    sha256 = hashlib.sha256((wheels / "lamp-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    return Specification("lamps", f"lamp==1.0 --hash=sha256:{sha256}\n", "wick==1.0", 3, 14)


@pytest.mark.system  # for its time
def test_what_the_lock_names_is_installed_once(wanted: Specification, tmp_path: Path) -> None:
    told = Told()
    python = environment.make(wanted, tmp_path, told)
    assert python == tmp_path / wanted.key / "bin" / "python"
    subprocess.run([python, "-I", "-c", "import lamp, wick; assert lamp.lit"], check=True)
    assert told.lines == [
        f"making the environment 'lamps' in {python.parents[1]}, once: about 3 MB to download, 14 MB installed",
        "  Installing collected packages: lamp",
        "  Installing collected packages: wick",
    ]
    made = python.lstat().st_mtime_ns
    assert told.counts == [("packages", done, 1) for done in (0, 1, 0, 1)]
    assert environment.make(wanted, tmp_path, told) == python
    assert len(told.lines) == 3
    assert python.lstat().st_mtime_ns == made
    assert sorted(path.name for path in tmp_path.iterdir()) == [wanted.key, "lamps.lock"]


def test_another_lock_is_another_environment(wanted: Specification) -> None:
    assert wanted.key == replace(wanted, installed_mb=15).key
    assert len({wanted.key, replace(wanted, lock="").key, replace(wanted, unhashed="wick==1.1").key}) == 3


@pytest.mark.system  # for its time
def test_a_broken_off_install_leaves_nothing(wanted: Specification, tmp_path: Path) -> None:
    forged = replace(wanted, lock=f"lamp==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(PilotlightError) as caught:
        environment.make(forged, tmp_path, Progress())
    assert str(caught.value).startswith("installing the environment 'lamps': pip failed\n")
    assert "DO NOT MATCH THE HASHES" in str(caught.value)
    assert caught.value.hint == "pip needs a package index: see PIP_INDEX_URL, PIP_FIND_LINKS, PIP_CERT"
    assert [path.name for path in tmp_path.iterdir()] == ["lamps.lock"]


@pytest.mark.system  # for its time
def test_what_a_killed_process_left_is_removed(wanted: Specification, tmp_path: Path) -> None:
    (tmp_path / ".lamps-left").mkdir()
    environment.make(replace(wanted, lock="", unhashed=""), tmp_path, Progress())
    assert not (tmp_path / ".lamps-left").exists()


@pytest.mark.system  # for its time
def test_an_environment_whose_python_is_gone_is_made_anew(wanted: Specification, tmp_path: Path) -> None:
    bare = replace(wanted, lock="", unhashed="")
    python = environment.make(bare, tmp_path, Progress())
    python.unlink()
    python.symlink_to(tmp_path / "removed")
    told = Told()
    assert environment.make(bare, tmp_path, told) == python
    assert [line.partition(" in ")[0] for line in told.lines] == ["making the environment 'lamps'"]
    subprocess.run([python, "-I", "-c", "import pip"], check=True)


@pytest.mark.system  # for its time
def test_makers_at_the_same_time_make_one(wanted: Specification, tmp_path: Path) -> None:
    bare = replace(wanted, lock="", unhashed="")
    told = Told()
    threads = [threading.Thread(target=environment.make, args=(bare, tmp_path, told)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.partition(" in ")[0] for line in told.lines if line.startswith("making")] == [
        "making the environment 'lamps'"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [bare.key, "lamps.lock"]


def test_a_folder_that_cannot_be_written_is_named(wanted: Specification, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        environment.make(wanted, tmp_path / "file" / "exporters", Progress())
    assert str(caught.value) == f"making the environment 'lamps' in {tmp_path}/file/exporters: Not a directory"
    assert caught.value.hint == "name a folder that can be written in the variable PILOTLIGHT_CACHE"


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({"PILOTLIGHT_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/pilotlight"),
        ({"HOME": "/c"}, "/c/.cache/pilotlight"),
    ],
)
def test_where_the_cache_is(variables: dict[str, str], home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PILOTLIGHT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment.home() == Path(home)


def test_the_lock_for_pytorch_is_exact_and_hashed() -> None:
    given = environment.read("torch")
    assert given.unhashed == "torch==2.13.0"
    lines = [line for line in given.lock.splitlines() if not line.startswith(" ")]
    assert all("==" in line for line in lines)
    assert given.lock.count("--hash=sha256:") >= len(lines)
    names = {line.partition("==")[0] for line in lines}
    assert names > {
        "transformers",
        "tokenizers",
        "safetensors",
        "onnx",
        "onnxscript",
        "huggingface-hub",
        "numpy",
        "sympy",
    }
    assert not {name for name in names if name.startswith(("nvidia", "cuda", "triton", "scipy", "scikit"))}
