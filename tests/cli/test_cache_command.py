"""`pilotlight cache`, run as its users run it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_server import FakeHub, files, open_hub

SMALL, LARGE = {"model.onnx": bytes(500_000)}, {"model.onnx": bytes(2_000_000)}

WITHOUT_LOCKS = """
import errno, fcntl, os
def refuse(descriptor, how):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.lockf = refuse
from pilotlight.cli import main
main()
"""  # a file system that has none is hard to come by


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with open_hub() as opened:
        opened.add("org/small", SMALL)
        opened.add("org/large", LARGE, "v1.0")
        yield opened


class Command:
    """`pilotlight cache` with a cache and a hub of its own."""

    def __init__(self, folder: Path, hub: FakeHub) -> None:
        self.models = folder / "cache" / "models"
        own = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "huggingface"),
            "PILOTLIGHT_CACHE": str(folder / "cache"),
        }
        shell = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        self._environ = {**shell, **own, "TZ": "UTC"}

    def __call__(self, *arguments: str, status: int = 0, without_locks: bool = False) -> list[str]:
        """The lines of stdout, of stderr where it did not go well."""
        program = ("-c", WITHOUT_LOCKS) if without_locks else ("-m", "pilotlight")
        command = [sys.executable, *program, "cache", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=self._environ)
        assert done.returncode == status, done.stderr
        return (done.stderr if status else done.stdout).splitlines()

    def used(self, name: str, when: float) -> None:
        """As if it was used last at that time."""
        [folder] = self.models.glob(f"*{name}*")
        for file in ("used", "lock"):
            os.utime(folder / file, (when, when))


@pytest.fixture
def cache(tmp_path: Path, hub: FakeHub) -> Command:
    return Command(tmp_path, hub)


def test_fetch_prints_where_it_is(cache: Command, hub: FakeHub) -> None:
    [path] = cache("fetch", "hf://org/small")
    assert files(path) == SMALL
    assert [json.loads(line) for line in cache("fetch", "hf://org/small", "--json")] == [
        {"uri": "hf://org/small", "path": path}
    ]
    assert hub.downloads == ["model.onnx"]


def test_fetch_fills_another_folder(cache: Command, tmp_path: Path) -> None:
    [path] = cache("fetch", "hf://org/small", "--folder", str(tmp_path / "mount"))
    assert path.startswith(f"{tmp_path}/mount/models/hf--org--small@main-")
    assert cache("list")[-1] == f"0.0 MB in {cache.models}"
    assert cache("list", "--folder", str(tmp_path / "mount"))[0].endswith("hf://org/small@main")


def test_fetch_says_what_is_wrong(cache: Command) -> None:
    assert cache("fetch", "hf://org/none", status=1) == [
        "error: fetching hf://org/none: the hub has no model of that name that you may read",
        "hint: check the name; if it is private, set HF_TOKEN to a token that may read it",
    ]


def test_list(cache: Command) -> None:
    for uri in ("hf://org/small", "hf://org/large@v1.0"):
        cache("fetch", uri)
    cache.used("small", 1_790_000_000)
    cache.used("large", 1_780_000_000)
    lines = cache("list")
    assert lines == [
        "       0.5 MB  2026-09-21 14:13  hf://org/small@main",
        "       2.0 MB  2026-05-28 20:26  hf://org/large@v1.0",
        f"2.5 MB in {cache.models}",
    ]
    shown = [json.loads(line) for line in cache("list", "--json")]
    assert [(each["uri"], each["whole"], each["used"], each["task"]) for each in shown] == [
        ("hf://org/small@main", True, 1_790_000_000, ""),
        ("hf://org/large@v1.0", True, 1_780_000_000, ""),
    ]
    assert files(shown[0]["folder"]) == SMALL


def test_remove(cache: Command, hub: FakeHub) -> None:
    cache("fetch", "hf://org/small")
    assert cache("remove", "hf://org/small", "--dry-run")[-1] == "0.5 MB would be free again"
    assert cache("list")[0].endswith("hf://org/small@main")
    removed = cache("remove", "hf://org/small")
    assert removed[0].startswith("removed ")
    assert removed[1] == "0.5 MB are free again"
    assert list(cache.models.iterdir()) == []
    cache("fetch", "hf://org/small")
    assert len(hub.downloads) == 2


def test_remove_knows_what_was_meant(cache: Command) -> None:
    cache("fetch", "hf://org/small")
    assert cache("remove", "hf://org/smal", status=2) == [
        "error: removing hf://org/smal: nothing is kept of it",
        "hint: did you mean hf://org/small@main?",
    ]


def test_what_is_in_use_is_not_removed(cache: Command) -> None:
    [path] = cache("fetch", "hf://org/small")
    program = (
        "import sys; from pilotlight.function.cache import fetch; "
        "fetch('hf://org/small'); print('there', flush=True); sys.stdin.read()"
    )
    user = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PILOTLIGHT_CACHE": str(cache.models.parent)},
    )
    assert user.stdout is not None
    assert user.stdout.readline() == b"there\n"
    cache("remove", "hf://org/small", status=1)
    cache("prune", "--size", "0")
    assert files(path) == SMALL
    user.communicate(timeout=100)
    cache("prune", "--size", "0")
    assert not Path(path).exists()


def test_what_cannot_be_known_to_be_unused_is_not_removed(cache: Command) -> None:
    [path] = cache("fetch", "hf://org/small")
    assert cache("remove", "hf://org/small", status=1, without_locks=True) == [
        "error: removing hf://org/small@main: whether a process uses it cannot be known: No locks available",
        "hint: make sure that none does, on any machine that has the folder mounted, and say --force",
    ]
    [line] = cache("prune", "--size", "0", "--json", without_locks=True)
    told = json.loads(line)
    reason = "whether a process uses it cannot be known: No locks available"
    assert (told["removed"], told["reason"]) == (False, reason)
    assert files(path) == SMALL
    assert cache("remove", "hf://org/small", "--force", without_locks=True)[-1] == "0.5 MB are free again"
    assert not Path(path).exists()


def test_prune(cache: Command) -> None:
    for uri in ("hf://org/small", "hf://org/large@v1.0"):
        cache("fetch", uri)
    now = time.time()
    cache.used("small", now - 20 * 86_400)
    cache.used("large", now - 40 * 86_400)
    assert cache("prune") == ["0.0 MB are free again"]
    assert cache("prune", "--older", "60") == ["0.0 MB are free again"]
    assert cache("prune", "--older", "10", "--dry-run")[-1] == "2.5 MB would be free again"
    assert cache("prune", "--older", "30")[-1] == "2.0 MB are free again"
    assert cache("prune", "--size", "1") == ["0.0 MB are free again"]
    shown = [json.loads(line) for line in cache("prune", "--size", "0", "--json")]
    assert [(each["uri"], each["removed"]) for each in shown] == [("hf://org/small@main", True)]


def test_prune_takes_what_was_broken_off_a_day_ago(cache: Command) -> None:
    [path] = cache("fetch", "hf://org/small")
    os.rename(path, Path(path).with_name("part.0.0"))
    assert cache("list")[0].endswith("hf://org/small@main  not whole")
    assert cache("prune") == ["0.0 MB are free again"]
    cache.used("small", time.time() - 2 * 86_400)
    assert cache("prune")[-1] == "0.5 MB are free again"
