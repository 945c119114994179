"""Images in folders and files: written, read again, replaced, and refused when they are damaged."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import images
import pytest

from pilotlight.bundle import archive, base, image, layout, reference
from pilotlight.bundle.blobs import Blobs, digest_of
from pilotlight.bundle.image import Image
from pilotlight.errors import ImageError, UsageError

OCI = images.OCI
TAR = images.tar(**{"etc/os-release": b"ID=test\n"})
NAME = reference.parse("localhost/qa:1")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "cache")


@pytest.fixture
def made(blobs: Blobs) -> Image:
    return images.make(blobs)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_layout_has_what_the_specification_says(made: Image, tmp_path: Path) -> None:
    layout.write(made, tmp_path / "made" / "layout", "v1")
    found = contents(tmp_path / "made" / "layout")
    named = {
        "mediaType": f"{OCI}manifest.v1+json",
        "digest": made.digest,
        "size": len(made.manifest),
        "annotations": {"org.opencontainers.image.ref.name": "v1"},
    }
    listed = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": [named]}
    assert json.loads(found.pop("index.json")) == listed
    assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    all_of_it = [made.manifest, made.config, *(layer.path.read_bytes() for layer in made.layers)]
    assert found == {f"blobs/sha256/{digest_of(data)[7:]}": data for data in all_of_it}


def test_a_layout_and_an_archive_give_the_image_again(made: Image, tmp_path: Path) -> None:
    layout.write(made, tmp_path / "layout", "v1")
    archive.write(made, tmp_path / "image.tar", NAME)
    again = Blobs(tmp_path / "other cache")
    for name in ("oci:{}/layout", "oci:{}/layout:v1", "docker-archive:{}/image.tar", "oci-archive:{}/image.tar"):
        found = base.load(name.format(tmp_path), "x86_64", again)
        assert (found.config, found.manifest) == (made.config, made.manifest)
        assert found.name == (f"@{made.digest}" if name.startswith("oci:") else "")
        assert all(layer.path.read_bytes() for layer in found.layers)
        assert found.unpacked == made.unpacked


def test_the_same_image_is_the_same_file(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        made = images.make(Blobs(tmp_path / name / "cache"))
        archive.write(made, tmp_path / name / "image.tar", NAME)
        files.append((tmp_path / name / "image.tar").read_bytes())
    assert files[0] == files[1]


def test_an_archive_has_the_names_that_docker_looks_for(made: Image, tmp_path: Path) -> None:
    archive.write(made, tmp_path / "image.tar", NAME)
    with tarfile.open(tmp_path / "image.tar") as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        assert json.load(file) == [
            {
                "Config": f"blobs/sha256/{digest_of(made.config)[7:]}",
                "RepoTags": ["localhost/qa:1"],
                "Layers": [f"blobs/sha256/{layer.digest[7:]}" for layer in made.layers],
            }
        ]
        file = tar.extractfile("index.json")
        assert file is not None
        [listed] = json.load(file)["manifests"]
    assert listed["annotations"] == {
        "io.containerd.image.name": "localhost/qa:1",  # podman would call it "1" otherwise
        "org.opencontainers.image.ref.name": "1",
    }


def test_an_image_upon_a_layout(made: Image, blobs: Blobs, tmp_path: Path) -> None:
    layout.write(made, tmp_path / "layout")
    upon = images.make(blobs, code=b"handler = print\n", base=base.load(f"oci:{tmp_path}/layout", "x86_64", blobs))
    assert upon.layers[:2] == tuple(layer._replace(name="") for layer in made.layers)
    assert len(upon.layers) == 4
    layout.write(upon, tmp_path / "second")
    images.recomputed(tmp_path / "second")


def test_a_layout_is_replaced_whole(made: Image, blobs: Blobs, tmp_path: Path) -> None:
    layout.write(images.make(blobs, code=b"old"), tmp_path / "layout")
    layout.write(made, tmp_path / "layout")
    fresh = tmp_path / "fresh"
    layout.write(made, fresh)
    assert contents(tmp_path / "layout") == contents(fresh)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "fresh", "layout"]


def test_a_folder_with_other_files_is_left_alone(made: Image, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(UsageError, match="it has other files"):
        layout.write(made, tmp_path / "mine")
    with pytest.raises(UsageError, match="it is a file"):
        layout.write(made, tmp_path / "mine" / "thesis.txt")
    assert contents(tmp_path / "mine") == {"thesis.txt": b"years"}


def test_a_damaged_layer_is_found_and_made_again(made: Image, blobs: Blobs, tmp_path: Path) -> None:
    path = made.layers[1].path
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"?")
    with pytest.raises(ImageError, match=f"writing {path}, which is removed: its digest is"):
        layout.write(made, tmp_path / "layout")
    assert not (tmp_path / "layout").exists()
    layout.write(images.make(blobs), tmp_path / "layout")
    assert path.read_bytes() == data


def test_a_place_that_cannot_be_written(made: Image, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"writing the image to .*: "):
        archive.write(made, tmp_path / "file" / "image.tar", NAME)
    with pytest.raises(UsageError, match=r"writing the image to .*: "):
        layout.write(made, tmp_path / "file" / "layout")


def put(folder: Path, *blobs: bytes, index: bytes) -> str:
    """A layout as others write it."""
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for data in blobs:
        (folder / "blobs" / "sha256" / digest_of(data)[7:]).write_bytes(data)
    (folder / "index.json").write_bytes(index)
    return f"oci:{folder}"


CONFIG = images.config(TAR)
LAYER = gzip.compress(TAR, mtime=0)
MANIFEST = images.manifest(CONFIG, LAYER)


def listed(*manifests: bytes, tag: str = "", kind: str = f"{OCI}manifest.v1+json") -> bytes:
    more: dict[str, Any] = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
    return json.dumps(
        {"schemaVersion": 2, "manifests": [images.descriptor(each, kind, **more) for each in manifests]}
    ).encode()


def test_a_layout_of_plain_tars_and_platforms(tmp_path: Path, blobs: Blobs) -> None:
    """As Docker 25 saves an image: an index in the index, layers that are no gzip."""
    manifest = images.manifest(CONFIG, TAR, kind=f"{OCI}layer.v1.tar")
    platforms = images.index((manifest, "linux", "amd64"))
    name = put(
        tmp_path / "layout", CONFIG, TAR, manifest, platforms, index=listed(platforms, kind=f"{OCI}index.v1+json")
    )
    [layer] = base.load(name, "x86_64", blobs).layers
    assert gzip.decompress(layer.path.read_bytes()) == TAR
    with pytest.raises(ImageError, match="it has linux/amd64, and no linux/arm64"):
        base.load(name, "arm64", blobs)


@pytest.mark.parametrize(
    ("contents", "index", "tag", "reason"),
    [
        ((), listed(MANIFEST), "", f"{digest_of(MANIFEST)[7:]}: No such file or directory"),
        ((MANIFEST,), listed(MANIFEST), "", f"{digest_of(CONFIG)[7:]}: No such file or directory"),
        ((MANIFEST, CONFIG), listed(MANIFEST), "", f"its layer {digest_of(LAYER)} is missing"),
        ((MANIFEST, CONFIG, LAYER), listed(MANIFEST, tag="v1"), ":v2", "it has no tag 'v2'"),
        ((MANIFEST, CONFIG, LAYER), listed(), "", "it has 0 images"),
        ((MANIFEST, CONFIG, LAYER), listed(MANIFEST, MANIFEST[:-1] + b" }"), "", "it has 2 images"),
        ((), b"{}", "", "its index is damaged: "),
        ((), b'{"manifests": [{"digest": "sha256:../../etc/passwd", "size": 1}]}', "", "its index is damaged: "),
    ],
)
def test_layouts_that_are_none(
    contents: tuple[bytes, ...], index: bytes, tag: str, reason: str, tmp_path: Path, blobs: Blobs
) -> None:
    name = put(tmp_path / "layout", *contents, index=index)
    with pytest.raises(ImageError) as refused:
        base.load(f"{name}{tag}", "x86_64", blobs)
    assert str(refused.value).startswith(f"reading the image {tmp_path / 'layout'}: {reason}")


def test_contents_of_a_layout_are_checked(tmp_path: Path, blobs: Blobs) -> None:
    name = put(tmp_path / "layout", MANIFEST, CONFIG, LAYER, index=listed(MANIFEST))
    for data in (MANIFEST, CONFIG, LAYER):
        path = tmp_path / "layout" / "blobs" / "sha256" / digest_of(data)[7:]
        path.write_bytes(data + b" ")
        with pytest.raises(ImageError, match=f"its digest is {digest_of(data + b' ')}, not {digest_of(data)}"):
            base.load(name, "x86_64", blobs)
        path.write_bytes(data)
    assert base.load(name, "x86_64", blobs).layers[0].diff_id == digest_of(TAR)


def test_a_folder_that_is_no_layout(tmp_path: Path, blobs: Blobs) -> None:
    with pytest.raises(ImageError, match=r"reading the image .*: index.json: No such file or directory"):
        base.load(f"oci:{tmp_path}", "x86_64", blobs)


def test_a_folder_with_a_colon(made: Image, tmp_path: Path, blobs: Blobs) -> None:
    layout.write(made, tmp_path / "a:b", "v1")
    assert base.load(f"oci:{tmp_path}/a:b", "x86_64", blobs).config == made.config
    assert base.load(f"oci:{tmp_path}/a:b:v1", "x86_64", blobs).config == made.config


def saved(path: Path, *members: tuple[str, bytes], links: tuple[tuple[str, str], ...] = ()) -> str:
    """An archive as others write it."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return f"docker-archive:{path}"


