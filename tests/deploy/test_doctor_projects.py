"""Each folder of doctor_projects/ has one defect, which is its name, or is right where another one is not."""

from pathlib import Path

import pytest

from pilotlight import project
from pilotlight.cli import doctor_steps
from pilotlight.deploy.doctor.finding import Finding

PROJECTS = Path(__file__).parent / "doctor_projects"
EXAMPLES = [path.parent for path in sorted(Path(__file__).parents[2].glob("examples/*/pilotlight.toml"))]

_THREADS = "use concurrent.futures.ThreadPoolExecutor, or multiprocessing.Process with a Pipe"
_NAT = "set nat = true in [network], or keep models in /tmp: take folder out of [cache]"
_CORS = "leave the headers to [cors], or take [cors] out of pilotlight.toml"

DEFECTS = {
    "memory-above-that-of-a-new-account": Finding(
        "memory quota",
        "qa",
        "warning",
        "4096 MB; a new account has 3,008",
        "set memory = 3008, or ask AWS Support for more memory for Lambda",
    ),
    "timeout-longer-than-an-http-api-waits": Finding(
        "timeout",
        "qa",
        "warning",
        "60 s, and an HTTP API gives up after 30",
        'set timeout = 30, front = "url", which waits as long as the function, or route = []',
    ),
    "timeout-longer-than-a-rest-api-waits": Finding(
        "timeout",
        "qa",
        "warning",
        "30 s, and a REST API gives up after 29",
        'set timeout = 29, front = "url", which waits as long as the function, or route = []',
    ),
    "snapstart-with-efs": Finding(
        "SnapStart",
        "qa",
        "failed",
        "with EFS at /mnt/models",
        "keep models in /tmp: take folder out of [cache], or set snapstart = false",
    ),
    "cache-folder-that-lambda-cannot-mount": Finding(
        "EFS",
        "qa",
        "failed",
        "[cache] folder is /srv/models, and Lambda mounts below /mnt",
        'set folder = "/mnt/models"',
    ),
    "url-input-in-a-vpc-without-nat": Finding(
        "internet without NAT",
        "qa",
        "failed",
        "inference/qa.py, line 1: ImageUrl fetches from public addresses",
        _NAT,
    ),
    "hub-in-the-code-in-a-vpc-without-nat": Finding(
        "internet without NAT",
        "qa",
        "warning",
        "inference/qa.py, line 1: transformers.pipeline fetches from a hub",
        f'name the model in the settings, as model = "hf://...", which deploying copies to S3; or {_NAT}',
    ),
    "file-written-beside-the-code": Finding(
        "read-only file system",
        "qa",
        "failed",
        "inference/qa.py, line 7: mkdir writes below '/var/task'; "
        "inference/qa.py, line 8: write_text writes below '/var/task'; "
        "inference/qa.py, line 9: open writes below 'requests.log'",
        "write to /tmp, or keep it in a table or in S3",
    ),
    "hub-cache-in-the-home-folder": Finding(
        "read-only file system",
        "qa",
        "warning",
        "inference/qa.py, line 1: transformers keeps a cache in the home folder, which cannot be written",
        'set environment = { HF_HOME = "/tmp/transformers" }',
    ),
    "pool-of-processes": Finding(
        "/dev/shm",
        "qa",
        "failed",
        "inference/qa.py, line 7: multiprocessing.Pool needs /dev/shm; "
        "inference/qa.py, line 7: concurrent.futures.ProcessPoolExecutor needs /dev/shm",
        _THREADS,
    ),
    "pool-in-a-module-beside": Finding(
        "/dev/shm", "qa", "failed", "words.py, line 5: multiprocessing.Pool needs /dev/shm", _THREADS
    ),
    "loader-with-workers": Finding(
        "/dev/shm", "qa", "failed", "inference/qa.py, line 5: torch.utils.data.DataLoader needs /dev/shm", _THREADS
    ),
    "cors-twice-behind-a-function-url": Finding(
        "CORS twice",
        "qa",
        "failed",
        "inference/qa.py, line 2: the function sets Access-Control-Allow-Origin: a function URL adds a second one, and "
        "a browser refuses an answer with two",
        _CORS,
    ),
    "cors-twice-behind-an-http-api": Finding(
        "CORS twice",
        "qa",
        "warning",
        "inference/qa.py, line 2: the function sets Access-Control-Allow-Origin: an HTTP API drops it for what [cors] "
        "says",
        _CORS,
    ),
    "cors-of-a-library-too": Finding(
        "CORS twice",
        "qa",
        "failed",
        "inference/qa.py, line 1: flask_cors sets CORS headers: a function URL adds a second one, and a browser "
        "refuses an answer with two",
        _CORS,
    ),
    "cors-twice-in-a-typed-function": Finding(
        "CORS twice",
        "qa",
        "warning",
        "inference/qa.py, line 6: the function sets access-control-allow-origin: an @endpoint replaces it by what "
        "[cors] says",
        _CORS,
    ),
    "cors-missing-behind-a-rest-api": Finding(
        "CORS twice",
        "qa",
        "warning",
        "a REST API passes its answers on as they are, and it sets no CORS headers",
        "set access-control-allow-origin in its answers, or make it an @endpoint, which does",
    ),
    "variables-with-a-long-one": Finding(
        "environment variables",
        "qa",
        "failed",
        "4,105 bytes of 4,096",
        "move what is long into a file of the project, or into Parameter Store",
    ),
}

