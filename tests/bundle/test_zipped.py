"""Zips are the same bytes for the same parts, and what is in them is what was given."""

import hashlib
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bundle import zipped
from pilotlight.bundle.files import Entry, Part, part

PARTS = (
    part("dependencies", [Entry("lib/a.so", b"\x7fELF" * 1000, 0o755)]),
    part("model", [Entry("models/weights", bytes(range(256)) * 64)]),
    part("code", [Entry("inference/ask.py", "# Größe\n".encode()), Entry("größe.txt", b"")]),
)


def test_a_zip_has_files_modes_and_no_times(tmp_path: Path) -> None:
    made = zipped.write(PARTS, tmp_path / "ask.zip")
    with zipfile.ZipFile(made.path) as archive:
        assert archive.testzip() is None
        found = [
            (info.filename, archive.read(info), info.external_attr >> 16, info.date_time) for info in archive.infolist()
        ]
    assert found == [
        (entry.path, entry.read(), stat.S_IFREG | entry.mode, (1980, 1, 1, 0, 0, 0))
        for p in PARTS
        for entry in p.entries
    ]
    assert made.size == made.path.stat().st_size
    assert made.unzipped == sum(entry.size for p in PARTS for entry in p.entries)
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()


def test_another_program_unpacks_it(tmp_path: Path) -> None:
    zipped.write(PARTS, tmp_path / "ask.zip")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", "ask.zip", "out"], cwd=tmp_path, check=True)
    assert (tmp_path / "out/größe.txt").read_bytes() == b""
    assert (tmp_path / "out/lib/a.so").read_bytes() == b"\x7fELF" * 1000


def test_two_folders_give_the_same_bytes_with_a_cache_or_without(tmp_path: Path) -> None:
    def of_files(folder: Path) -> list[Part]:
        folder.mkdir()
        parts = []
        for each in PARTS:
            for number, entry in enumerate(each.entries):
                (folder / f"{each.name}{number}").write_bytes(entry.read())
            entries = [e._replace(source=folder / f"{each.name}{n}") for n, e in enumerate(each.entries)]
            parts.append(part(each.name, entries))
        return parts

    one = zipped.write(of_files(tmp_path / "a"), tmp_path / "a.zip")
    cached = zipped.write(of_files(tmp_path / "b"), tmp_path / "b.zip", tmp_path / "cache")
    again = zipped.write(PARTS, tmp_path / "c.zip", tmp_path / "cache")
    assert len({one.path.read_bytes(), cached.path.read_bytes(), again.path.read_bytes()}) == 1


def test_the_parts_that_stay_are_compressed_once(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    zipped.write(PARTS, tmp_path / "a.zip", cache)
    [kept] = cache.iterdir()
    before = kept.stat()
    changed = (*PARTS[:-1], part("code", [Entry("inference/ask.py", b"other")]))
    made = zipped.write(changed, tmp_path / "a.zip", cache)
    assert made.path.read_bytes() == zipped.write(changed, tmp_path / "b.zip").path.read_bytes()
    assert [path.stat() for path in cache.iterdir()] == [before]


@pytest.mark.parametrize("size", [0, 1_000])
def test_what_was_kept_and_is_damaged_is_made_again(tmp_path: Path, size: int) -> None:
    first = zipped.write(PARTS, tmp_path / "a.zip", tmp_path / "cache")
    [kept] = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:size])
    assert zipped.write(PARTS, tmp_path / "b.zip", tmp_path / "cache").sha256 == first.sha256


def test_a_zip_that_cannot_be_finished_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "ask.zip").write_text("old")
    with pytest.raises(FileNotFoundError):
        zipped.write([Part("code", (Entry("a", tmp_path / "gone"),))], tmp_path / "ask.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["ask.zip"]
    assert (tmp_path / "ask.zip").read_text() == "old"


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=8)


@given(st.dictionaries(NAMES, st.binary(max_size=512), min_size=1, max_size=6))
def test_any_content_is_read_back(tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("zips")
    made = zipped.write([part("code", [Entry(path, data) for path, data in content.items()])], folder / "a.zip")
    with zipfile.ZipFile(made.path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == content
        assert archive.namelist() == sorted(content)
