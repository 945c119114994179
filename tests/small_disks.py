"""File systems of a process's own: a small one, a read-only one. Where the kernel lets users have namespaces, no rights
are needed."""

import ctypes
import os
from pathlib import Path

# linux/sched.h, sys/mount.h
_CLONE_NEWNS, _CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 1 << 12, 1 << 14, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def mount_small(folder: str, size: int) -> None:
    """Have `folder` of this process, which has one thread, take so many bytes and no more. Raises OSError."""
    _enter()
    _check(_libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, f"size={size}".encode()), "mounting")


def mount_read_only(folder: str) -> None:
    """Have `folder` of this process, which has one thread, be as it is and stay so. Raises OSError."""
    _enter()
    path = folder.encode()
    _check(_libc.mount(path, path, None, _MS_BIND | _MS_REC, None), "binding")
    _check(_libc.mount(None, path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY, None), "remounting")


def _enter() -> None:
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unsharing")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "making mounts private")


def _check(done: int, doing: str) -> None:
    if done != 0:
        raise OSError(ctypes.get_errno(), f"{doing}: {os.strerror(ctypes.get_errno())}")
