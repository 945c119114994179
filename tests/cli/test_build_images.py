"""`pilotlight build` where an image comes of it: what it begins with, what starts in it, its forms."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import images
import pytest
import wheels
from builds import PLAIN, TYPED, Build
from memory_registry import MemoryRegistry

from conftest import write
from http_servers import serving
from pilotlight.bundle import image, layout, registry
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.image import Config, Image
from pilotlight.bundle.reference import Reference


def test_a_zip_over_the_limit_says_what_is_large_and_auto_takes_an_image(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN})
    with (root / "vectors.bin").open("wb") as file:
        file.truncate(262_144_001)
    done = build("--package", "zip")
    assert done.code == 1
    assert "packing ask: it has 263 MB unpacked, and a zip may have 262 MB" in done.err
    assert "hint: the largest are the project's own files 262 MB" in done.err
    [record] = build("--check", "--json").records
    assert (record["package"], record["reason"]) == ("image", "it has 263 MB unpacked, and a zip may have 262 MB")


def test_nothing_over_an_image_s_limit_is_told_to_become_one(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN})
    with (root / "vectors.bin").open("wb") as file:
        file.truncate(10_737_418_241)
    done = build()
    assert done.code == 1
    assert "packing ask: it has 10,738 MB unpacked, and an image may have 10,737 MB" in done.err
    assert "take a smaller model, or leave out what is not needed by the setting exclude" in done.err
    assert 'package = "image"' not in done.err


def test_an_image_is_written_as_a_layout_an_archive_or_a_dockerfile(build: Build, tmp_path: Path) -> None:
    files = {"inference/ask.py": PLAIN, "pilotlight.toml": '[build]\nbase_image = "scratch"\n'}
    root = write(tmp_path / "service", files)
    [record] = build("--json").records
    artifact = record["artifact"]
    assert isinstance(artifact, dict)
    assert (artifact["kind"], record["reason"]) == ("image", "the setting base_image names what it begins with")
    index = json.loads((root / ".pilotlight/build/ask.oci/index.json").read_bytes())
    assert [each["digest"] for each in index["manifests"]] == [artifact["digest"]]
    assert build("--format", "archive").code == 0
    assert (root / ".pilotlight/build/ask.tar").is_file()
    done = build("--dockerfile", str(tmp_path / "docker"))
    assert (done.code, f"\n  {tmp_path / 'docker'}\n" in done.out) == (0, True)
    text = (tmp_path / "docker/Dockerfile").read_text()
    assert text.endswith('ENTRYPOINT ["/var/task/pilotlight-runtime"]\nCMD ["inference/ask.handler"]\n')
    assert (tmp_path / "docker/code/inference/ask.py").read_text() == PLAIN


def test_an_archive_has_a_name_that_images_may_have(build: Build, tmp_path: Path) -> None:
    """--format is for images: it is one, whatever the settings say."""
    toml = '[build]\nbase_image = "scratch"\n\n[functions.Big__Ask_]\npackage = "zip"\n'
    files = {"inference/Big__Ask_.py": PLAIN, "pilotlight.toml": toml}
    root = write(tmp_path / "service", files)
    done = build("--format", "archive")
    assert done.code == 0, done.err
    with tarfile.open(root / ".pilotlight/build/Big__Ask_.tar") as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        assert json.load(file)[0]["RepoTags"] == ["localhost/service--big_ask:latest"]


@pytest.fixture
def base(tmp_path: Path) -> Image:
    return images.make(Blobs(tmp_path / "blobs"), code=b"base", model=1_000)


def test_two_folders_give_the_same_image_upon_a_base_of_their_own(build: Build, tmp_path: Path, base: Image) -> None:
    """The base is in the project, named from there: it is no code, and its folder is not told."""
    toml = 'name = "s"\n\n[build]\nbase_image = "oci:base"\n'
    digests = set()
    for name in ("one", "two"):
        files = {"inference/ask.py": TYPED, "requirements.txt": "lamp\n", "pilotlight.toml": toml}
        root = write(tmp_path / name, files)
        layout.write(base, root / "base")
        [record] = build("--json", folder=name).records
        digests.add(record["artifact"]["digest"])  # type: ignore[index]
        assert _settings(root / ".pilotlight/build/ask.oci")["Labels"] == {
            "org.opencontainers.image.base.digest": base.digest
        }
        assert not [path for path in _paths(root / ".pilotlight/build/ask.oci") if path.startswith("var/task/base")]
        shutil.rmtree(tmp_path / "cache")
    assert len(digests) == 1


def _settings(folder: Path) -> dict[str, Any]:
    """How the only image of a layout is run."""
    documents = [path.read_bytes() for path in (folder / "blobs/sha256").iterdir()]
    [found] = [json.loads(each) for each in documents if b'"rootfs"' in each]
    settings: dict[str, Any] = found["config"]
    return settings


def _paths(folder: Path) -> list[str]:
    """The files of all layers of a layout."""
    layers = [path for path in (folder / "blobs/sha256").iterdir() if path.read_bytes()[:2] == b"\x1f\x8b"]
    return [name for layer in layers for name in tarfile.open(layer).getnames()]


def test_an_image_that_starts_aws_s_client_has_to_have_it(build: Build, tmp_path: Path, base: Image) -> None:
    toml = '[build]\nbase_image = "oci:base"\n\n[functions.ask]\nruntime = "awslambdaric"\n'
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN, "pilotlight.toml": toml})
    layout.write(base, root / "base")
    done = build()
    assert done.code == 1
    assert "packing ask: its base image starts nothing, and the package has no awslambdaric" in done.err
    assert not (root / ".pilotlight").exists()
    wheels.wheel(tmp_path / "wheels", "awslambdaric")
    write(root, {"requirements.txt": "awslambdaric\n"})
    assert build().code == 0
    settings = _settings(root / ".pilotlight/build/ask.oci")
    assert settings["Entrypoint"] == ["python3.13", "-m", "awslambdaric"]
    assert settings["Cmd"] == ["inference/ask.handler"]


def test_a_base_of_another_python_is_refused(build: Build, tmp_path: Path, base: Image) -> None:
    toml = '[build]\nbase_image = "oci:base"\n'
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN, "pilotlight.toml": toml})
    for version, code in (("3.13.1", 0), ("3.12.9", 1)):
        layout.write(image.append(base, [], Config(env={"PYTHON_VERSION": version})), root / "base")
        done = build()
        assert done.code == code
    assert "packing ask: its base image has Python 3.12.9, and the package is for 3.13" in done.err


def test_a_dockerfile_starts_aws_s_client_where_the_base_does_not(build: Build, tmp_path: Path, base: Image) -> None:
    write(tmp_path / "service", {"inference/ask.py": PLAIN, "requirements.txt": "awslambdaric\n"})
    wheels.wheel(tmp_path / "wheels", "awslambdaric")
    blobs = Blobs(tmp_path / "blobs")
    starting = image.append(base, [], Config(entrypoint=("/lambda-entrypoint.sh",)))
    with serving(MemoryRegistry()) as server:
        plain, other = (Reference(f"127.0.0.1:{server.port}", "base", tag) for tag in ("plain", "starting"))
        registry.push(base, plain, blobs)
        registry.push(starting, other, blobs)
        names = (str(plain), str(other), "public.ecr.aws/lambda/python:3.13")  # AWS's own is not asked for
        texts = [_dockerfile(build, tmp_path, name) for name in names]
    entry = 'ENTRYPOINT ["python3.13", "-m", "awslambdaric"]\n'
    assert [entry in text for text in texts] == [True, False, False]
    assert all(text.endswith('CMD ["inference/ask.handler"]\n') for text in texts)


def _dockerfile(build: Build, folder: Path, name: str) -> str:
    toml = f'[build]\nbase_image = "{name}"\n\n[functions.ask]\nruntime = "awslambdaric"\n'
    write(folder / "service", {"pilotlight.toml": toml})
    done = build("--dockerfile", str(folder / "docker"))
    assert done.code == 0, done.err
    text = (folder / "docker/Dockerfile").read_text()
    shutil.rmtree(folder / "docker")
    return text


def test_a_dockerfile_needs_a_base_that_docker_knows(build: Build, tmp_path: Path) -> None:
    write(tmp_path / "service", {"inference/ask.py": PLAIN, "pilotlight.toml": '[build]\nbase_image = "oci:base"\n'})
    done = build("--dockerfile", str(tmp_path / "docker"))
    assert (done.code, "service/base is no base that Docker knows" in done.err) == (2, True)
    assert not (tmp_path / "docker").exists()
