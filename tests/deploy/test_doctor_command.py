"""`pilotlight doctor` as its users call it, and how it reads code."""

import json
from collections.abc import Iterator
from pathlib import Path

import moto_aws
import pytest
from moto_aws import Aws

from conftest import write
from pilotlight.deploy.doctor import code

HANDLER = "def handler(event, context):\n    return {}\n"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto_aws.running() as aws:
        yield aws


def test_what_is_right_is_counted_and_the_rest_is_shown(aws: Aws, tmp_path: Path) -> None:
    folder = write(tmp_path / "service", {"inference/qa.py": HANDLER})
    code, out, err = aws.run("doctor", "--dir", "service", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert out == (
        "qa\n"
        "  not checked architecture, glibc, manifest type: there is no package of qa in service/.pilotlight/build\n"
        "              run `pilotlight build` first\n"
        "the service and the account\n"
        "  not checked credentials, concurrency quota, memory of the account, deployed, deployed architecture, "
        "deployed URL permissions, deployed EFS, deployed SnapStart, stale versions: AWS was not asked\n"
        "              `pilotlight doctor --remote` asks\n"
        "25 checks: 12 not checked, 13 ok\n"
    )
    assert [*folder.rglob("*.pyc"), *folder.glob(".pilotlight")] == []  # the code was not run, nothing was written


def test_a_failed_check_is_an_exit_code(aws: Aws, tmp_path: Path) -> None:
    source = "import multiprocessing\n\nlock = multiprocessing.Lock()\n\n\n" + HANDLER
    folder = write(tmp_path / "service", {"inference/qa.py": source, "inference/page.py": "def handle(): ...\n"})
    code, out, _ = aws.run("doctor", "--json", cwd=folder)
    *found, counts = map(json.loads, out.splitlines())
    assert code == 1
    assert [(each["check"], each["function"], each["seen"]) for each in found if each["status"] == "failed"] == [
        ("/dev/shm", "qa", "inference/qa.py, line 3: multiprocessing.Lock needs /dev/shm"),
        ("function", "page", "inference/page.py: there is no 'handler' at the top level"),
    ]
    assert counts == {"failed": 2, "warning": 0, "not_checked": 12, "ok": 12}


def test_all_of_one_function(aws: Aws, tmp_path: Path) -> None:
    folder = write(tmp_path / "service", {"inference/qa.py": HANDLER, "inference/page.py": HANDLER})
    code, out, _ = aws.run("doctor", "qa", "--all", cwd=folder)
    assert code == 0
    assert "  ok          timeout: 30 s of the gateway's 30\n" in out
    assert "page" not in out


def test_an_account_that_can_be_asked(aws: Aws, tmp_path: Path) -> None:
    """moto has no GetAccountSettings, and says 404: not checked, with what was answered."""
    folder = write(tmp_path / "service", {"inference/qa.py": HANDLER})
    code, out, _ = aws.run("doctor", "--remote", "--json", cwd=folder)
    found = {each["check"]: each for each in map(json.loads, out.splitlines()[:-1])}
    assert code == 0
    assert found["credentials"]["seen"] == "account 123456789012, region eu-west-1"
    assert found["concurrency quota"]["status"] == "not checked"
    assert found["memory of the account"]["seen"] == "1769 MB at most are asked for"
    assert found["deployed"]["seen"] == "there is no service--qa in eu-west-1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--image", "oci:x"), "--image is of one function: name it"),
        (("--stage", "beta"), "--stage is for a deployed service: give --remote as well"),
        (("qaa",), "did you mean 'qa'?"),
    ],
)
def test_options_that_do_not_fit(aws: Aws, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    folder = write(tmp_path / "service", {"inference/qa.py": HANDLER})
    code, out, err = aws.run("doctor", *arguments, cwd=folder)
    assert (code, out) == (2, "")
    assert said in err


READ = """
import os.path as paths
import numpy as np
from pathlib import Path as P
from multiprocessing import get_context as fresh

ROOT = P(__file__).resolve().parents[1]
SUB = ROOT / "sub" / name
TMP: str = "/tmp"
LOOP = LOOP

(SUB / "a").write_text("")
open(f"{TMP}/x", "w")
open(paths.join(TMP, "x"), "w")
open(P.home() / "x", "w")
open("a" + "b", "w")
open(LOOP, "w")
open(unknown(), "w")
np.save("x.npy", a)
fresh().Pool()
"""


def test_names_and_paths_are_followed() -> None:
    made = code.Code((code.parse("inference/qa.py", READ.encode()),))
    found = [(each.name, each.path(0)) for each in made.calls if each.name in ("open", "numpy.save") or each.node.args]
    assert ("open", "/tmp") in found
    assert [path for name, path in found if name == "open"] == ["/tmp", "/tmp", "~", "a", None, None]
    assert ("numpy.save", "x.npy") in found
    assert "multiprocessing.Pool" in [each.name for each in made.calls]
    [written] = [each for each in made.calls if each.name == ".write_text"]
    assert written.module.root_of(written.node.func.value) == "/var/task"  # type: ignore[attr-defined]


def test_a_module_beside_a_function_that_is_not_python(aws: Aws, tmp_path: Path) -> None:
    folder = write(tmp_path / "service", {"inference/qa.py": "import words\n\n\n" + HANDLER, "words.py": "def (:\n"})
    code, out, _ = aws.run("doctor", "--json", cwd=folder)
    assert code == 1
    first = json.loads(out.splitlines()[0])
    assert (first["check"], first["function"], first["status"]) == ("code", "qa", "failed")
    assert first["seen"].startswith(f"reading {folder / 'words.py'}: this is not Python: ")
