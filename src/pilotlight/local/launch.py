"""The process that forks: it starts every process of an environment, isolated, and tells when it ends.

    python -c "from pilotlight.local.launch import main; main(SOCKET, SERVER)"

One thread, few modules and little memory, so that a fork is quick; a thread of the server's would make it unsafe. With
`loads` it has loaded a function, and its forks go on with that. What it is told and what it tells are lines of JSON on
a Unix socket; with each order comes the descriptor that the new process writes to. `launcher.py` is the other end.

    -> [number, "launch", order] | [number, "probe", order]
    <- ["ready"] | ["unloaded", error] | ["refused", errno, text] | ["launched", number, pid]
     | ["failed", number, errno, text] | ["answered", number, level] | ["exited", pid, status]
"""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pilotlight.function import trace
from pilotlight.local import isolation, offspring

if TYPE_CHECKING:
    from pilotlight.function.runtime import Handler

_SIZE = 65_536
_MAX_OPEN = 65_536  # more than a server has
_MAX_DESCRIPTORS = 64  # that one read may bring: more than there are orders in so many bytes
_THREADS_LOST = (
    "[WARN] Threads that the init phase has left running: {count}. Environments are forks of its process here and do "
    "not have them; on Lambda they would. Start them in a hook of snapshot_restore_py.register_after_restore, or do "
    "without --fork-server and snapstart. (A Session of several threads is loaded anew by each fork.)\n"
)


class Order(NamedTuple):
    """A process to start. Without a command it goes on with the function that the launcher has loaded.

    `root` is its working directory. It joins its groups by writing to the files `cgroups`, before anything else.
    """

    command: tuple[str, ...]
    variables: Mapping[str, str]
    root: str
    plan: isolation.Plan
    cgroups: tuple[str, ...] = ()


def decode(fields: list[Any]) -> Order:
    """An order as JSON gives it back."""
    command, variables, root, plan, cgroups = fields
    return Order(tuple(command), variables, root, isolation.Plan(*plan), tuple(cgroups))


def main(
    control: int, server: int, loads: bool = False, plan: tuple[Any, ...] = (), cgroups: tuple[str, ...] = ()
) -> None:
    """Serve orders from the socket `control` until it is closed. `server` is the process at its other end.

    With `plan`, a function's init phase is isolated too, as far as its forks can still be isolated on their own, in the
    groups that are joined by `cgroups`.
    """
    os.closerange(3, control)  # uvloop passes on all that the server may have inherited itself
    os.closerange(control + 1, _MAX_OPEN)
    os.set_inheritable(control, False)
    connection = socket.socket(fileno=control)
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    is_isolated = _isolate_load(connection, host, isolation.Plan(*plan), cgroups) if plan else False
    if isolation.die_with_parent(server):  # nobody would see the socket's end while a function loads
        os._exit(0)
    handler = _load(connection) if loads else None
    isolation.outlive_parent()
    order = _Launcher(connection, loads, host, is_isolated, cgroups).serve()
    if order is None:
        os._exit(0)  # without the function's threads and exit handlers
    _go_on(order, handler)


def _isolate_load(connection: socket.socket, host: int, plan: isolation.Plan, cgroups: tuple[str, ...]) -> bool:
    is_isolated = plan.level == "namespace"  # what Landlock forbids is forbidden to forks too, and their own folders
    root = os.getcwd()
    try:
        for path in cgroups:
            _join(host, path)
        if is_isolated:
            isolation.enter(plan, forks=True)
            os.chdir(root)
    except OSError as error:
        failure = _failure(error)
        _send(connection, "refused", failure["errno"], failure["text"])
        os._exit(1)
    return is_isolated


def _join(host: int, path: str) -> None:
    try:
        entry = os.open(path.lstrip("/"), os.O_WRONLY | os.O_CLOEXEC, dir_fd=host)
        os.write(entry, b"0")
        os.close(entry)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _load(connection: socket.socket) -> "Handler":
    import gc

    from pilotlight.function import runtime

    try:
        handler = runtime.initialise(os.environ)
    except Exception as error:  # the boundary to user code: whatever its import raised is an init error
        from pilotlight.function import failures, snapstart

        cause = error.__cause__ or error if isinstance(error, snapstart.HookError) else error
        failures.write(cause)
        _send(connection, "unloaded", failures.describe(cause))
        os._exit(1)
    _warn_of_threads()
    gc.freeze()  # a collection in a fork would write to all that is shared
    return handler


