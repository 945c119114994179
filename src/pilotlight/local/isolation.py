"""What a process of an execution environment may see and write, as on Lambda, as far as this kernel lets anyone say so.

    namespace   everything is read-only but a /tmp of its own, of the size that was set; /dev has what a function needs
    landlock    everything can be read; only the environment's own temporary folder can be written
    none        nothing changes

A guard against differences from Lambda, not against an attacker. `enter` runs in the forked child, before the program
does. Calls that Python does not offer go through ctypes. Source: the manual pages named at each.
"""

import ctypes
import errno
import os
import stat
import struct
from typing import Literal, NamedTuple

Level = Literal["namespace", "landlock", "none"]

_UID, _GID = 993, 990  # what `id` says in a Lambda function: sbx_user1051, an ordinary user
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
_OF_THE_MACHINE = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_MAX_LINKS = 40  # that one path may go through: path_resolution(7)

# linux/sched.h, sys/mount.h, linux/mount.h, linux/fcntl.h, linux/prctl.h, linux/capability.h
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_PRIVATE = 2, 4, 8, 1 << 18
_MOUNT_ATTR_RDONLY = 1
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522

# Numbers of system calls since Linux 5.1 are the same for every processor.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446

# linux/landlock.h: the rights that write, and since which version of its interface there is another
_LANDLOCK_WRITE_FILE, _LANDLOCK_TRUNCATE = 1 << 1, 1 << 14
_LANDLOCK_WRITES = _LANDLOCK_WRITE_FILE | 0b1_1111_1111 << 4  # remove and make what a directory holds
_LANDLOCK_LATER = {2: 1 << 13, 3: _LANDLOCK_TRUNCATE}  # 2: rename into another folder
_LANDLOCK_VERSION, _LANDLOCK_PATH_BENEATH = 1, 1

_HINTS = {
    errno.EINVAL: "a process with several threads cannot do this",
    errno.ENOSPC: "the sysctl user.max_user_namespaces is used up",
    errno.EPERM: "the kernel, or the container that this runs in, does not allow it",
}

_libc = ctypes.CDLL(None, use_errno=True)


class Plan(NamedTuple):
    """How to isolate one process.

    `tmp` is the size of /tmp in MB. `folder` is the environment's own temporary folder on the host. `keep` are paths
    that must be seen even when they lie below /tmp: the service, its interpreter's prefixes, Pilotlight, `folder`.
    `writable` are folders, by their real paths, that stay as they are, as if EFS was mounted there.
    """

    level: Level
    tmp: int
    folder: str
    keep: tuple[str, ...]
    writable: tuple[str, ...] = ()


def enter(plan: Plan, forks: bool = False, carries: bool = False) -> None:
    """Isolate this process for good. It has one thread. Raises OSError, and then it is of no further use.

    With `forks` its forks may enter a namespace again. With `carries` they take a copy of what is in /tmp along.
    """
    if plan.level == "namespace":
        _enter_namespace(plan, forks, carries)
    elif plan.level == "landlock":
        _enter_landlock((plan.folder, *plan.writable))


def die_with_parent(parent: int) -> bool:
    """Let the kernel kill this process when `parent` ends; True if it has ended already. Linux alone can do this."""
    if hasattr(_libc, "prctl"):
        _prctl(_PR_SET_PDEATHSIG, 9)
    return os.getppid() != parent


def outlive_parent() -> None:
    """Undo `die_with_parent`."""
    if hasattr(_libc, "prctl"):
        _prctl(_PR_SET_PDEATHSIG, 0)


# namespaces: user_namespaces(7), mount_namespaces(7)


def _enter_namespace(plan: Plan, forks: bool, carries: bool) -> None:
    _unshare()
    writable = {path: _open_tree(path) for path in plan.writable}  # before all is read-only
    _set_mount("/", _MS_PRIVATE)
    if forks:
        import shutil  # noqa: F401 (here once, not in each fork: its import takes longer than all of the rest)

        _open_proc()
    top = os.path.realpath("/tmp")
    before = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    kept = _Kept(top, plan.keep)
    trees = {path: _open_tree(path) for path in kept.paths}
    devices = {name: _open_tree(f"/dev/{name}") for name in _DEVICES if os.path.exists(f"/dev/{name}")}
    _mount_tmpfs(top, _MS_NOSUID | _MS_NODEV, f"mode=1777,size={plan.tmp}m")
    for path, tree in trees.items():
        _attach(tree, path)
    for path, tree in writable.items():
        (_show if os.path.isdir(path) else _attach)(tree, path)
    for path, target in kept.links.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)
    if carries:
        _copy(f"/proc/self/fd/{before}", top, {*kept.paths, *kept.links, *plan.writable})
    os.close(before)
    _make_devices(devices)
    _drop_capabilities()


def _open_proc() -> None:
    """Let forks write to /proc, where each says who it is in a namespace of its own, but for what is the machine's: the
    user who runs the server may be root."""
    trees = {path: _open_tree(path) for path in _OF_THE_MACHINE if os.path.exists(path)}  # as read-only as /proc is now
    _set_mount("/proc", is_read_only=False)
    for path, tree in trees.items():
        _show(tree, path)


def _unshare() -> None:
    """Be another user, without rights outside, in a tree of mounts of one's own."""
    uid, gid = os.geteuid(), os.getegid()
    doing = "unsharing the user and mount namespaces"
    if not hasattr(_libc, "unshare"):
        raise OSError(errno.ENOSYS, f"{doing}: only Linux has them")
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), doing, _HINTS)
    _write("/proc/self/setgroups", "deny")  # else an ordinary user may not map a group
    _write("/proc/self/uid_map", f"{_UID} {uid} 1")
    _write("/proc/self/gid_map", f"{_GID} {gid} 1")


