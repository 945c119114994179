"""What goes wrong while a model is fetched: connections, servers, bytes, processes, disks. Nothing damaged is kept, and
the next try works."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import until
from http_servers import Request, Slow, answer
from hub_server import FakeHub, cut, files, fresh, open_hub, part
from pilotlight.errors import CacheError, FetchError, FetchUnreachable
from pilotlight.function import cache, cache_entries, cache_lock, transfer
from pilotlight.function.cache import fetch

WEIGHTS = os.urandom(3_000_000)
MODEL = {"model.onnx": WEIGHTS, "config.json": b"{}"}
FETCH = "import sys; from pilotlight.function.cache import fetch; print(fetch(sys.argv[1]))"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, which is not there yet."""
    return fresh(monkeypatch, tmp_path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with open_hub() as opened:
        opened.add("org/name", MODEL)
        monkeypatch.setenv("HF_ENDPOINT", opened.url)
        yield opened


def start(program: str = FETCH, **more: Any) -> "subprocess.Popen[str]":
    """A process that fetches the model."""
    command = [sys.executable, "-c", program, "hf://org/name"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def end(process: "subprocess.Popen[str]") -> str:
    """What it printed, of one that did well."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out.strip()


def begun(kept: Path) -> int:
    """Bytes of the large file that are on the disk while it is fetched."""
    return sum(path.stat().st_size for path in kept.glob("*/part.*/model.onnx.part"))


# Connections and servers


def test_a_connection_that_is_cut_is_taken_up_where_it_broke_off(hub: FakeHub) -> None:
    cuts = iter([100_000, 0, 1, 1_900_000])

    def spoil(request: Request, whole: bytes) -> bytes | None:
        keep = next(cuts, None) if len(whole) > 1_000 else None
        return None if keep is None else cut(part(request, whole), keep)

    hub.on_file = spoil
    assert files(fetch("hf://org/name")) == MODEL
    ranges = [request.headers.get("range") for request in hub.sent]
    assert ranges == [None, "bytes=100000-", "bytes=100000-", "bytes=100001-", "bytes=2000001-"]


def test_a_server_that_knows_no_ranges_begins_anew(hub: FakeHub) -> None:
    cuts = iter([100_000])

    def spoil(request: Request, whole: bytes) -> bytes | None:
        keep = next(cuts, None) if len(whole) > 1_000 else None
        return answer(200, whole) if keep is None else cut(answer(200, whole), keep)

    hub.on_file = spoil
    assert files(fetch("hf://org/name")) == MODEL


def test_an_answer_of_another_range_is_not_taken(hub: FakeHub) -> None:
    answers = iter(
        [
            lambda request, whole: cut(part(request, whole), 1_000_000),
            lambda request, whole: answer(206, whole[5:], f"Content-Range: bytes 5-{len(whole) - 1}/{len(whole)}\r\n"),
        ]
    )

    def spoil(request: Request, whole: bytes) -> bytes | None:
        chosen = next(answers, None) if len(whole) > 1_000 else None
        return None if chosen is None else chosen(request, whole)

    hub.on_file = spoil
    assert files(fetch("hf://org/name")) == MODEL
    assert [request.headers.get("range") for request in hub.sent] == [None, "bytes=1000000-", None]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(hub: FakeHub, status: int) -> None:
    troubles = iter([answer(status, b"later", "Retry-After: 0\r\n")] * 3)
    hub.on_api = lambda request: next(troubles, None)
    assert files(fetch("hf://org/name")) == MODEL


def test_a_server_that_stays_in_trouble(hub: FakeHub, kept: Path) -> None:
    hub.on_api = lambda request: answer(503, b"down for maintenance")
    with pytest.raises(FetchUnreachable, match="answered 503: down for maintenance") as refused:
        fetch("hf://org/name")
    assert refused.value.hint == "the hub asks for fewer requests, or is in trouble: try later"
    assert len(hub.hub.requests) == transfer.ATTEMPTS
    hub.on_api = lambda request: None
    assert files(fetch("hf://org/name")) == MODEL


def test_a_server_that_asks_to_wait_for_long(hub: FakeHub) -> None:
    hub.on_api = lambda request: answer(429, b"", "Retry-After: 300\r\n")
    with pytest.raises(FetchUnreachable, match="answered 429"):
        fetch("hf://org/name")
    assert len(hub.hub.requests) == 1


def test_a_signed_address_that_has_expired_is_asked_for_anew(hub: FakeHub) -> None:
    refusals = iter([answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")])
    hub.on_file = lambda request, whole: next(refusals, None) if len(whole) > 1_000 else None
    assert files(fetch("hf://org/name")) == MODEL
    assert hub.downloads.count("model.onnx") == 2


def test_redirects_in_a_circle(hub: FakeHub) -> None:
    hub.on_file = lambda request, whole: answer(302, b"", f"Location: {request.target}\r\n")
    with pytest.raises(FetchError, match="redirects more than 5 times"):
        fetch("hf://org/name")


# Bytes


def test_wrong_bytes_are_asked_for_once_more(hub: FakeHub) -> None:
    wrong = iter([True])
    hub.on_file = lambda request, whole: (
        answer(200, bytes(len(whole))) if len(whole) > 1_000 and next(wrong, 0) else None
    )
    assert files(fetch("hf://org/name")) == MODEL


@pytest.mark.parametrize(("name", "kind"), [("model.onnx", "SHA-256"), ("config.json", "git hash")])
def test_bytes_that_stay_wrong_are_refused(hub: FakeHub, kept: Path, name: str, kind: str) -> None:
    size = len(MODEL[name])
    hub.on_file = lambda request, whole: answer(200, bytes(len(whole))) if len(whole) == size else None
    with pytest.raises(FetchError, match=f"fetching hf://org/name@main: {name}: the {kind} is .*, not ") as refused:
        fetch("hf://org/name")
    assert "deleted" in refused.value.hint
    assert not list(kept.rglob(f"{name}*"))
    hub.on_file = lambda request, whole: None
    assert files(fetch("hf://org/name")) == MODEL


def test_more_bytes_than_were_listed_are_not_kept(hub: FakeHub) -> None:
    hub.on_file = lambda request, whole: answer(200, whole + b"more")
    with pytest.raises(FetchError, match="it has 6 bytes, and 2 were listed"):
        fetch("hf://org/name")


@pytest.mark.parametrize("damage", ["cut", "gone", "entry gone", "entry cut"])
def test_what_is_damaged_in_the_cache_is_fetched_again(
    hub: FakeHub, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(fetch("hf://org/name"))
    entry = folder.parent / "entry.json"
    match damage:
        case "cut":
            os.truncate(folder / "model.onnx", 1_000)
        case "gone":
            (folder / "config.json").unlink()
        case "entry gone":
            entry.unlink()
        case "entry cut":
            os.truncate(entry, 30)
    assert files(fetch("hf://org/name")) == MODEL
    assert "what was kept of hf://org/name@main is damaged: fetching it again" in capsys.readouterr().err.splitlines()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["entry.json", "files", "lock", "used"]


# Processes


def stalling(hub: FakeHub, after: int, is_wrong: bool = False) -> threading.Event:
    """The first answer with the large file stops after so many bytes until the event, and may go on with wrong ones."""
    go_on = threading.Event()
    first = iter([True])

    def spoil(request: Request, whole: bytes) -> bytes | None:
        if len(whole) > 1_000 and next(first, False):
            head, _, body = part(request, whole).partition(b"\r\n\r\n")
            return Slow(head + b"\r\n\r\n" + body[:after], later(body[after:]))
        return None

    def later(rest: bytes) -> Iterator[bytes]:
        go_on.wait(100)
        yield bytes(len(rest)) if is_wrong else rest

    hub.on_file = spoil
    return go_on


def test_a_killed_download_is_gone_on_with(hub: FakeHub, kept: Path) -> None:
    go_on = stalling(hub, 1_000_000)
    process = start()
    until(lambda: begun(kept) == 1_000_000)
    assert not list(kept.glob("*/files"))
    process.kill()
    process.communicate()
    go_on.set()
    assert files(end(start())) == MODEL
    assert [request.headers.get("range") for request in hub.sent] == [None, "bytes=1000000-"]
    assert hub.downloads == ["config.json", "model.onnx", "model.onnx"]


def test_a_killed_download_of_what_has_changed_begins_anew(hub: FakeHub, kept: Path) -> None:
    go_on = stalling(hub, 1_000_000)
    process = start()
    until(lambda: begun(kept) == 1_000_000)
    process.kill()
    process.communicate()
    go_on.set()
    hub.add("org/name", {"model.onnx": b"new"})
    assert files(end(start())) == {"model.onnx": b"new"}


def test_eight_processes_at_once_fetch_once(hub: FakeHub, kept: Path) -> None:
    go_on = stalling(hub, 1_000_000)
    processes = [start() for _ in range(8)]
    until(lambda: begun(kept) == 1_000_000)
    go_on.set()
    assert len({end(process) for process in processes}) == 1
    assert sorted(hub.downloads) == ["config.json", "model.onnx"]
    [entry] = kept.iterdir()
    assert files(entry / "files") == MODEL


def test_a_killed_holder_leaves_the_lock_to_who_waits(hub: FakeHub, kept: Path) -> None:
    go_on = stalling(hub, 2_000_000)
    holder = start()
    until(lambda: begun(kept) == 2_000_000)
    waiting = [start() for _ in range(3)]
    holder.kill()
    holder.communicate()
    go_on.set()
    assert len({end(process) for process in waiting}) == 1
    assert hub.downloads.count("model.onnx") == 2
    assert hub.sent[-1].headers["range"] == "bytes=2000000-"


SAYS = f"from pilotlight.function import transfer; transfer.EVERY = 0.1; {FETCH}"


def test_those_that_wait_share_the_holders_trouble(hub: FakeHub, kept: Path) -> None:
    """Each by itself would find it out after a time of waiting of its own, one after the other."""
    asked, go_on = threading.Event(), threading.Event()

    def refuse(request: Request) -> bytes:
        asked.set()
        go_on.wait(100)
        return answer(503, b"down for maintenance", "Retry-After: 300\r\n")

    hub.on_api = refuse
    holder = start()
    assert asked.wait(100)
    waiting = [start(SAYS) for _ in range(3)]
    for process in waiting:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting for another process that fetches hf://org/name@main")
    go_on.set()
    for process in (holder, *waiting):
        _, err = process.communicate(timeout=100)
        assert process.returncode == 1
        assert "FetchUnreachable: fetching hf://org/name: 127.0.0.1" in err
        assert "answered 503: down for maintenance" in err
    assert len(hub.hub.requests) == 1
    hub.on_api = lambda request: None  # and the next try works
    folder = Path(end(start()))
    assert files(folder) == MODEL
    assert sorted(path.name for path in folder.parent.iterdir()) == ["entry.json", "files", "lock", "used"]


def test_those_that_wait_ask_for_themselves_where_the_holder_was_refused(hub: FakeHub, kept: Path) -> None:
    """They may have a token that it has not."""
    hub.add("org/name", MODEL, token="")
    hub.repositories["org/name"].token = "hf_valid"
    asked, go_on = threading.Event(), threading.Event()

    def later(request: Request) -> None:
        asked.set()
        go_on.wait(100)

    hub.on_api = later
    holder = start()
    assert asked.wait(100)
    waiting = start(SAYS, env={**os.environ, "HF_TOKEN": "hf_valid"})
    assert waiting.stderr is not None
    waiting.stderr.readline()
    go_on.set()
    _, err = holder.communicate(timeout=100)
    assert "FetchError: fetching hf://org/name: the hub has no model of that name that you may read" in err
    assert files(end(waiting)) == MODEL


QUICK = f"from pilotlight.function import cache_lock; cache_lock.STALE = 1.0; cache_lock.BEAT = 0.1; {FETCH}"


def test_a_holder_that_stands_still_is_not_waited_for_for_ever(hub: FakeHub, kept: Path) -> None:
    go_on = stalling(hub, 1_000_000, is_wrong=True)
    holder = start(QUICK)
    until(lambda: begun(kept) == 1_000_000)
    holder.send_signal(signal.SIGSTOP)  # as an environment that was frozen
    try:
        folder = end(start(QUICK))
        there = os.stat(folder).st_ino
    finally:
        holder.send_signal(signal.SIGCONT)
    go_on.set()
    assert end(holder) == folder  # which finds that what it worked in is gone, and the model there
    assert os.stat(folder).st_ino == there
    assert files(folder) == MODEL  # whatever it has written meanwhile
    assert [path.name for path in Path(folder).parent.glob("part.*")] == []


def test_a_holder_that_wakes_up_before_it_has_begun_leaves_what_is_there(hub: FakeHub) -> None:
    asked, go_on = threading.Event(), threading.Event()
    first = iter([True])

    def late(request: Request) -> bytes | None:
        if next(first, False):
            asked.set()
            go_on.wait(100)
        return None

    hub.on_api = late
    holder = start(QUICK)
    assert asked.wait(100)
    holder.send_signal(signal.SIGSTOP)
    try:
        folder = end(start(QUICK))
        there = os.stat(folder).st_ino
    finally:
        holder.send_signal(signal.SIGCONT)
    go_on.set()
    assert end(holder) == folder
    assert os.stat(folder).st_ino == there
    assert hub.downloads.count("model.onnx") == 1


def test_a_holder_that_gives_signs_of_life_is_waited_for(hub: FakeHub, kept: Path) -> None:
    """A slow download, which takes longer than one that stands still is given."""

    def pieces(whole: bytes) -> Iterator[bytes]:
        for number in range(0, len(whole), 100_000):
            time.sleep(0.1)
            yield whole[number : number + 100_000]

    def slow(request: Request, whole: bytes) -> bytes | None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n".encode()
        return Slow(head, pieces(whole)) if len(whole) > 1_000 else None

    hub.on_file = slow
    holder = start(QUICK)
    until(lambda: begun(kept) > 0)
    assert end(start(QUICK)) == end(holder)
    assert hub.downloads.count("model.onnx") == 1


def test_two_threads_fetch_once(hub: FakeHub) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(fetch("hf://org/name"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert sorted(hub.downloads) == ["config.json", "model.onnx"]


def test_what_another_process_uses_is_not_removed(hub: FakeHub) -> None:
    program = f"{FETCH}; sys.stdout.flush(); sys.stdin.read()"
    process = start(program, stdin=subprocess.PIPE)
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    entry = cache_entries.Entry(os.path.dirname(folder))
    assert entry.remove() == "a process uses it"
    assert entry.remove(force=True) == "a process uses it"
    assert files(folder) == MODEL
    process.communicate(timeout=100)
    assert entry.remove() == ""
    assert not os.path.exists(entry.folder)


# Disks


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))


def test_a_file_that_the_disk_does_not_take(hub: FakeHub, kept: Path) -> None:
    """EFBIG, as from a quota: what was fetched is taken away, and with room it works."""
    process = start(preexec_fn=limit)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert f"CacheError: fetching hf://org/name: writing to {kept}: File too large" in err
    assert not list(kept.glob("*/part.*"))
    assert files(end(start())) == MODEL


@pytest.mark.system
def test_a_full_disk(hub: FakeHub, tmp_path: Path) -> None:
    """A file system of 2 MB, in namespaces of the process's own, which needs no rights where the kernel has them."""
    small = tmp_path / "small"
    small.mkdir()
    program = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from small_disks import mount_small
mount_small({str(small)!r}, 2 << 20)
os.environ["PILOTLIGHT_CACHE"] = {str(small)!r}
from pilotlight.errors import CacheError
from pilotlight.function import cache_entries
from pilotlight.function.cache import fetch
for free in (cache_entries._free, lambda root: 1 << 40):  # what is known before, and what shows when it is written
    cache_entries._free = free
    try:
        fetch("hf://org/name")
    except CacheError as error:
        print(error, "|", error.hint)
    print(sum(len(names) for folder, _, names in os.walk({str(small)!r}) if "part." in folder))
"""
    lines = end(start(program)).splitlines()
    root = small / "models"
    assert lines[0].startswith(f"fetching hf://org/name: it takes 3.0 MB, and {root} has 2.")
    assert "give /tmp more by tmp in the settings, or name another folder in [cache]" in lines[0]
    assert lines[2].startswith(f"fetching hf://org/name: writing to {root}: No space left on device | free some space")
    assert lines[1::2] == ["0", "0"]


@pytest.mark.system
def test_a_read_only_mount_is_used_and_not_written(hub: FakeHub, tmp_path: Path) -> None:
    program = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from small_disks import mount_read_only
mount_read_only(os.environ["PILOTLIGHT_CACHE"])
from pilotlight.errors import CacheError
from pilotlight.function.cache import fetch
print(fetch("hf://org/name"))
try:
    fetch("hf://org/other")
except CacheError as error:
    print(error)
    print(error.hint)
"""
    folder = fetch("hf://org/name")
    hub.add("org/other", MODEL)
    lines = end(start(program)).splitlines()
    assert lines == [
        folder,
        f"fetching hf://org/other: writing to {cache.folder()}: Read-only file system",
        "the model is not there: fetch it once where the folder can be written, by `pilotlight cache fetch`, or name "
        "another folder in [cache], such as /tmp",
    ]


def test_a_file_in_the_place_of_the_folder(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CacheError, match="Not a directory") as refused:
        fetch("hf://org/name")
    assert refused.value.hint == "name another folder in [cache]"


def test_without_locks_it_is_fetched_all_the_same(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none."""

    def refuse(descriptor: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(cache_lock.fcntl, "lockf", refuse)
    assert files(fetch("hf://org/name")) == MODEL


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EDQUOT])
def test_what_cannot_be_known_to_be_unused_stays(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Without locks, and where they are used up: EFS has 512 for a file, so that there are as many users."""
    monkeypatch.setenv("PILOTLIGHT_CACHE_SIZE", "4")
    folder = end(start())

    def refuse(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache_lock.fcntl, "lockf", refuse)
    entry = cache_entries.Entry(os.path.dirname(folder))
    for file in (entry.used, entry.lock):
        os.utime(file, (0, 0))
    hub.add("org/other", {"model.onnx": bytes(2_000_000)})
    fetch("hf://org/other")  # which the budget has no room for
    assert files(folder) == MODEL
    reason = f"whether a process uses it cannot be known: {os.strerror(number)}"
    assert entry.remove() == reason
    assert files(folder) == MODEL
    assert entry.remove(force=True) == ""
    assert not os.path.exists(entry.folder)
