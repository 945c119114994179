"""The wheel as it is installed: what it holds, and a first service made and served from it alone."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def pilotlight(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command of a virtual environment that holds the wheel; what the wheel depends on is borrowed from ours."""
    home = tmp_path_factory.mktemp("installed") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True, timeout=60)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-cache", "--no-deps"]
    subprocess.run([*uv, "--python", str(home / "bin/python"), str(wheel)], check=True, timeout=60)
    [site] = home.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))  # its .pth files, our checkout, are not followed
    where = subprocess.check_output([home / "bin/python", "-c", "import pilotlight; print(pilotlight.__file__)"])
    assert Path(os.fsdecode(where.strip())).is_relative_to(site)
    return str(home / "bin/pilotlight")


def test_holds_the_package_and_the_templates(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names > {
        "pilotlight/py.typed",
        "pilotlight/local/playground/app.js",
        "pilotlight/local/playground/index.html",
        "pilotlight/local/playground/style.css",
        "pilotlight/templates/captioning/inference/caption.py",
        "pilotlight/templates/clothing/inference/clothing.py",
        "pilotlight/templates/minimal/pilotlight.toml",
        "pilotlight/templates/minimal/inference/hello.py",
        "pilotlight/templates/minimal/events/hello.json",
        "pilotlight/templates/question_answering/page.html",
        "pilotlight/templates/question_answering/pilotlight.toml",
        "pilotlight/templates/question_answering/inference/textgen.py",
        "pilotlight/templates/question_answering/train/install.sh",
        "pilotlight/templates/sentences/pilotlight.toml",
        "pilotlight/templates/sentences/inference/kim_cnn.py",
        "pilotlight/templates/sentences/train/kim_cnn/train.py",
        "pilotlight/templates/translation/chinese/words.txt",
        "pilotlight/templates/translation/inference/translate.py",
        "pilotlight-0.1.0.dist-info/licenses/LICENSE",
        "pilotlight-0.1.0.dist-info/licenses/NOTICE",
    }


def test_holds_every_module_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    own = {name for name in names if name.endswith(".py") and not name.startswith("pilotlight/templates/")}
    assert own == modules
    assert {name.partition("/")[0] for name in names} == {"pilotlight", "pilotlight-0.1.0.dist-info"}
    left_out = (".onnx", ".pyc", ".pt", ".zip", ".sqlite", ".log")
    assert [name for name in names if name.endswith(left_out) or "/tests/" in name or "/models/" in name] == []


@pytest.fixture
def served(pilotlight: str, tmp_path: Path) -> Iterator[str]:
    """The URL of all templates, made and served in an empty folder."""
    templates = ("minimal", "question-answering", "sentences")
    for template in templates:
        subprocess.run([pilotlight, "new", template], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    command = [pilotlight, "serve", *templates, "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_makes_and_serves_the_templates(served: str) -> None:
    assert httpx.get(f"{served}/hello?name=Ada", timeout=60).json() == {"greeting": "Hello, Ada!"}
    assert "<title>Pilotlight</title>" in httpx.get(f"{served}/", timeout=60).text
    assert "<title>Questions and sentences</title>" in httpx.get(f"{served}/qa", timeout=60).text
    answer = httpx.post(f"{served}/kim_cnn", json={"input": "a gripping film"}, timeout=60)
    message = answer.json()["message"]
    assert answer.status_code == 503
    assert message == "the model of kim_cnn is not installed; install it with: sh train/install.sh"
