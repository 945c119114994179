"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from pilotlight.errors import UsageError
from pilotlight.measure import drafts


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("before")
    with drafts.draft(path) as unfinished:
        unfinished.write_text("after")
        assert (path.read_text(), unfinished.suffix) == ("before", ".json")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("run.json", "after")]


def test_what_is_broken_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        begin(path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("run.json", "before")]


def begin(path: Path) -> None:
    with drafts.draft(path) as unfinished:
        unfinished.write_text("aft")
        raise KeyboardInterrupt


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    """Root could: a device, or the pipe that a shell gives."""
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder, Path("/dev/null")):
        with pytest.raises(UsageError, match=f"^writing {path}: it is no regular file$"):
            drafts.check(path)
        with pytest.raises(UsageError), drafts.draft(path):
            pytest.fail("it was to be written")
    assert pipe.is_fifo()
    assert Path("/dev/null").is_char_device()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^writing {tmp_path}/runs/a.json: there is no folder {tmp_path}/runs$"):
        drafts.check(tmp_path / "runs" / "a.json")


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    """As what is in a folder that may not be entered."""
    with pytest.raises(UsageError, match=r"^writing .*: File name too long$"):
        drafts.check(tmp_path / ("a" * 300))