def _warn_of_threads() -> None:
    """Count after a fork: libraries that know of forks, such as OpenBLAS, have ended their threads before it and start
    them again when they need them."""
    pid = _fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with contextlib.suppress(FileNotFoundError):  # only Linux has it
        count = len(os.listdir("/proc/self/task")) - 1
        if count:
            sys.stdout.write(_THREADS_LOST.format(count=count))
            _flush()


def _go_on(order: Order, handler: "Handler | None") -> NoReturn:
    """Be the function's process, in a fork of the process that loaded it."""
    from pilotlight.function import runtime

    assert handler is not None
    os.environ.clear()
    os.environ.update(order.variables)
    if "tempfile" in sys.modules:
        vars(sys.modules["tempfile"])["tempdir"] = None  # it has kept the folder of the process that was forked
    runtime.run(handler)


def _send(connection: socket.socket, *message: object) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads, or the function has closed it
            stream.flush()


class _Newborn(NamedTuple):
    """A fork that is not yet what was ordered. Its report ends when it is; why it never will be comes before that."""

    number: int
    pid: int
    is_probe: bool


class _Launcher:
    def __init__(
        self, connection: socket.socket, has_function: bool, host: int, is_isolated: bool, cgroups: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._has_function = has_function
        self._host = host  # the root as the host sees it, where groups can be written
        self._is_isolated = is_isolated
        self._pid = os.getpid()
        self._null = os.open(os.devnull, os.O_RDONLY)
        self._buffer = b""
        self._outputs: list[int] = []  # of orders that are not complete yet
        self._newborn: dict[int, _Newborn] = {}  # by the descriptor of the report
        self._children: set[int] = set()
        self._groups = {self._pid: cgroups}  # of the launcher and of each child
        self._launched: set[int] = set()  # those of them that the server knows of
        self._wakeup, self._woken = os.pipe()
        self._poll = select.poll()

    def serve(self) -> Order | None:
        """None when there is nobody to serve any more. In a fork that goes on with the function: its order."""
        self._catch_signals()
        if not self._has_function:  # which may wait for any child of its own
            offspring.adopt_orphans()
        self._poll.register(self._connection, select.POLLIN)
        self._poll.register(self._wakeup, select.POLLIN)
        order = None
        try:
            _send(self._connection, "ready")
            while order is None:
                order = self._serve_once()
        except (EOFError, ConnectionError):
            self._kill_all()
        return order

    def _serve_once(self) -> Order | None:
        ready = {descriptor for descriptor, _ in self._poll.poll()}
        for report in ready & self._newborn.keys():
            self._tell_of(report)
        if self._wakeup in ready:
            self._reap()
        return self._take_orders() if self._connection.fileno() in ready else None

    def _catch_signals(self) -> None:
        """The end of a child makes `_wakeup` readable. What the function has set is given back to its forks."""
        for end in (self._wakeup, self._woken):
            os.set_blocking(end, False)
        self._handler = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._signalled = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        offspring.ignore_stops()

    def _take_orders(self) -> Order | None:
        data, outputs, _, _ = socket.recv_fds(self._connection, _SIZE, _MAX_DESCRIPTORS)
        for output in outputs:
            os.set_inheritable(output, False)
            self._outputs.append(output)
        if not data:
            raise EOFError
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            number, kind, fields = json.loads(line)
            order = self._fork(number, kind == "probe", decode(fields))
            if order is not None:
                return order
            os.close(self._outputs.pop(0))
        return None

    def _fork(self, number: int, is_probe: bool, order: Order) -> Order | None:
        report, tell = os.pipe()
        _flush()  # else what is buffered is written twice
        try:
            pid = _fork()
        except OSError as error:
            _send(self._connection, "failed", number, error.errno, f"forking: {error.strerror}")
            os.close(report)
            os.close(tell)
            return None
        if pid == 0:
            os.close(report)
            self._become(is_probe, order, tell)
            return order
        os.close(tell)
        self._poll.register(report, select.POLLIN)
        self._newborn[report] = _Newborn(number, pid, is_probe)
        self._children.add(pid)
        self._groups[pid] = order.cgroups
        return None

    def _tell_of(self, report: int) -> None:
        """Say what has become of a newborn: its report has ended, or it has."""
        number, pid, is_probe = self._newborn.pop(report)
        self._poll.unregister(report)
        with open(report, "rb") as file:
            text = json.loads(file.read() or "{}")
        if "errno" in text:
            _send(self._connection, "failed", number, text["errno"], text["text"])
        elif is_probe:
            _send(self._connection, "answered", number, text.get("answer", "none"))
        else:
            self._launched.add(pid)
            _send(self._connection, "launched", number, pid)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup, _SIZE)
        # -1: any child, orphans too. A function that is loaded here may wait itself for what it has started.
        for pid in tuple(self._children) if self._has_function else (-1,):
            self._reap_one(pid)

    def _reap_one(self, pid: int) -> None:
        with contextlib.suppress(ChildProcessError):
            ended, status = os.waitpid(pid, os.WNOHANG)
            while ended:
                if ended in self._children:
                    self._tell_end(ended, os.waitstatus_to_exitcode(status))
                ended, status = os.waitpid(pid, os.WNOHANG)

    def _tell_end(self, pid: int, status: int) -> None:
        for report, newborn in tuple(self._newborn.items()):
            if newborn.pid == pid:
                self._tell_of(report)
        self._children.discard(pid)
        offspring.kill_groups(self._groups.pop(pid), self._host)  # a server that was killed will not do it
        if pid in self._launched:
            self._launched.discard(pid)
            _send(self._connection, "exited", pid, status)

    def _kill_all(self) -> None:
        """The server is gone: nothing that it started is to stay, nor what that has started."""
        for pid in self._children:
            offspring.kill(pid)
        offspring.kill_groups((entry for entries in self._groups.values() for entry in entries), self._host)
        if not self._has_function:
            offspring.kill_adopted()
        offspring.kill(self._pid)  # with what the init phase has left in its group

    # in the fork

    def _become(self, is_probe: bool, order: Order, tell: int) -> None:
        """Be what was ordered, or tell why not and exit. Returns in a fork that goes on with the function."""
        forked = time.monotonic_ns()
        try:
            self._isolate(order)
            if is_probe:
                os.write(tell, json.dumps({"answer": _best_level(order.plan)}).encode())
                os._exit(0)
            if order.command:
                _execute(order, forked)
            if not self._has_function:
                raise OSError(errno.EINVAL, "no command to execute")
            self._let_go(tell)
        except Exception as error:  # whatever it is, the launcher's own code must not go on in two processes
            os.write(tell, json.dumps(_failure(error)).encode())
            os._exit(127)

    def _isolate(self, order: Order) -> None:
        os.setsid()
        for path in order.cgroups:
            _join(self._host, path)
        output = self._outputs[0]
        for source, target in ((self._null, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        isolation.enter(order.plan, carries=self._is_isolated)
        if isolation.die_with_parent(self._pid):
            os._exit(127)
        os.chdir(order.root)

    def _let_go(self, tell: int) -> None:
        """Give back what was the launcher's. The function's own descriptors stay open."""
        signal.set_wakeup_fd(self._signalled)
        signal.signal(signal.SIGCHLD, self._handler or signal.SIG_DFL)
        self._connection.close()
        for descriptor in (*self._outputs, *self._newborn, self._null, self._host, self._wakeup, self._woken, tell):
            os.close(descriptor)


def _fork() -> int:
    with warnings.catch_warnings():  # Python 3.12 warns when the function has threads; on Lambda nobody would
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _execute(order: Order, forked: int) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
        signal.signal(number, signal.SIG_DFL)
    variables = order.variables
    if trace.VARIABLE in variables:
        variables = {**variables, trace.FORK: f"{forked} {time.monotonic_ns()}"}
    os.execvpe(order.command[0], order.command, variables)


def _failure(error: Exception) -> dict[str, object]:
    if isinstance(error, OSError):
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        return {"errno": error.errno, "text": text}
    return {"errno": errno.EINVAL, "text": str(error)}


def _best_level(plan: isolation.Plan) -> isolation.Level:
    """The strongest isolation that works here, found by trying: kernels and containers refuse at different places."""
    levels: tuple[isolation.Level, ...] = ("namespace", "landlock")
    return next((level for level in levels if _works(plan._replace(level=level))), "none")


def _works(plan: isolation.Plan) -> bool:
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(Exception):
            isolation.enter(plan)
            os._exit(0)
        os._exit(1)
    return os.waitpid(pid, 0)[1] == 0