def _write(path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _set_mount(path: str, propagation: int = 0, is_read_only: bool = True) -> None:
    """Make what is mounted at `path`, and all below it, read-only; or it alone not. mount_setattr(2), Linux 5.12."""
    flags = (_MOUNT_ATTR_RDONLY, 0) if is_read_only else (0, _MOUNT_ATTR_RDONLY)
    attributes = struct.pack("QQQQ", *flags, propagation, 0)
    arguments = (_AT_FDCWD, path.encode(), _AT_RECURSIVE if is_read_only else 0, attributes, len(attributes))
    _check(_syscall(_MOUNT_SETATTR, *arguments), f"making {path} read-only")


def _mount_tmpfs(path: str, flags: int, options: str) -> None:
    done = _libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", ctypes.c_ulong(flags), options.encode())
    _check(done, f"mounting a private {path}")


def _open_tree(path: str) -> int:
    """A copy of the mount that shows `path`, which is seen nowhere yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return _check(_syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags), f"keeping {path}")


def _attach(tree: int, path: str) -> None:
    """Show that copy at `path`, which is made for it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
    _show(tree, path)


def _show(tree: int, path: str) -> None:
    """Show that copy over what is at `path`."""
    arguments = (tree, b"", _AT_FDCWD, os.fsencode(path), _MOVE_MOUNT_F_EMPTY_PATH)
    _check(_syscall(_MOVE_MOUNT, *arguments), f"keeping {path}")
    os.close(tree)


def _copy(source: str, target: str, there: set[str]) -> None:
    """Copy folders, files and links, but for what is `there` already."""
    import shutil

    def present(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if f"{target}{folder.removeprefix(source)}/{name}" in there]

    def copy(file: str, to: str) -> None:
        if stat.S_ISREG(os.stat(file).st_mode):  # a pipe or a socket means nothing without who made it
            shutil.copy2(file, to)

    shutil.copytree(source, target, symlinks=True, ignore=present, copy_function=copy, dirs_exist_ok=True)


def _make_devices(devices: dict[str, int]) -> None:
    """A /dev with the devices of every container and no shm: Lambda has none, so that semaphores fail there."""
    _mount_tmpfs("/dev", _MS_NOSUID | _MS_NOEXEC, "mode=755,size=64k")
    for name, tree in devices.items():
        _attach(tree, f"/dev/{name}")
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")
    _set_mount("/dev")


def _drop_capabilities() -> None:
    """capabilities(7), for good: no program that is run from here on gives any back."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    header, nothing = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    _check(_libc.capset(header, nothing), "dropping capabilities")


class _Kept:
    """What of `keep` lies below `top`: real paths, outermost only, and the symbolic links that lead to them."""

    def __init__(self, top: str, keep: tuple[str, ...]) -> None:
        self._inside = os.path.join(top, "")
        self.links: dict[str, str] = {}
        reached = {self._follow(path) for path in keep}
        if top in reached:
            raise OSError(errno.EINVAL, f"keeping {top}: it becomes the function's own, so nothing else can be there")
        paths = sorted(path for path in reached if path.startswith(self._inside))
        self.paths = [path for path in paths if not _is_below_one(path, paths)]
        self.links = {path: target for path, target in self.links.items() if not _is_below_one(path, paths)}

    def _follow(self, path: str) -> str:
        """The real path, noting each link below `top` on the way."""
        rest, real, links = path.split("/")[::-1], "/", 0
        while rest:
            real = os.path.normpath(os.path.join(real, rest.pop()))
            if os.path.islink(real):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, f"keeping {path}: {os.strerror(errno.ELOOP)}")
                target = os.readlink(real)
                if real.startswith(self._inside):
                    self.links[real] = target
                real = "/" if target.startswith("/") else os.path.dirname(real)
                rest += target.split("/")[::-1]
        return real


def _is_below_one(path: str, folders: list[str]) -> bool:
    return any(path.startswith(os.path.join(folder, "")) for folder in folders)


# landlock(7)


def _enter_landlock(folders: tuple[str, ...]) -> None:
    version = _check(_syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION), "looking for Landlock")
    rights = _LANDLOCK_WRITES
    for since, right in _LANDLOCK_LATER.items():
        rights |= right if version >= since else 0
    ruleset = _check(_syscall(_LANDLOCK_CREATE_RULESET, struct.pack("Q", rights), 8, 0), "using Landlock")
    for folder in folders:
        _allow(ruleset, folder, rights)
    for device in (f"/dev/{name}" for name in _DEVICES):
        if os.path.exists(device):
            _allow(ruleset, device, rights & (_LANDLOCK_WRITE_FILE | _LANDLOCK_TRUNCATE))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _check(_syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0), "using Landlock")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, place)
        _check(_syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_PATH_BENEATH, rule, 0), f"allowing writes to {path}")
    finally:
        os.close(place)


# the C library


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    """Integers as long as registers: the function takes any number of arguments of any type."""
    longs = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result: int = _libc.syscall(ctypes.c_long(number), *longs)
    return result


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))), f"prctl {option}")


def _check(result: int, doing: str, hints: dict[int, str] | None = None) -> int:
    if result >= 0:
        return result
    code = ctypes.get_errno()
    hint = (hints or {}).get(code, "")
    raise OSError(code, f"{doing}: {os.strerror(code)}" + (f" ({hint})" if hint else ""))
