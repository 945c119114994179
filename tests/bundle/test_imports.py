"""What a function imports is read from its code."""

from pathlib import Path

import pytest

from conftest import write
from pilotlight.bundle.imports import Import, trace
from pilotlight.errors import BuildError


def of(root: Path, **files: str) -> list[tuple[str, str, int]]:
    write(root, {name.replace("__", "/") + ".py": text for name, text in files.items()})
    found = trace(root, root / "inference/ask.py")
    return [(each.name, each.file, each.line) for each in found.others]


def test_imports_of_all_forms_are_found_with_their_places(tmp_path: Path) -> None:
    text = """
        import json, numpy.linalg as la
        from importlib import import_module
        from tokenizers import Tokenizer, models

        def late():
            import msgspec
            return import_module("PIL.Image"), __import__("torch")
    """
    assert of(tmp_path, inference__ask=text) == [
        ("numpy.linalg", "inference/ask.py", 1),
        ("tokenizers", "inference/ask.py", 3),
        ("tokenizers.Tokenizer", "inference/ask.py", 3),
        ("tokenizers.models", "inference/ask.py", 3),
        ("msgspec", "inference/ask.py", 6),
        ("PIL.Image", "inference/ask.py", 7),
        ("torch", "inference/ask.py", 7),
    ]


def test_what_only_type_checkers_read_is_no_import(tmp_path: Path) -> None:
    text = """
        import typing
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            import numpy
        if typing.TYPE_CHECKING:
            import torch
    """
    assert of(tmp_path, inference__ask=text) == []


def test_the_projects_own_modules_are_followed(tmp_path: Path) -> None:
    paths = {
        "inference/ask.py": "import words\nfrom parts import spans\nfrom . import helper\n",
        "words.py": "import regex\n",
        "parts/__init__.py": "import yaml\n",
        "parts/spans.py": "from .deep.down import x\n",
        "parts/deep/__init__.py": "",
        "parts/deep/down.py": "import lxml.etree\n",
        "inference/helper.py": "from inference import ask\nimport orjson\n",
        "unused.py": "import torch\n",
    }
    write(tmp_path, paths)
    found = trace(tmp_path, tmp_path / "inference/ask.py")
    assert {each.top for each in found.others} == {"regex", "yaml", "lxml", "orjson"}
    assert sorted(found.files) == [
        "inference/ask.py",
        "inference/helper.py",
        "parts/__init__.py",
        "parts/deep/__init__.py",
        "parts/deep/down.py",
        "parts/spans.py",
        "words.py",
    ]


def test_names_of_pilotlight_are_found_however_they_are_reached(tmp_path: Path) -> None:
    text = "import pilotlight\nfrom pilotlight.function.text import Reader\n\nx: pilotlight.Image\n"
    write(tmp_path, {"inference/ask.py": text})
    found = trace(tmp_path, tmp_path / "inference/ask.py")
    assert found.others == ()
    assert found.first("pilotlight.Image") == Import("pilotlight.Image", "inference/ask.py", 4)
    assert found.first("pilotlight.function.text") == Import("pilotlight.function.text", "inference/ask.py", 2)
    assert found.first("pilotlight.ImageUrl") is None


def test_texts_of_the_code_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"inference/ask.py": 'MODEL = "models/qa"\n'})
    assert "models/qa" in trace(tmp_path, tmp_path / "inference/ask.py").texts


def test_a_module_that_is_not_python_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"inference/ask.py": "import words\n", "words.py": "def (:\n"})
    with pytest.raises(BuildError, match=r"reading .*/words\.py: this is not Python: invalid syntax"):
        trace(tmp_path, tmp_path / "inference/ask.py")
