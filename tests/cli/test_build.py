"""`pilotlight build` on services, with the real uv and real processes."""

import json
import os
import zipfile
from pathlib import Path

import pytest
import shared_objects
from builds import PLAIN, TYPED, Build

from conftest import write
from pilotlight.local import process
from pilotlight.project import load


def test_a_function_becomes_a_zip_with_what_it_needs(build: Build, tmp_path: Path) -> None:
    write(tmp_path / "service", {"inference/ask.py": TYPED, "requirements.txt": "lamp\n", ".env": "KEY=1"})
    done = build("--json")
    assert done.code == 0, done.err
    [record] = done.records
    assert record["package"] == "zip"
    artifact = record["artifact"]
    assert isinstance(artifact, dict)
    with zipfile.ZipFile(artifact["location"]) as archive:
        names = set(archive.namelist())
    own = {name for name in names if not name.startswith(("pilotlight/", "lamp", "msgspec", "multipart"))}
    assert own == {"inference/ask.py", "pilotlight-runtime"}
    assert {"lamp/__init__.py", "msgspec/__init__.py", "pilotlight/function/runtime.py"} <= names
    assert not any(name.startswith(("pilotlight/cli", "pilotlight/project")) for name in names)
    assert artifact["handler"] == "inference/ask.handler"
    assert (artifact["runtime"], artifact["architecture"]) == ("python3.13", "x86_64")
    assert artifact["environment"] == {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/pilotlight-runtime"}
    out = tmp_path / "service/.pilotlight/build"
    assert sorted(path.name for path in out.iterdir()) == ["ask.cdx.json", "ask.json", "ask.zip"]
    assert json.loads((out / "ask.json").read_bytes()) == artifact


def test_what_was_not_tried_is_no_pass(build: Build, tmp_path: Path) -> None:
    write(tmp_path / "service", {"inference/ask.py": PLAIN, "events/ask.json": '{"word": "x"}'})
    [record] = build("--json", "--check").records
    checks = {check["name"]: check for check in record["checks"]}  # type: ignore[attr-defined]
    reason = ["no python3.13 on PATH: name one with --python"]
    for name in ("handler", "test events", "writable paths"):
        assert (checks[name]["status"], checks[name]["lines"]) == ("not run", reason)
    assert record["artifact"] is None
    assert not (tmp_path / "service/.pilotlight").exists()


def test_two_folders_give_the_same_zip(build: Build, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        files = {"inference/ask.py": TYPED, "requirements.txt": "lamp\n", "pilotlight.toml": 'name = "s"\n'}
        write(tmp_path / name, files)
        [record] = build("--json", folder=name).records
        digests.add(record["artifact"]["digest"])  # type: ignore[index]
    assert len(digests) == 1


def test_a_dry_run_says_what_and_why_and_writes_nothing(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": TYPED, "models/a/model.onnx": ""})
    write(root, {"pilotlight.toml": '[functions.ask]\nmodel = "models/a"\n', "requirements.txt": "lamp\n"})
    done = build("ask", "--target", "3.12-arm64", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines()[0] == "ask for python3.12 on arm64"
    assert "onnxruntime<2,>=1.22 (C library alone): models/a/model.onnx runs in its C library" in done.out
    assert sorted(path.name for path in root.iterdir()) == [
        "inference",
        "models",
        "pilotlight.toml",
        "requirements.txt",
    ]
    assert not (tmp_path / "cache").exists()


def test_a_model_that_is_fetched_is_said_and_kept_where_lambda_has_room(build: Build, tmp_path: Path) -> None:
    toml = '[cache]\nfolder = "/mnt/models"\nsize = 2048\n\n[functions.ask]\nmodels = { qa = "s3://models-2026/qa" }\n'
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN, "pilotlight.toml": toml, "models/a/model.onnx": ""})
    done = build("--dry-run")
    assert done.code == 0, done.err
    assert "  fetched at start          s3://models-2026/qa\n" in done.out
    assert "models/a" not in done.out
    [function] = load(root).functions
    kept = {"PILOTLIGHT_MODEL_QA": "s3://models-2026/qa", "PILOTLIGHT_CACHE_SIZE": "2048"}
    assert process.deployed(function, "/mnt/models") == {**kept, "PILOTLIGHT_CACHE": "/mnt/models"}
    assert process.deployed(function, "") == kept


@pytest.mark.parametrize(
    ("files", "name", "reason"),
    [
        (
            {"config.py": "KEY = 'AKIA" + "IOSFODNN7EXAMPLE'\n"},
            "secrets",
            "config.py: it holds the id of an AWS access key",
        ),
        ({"words.pkl": ""}, "pickles", "words.pkl: a pickle by its name"),
        (
            {"inference/ask.py": "import torch\n" + PLAIN},
            "imports",
            "nothing brings torch: name it in requirements.txt",
        ),
        (
            {"inference/ask.py": "import train.network\n" + PLAIN, "train/network.py": ""},
            "imports",
            "train/network.py is imported, and left out: take it in by exclude = ['!/train/']",
        ),
    ],
)
def test_a_check_that_fails_leaves_nothing(
    build: Build, tmp_path: Path, files: dict[str, str], name: str, reason: str
) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN, **files})
    done = build()
    assert done.code == 1
    assert reason in done.out
    assert f"error: packing ask: {name}: not as it has to be" in done.err
    assert not (root / ".pilotlight").exists()


