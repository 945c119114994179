"""A run that was broken off goes on where it was; a folder appears whole or not at all."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import small_encoder

from pilotlight.optimize import state
from pilotlight.optimize.state import Work


class Steps:
    """Steps that write a file, and say which of them ran."""

    def __init__(self, folder: Path, key: str = "model", fresh: bool = False) -> None:
        self.work = Work(folder, key, fresh)
        self.ran: list[str] = []

    def do(self, name: str, depends: object = None, fail: bool = False) -> dict[str, Any]:
        def step(folder: Path) -> dict[str, Any]:
            self.ran.append(name)
            (folder / "made").write_text(name)
            if fail:
                raise KeyboardInterrupt
            return {"of": name}

        return self.work.step(name, depends, step)


def test_a_step_fills_its_folder_once(tmp_path: Path) -> None:
    first = Steps(tmp_path / "work")
    assert first.do("a") == {"of": "a"}
    assert (tmp_path / "work/a/made").read_text() == "a"
    second = Steps(tmp_path / "work")
    assert second.do("a") == {"of": "a"}
    assert second.ran == []


def test_what_was_broken_off_is_done_again(tmp_path: Path) -> None:
    first = Steps(tmp_path / "work")
    first.do("a")
    with pytest.raises(KeyboardInterrupt):
        first.do("b", fail=True)
    assert state.finished(tmp_path / "work") == ["a"]
    assert not (tmp_path / "work/b").exists()
    second = Steps(tmp_path / "work")
    second.do("a")
    assert second.do("b") == {"of": "b"}
    assert second.ran == ["b"]


def test_a_change_does_its_step_and_all_after_it_again(tmp_path: Path) -> None:
    first = Steps(tmp_path / "work")
    for name in "abc":
        first.do(name, depends=1)
    second = Steps(tmp_path / "work")
    second.do("a", depends=1)
    second.do("b", depends=2)
    assert state.finished(tmp_path / "work") == ["a", "b"]
    second.do("c", depends=1)
    assert second.ran == ["b", "c"]


@pytest.mark.parametrize("change", [{"key": "another model"}, {"fresh": True}])
def test_another_source_or_fresh_starts_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    Steps(tmp_path / "work").do("a")
    again = Steps(tmp_path / "work", **change)
    again.do("a")
    assert again.ran == ["a"]


def test_a_damaged_state_starts_anew(tmp_path: Path) -> None:
    Steps(tmp_path / "work").do("a")
    (tmp_path / "work/state.json").write_text("{")
    again = Steps(tmp_path / "work")
    again.do("a")
    assert again.ran == ["a"]


def test_what_is_stale_is_forgotten_before_its_files_go(tmp_path: Path) -> None:
    first = Steps(tmp_path / "work")
    for name in "abc":
        first.do(name, depends=1)
    second = Steps(tmp_path / "work")
    second.do("a", depends=1)
    with pytest.raises(KeyboardInterrupt):
        second.do("b", depends=2, fail=True)
    assert state.finished(tmp_path / "work") == ["a"]
    assert Steps(tmp_path / "work", fresh=True).ran == []
    assert list((tmp_path / "work").iterdir()) == []


def test_a_digest_holds_the_files_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("1")
    first = state.digest_of(tmp_path / "model.onnx")
    (tmp_path / "other.txt").write_text("not of the model")
    assert state.digest_of(tmp_path / "model.onnx") == first
    (tmp_path / "model.onnx.data").write_text("weights")
    second = state.digest_of(tmp_path / "model.onnx")
    (tmp_path / "config.json").write_text("{}")
    third = state.digest_of(tmp_path / "model.onnx")
    assert len({first, second, third, state.digest_of(tmp_path)}) == 4


def test_a_digest_holds_the_data_files_that_a_graph_names(tmp_path: Path) -> None:
    model = small_encoder.graph()
    (tmp_path / "weights").mkdir()
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights/all.bin")
    first = state.digest_of(tmp_path / "model.onnx")
    with (tmp_path / "weights/all.bin").open("r+b") as file:
        file.write(b"other")
    assert state.digest_of(tmp_path / "model.onnx") != first


def test_a_digest_of_a_folder_holds_paths(tmp_path: Path) -> None:
    for folder, name in (("one", "a"), ("other", "b")):
        (tmp_path / folder / name).mkdir(parents=True)
        (tmp_path / folder / name / "config.json").write_text("{}")
    assert state.digest_of(tmp_path / "one") != state.digest_of(tmp_path / "other")
