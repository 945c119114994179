"""A network namespace in which every address of the internet, public or not, is this machine.

Run as a program, with a plan as JSON on stdin: it enters namespaces of its own (user, mount, network), has all
addresses routed to the loopback device, /etc/resolv.conf name its own name server, and a web server listen on the ports
80 and 443 of every address. There it runs the plan's command, and then writes as JSON what came in:

    {"zone": {"pictures.net": [["8.8.8.8"]]}, "pages": {"http://8.8.8.8/a.png": "HTTP/1.1 200 ..."}, "command": [...]}
    -> {"status": 0, "output": "...", "errors": "...", "connections": ["8.8.8.8"], "asked": {"pictures.net": 1}}

`connections` are the addresses that were connected to, one for each connection, in order.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from http_servers import answer, context, read
from name_server import NameServer

# linux/sched.h, sys/mount.h, linux/sockios.h, linux/if.h, linux/rtnetlink.h, linux/netlink.h
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x0002_0000, 0x1000_0000, 0x4000_0000
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_RTM_NEWROUTE, _RTN_LOCAL, _RT_TABLE_LOCAL, _RTPROT_BOOT, _RTA_OIF = 24, 2, 255, 3, 4
_NLM_F_REQUEST_ACK_CREATE = 1 | 4 | 0x400
_LOOPBACK = 1  # the index of the device

_libc = ctypes.CDLL(None, use_errno=True)


def _check(done: int, doing: str) -> None:
    if done != 0:
        raise OSError(ctypes.get_errno(), doing)


def enter(resolver: Path) -> None:
    """Enter the namespaces. `resolver` becomes /etc/resolv.conf."""
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")
    _check(_libc.mount(bytes(resolver), b"/etc/resolv.conf", None, _MS_BIND, None), "mount")
    _start_loopback()
    _route_everything(socket.AF_INET, scope=254)
    _route_everything(socket.AF_INET6, scope=0)


def _start_loopback() -> None:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _route_everything(family: int, scope: int) -> None:
    """`ip route add local default dev lo`: what is sent to any address arrives here."""
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _RT_TABLE_LOCAL, _RTPROT_BOOT, scope, _RTN_LOCAL, 0)
    body += struct.pack("=HHI", 8, _RTA_OIF, _LOOPBACK)
    message = struct.pack("=IHHII", 16 + len(body), _RTM_NEWROUTE, _NLM_F_REQUEST_ACK_CREATE, 1, 0) + body
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as kernel:
        kernel.send(message)
        _check(-struct.unpack_from("=i", kernel.recv(4_096), 16)[0], "adding a route")


class Web:
    """Answers on the ports 80 and 443 of every address with the page of the URL there, else with 404.

    A URL has the address, not the name, in it; one without a path is for all paths.
    """

    def __init__(self, pages: dict[str, str], certificate: Path) -> None:
        self._pages = pages
        self.connections: list[str] = []
        secure = context(certificate)
        for port, tls in ((80, None), (443, secure)):
            listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
            threading.Thread(target=self._accept, args=(listener, tls), daemon=True).start()

    def _accept(self, listener: socket.socket, tls: Any) -> None:
        while True:
            connection, _ = listener.accept()
            address = connection.getsockname()[0].removeprefix("::ffff:")
            self.connections.append(address)
            threading.Thread(target=self._serve, args=(connection, address, tls), daemon=True).start()

    def _serve(self, connection: socket.socket, address: str, tls: Any) -> None:
        with contextlib.suppress(OSError), connection:
            wrapped = tls.wrap_socket(connection, server_side=True) if tls else connection
            with wrapped, wrapped.makefile("rb") as reader:
                request = read(reader, 1)
                assert request is not None
                base = f"{'https' if tls else 'http'}://{f'[{address}]' if ':' in address else address}"
                page = self._pages.get(f"{base}{request.target}") or self._pages.get(base)
                wrapped.sendall(page.encode("latin-1") if page else answer(404, b""))


def main() -> None:
    plan = json.load(sys.stdin)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
        resolver.flush()
        enter(Path(resolver.name))
    names = NameServer(plan["zone"], port=53)
    web = Web(plan["pages"], Path(plan["certificate"]))
    done = subprocess.run(plan["command"], input=plan["input"], capture_output=True, text=True)
    told = {"status": done.returncode, "output": done.stdout, "errors": done.stderr}
    json.dump({**told, "connections": web.connections, "asked": names.asked}, sys.stdout)


if __name__ == "__main__":
    main()