def names(*layers: str) -> tuple[str, bytes]:
    return "manifest.json", json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": layers}]).encode()


def test_what_docker_saves(tmp_path: Path, blobs: Blobs) -> None:
    """Plain tars, and a link where two layers are the same, as Docker wrote until version 25."""
    config = images.config(TAR, TAR)
    name = saved(
        tmp_path / "saved.tar",
        ("config.json", config),
        ("1/layer.tar", TAR),
        names("1/layer.tar", "2/layer.tar"),
        links=(("2/layer.tar", "../1/layer.tar"),),
    )
    found = base.load(name, "x86_64", blobs)
    assert [layer.diff_id for layer in found.layers] == [digest_of(TAR)] * 2
    assert gzip.decompress(found.layers[1].path.read_bytes()) == TAR


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ((("a", b""),), "index.json: No such file or directory"),
        ((("manifest.json", b"[]"),), "it has not one image"),
        ((("manifest.json", b'[{"Config": "a"}]'),), "it has not one image"),
        ((names(), ("other", b"")), "its file config.json is missing"),
        ((names("../x"), ("config.json", CONFIG)), "its file ../x is outside of it"),
        ((("../x", b""),), "its file ../x is outside of it"),
        ((("/x", b""),), "its file /x is outside of it"),
        ((names(), ("config.json", CONFIG)), "its manifest has 0 layers, its configuration 1"),
        ((names("l"), ("config.json", CONFIG), ("l", b"\x28\xb5\x2f\xfd")), "its layer {} is compressed with zstd"),
        ((names("l"), ("config.json", CONFIG), ("l", b"other")), "the layer l: its digest is "),
        ((names("l"), ("config.json", images.config(TAR, architecture="arm64")), ("l", TAR)), "it is for linux/arm64"),
    ],
)
def test_archives_that_are_none(
    members: tuple[tuple[str, bytes], ...], reason: str, tmp_path: Path, blobs: Blobs
) -> None:
    name = saved(tmp_path / "saved.tar", *members)
    with pytest.raises(ImageError) as refused:
        base.load(name, "x86_64", blobs)
    assert reason.format(digest_of(TAR)) in str(refused.value)
    assert "zstd" not in reason or f"gzip docker-archive:{tmp_path / 'saved.tar'} oci:base" in refused.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "saved.tar"]


def test_a_file_that_is_no_archive(tmp_path: Path, blobs: Blobs) -> None:
    (tmp_path / "text").write_text("no tar")
    for name in ("text", "missing"):
        with pytest.raises(ImageError, match=f"reading the image {tmp_path / name}: "):
            base.load(f"docker-archive:{tmp_path / name}", "x86_64", blobs)


def test_names_of_bases(blobs: Blobs) -> None:
    assert base.aws("3.13") == "public.ecr.aws/lambda/python:3.13"
    assert base.load("scratch", "arm64", blobs) == image.scratch("arm64")
    with pytest.raises(UsageError, match="is no image"):
        base.load("No Image", "x86_64", blobs)
