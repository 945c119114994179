"""Small wheels in a folder that uv takes for an index, so that nothing here needs a network."""

import base64
import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"


def wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    files: Mapping[str, str | bytes] = {},
    *,
    tag: str = "py3-none-any",
    requires: tuple[str, ...] = (),
    metadata: str = "License-Expression: MIT\n",
) -> Path:
    """Write `NAME-VERSION-TAG.whl`; without files it has the module NAME."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    content: dict[str, str | bytes] = {
        **(files or {f"{module}/__init__.py": f"NAME = {name!r}\n"}),
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}{needs}",
        f"{info}/WHEEL": _WHEEL.format(tag=tag),
        f"{info}/licenses/LICENSE": "You may.\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-{tag}.whl"
    data = {place: text.encode() if isinstance(text, str) else text for place, text in content.items()}
    record = "".join(f"{place},sha256={_digest(each)},{len(each)}\n" for place, each in data.items())
    with zipfile.ZipFile(path, "w") as archive:
        for place, each in {**data, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(place, each)
    _list(folder, name)
    return path


def _list(folder: Path, name: str) -> None:
    """The page of a distribution, as PEP 503 has it."""
    found = sorted(folder.glob(f"{name.replace('-', '_')}-*.whl"))
    links = [f'<a href="{p.as_uri()}#sha256={hashlib.sha256(p.read_bytes()).hexdigest()}">{p.name}</a>' for p in found]
    page = folder / "simple" / name / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let uv know the wheels in `folder` and nothing else."""
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    (folder / "simple").mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", (folder / "simple").as_uri())
    monkeypatch.setenv("UV_CACHE_DIR", str(folder / "cache"))