RIGHT = {
    "memory-of-a-new-account": ("memory quota", "3008 MB, which every account has"),
    "timeout-within-what-a-rest-api-waits": ("timeout", "29 s of the gateway's 29"),
    "timeout-long-behind-a-function-url": ("timeout", "300 s, and no gateway gives up before"),
    "timeout-long-without-a-route": ("timeout", "300 s, and no gateway gives up before"),
    "snapstart-with-models-in-tmp": ("SnapStart", "with nothing that it excludes"),
    "cache-folder-on-efs": ("EFS", "models are kept in /mnt/models"),
    "url-input-in-a-vpc-with-nat": ("internet without NAT", "[network] nat = true"),
    "url-input-outside-a-vpc": ("internet without NAT", "the function is in no VPC"),
    "file-written-to-tmp": ("read-only file system", "nothing is written outside /tmp"),
    "file-written-on-efs": ("read-only file system", "nothing is written outside /tmp"),
    "hub-cache-in-tmp": ("read-only file system", "nothing is written outside /tmp"),
    "processes-with-a-pipe": ("/dev/shm", "nothing asks for it"),
    "cors-of-the-function-alone": ("CORS twice", "the function's own alone"),
    "cors-of-the-settings-alone": ("CORS twice", "one says it"),
    "cors-of-a-plain-handler-behind-a-rest-api": ("CORS twice", "one says it"),
}


def found(folder: Path) -> list[Finding]:
    service = project.load(folder)
    return doctor_steps.offline(service, service.functions, folder / "packages", "", "")


@pytest.mark.parametrize("name", DEFECTS)
def test_a_project_has_its_defect_and_no_other(name: str) -> None:
    """A template that would not run on AWS may be refused as a whole for it, too."""
    wrong = [each for each in found(PROJECTS / name) if each.status in ("failed", "warning")]
    assert [each for each in wrong if each.check != "template"] == [DEFECTS[name]]


@pytest.mark.parametrize("name", RIGHT)
def test_a_project_without_the_defect_has_none(name: str) -> None:
    findings = found(PROJECTS / name)
    check, seen = RIGHT[name]
    assert [each for each in findings if each.status in ("failed", "warning")] == []
    assert [(each.status, each.seen) for each in findings if each.check == check] == [("ok", seen)]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_the_examples_have_no_defect(folder: Path) -> None:
    assert [each for each in found(folder) if each.status in ("failed", "warning")] == []


def test_every_project_is_tried() -> None:
    assert {path.name for path in PROJECTS.iterdir() if path.is_dir() and path.name[0] not in "._"} == {
        *DEFECTS,
        *RIGHT,
    }
