"""Groups of version 1 on this machine's kernel where it lets us; those of version 2 on folders with the same files."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.local.cgroup import Cgroup, Places, leftovers, locate, prepare, usable

NOBODY = 65534
NOT_GIVEN = {"cgroup.controllers": "cpu memory pids\n", "cgroup.subtree_control": "\n"}  # to groups below
JOIN = 'for file in $FILES; do echo 0 > "$file"; done; exec "$@"'
# each of four lives only until it has started its successor
RUNNERS = """
import os, sys, time
def run():
    os.setsid()
    while os.fork() == 0:
        pass
    os._exit(0)
for _ in range(4):
    if os.fork() == 0:
        run()
print("running", flush=True)
time.sleep(60)
"""
TREE = """
import subprocess, sys, time
grandchild = "import os, time; os.setsid(); print('running', flush=True); time.sleep(60)"
child = "import os, subprocess, sys; os.setsid(); subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
subprocess.Popen([sys.executable, "-c", child, grandchild]).wait()
time.sleep(60)
"""

BUSY = """
import time
began = time.process_time(), time.monotonic()
while time.monotonic() < began[1] + 1:
    pass
print((time.process_time() - began[0]) / (time.monotonic() - began[1]), flush=True)
time.sleep(60)
"""

Start = Callable[[Cgroup | None, str], subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python code in a group, as a new process joins it: by itself, before it executes."""
    started: list[subprocess.Popen[str]] = []

    def start_in(group: Cgroup | None, code: str) -> subprocess.Popen[str]:
        environment = os.environ | {"FILES": " ".join(group.entries if group else ())}
        command = ["sh", "-c", JOIN, "sh", sys.executable, "-c", code]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start_in
    for process in started:
        process.kill()
        process.communicate()


def lay_out(folder: Path, files: Mapping[str, str]) -> Path:
    """A folder with the files that the kernel would show in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


# on the kernel


@pytest.mark.parametrize("code", [TREE, RUNNERS])
def test_ends_whatever_session_or_parent_a_process_has(start: Start, code: str) -> None:
    group = Cgroup.make("ends", None)
    if group is None:  # not on this machine; the same is done with folders below
        assert usable().folders() == ()
        return
    process = start(group, code)
    assert first_line(process) == "running\n"
    assert process.pid in group.pids()
    asyncio.run(group.close())
    assert process.wait() == -9
    assert [folder for folder in group.folders if folder.exists()] == []


def test_counts_anonymous_memory_and_is_gone_when_removed(start: Start) -> None:
    group = Cgroup.make("counts", 256)
    if group is None:
        assert usable().folders() == ()
        return
    process = start(group, "held = b'x' * (100 << 20); print('held', flush=True); import time; time.sleep(60)")
    assert first_line(process) == "held\n"
    assert 100 << 20 <= group.anon() < 128 << 20
    process.kill()
    process.wait()
    asyncio.run(group.close())
    assert group.anon() == 0
    assert not group.killed()
    assert [folder for folder in group.folders if folder.exists()] == []


def test_removes_at_once_what_is_empty_and_in_the_background_what_is_not(start: Start) -> None:
    async def remove_both() -> None:
        empty, full = Cgroup.make("empty", 128), Cgroup.make("full", 128)
        if empty is None or full is None:
            assert usable().folders() == ()
            return
        process = start(full, "import time; print('running', flush=True); time.sleep(60)")
        assert first_line(process) == "running\n"
        empty.remove()
        assert not empty.folders[0].exists()
        full.remove()
        while full.folders[0].exists():
            await asyncio.sleep(0.01)
        assert process.wait() == -9

    asyncio.run(asyncio.wait_for(remove_both(), 30))


def test_has_no_more_than_its_share_of_processors(start: Start) -> None:
    """However busy the machine is: that can only make it less."""
    group = Cgroup.make("shares", 256, share=0.1)
    if group is None:
        assert usable().cpu is None
        return
    process = start(group, BUSY)
    assert float(first_line(process)) < 0.5
    group.allot(1.0)
    process.kill()
    process.wait()
    asyncio.run(group.close())
    assert [folder for folder in group.folders if folder.exists()] == []


def test_a_name_is_used_once() -> None:
    group = Cgroup.make("twice", 128)
    assert Cgroup.make("twice", 128) is None
    if group is not None:
        assert asyncio.run(group.close()) is None
        assert not group.folders[0].exists()


def test_another_user_gets_none(tmp_path: Path) -> None:
    code = """
