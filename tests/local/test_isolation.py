"""What an isolated process may see and write, tried by real processes: as root where this is root, and as nobody."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.local.isolation import Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="isolation is Linux's")

NOBODY = 65534
USERS = [os.geteuid(), NOBODY] if os.geteuid() == 0 else [os.geteuid()]

# Everything is imported before the user changes: nobody may not read root's home, where the interpreter may be.
STAGE = """
import ctypes, errno, json, multiprocessing, multiprocessing.synchronize, os, socket, subprocess, sys, threading
from pilotlight.local import isolation

def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def touch(path):
    with open(path, "w") as file:
        file.write("x")

def status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))

user, plan, code = json.loads(sys.argv[1])
multiprocessing.get_context("fork")
if user != os.geteuid():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as an ordinary user's process is
said = {}
try:
    isolation.enter(isolation.Plan(*plan))
except OSError as error:
    said = {"error": errno.errorcode[error.errno], "text": error.strerror}
else:
    exec(code)
print(json.dumps(said))
"""


def stage(plan: Plan, code: str, user: int = USERS[0], before: tuple[str, ...] = ()) -> dict[str, object]:
    """What `code` has put into `said`, run by `user` in a process that has entered `plan`."""
    arguments = json.dumps([user, plan, code])
    command = [*before, sys.executable, "-c", STAGE, arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def folder() -> Iterator[Path]:
    """An environment's temporary folder, below /tmp, which every user of these tests may write to."""
    made = Path(tempfile.mkdtemp(prefix="pilotlight-test-", dir="/tmp"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@pytest.fixture(params=USERS, ids=lambda user: f"user{user}")
def user(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def service(folder: Path) -> Path:
    """A task root below /tmp."""
    root = folder / "service"
    (root / "inference").mkdir(parents=True)
    (root / "inference" / "qa.py").write_text("answer = 42\n")
    root.chmod(0o777)
    return root


def namespace(folder: Path, *keep: object, tmp: int = 8) -> Plan:
    return Plan("namespace", tmp, str(folder), (str(folder), *map(str, keep)))


# namespace


def test_all_but_tmp_is_read_only(folder: Path, service: Path, user: int) -> None:
    homes = [str(Path.home()), "/root", "/home"]
    code = f"""
said["service"] = attempt(touch, {str(service / "new.py")!r})
said["existing"] = attempt(touch, {str(service / "inference/qa.py")!r})
said["folder"] = attempt(touch, {str(folder / "new")!r})
said["homes"] = sorted({{attempt(touch, home + "/pilotlight-test") for home in {homes!r}}})
said["var"] = attempt(touch, "/var/tmp/pilotlight-test")
said["dev"] = attempt(touch, "/dev/new")
said["proc"] = attempt(touch, "/proc/self/comm")
said["tmp"] = attempt(touch, "/tmp/new")
said["read"] = open({str(service / "inference/qa.py")!r}).read()
"""
    said = stage(namespace(folder), code, user)
    assert "done" not in str(said.pop("homes"))
    assert said == {
        "service": "EROFS",
        "existing": "EROFS",
        "folder": "EROFS",
        "var": "EROFS",
        "dev": "EROFS",
        "proc": "EROFS",
        "tmp": "done",
        "read": "answer = 42\n",
    }


def test_what_forks_may_write_in_proc_is_not_the_machine(folder: Path, user: int) -> None:
    places = [path for path in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys") if Path(path).exists()]
    settings = [f"/proc/sys/{name}" for name in ("kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory")]
    files = [
        path for path in (*settings, "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity") if Path(path).exists()
    ]
    code = f"""
def write_access(path):  # without the user's rights, which an ordinary user lacks here before it is read-only
    os.close(os.open(path, os.O_WRONLY))
isolation.enter(plan, forks=True)
said["read-only"] = [bool(os.statvfs(path).f_flag & os.ST_RDONLY) for path in {places!r}]
said["files"] = sorted({{attempt(write_access, path) for path in {files!r}}} - {{"EACCES"}})
said["proc"] = attempt(touch, "/proc/self/comm")
pid = os.fork()
if pid == 0:
    isolation.enter(plan)
    os._exit(os.getuid() % 256 if attempt(touch, "/proc/self/comm") == "EROFS" else 0)
said["fork"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    code = f"plan = isolation.Plan(*{tuple(namespace(folder))!r})\n{code}"
    assert stage(Plan("none", 8, str(folder), ()), code, user) == {
        "read-only": [True] * len(places),
        "files": ["EROFS"] if user == 0 else [],  # others are refused before that is looked at
        "proc": "done",
        "fork": 993 % 256,
    }


def test_tmp_is_private_and_gone_afterwards(folder: Path, user: int) -> None:
    code = """
said["listed"] = os.listdir("/tmp")
said["mode"] = oct(os.stat("/tmp").st_mode)
touch("/tmp/pilotlight-test-private")
os.makedirs("/tmp/pilotlight-test-of-mine/below")
os.symlink("/bin/true", "/tmp/run")
said["runs"] = subprocess.run(["/tmp/run"]).returncode
"""
    assert stage(namespace(folder), code, user) == {"listed": [folder.name], "mode": "0o41777", "runs": 0}
    assert not Path("/tmp/pilotlight-test-private").exists()
    assert not Path("/tmp/pilotlight-test-of-mine").exists()


def test_tmp_is_empty_when_nothing_is_kept_there(user: int) -> None:
    said = stage(Plan("namespace", 8, "/usr", ("/usr",)), 'said["listed"] = os.listdir("/tmp")', user)
    assert said == {"listed": []}


@pytest.mark.parametrize("size", [1, 9])
def test_tmp_has_the_size_that_was_set(folder: Path, user: int, size: int) -> None:
    code = """
written = 0
def fill():
    global written
    with open("/tmp/fill", "wb", buffering=0) as file:
        while True:
            written += file.write(bytes(65536))
said["fill"] = attempt(fill)
said["written"] = written
"""
    assert stage(namespace(folder, tmp=size), code, user) == {"fill": "ENOSPC", "written": size << 20}


def test_devices(folder: Path, user: int) -> None:
    code = """
said["listed"] = sorted(os.listdir("/dev"))
with open("/dev/null", "w") as null:
    null.write("x")
said["zero"] = open("/dev/zero", "rb").read(2).hex()
said["random"] = len(open("/dev/urandom", "rb").read(3))
said["full"] = attempt(touch, "/dev/full")
read, write = os.pipe()
os.dup2(write, 2)
with open("/dev/stderr", "w") as stderr:
    stderr.write("written")
said["stderr"] = os.read(read, 9).decode()
"""
    assert stage(namespace(folder), code, user) == {
        "listed": ["fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero"],
        "zero": "0000",
        "random": 3,
        "full": "ENOSPC",
        "stderr": "written",
    }


def test_semaphores_fail_as_on_lambda(folder: Path, user: int) -> None:
    # ENOENT by today's C library, as reported by users of Lambda's python3.13; ENOSYS (38) by those before
    said = stage(namespace(folder), 'said["lock"] = attempt(multiprocessing.Lock)', user)
    assert said["lock"] in ("ENOENT", "ENOSYS")


def test_an_ordinary_user_without_rights(folder: Path, user: int) -> None:
    code = """
said["ids"] = [os.getuid(), os.geteuid(), os.getgid(), os.getegid()]
said["capabilities"] = [int(status(name), 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")]
said["no_new_privs"] = status("NoNewPrivs")
libc = ctypes.CDLL(None, use_errno=True)
def call(done):
    if done < 0:
        raise OSError(ctypes.get_errno(), "")
said["remount"] = attempt(lambda: call(libc.mount(b"none", b"/", b"", ctypes.c_ulong(32 | 4096), None)))
said["unmount"] = attempt(lambda: call(libc.umount2(b"/tmp", 0)))
said["setuid"] = attempt(os.setuid, 0)
said["ran"] = subprocess.run(["grep", "CapEff", "/proc/self/status"], capture_output=True, text=True).stdout.split()[1]
"""
    assert stage(namespace(folder), code, user) == {
        "ids": [993, 993, 990, 990],
        "capabilities": [0, 0, 0, 0],
        "no_new_privs": "1",
        "remount": "EPERM",
        "unmount": "EPERM",
        "setuid": "EINVAL",  # there is no such user in its namespace
        "ran": "0000000000000000",
    }


def test_a_nested_namespace_makes_nothing_writable(folder: Path, service: Path, user: int) -> None:
    code = f"""
libc = ctypes.CDLL(None, use_errno=True)
libc.unshare(0x10020000)
libc.mount(b"none", b"/", b"", ctypes.c_ulong(32 | 4096), None)
said["service"] = attempt(touch, {str(service / "new.py")!r})
"""
    assert stage(namespace(folder), code, user) == {"service": "EROFS"}


def test_what_is_kept_below_tmp_is_seen_through_links(folder: Path, service: Path, user: int) -> None:
    (folder / "file").write_text("a file")
    elsewhere = Path(tempfile.mkdtemp(prefix="pilotlight-test-", dir="/tmp"))
    elsewhere.chmod(0o755)
    try:
        (elsewhere / "absolute").symlink_to(service)
        (elsewhere / "relative").symlink_to(f"../{elsewhere.name}/absolute")
        keep = (f"{elsewhere}/relative/inference", str(folder / "file"), f"{service}/inference")
        code = f"""
said["through"] = open("{elsewhere}/relative/inference/qa.py").read()
said["file"] = open("{folder}/file").read()
said["listed"] = sorted(os.listdir("/tmp"))
said["links"] = sorted(os.listdir("{elsewhere}"))
said["others"] = sorted(os.listdir("{folder}"))
"""
        said = stage(Plan("namespace", 8, str(folder), keep), code, user)
        assert said == {
            "through": "answer = 42\n",
            "file": "a file",
            "listed": sorted([elsewhere.name, folder.name]),
            "links": ["absolute", "relative"],
            "others": ["file", "service"],
        }
    finally:
        shutil.rmtree(elsewhere)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        ("", "ENOENT", "keeping {path}: No such file or directory"),
        ("loop", "ELOOP", "keeping {path}: Too many levels of symbolic links"),
        ("/tmp", "EINVAL", "keeping /tmp: it becomes the function's own, so nothing else can be there"),
    ],
)
def test_what_cannot_be_kept(folder: Path, make: str, error: str, text: str) -> None:
    path = folder / "it"
    if make:
        path.symlink_to(path if make == "loop" else make)
    said = stage(Plan("namespace", 8, str(folder), (str(path),)), "")
    assert said == {"error": error, "text": text.format(path=path)}


def test_a_virtual_environment_below_tmp(folder: Path) -> None:
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", venv], check=True, timeout=60)
    command = [f"{venv}/bin/python", "-c", "import sys; print(sys.prefix)"]
    code = f'said["prefix"] = subprocess.check_output({command}).decode()'
    said = stage(Plan("namespace", 8, str(folder), (str(venv),)), code)
    assert said == {"prefix": f"{venv}\n"}


def test_tmp_may_be_a_mount_of_its_own() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as kept:
        Path(kept, "file").write_text("kept\n")
        before = (
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            'mount --bind /tmp /tmp && exec "$@"',
            "sh",
        )
        code = f'said["listed"] = os.listdir("/tmp"); said["read"] = open("{kept}/file").read()'
        said = stage(Plan("namespace", 8, kept, (kept,)), code, 0, before)
    assert said == {"listed": [Path(kept).name], "read": "kept\n"}


REFUSING = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'


def test_a_kernel_that_refuses_says_so(folder: Path) -> None:
    before = ("unshare", "--user", "--map-root-user", "sh", "-c", REFUSING, "sh")
    assert stage(namespace(folder), "", 0, before) == {
        "error": "ENOSPC",
        "text": "unsharing the user and mount namespaces: No space left on device "
        "(the sysctl user.max_user_namespaces is used up)",
    }


def test_a_process_with_threads_says_so(folder: Path) -> None:
    code = f"""
threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    isolation.enter(isolation.Plan("namespace", 8, {str(folder)!r}, ()))
except OSError as error:
    said["text"] = error.strerror
"""
    assert stage(Plan("none", 8, str(folder), ()), code) == {
        "text": "unsharing the user and mount namespaces: Invalid argument "
        "(a process with several threads cannot do this)"
    }


# landlock


def test_landlock_writes_to_its_folder_alone(folder: Path, user: int) -> None:
    mine = folder / "mine"
    mine.mkdir()
    mine.chmod(0o777)
    (mine / "file").write_text("x")
    (mine / "file").chmod(0o666)
    code = f"""
os.chdir({str(mine)!r})
said["write"] = attempt(touch, "new")
said["truncate"] = attempt(os.truncate, "file", 0)
said["folder"] = attempt(os.mkdir, "below")
said["link"] = attempt(os.symlink, "new", "link")
said["move"] = attempt(os.rename, "new", "below/new")
said["remove"] = attempt(os.remove, "below/new")
said["socket"] = attempt(socket.socket(socket.AF_UNIX).bind, "socket")
said["null"] = attempt(touch, "/dev/null")
said["full"] = attempt(touch, "/dev/full")
said["beside"] = attempt(touch, "../new")
said["cut"] = attempt(os.truncate, "../cut", 0)
said["made"] = attempt(os.mkdir, "../made")
said["removed"] = attempt(os.remove, "../cut")
said["tmp"] = attempt(touch, "/tmp/pilotlight-test")
said["lock"] = attempt(multiprocessing.Lock)
said["read"] = open("../cut").read()
said["run"] = subprocess.run(["sh", "-c", "echo 2> /dev/null > /var/tmp/pilotlight-test"], stderr=-3).returncode
said["no_new_privs"] = status("NoNewPrivs")
"""
    (folder / "cut").write_text("whole")
    (folder / "cut").chmod(0o666)
    said = stage(Plan("landlock", 8, str(mine), ()), code, user)
    inside = dict.fromkeys(("write", "truncate", "folder", "link", "move", "remove", "socket", "null"), "done")
    outside = dict.fromkeys(("beside", "cut", "made", "removed", "tmp", "lock"), "EACCES")
    assert said == inside | outside | {"full": "ENOSPC", "read": "whole", "run": 2, "no_new_privs": "1"}


# none


def test_none_changes_nothing(folder: Path, user: int) -> None:
    code = f"""
said["write"] = attempt(touch, {str(folder / "new")!r})
said["uid"] = os.getuid()
said["no_new_privs"] = status("NoNewPrivs")
"""
    said = stage(Plan("none", 8, str(folder), ()), code, user)
    assert said == {
        "write": "done",
        "uid": user,
        "no_new_privs": Path("/proc/self/status").read_text().split("NoNewPrivs:")[1].split()[0],
    }
