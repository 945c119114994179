"""What may be replaced, by one run at a time; a folder appears whole or not at all."""

import os
import signal
from pathlib import Path

import pytest

from pilotlight.errors import UsageError
from pilotlight.optimize import place


def model(folder: Path, text: str = "") -> Path:
    folder.mkdir(parents=True)
    for name in ("model.json", "report.json"):
        (folder / name).write_text('{"format": 1, "task": "text-classification"}')
    (folder / "text").write_text(text)
    return folder


def text(folder: Path) -> str:
    return (folder / "text").read_text()


@pytest.mark.parametrize("out", ["none", "empty", "made", "link"])
def test_what_force_may_replace(tmp_path: Path, out: str) -> None:
    (tmp_path / "empty").mkdir()
    model(tmp_path / "made")
    (tmp_path / "link").symlink_to("made")
    place.check(tmp_path / out, True, [tmp_path / "source"])


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("source", "source is in it, and would be deleted"),
        ("", "source is in it, and would be deleted"),
        ("to-source", "source is in it, and would be deleted"),
        ("source/made", "it is in .*source, which is read"),
        ("photos", "not a folder that pilotlight optimize wrote"),
        ("dangling", "it is a link to what is not there"),
        ("file", "it is a file"),
        ("/", "it is the root folder"),
    ],
)
def test_what_force_may_not_replace(tmp_path: Path, out: str, reason: str) -> None:
    model(tmp_path / "source")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("")
    (tmp_path / "file").write_text("")
    (tmp_path / "to-source").symlink_to("source")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError, match=reason) as caught:
        place.check(tmp_path / out, True, [tmp_path / "source"])
    assert caught.value.hint


def test_a_source_in_the_work_folder_is_not_deleted(tmp_path: Path) -> None:
    source = model(tmp_path / "made.partial/export")
    with pytest.raises(UsageError, match="would be deleted"):
        place.check(tmp_path / "made", True, [source])


def test_without_force_a_model_folder_stays(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is there already and not empty"):
        place.check(model(tmp_path / "made"), False, [])


def test_one_run_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "made"
    with place.held(out) as work:
        assert work == tmp_path / "made.partial"
        with pytest.raises(UsageError, match=r"another run is writing .*made"), place.held(out):
            pass
    with place.held(out):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Not a directory"), place.held(tmp_path / "file/made"):
        pass


def test_a_new_folder_takes_the_place_of_the_old(tmp_path: Path) -> None:
    out, steps = model(tmp_path / "made", "old"), model(tmp_path / "made.partial/layout", "new")
    place.replace(place.copy(steps, tmp_path / "made.partial"), out)
    assert (text(out), text(steps)) == ("new", "new")
    assert [path.name for path in (tmp_path / "made.partial").iterdir()] == ["layout"]
    with pytest.raises(FileNotFoundError):
        place.replace(tmp_path / "none", out)
    assert text(out) == "new"


def test_a_kill_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    out, new = model(tmp_path / "made", "old"), model(tmp_path / "made.partial/finished", "new")
    if not (child := os.fork()):
        Path.rename = killed_at_the_second(Path.rename)
        place.replace(new, out)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert not out.exists()
    with place.held(out):
        assert text(out) == "old"


def killed_at_the_second(rename):  # type: ignore[no-untyped-def]
    calls = []

    def counted(path: Path, target: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(path, target)

    return counted
