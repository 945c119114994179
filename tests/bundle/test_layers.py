"""Layers: the same bytes everywhere, and what tar, gzip and unpackers make of them."""

import gzip
import io
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bundle import layers
from pilotlight.bundle.blobs import Blobs, digest_of
from pilotlight.bundle.files import Entry, Part
from pilotlight.bundle.layers import Layer, archive, compress, gzipped, layer, unpacked
from pilotlight.errors import BuildError, ImageError, UsageError

LONG = f"deep/{'n' * 120}/{'m' * 120}.py"
ENTRIES = (
    Entry("inference/qa.py", b"handler = None\n"),
    Entry("inference-a.txt", b""),
    Entry("run", b"#!/bin/sh\n", 0o755),
    Entry("models/\u00fc.bin", bytes(range(256)) * 3),
    Entry(LONG, b"long"),
)
DIFF_ID = "sha256:cbf845c6aac7cab638de138e2f5f0b416f3a9d9eca3b4a7c8e3a6512f69e7a05"


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "cache")


def members(data: bytes) -> list[tuple[str, str, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(each.name, each.type.decode(), each.mode, each.size) for each in tar]


def test_a_layer_has_every_folder_and_file_in_order(blobs: Blobs) -> None:
    made = layer(Part("code", ENTRIES), blobs)
    assert members(gzip.decompress(made.path.read_bytes())) == [
        ("var", "5", 0o755, 0),
        ("var/task", "5", 0o755, 0),
        ("var/task/deep", "5", 0o755, 0),
        (f"var/task/deep/{'n' * 120}", "5", 0o755, 0),
        (f"var/task/{LONG}", "0", 0o644, 4),
        ("var/task/inference", "5", 0o755, 0),
        ("var/task/inference-a.txt", "0", 0o644, 0),
        ("var/task/inference/qa.py", "0", 0o644, 15),
        ("var/task/models", "5", 0o755, 0),
        ("var/task/models/\u00fc.bin", "0", 0o644, 768),
        ("var/task/run", "0", 0o755, 10),
    ]


def test_a_layer_says_nothing_of_this_machine(blobs: Blobs) -> None:
    made = layer(Part("code", ENTRIES), blobs)
    with tarfile.open(made.path) as tar:
        for each in tar:
            assert (each.uid, each.gid, each.uname, each.gname, each.mtime) == (0, 0, "", "", 0)
            assert set(each.pax_headers) <= {"path"}


def test_the_digest_of_a_tar_is_the_same_on_every_machine(blobs: Blobs) -> None:
    """A constant: another Python, system or folder must not change it."""
    made = layer(Part("code", ENTRIES), blobs)
    tar = gzip.decompress(made.path.read_bytes())
    assert made.diff_id == DIFF_ID
    assert made == Layer(
        DIFF_ID, digest_of(made.path.read_bytes()), made.path.stat().st_size, made.path, len(tar), "code"
    )


def test_where_and_in_which_order_files_are_does_not_matter(tmp_path: Path, blobs: Blobs) -> None:
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        entries = []
        for path, source, mode in ENTRIES:
            assert isinstance(source, bytes)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(source)
            entries.append(Entry(path, folder / path, mode))
        random.Random(name).shuffle(entries)
        made.append(layer(Part("code", tuple(entries)), Blobs(tmp_path / f"cache of {name}"), "var/task"))
    assert made[0].diff_id == made[1].diff_id == DIFF_ID
    assert made[0].path.read_bytes() == made[1].path.read_bytes()


def test_the_time_is_the_one_that_reproducible_builds_ask_for(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = layer(Part("code", ENTRIES), blobs)
    assert made.diff_id != DIFF_ID
    with tarfile.open(made.path) as tar:
        assert {each.mtime for each in tar} == {1_700_000_000}


@pytest.mark.parametrize("text", ["yesterday", "-1", "1.5", str(1 << 33), "\u0661"])
def test_a_time_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(UsageError, match="the variable SOURCE_DATE_EPOCH is"):
        layers.epoch()


def test_an_empty_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert layers.epoch() == 0


def test_a_layer_is_compressed_once(blobs: Blobs) -> None:
    made = layer(Part("code", ENTRIES), blobs)
    made.path.chmod(0o400)
    before = made.path.stat().st_ino
    assert layer(Part("renamed", ENTRIES), blobs) == made._replace(name="renamed")
    assert made.path.stat().st_ino == before


def test_a_layer_that_was_removed_or_cut_short_is_made_again(blobs: Blobs) -> None:
    made = layer(Part("code", ENTRIES), blobs)
    data = made.path.read_bytes()
    for damage in (lambda: made.path.unlink(), lambda: made.path.write_bytes(data[:-1])):
        damage()
        assert layer(Part("code", ENTRIES), blobs) == made
        assert made.path.read_bytes() == data


def test_gnu_tar_reads_a_layer(tmp_path: Path, blobs: Blobs) -> None:
    made = layer(Part("code", ENTRIES), blobs, "")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "--extract", "--gzip", "--file", made.path, "--directory", tmp_path / "out"], check=True)
    for path, source, mode in ENTRIES:
        assert (tmp_path / "out" / path).read_bytes() == source
        assert (tmp_path / "out" / path).stat().st_mode & 0o755 == mode


