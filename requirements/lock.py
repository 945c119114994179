"""Write the lock files of this folder anew from pyproject.toml: `make lock`.

Hashes make an install what was locked, from whatever index it comes. Torch has none: its CPU build and the one of the
package index are different files of the same version.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PYPROJECT = HERE.parent / "pyproject.toml"
EXPORTERS = HERE.parent / "src/pilotlight/optimize/exporters"
SAMPLES = "aws-sam-cli==1.170.0\n"  # its wheel's sample events and emulator are used; none of its dependencies is

SITE = "zensical>=0.0.70,<1\n"  # the generator of the documentation site

# ONNX Runtime's Python module needs these; its library alone, which serving loads, needs none.
UNUSED = ("numpy", "protobuf", "flatbuffers", "packaging")
# Tokenizers asks the hub only for models by name, which serving never does.
UNUSED_BY_TOKENIZERS = (
    *("huggingface-hub", "filelock", "fsspec", "hf-xet", "pyyaml", "tqdm"),
    *("h11", "httpx", "httpx2", "httpx2-jsfetch", "httpcore2", "truststore"),
)
# Of hdrhistogram, which asks for what built it.
UNUSED_BY_HDRHISTOGRAM = ("pbr", "setuptools")
COMMON = ("--universal", "--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url", "--quiet")


def compile_lock(name: str, *arguments: str, source: str = str(PYPROJECT), text: str = "", folder: Path = HERE) -> None:
    command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", *COMMON, *arguments, source]
    output = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    (folder / f"{name}.txt").write_text(output)


def without(*packages: str) -> list[str]:
    return [word for package in packages for word in ("--no-emit-package", package)]


def lock_exporter(path: Path) -> None:
    """An exporter's environment is made by its users, from the lock beside its TOML file."""
    given = tomllib.loads(path.read_text())
    text = "\n".join(given["requirements"])
    unused = without(*given["without"])
    compile_lock(path.stem, "--generate-hashes", *unused, source="-", text=text, folder=EXPORTERS)


if __name__ == "__main__":
    extras = ("--extra", "onnx")
    unused = without(*UNUSED, *UNUSED_BY_TOKENIZERS, *UNUSED_BY_HDRHISTOGRAM)
    served = [word for extra in ("onnx", "text", "image", "measure") for word in ("--extra", extra)]
    compile_lock("serve", "--generate-hashes", *served, *unused)
    compile_lock(
        "dev",
        "--generate-hashes",
        *extras,
        "--extra",
        "build",
        "--extra",
        "deploy",
        "--extra",
        "optimize",
        "--extra",
        "test",
        "--extra",
        "check",
    )
    compile_lock("samples", "--generate-hashes", "--no-deps", source="-", text=SAMPLES)
    compile_lock("docs", "--generate-hashes", source="-", text=SITE)
    compile_lock("train", "--extra", "train")  # used as constraints: a CPU build of torch needs none of CUDA
    for path in sorted(EXPORTERS.glob("*.toml")):
        lock_exporter(path)