def test_what_is_imported_can_be_taken_in_as_the_check_says(build: Build, tmp_path: Path) -> None:
    files = {"inference/ask.py": "import train.network\n" + PLAIN, "train/network.py": ""}
    root = write(tmp_path / "service", {**files, "pilotlight.toml": "[build]\nexclude = ['!/train/']\n"})
    assert build().code == 0
    with zipfile.ZipFile(root / ".pilotlight/build/ask.zip") as archive:
        assert "train/network.py" in archive.namelist()


def test_a_shared_object_for_another_machine_fails(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN})
    (root / "fast.so").write_bytes(shared_objects.for_other_machine())
    here = {"x86_64": "x86_64", "aarch64": "arm64"}[os.uname().machine]
    done = build("--target", here)
    assert done.code == 1
    assert "shared objects" in done.out
    assert "fast.so: it is for " in done.out


@pytest.mark.parametrize(
    ("arguments", "files", "code", "error"),
    [
        (("--target", "3.11"), {}, 2, "reading the target '3.11': '3.11' is no Python and no architecture of it"),
        (("nothing",), {}, 2, "there is no function 'nothing'"),
        (("--python", "no-such-python"), {}, 2, "taking no-such-python as the target's interpreter"),
        (("--dockerfile", "d", "--push", "r/x:1"), {}, 2, "--push and --dockerfile exclude each other"),
        (("--package", "zip", "--push", "r/x:1"), {}, 2, "--push is for images, and --package is zip"),
        (("--format", "layout", "--push", "r/x:1"), {}, 2, "--push and --format exclude each other"),
        (("--sbom", "x.json"), {"inference/b.py": PLAIN}, 2, "--sbom is for one function: name one of ask, b"),
        ((), {"requirements.txt": "none-such\n"}, 1, "resolving the requirements: Because none-such was not found"),
        ((), {"requirements.txt": "lamp\nlamp==7\n"}, 1, "lamp==7"),
        ((), {"lamp.py": "", "requirements.txt": "lamp\n"}, 1, "packing lamp.py: lamp is what lamp is imported as"),
        ((), {"pilotlight.toml": '[build]\npython = "3.11"\n'}, 2, "build.python"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    build: Build, tmp_path: Path, arguments: tuple[str, ...], files: dict[str, str], code: int, error: str
) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN, **files})
    done = build(*arguments)
    assert done.code == code
    assert error in done.err
    assert "Traceback" not in done.err
    assert not (root / ".pilotlight").exists()


def test_a_link_out_of_the_project_is_refused(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN})
    (root / "words").symlink_to("/etc")
    done = build()
    assert done.code == 1
    assert f"packing {root / 'words'}: the link leads out of the project, to /etc" in done.err


def test_what_a_build_writes_into_the_project_is_not_packed_by_the_next(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN})
    zips = []
    for _ in range(2):
        assert build("--out", str(root / "packages")).code == 0
        zips.append((root / "packages/ask.zip").read_bytes())
    assert zips[0] == zips[1]
    assert (root / "packages/ask.json").stat().st_mode & 0o777 == 0o600


def test_a_check_writes_the_bill_of_materials_where_it_is_asked_to(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN, "requirements.txt": "lamp\n"})
    assert build("--check", "--sbom", str(root / "bills/ask.json")).code == 0
    bill = json.loads((root / "bills/ask.json").read_bytes())
    assert [each["name"] for each in bill["components"]] == ["lamp", "pilotlight"]
    assert not (root / ".pilotlight").exists()
    [record] = build("--sbom", str(root / "bills/ask.json"), "--json").records
    assert record["bill"] == str(root / "bills/ask.json")
    assert json.loads((root / "bills/ask.json").read_bytes()) == bill
    assert sorted(path.name for path in (root / ".pilotlight/build").iterdir()) == ["ask.json", "ask.zip"]


def test_what_cannot_be_written_is_one_sentence(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN, "taken": ""})
    done = build("--out", str(root / "taken/below"))
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert f"packing ask: {root / 'taken/below'}: Not a directory" in done.err


def test_packages_are_not_written_among_what_is_packed(build: Build, tmp_path: Path) -> None:
    root = write(tmp_path / "service", {"inference/ask.py": PLAIN})
    done = build("--out", str(root))
    assert (done.code, "the next build would pack what this one writes there" in done.err) == (2, True)
    assert [path.name for path in root.iterdir()] == ["inference"]


def test_help_has_examples(build: Build) -> None:
    assert (
        "\n  Examples:\n    pilotlight build\n    pilotlight build qa --check --sbom qa.cdx.json\n"
        in build("--help").out
    )