import os, sys
from pilotlight.local.cgroup import Cgroup, leftovers
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
leftovers()
print(Cgroup.make("nobody", 128))
"""
    if os.geteuid() == 0:
        run = subprocess.run([sys.executable, "-c", code, str(NOBODY)], capture_output=True, text=True, check=True)
        assert (run.stdout, run.stderr) == ("None\n", "")
    else:
        place = lay_out(tmp_path / "own", {"cgroup.procs": ""})
        place.chmod(0o500)
        assert Cgroup.make("nobody", 128, Places(memory=place)) is None


# on folders


def test_finds_its_own_groups_of_version_1() -> None:
    groups = "9:name=systemd:/\n8:pids:/\n4:cpu,memory:/a/b c\n0::/\n"
    mounts = (
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "35 31 0:32 / /sys/fs/cgroup/cpu\\040memory rw,relatime - cgroup cgroup rw,cpu,memory\n"
        "40 31 0:37 / /sys/fs/cgroup/pids rw,relatime shared:15 - cgroup cgroup rw,pids\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    )
    assert locate(groups, mounts) == Places(
        v2=Path("/sys/fs/cgroup/unified/"),
        memory=Path("/sys/fs/cgroup/cpu memory/a/b c"),
        pids=Path("/sys/fs/cgroup/pids"),
        cpu=Path("/sys/fs/cgroup/cpu memory/a/b c"),
    )


def test_finds_its_own_group_of_version_2() -> None:
    groups = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope\n"
    mounts = "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    own = Path("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope")
    assert locate(groups, mounts) == Places(v2=own)


def test_finds_its_own_group_in_a_container_that_sees_a_part() -> None:
    mounts = "700 690 0:32 /docker/f00 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert locate("4:memory:/docker/f00\n", mounts) == Places(memory=Path("/sys/fs/cgroup/memory"))
    assert locate("4:memory:/docker/f00/in\n", mounts) == Places(memory=Path("/sys/fs/cgroup/memory/in"))
    assert locate("4:memory:/docker/f001\n", mounts) == Places()
    assert locate("0::/../other\n", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n") == Places()


@given(st.text(), st.text())
def test_any_text_has_places(groups: str, mounts: str) -> None:
    assert isinstance(locate(groups, mounts), Places)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029/"), min_size=1)
)
def test_any_name_of_a_group_is_found(name: str) -> None:
    mounts = "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    expected = Places() if name == ".." else Places(v2=Path(f"/sys/fs/cgroup/{name}"))
    assert locate(f"0::/{name}\n", mounts) == expected


def test_makes_groups_below_its_own_where_that_gives_memory_already(tmp_path: Path) -> None:
    own = lay_out(tmp_path / "own", {"cgroup.subtree_control": "cpu memory pids\n", "cgroup.procs": ""})
    assert prepare(own) == own


def test_goes_one_down_where_it_is_alone(tmp_path: Path) -> None:
    own = lay_out(tmp_path / "own", NOT_GIVEN | {"cgroup.procs": f"{os.getpid()}\n"})
    assert prepare(own) == own
    assert (own / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert (own / f"pilotlight-{os.getpid()}-server" / "cgroup.procs").read_text() == "0"


def test_makes_groups_beside_its_own_where_others_are_in_it(tmp_path: Path) -> None:
    slice_ = lay_out(tmp_path / "app.slice", {"cgroup.subtree_control": "memory pids\n", "cgroup.procs": ""})
    own = lay_out(slice_ / "term.scope", NOT_GIVEN | {"cgroup.procs": f"1\n{os.getpid()}\n"})
    assert prepare(own) == slice_
    assert sorted(path.name for path in own.iterdir()) == sorted([*NOT_GIVEN, "cgroup.procs"])


def test_makes_none_where_version_2_has_no_memory(tmp_path: Path) -> None:
    own = lay_out(tmp_path / "own", NOT_GIVEN | {"cgroup.controllers": "hugetlb\n", "cgroup.procs": ""})
    assert prepare(own) is None
    assert Cgroup.make("none", 128, Places()) is None


def test_version_2_allows_memory_and_no_swap(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "group", {"memory.max": "max\n", "memory.swap.max": "max\n"})
    Cgroup((folder,)).restrict(128 << 20)
    assert (folder / "memory.max").read_text() == "134217728"
    assert (folder / "memory.swap.max").read_text() == "0"


def test_version_1_allows_as_much_with_swap_as_without(tmp_path: Path) -> None:
    folder = lay_out(
        tmp_path / "group", {"memory.swappiness": "60\n", "memory.memsw.limit_in_bytes": "9223372036854771712\n"}
    )
    Cgroup((folder,)).restrict(128 << 20)
    assert (folder / "memory.limit_in_bytes").read_text() == "134217728"
    assert (folder / "memory.memsw.limit_in_bytes").read_text() == "134217728"
    assert (folder / "memory.swappiness").read_text() == "60\n"


def test_version_1_does_not_swap_where_swap_is_not_counted(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "group", {"memory.swappiness": "60\n"})
    Cgroup((folder,)).restrict(128 << 20)
    assert (folder / "memory.swappiness").read_text() == "0"


def test_reads_what_version_2_counts(tmp_path: Path) -> None:
    stat = "anon 104857600\nfile 314572800\nkernel_stack 16384\nshmem 4096\n"
    folder = lay_out(tmp_path / "group", {"memory.stat": stat})
    group = Cgroup((folder,))
    assert group.anon() == 104857600
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\noom_group_kill 0\n")
    assert not group.killed()
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n")
    assert group.killed()


def test_reads_what_version_1_counts(tmp_path: Path) -> None:
    stat = "cache 1581056\nrss 1\nswap 0\ntotal_cache 1581056\ntotal_rss 1789952\ntotal_swap 4096\n"
    folder = lay_out(tmp_path / "group", {"memory.stat": stat})
    group = Cgroup((folder,))
    assert group.anon() == 1794048
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert group.killed()
    (folder / "memory.oom_control").unlink()
    assert group.killed()


def test_version_2_kills_by_one_file(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "group", {"cgroup.kill": "", "cgroup.procs": ""})
    Cgroup((folder,)).kill()
    assert (folder / "cgroup.kill").read_text() == "1"


def test_version_2_has_a_share_of_each_period(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "group", {"memory.max": "max\n", "cpu.max": "max 100000\n", "cpu.weight": "100\n"})
    Cgroup((folder,)).allot(128 / 1769)
    assert (folder / "cpu.max").read_text() == "1447 20000"
    assert (folder / "cpu.weight").read_text() == "10000"


def test_version_1_has_a_share_of_each_period(tmp_path: Path) -> None:
    memory, pids = (lay_out(tmp_path / name, {"cgroup.procs": ""}) for name in ("memory", "pids"))
    cpu = lay_out(tmp_path / "cpu", {"cpu.cfs_period_us": "100000\n", "cpu.cfs_quota_us": "-1\n"})
    Cgroup((memory, cpu, pids)).allot(3008 / 1769)
    assert [(cpu / f"cpu.cfs_{name}_us").read_text() for name in ("period", "quota")] == ["20000", "34008"]


def test_groups_of_version_1_are_three_where_time_is_shared(tmp_path: Path) -> None:
    memory, pids, cpu = (tmp_path / name for name in ("memory", "pids", "cpu"))
    places = Places(memory=memory, pids=pids, cpu=cpu)
    assert (places.folders(), places.folders(shares=True)) == ((memory, pids), (memory, cpu, pids))
    both = Places(memory=memory, cpu=memory)  # one mount of several controllers
    assert both.folders(shares=True) == (memory,)


def test_makes_none_where_no_time_can_be_shared(tmp_path: Path) -> None:
    memory = lay_out(tmp_path / "memory", {"cgroup.procs": ""})
    assert Cgroup.make("none", None, Places(memory=memory), share=0.5) is None
    assert [path.name for path in memory.iterdir()] == ["cgroup.procs"]


def test_an_older_version_2_freezes_and_kills_each(tmp_path: Path, start: Start) -> None:
    processes = [start(None, "import time; time.sleep(60)") for _ in range(2)]
    listed = "0\n" + "".join(f"{process.pid}\n" for process in processes)
    folder = lay_out(tmp_path / "group", {"cgroup.freeze": "0\n", "cgroup.procs": listed})
    Cgroup((folder,)).kill()
    assert [process.wait() for process in processes] == [-9, -9]
    assert (folder / "cgroup.freeze").read_text() == "1"


def test_removes_the_empty_groups_of_servers_that_have_died(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in (f"pilotlight-{dead.pid}-a", f"pilotlight-{os.getpid()}-a", f"pilotlight-{dead.pid}-full/in", "other"):
        (tmp_path / name).mkdir(parents=True)
    leftovers(Places(memory=tmp_path))
    left = {f"pilotlight-{os.getpid()}-a", f"pilotlight-{dead.pid}-full", "other"}
    assert {path.name for path in tmp_path.iterdir()} == left
    leftovers(Places(memory=tmp_path / "gone"))
