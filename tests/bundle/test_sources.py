"""What of a project goes into its package."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import write
from pilotlight.bundle import imports, sources
from pilotlight.bundle.files import part
from pilotlight.errors import BuildError, ModelNotInstalled
from pilotlight.project import Function, Project

HANDLER = "def handler(event, context):\n    return None\n"
READER = 'from pilotlight import Model\nmodel = Model("models/a")\n' + HANDLER


def function(service: Project) -> Function:
    return service.functions[0]


def models(service: Project) -> list[str]:
    one = function(service)
    found = sources.models(one, imports.trace(one.root, one.file))
    return [model.place for model in found]


def code(service: Project, *exclude: str) -> list[str]:
    one = function(service)
    found = sources.models(one, imports.trace(one.root, one.file))
    entries = part("code", sources.code_entries(one.root, exclude, found)).entries
    return [entry.path for entry in entries]


def test_code_and_data_go_in_and_what_is_for_makers_does_not(make_service: Callable[..., Project]) -> None:
    kept = {
        "inference/ask.py": HANDLER,
        "words.py": "",
        "page.html": "",
        "parts/__init__.py": "",
        "parts/train/x.py": "",
    }
    left = (
        *(".env", ".git/config", ".venv/bin/python", "certs/tls.pem", "id_rsa", "__pycache__/words.cpython-313.pyc"),
        *("train/train.py", "data/squad.json", "notes.ipynb", "run/best.pt", "tests/test_words.py", "events/ask.json"),
        *(
            "README.md",
            "vendor/lamp-1.0-py3-none-any.whl",
            "extension/manifest.json",
            "requirements.txt",
            "locks/ask-python3.13-x86_64.txt",
            "models/b/model.onnx",
        ),
    )
    service = make_service({**kept, **dict.fromkeys(left, "")})
    assert code(service) == sorted(kept)


def test_patterns_leave_out_and_take_in_again(make_service: Callable[..., Project]) -> None:
    files = {"inference/ask.py": HANDLER, "a.csv": "", "labels.csv": "", "events/ask.json": "", "notes/x.txt": ""}
    service = make_service({**files, ".pilotlightignore": "# no notes\nnotes/\n!events/\n"})
    assert code(service, "*.csv", "!labels.csv") == ["events/ask.json", "inference/ask.py", "labels.csv"]


def test_a_link_that_is_left_out_is_not_followed(make_service: Callable[..., Project], tmp_path: Path) -> None:
    service = make_service({"inference/ask.py": HANDLER})
    (service.root / "data").symlink_to("/")
    assert code(service) == ["inference/ask.py"]
    (service.root / "words").symlink_to(tmp_path)
    with pytest.raises(BuildError, match=r"packing .*/words: the link leads out of the project"):
        code(service)
    assert code(service, "words/") == ["inference/ask.py"]


@pytest.mark.parametrize(
    ("toml", "text", "found"),
    [
        ("", HANDLER, []),
        ('[functions.ask]\nmodel = "models/b"\n', HANDLER, ["models/b"]),
        ("", READER, ["models/a"]),
        ('[functions.ask]\nmodel = "models/b"\n', READER, ["models/a", "models/b"]),
        ("", "import os\nfrom pilotlight import Model\nm = Model(os.environ['M'])\n" + HANDLER, ["models"]),
        ("", 'MODEL = "models/b/model.onnx"\n' + HANDLER, ["models/b/model.onnx"]),
        ('[functions.ask]\nmodel = "models"\n', READER, ["models"]),
        ('[functions.ask]\nmodels = { one = "models/a", two = "models/b" }\n', HANDLER, ["models/a", "models/b"]),
        ('[functions.ask]\nmodels = { one = "models/a", two = "s3://models-2026/b" }\n', HANDLER, ["models/a"]),
        ('[functions.ask]\nmodel = "hf://org/qa"\n', "from pilotlight import Model\nm = Model()\n" + HANDLER, []),
    ],
)
def test_a_function_has_the_models_that_it_names(
    make_service: Callable[..., Project], toml: str, text: str, found: list[str]
) -> None:
    files = {"models/a/model.onnx": "", "models/b/model.onnx": "", "inference/ask.py": text}
    assert models(make_service(files, toml)) == found


def test_a_model_goes_in_with_its_weights_and_without_its_card(make_service: Callable[..., Project]) -> None:
    there = ("model.onnx", "model.onnx.data", "model.json", "vocab.txt", "README.md", "report.json", ".lock")
    service = make_service({"inference/ask.py": READER, **{f"models/a/{name}": "" for name in there}})
    one = function(service)
    entries = sources.model_entries(one.root, sources.models(one, imports.trace(one.root, one.file)))
    names = ["model.json", "model.onnx", "model.onnx.data", "vocab.txt"]
    assert [entry.path for entry in entries] == [f"models/a/{name}" for name in names]
    alone = sources.model_entries(one.root, (sources.Model(one.root / "models/a/model.onnx", "models/a/model.onnx"),))
    assert [entry.path for entry in alone] == ["models/a/model.onnx", "models/a/model.onnx.data"]


def test_a_model_that_is_not_installed_is_asked_for(make_service: Callable[..., Project]) -> None:
    toml = '[functions.ask]\nmodel = "models/qa"\ninstall = "sh train/install.sh"\n'
    with pytest.raises(ModelNotInstalled, match=r"packing ask: its model is not at .*/models/qa") as refused:
        models(make_service({"inference/ask.py": HANDLER}, toml))
    assert refused.value.hint == "install it with: sh train/install.sh"


def test_patterns_that_are_no_text_are_refused(make_service: Callable[..., Project]) -> None:
    service = make_service({"inference/ask.py": HANDLER})
    write(service.root, {".pilotlightignore": ""}).joinpath(".pilotlightignore").write_bytes(b"\xff")
    with pytest.raises(BuildError, match=r"reading .*/\.pilotlightignore"):
        code(service)


@pytest.mark.parametrize("link", ["models/a", "models"])
def test_a_model_that_is_a_link_out_of_the_project_is_refused(
    make_service: Callable[..., Project], tmp_path: Path, link: str
) -> None:
    service = make_service({"inference/ask.py": READER})
    write(tmp_path / "elsewhere", {"model.onnx": "", "a/model.onnx": ""})
    place = service.root / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "elsewhere" / ("a" if link == "models/a" else ""))
    with pytest.raises(BuildError, match=r"packing .*/models/a: the link leads out of the project, to"):
        list(sources.model_entries(service.root, (sources.Model(service.root / "models/a", "models/a"),)))