names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
)
paths = st.lists(
    names.filter(lambda name: name not in (".", "..") and not name.startswith(".wh.")), min_size=1, max_size=4
)
trees = st.dictionaries(
    paths.map("/".join), st.tuples(st.binary(max_size=1500), st.sampled_from([0o644, 0o755])), max_size=8
)


@given(trees, st.randoms())
def test_any_files_come_back_and_their_order_does_not_matter(
    tree: dict[str, tuple[bytes, int]], shuffler: random.Random
) -> None:
    files = {path for path in tree if not any(other.startswith(f"{path}/") for other in tree)}
    entries = [Entry(path, *tree[path]) for path in files]
    made = b"".join(archive(entries, "var/task", 0))
    shuffler.shuffle(entries)
    assert b"".join(archive(entries, "var/task", 0)) == made
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        found = {each.name: (tar.extractfile(each).read(), each.mode) for each in tar if each.isfile()}  # type: ignore[union-attr]
    assert found == {f"var/task/{path}": tree[path] for path in files}


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_gzip_reads_what_is_compressed(pieces: list[bytes]) -> None:
    made = b"".join(gzipped(pieces))
    assert gzip.decompress(made) == b"".join(pieces)
    assert made[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([Entry("a", b""), Entry("a/b", b"")], "packing var/task/a: it is a file and a folder"),
        ([Entry("a/.wh.b", b"")], "packing var/task/a/.wh.b: in an image that name removes another file"),
        ([Entry(".wh.b/c", b"")], "packing var/task/.wh.b: in an image that name removes another file"),
    ],
)
def test_names_that_a_layer_cannot_have(entries: list[Entry], reason: str, blobs: Blobs) -> None:
    with pytest.raises(BuildError) as refused:
        layer(Part("code", tuple(entries)), blobs)
    assert str(refused.value) == reason
    assert list(blobs.folder.rglob("*")) == []


def test_a_file_that_grows_while_it_is_read_is_no_layer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100)
    content = archive([Entry("log", path)], "", 0)
    next(content)
    path.write_bytes(b"x" * 101)
    with pytest.raises(BuildError, match="packing log: it changed while it was read"):
        list(content)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=f"writing below {tmp_path / 'file' / 'cache'}: Not a directory"):
        layer(Part("code", ENTRIES), Blobs(tmp_path / "file" / "cache"))


def test_what_others_compressed_is_measured(tmp_path: Path) -> None:
    """A gzip of two members, as pigz and eStargz write."""
    tar = b"".join(archive(ENTRIES, "", 0))
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(tar[:700]) + gzip.compress(tar[700:]))
    given = Layer(digest_of(tar), digest_of(path.read_bytes()), path.stat().st_size, path)
    assert unpacked(given) == given._replace(unpacked=len(tar))
    with pytest.raises(ImageError, match=f"its digest is {digest_of(tar)}, not sha256:00"):
        unpacked(given._replace(diff_id=f"sha256:{'0' * 64}"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ImageError, match="it is no gzip"):
        unpacked(given)


def test_a_tar_is_compressed_as_a_layer_of_our_own(blobs: Blobs) -> None:
    tar = b"".join(archive(ENTRIES, "var/task", 0))
    assert compress([tar], blobs) == layer(Part("", ENTRIES), blobs)
