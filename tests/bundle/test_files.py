"""Entries and parts: what is taken of a folder, what is refused, what is written."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bundle import files
from pilotlight.bundle.files import Entry, Part
from pilotlight.errors import BuildError


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_folder_is_taken_in_the_order_of_its_paths_with_one_of_two_modes(tmp_path: Path) -> None:
    write(tmp_path, b="2", a__z="1", run="3")
    (tmp_path / "run").chmod(0o775)
    (tmp_path / "b").chmod(0o600)
    assert files.part("code", files.of_folder(tmp_path)) == Part(
        "code",
        (
            Entry("a/z", tmp_path / "a/z", 0o644),
            Entry("b", tmp_path / "b", 0o644),
            Entry("run", tmp_path / "run", 0o755),
        ),
    )


def test_paths_begin_at_the_root_and_not_at_the_folder(tmp_path: Path) -> None:
    write(tmp_path, models__qa__vocab="piece")
    assert [entry.path for entry in files.of_folder(tmp_path, tmp_path / "models")] == ["models/qa/vocab"]


def test_a_link_inside_the_project_is_what_it_leads_to(tmp_path: Path) -> None:
    write(tmp_path, models__large__weights="w")
    (tmp_path / "models/qa").symlink_to("large")
    (tmp_path / "weights").symlink_to("models/large/weights")
    found = {entry.path: entry.read() for entry in files.of_folder(tmp_path)}
    assert found == {"models/large/weights": b"w", "models/qa/weights": b"w", "weights": b"w"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../outside", "the link leads out of the project, to {outside}"),
        ("nowhere", "it is a link to what is not there"),
        ("link", "it is a link to what is not there"),
        (".", "its links go in a circle"),
    ],
)
def test_a_link_that_cannot_be_followed_is_refused(tmp_path: Path, target: str, reason: str) -> None:
    root, outside = tmp_path / "project", tmp_path / "outside"
    write(root, file="1")
    outside.write_text("secret")
    (root / "link").symlink_to(target)
    with pytest.raises(BuildError) as refused:
        list(files.of_folder(root))
    assert str(refused.value) == f"packing {root / 'link'}: {reason.format(outside=outside)}"


def test_a_socket_or_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BuildError, match="pipe: it is neither a file nor a folder"):
        list(files.of_folder(tmp_path))


@pytest.mark.parametrize("path", ["/etc/passwd", "a/../b", "a//b", "./a", "a\\b", "", "line\nbreak", "\udcff"])
def test_a_path_that_is_none_below_the_task_root_is_refused(path: str) -> None:
    with pytest.raises(BuildError, match="packing"):
        files.part("code", [Entry(path, b"")])


def test_parts_that_write_one_path_are_refused() -> None:
    one, other = files.part("code", [Entry("a/b", b"1")]), files.part("model", [Entry("a/b", b"2")])
    with pytest.raises(BuildError, match="packing a/b: it is in the code and in the model"):
        files.check([one, other])
    with pytest.raises(BuildError, match="packing a/b: a is a file in the dependencies"):
        files.check([files.part("dependencies", [Entry("a", b"1")]), one])


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=8).map(
    lambda name: f"f{name}"
)


@given(st.dictionaries(NAMES, st.tuples(st.binary(max_size=64), st.sampled_from([0o644, 0o755])), max_size=6))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, tuple[bytes, int]]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    given = files.part("code", [Entry(f"{path}/{path}", data, mode) for path, (data, mode) in content.items()])
    files.tree([given], folder)
    read = files.part("code", files.of_folder(folder))
    assert [(entry.path, entry.read(), entry.mode) for entry in read.entries] == list(given.entries)
    assert read.size == given.size
