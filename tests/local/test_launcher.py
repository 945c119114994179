"""Real processes by a real launcher, on both event loops: what they get, how they end, and that none stays."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop

from conftest import write
from pilotlight.local.launcher import Launcher, LoadFailed, Order, Plan

SOURCE = str(Path(__file__).parents[2] / "src")
VARIABLES = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
NONE = Plan("none", 8, "/tmp", ())
Run = Callable[[Coroutine[Any, Any, None]], None]

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="isolation, /proc and parents that take along are Linux's"
)


@pytest.fixture(params=[uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    return lambda main: request.param(asyncio.wait_for(main, 60))


class Ended(NamedTuple):
    pid: int
    status: int
    output: str


def order(*command: str, plan: Plan = NONE, root: str = "/", **variables: str) -> Order:
    return Order(command, {**VARIABLES, **variables}, root, plan)


class Running:
    """A process that a launcher has started, and what it writes."""

    def __init__(self) -> None:
        self.pid = 0
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._output, self._writer = os.pipe()

    async def start(self, launcher: Launcher, order: Order) -> "Running":
        try:
            self.pid = await launcher.launch(order, self._writer, self._exited)
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(self._writer)
        return self

    def _exited(self, status: int) -> None:
        assert self.pid, "before launch had returned"
        self.status.set_result(status)  # a second call raises

    async def line(self) -> str:
        """The next line that it writes."""
        text = b""
        while not text.endswith(b"\n"):
            part = await asyncio.to_thread(os.read, self._output, 1)
            assert part, "it has ended"
            text += part
        return text.decode().strip()

    async def end(self) -> Ended:
        status = await self.status
        with open(self._output) as file:
            return Ended(self.pid, status, file.read())


async def start(launcher: Launcher, order: Order) -> Running:
    return await Running().start(launcher, order)


async def launched(launcher: Launcher, *command: str, **more: Any) -> Ended:
    return await (await start(launcher, order(*command, **more))).end()


def script(launched: str) -> list[str]:
    return [sys.executable, "-c", launched]


def with_launcher(run: Run, main: Callable[[Launcher], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        launcher = await Launcher.start(sys.executable)
        try:
            await main(launcher)
        finally:
            await launcher.close()

    run(whole())


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter when it goes between opening and reading
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_gone(*pids: int) -> None:
    """Fails by the test's own limit when one stays."""
    while any(map(is_alive, pids)):
        time.sleep(0.01)


# what a process gets


def test_command_variables_and_folder(run: Run, tmp_path: Path) -> None:
    code = "import os, sys; print(sorted(os.environ.items())); print(os.getcwd()); print(os.getsid(0) == os.getpid())"

    async def main(launcher: Launcher) -> None:
        program = Order((sys.executable, "-c", code), {"A": "ü\n", "LC_ALL": "C.UTF-8"}, str(tmp_path), NONE)
        ended = await (await start(launcher, program)).end()
        assert ended.output == f"{[('A', 'ü' + chr(10)), ('LC_ALL', 'C.UTF-8')]}\n{tmp_path}\nTrue\n"
        assert ended.status == 0

    with_launcher(run, main)


def test_output_is_both_streams_and_input_is_empty(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        assert (await launched(launcher, "sh", "-c", "cat; echo out; echo err >&2")).output == "out\nerr\n"

    with_launcher(run, main)


@on_linux
def test_no_descriptor_leaks(run: Run) -> None:
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)

    async def main(launcher: Launcher) -> None:
        others = [await start(launcher, order("sleep", "60")) for _ in range(3)]
        assert (await launched(launcher, "sh", "-c", "ls /proc/$$/fd")).output.split() == ["0", "1", "2"]
        for other in others:
            os.kill(other.pid, signal.SIGKILL)
            await other.end()

    try:
        with_launcher(run, main)
    finally:
        os.close(inherited)


def test_signals_are_as_a_program_expects_them(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        # ignored, the writer would complain instead of being ended
        assert (await launched(launcher, "sh", "-c", "yes | head -1; echo done")).output == "y\ndone\n"

    with_launcher(run, main)


def test_groups_that_a_process_joins(run: Run, tmp_path: Path) -> None:
    groups = (str(tmp_path / "one"), str(tmp_path / "two"))
    for group in groups:
        Path(group).touch()

    async def main(launcher: Launcher) -> None:
        await (await start(launcher, order("true")._replace(cgroups=groups))).end()
        assert [Path(group).read_text() for group in groups] == ["0"] * 2

    with_launcher(run, main)


@on_linux
def test_what_a_process_leaves_in_its_group_ends_with_it(run: Run, tmp_path: Path) -> None:
    """By the launcher: when the server was killed, a process may end before the launcher hears of that."""
    (tmp_path / "tasks").touch()

    async def main(launcher: Launcher) -> None:
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as left:
            (tmp_path / "cgroup.procs").write_text(f"{left.pid}\n")
            await (await start(launcher, order("true")._replace(cgroups=(str(tmp_path / "tasks"),)))).end()
            assert await asyncio.to_thread(left.wait) == -signal.SIGKILL

    with_launcher(run, main)


# how it ends


@pytest.mark.parametrize(
    ("program", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15)]
)
def test_statuses(run: Run, program: str, status: int) -> None:
    async def main(launcher: Launcher) -> None:
        assert (await launched(launcher, "sh", "-c", program)).status == status

    with_launcher(run, main)


def test_what_cannot_be_executed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")

    async def failure(launcher: Launcher, order: Order) -> tuple[type[OSError], str | None]:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            await start(launcher, order)
        return type(caught.value), caught.value.strerror

    async def main(launcher: Launcher) -> None:
        missing, text = str(tmp_path / "missing"), str(tmp_path / "text")
        absent = (FileNotFoundError, f"No such file or directory: {missing}")
        assert await failure(launcher, order(missing)) == absent
        assert await failure(launcher, order(text)) == (PermissionError, f"Permission denied: {text}")
        assert await failure(launcher, order("true", root=missing)) == absent
        assert await failure(launcher, order("true")._replace(cgroups=(missing + "/procs",))) == (
            FileNotFoundError,
            f"No such file or directory: {missing}/procs",
        )
        assert "embedded null" in str(await failure(launcher, order("true", root="/\0")))
        assert await failure(launcher, order()) == (OSError, "no command to execute")
        assert (await launched(launcher, "echo", "still there")).output == "still there\n"

    with_launcher(run, main)


def test_fifty_at_once(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        ended = await asyncio.gather(*(launched(launcher, "sh", "-c", f"echo {n}; exit {n}") for n in range(50)))
        assert [(one.status, one.output) for one in ended] == [(n, f"{n}\n") for n in range(50)]
        assert len({one.pid for one in ended}) == 50

    with_launcher(run, main)


def test_orders_larger_than_the_socket_holds(run: Run) -> None:
    large = "x" * 100_000  # below what one variable may have

    async def main(launcher: Launcher) -> None:
        command = ("sh", "-c", "echo ${#LARGE} ${#OTHER}")
        ended = await asyncio.gather(*(launched(launcher, *command, LARGE=large, OTHER=large) for _ in range(20)))
        assert [one.output for one in ended] == ["100000 100000\n"] * 20

    with_launcher(run, main)


def test_nobody_waits_for_it_any_more(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        task = asyncio.ensure_future(start(launcher, order("sleep", "60")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await launched(launcher, "echo", "next")).output == "next\n"
        await launcher.close()
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        assert not children.exists() or str(launcher.pid) not in children.read_text().split()

    with_launcher(run, main)


# how all end

FAMILY = "sleep 60 & echo $!; wait"  # a process that has started another, whose id it writes


@on_linux
def test_closing_ends_everything(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        running = await start(launcher, order("sh", "-c", FAMILY))
        grandchild = int(await running.line())
        await launcher.close()
        assert (await running.end()).status == -signal.SIGKILL
        wait_until_gone(launcher.pid, running.pid, grandchild)
        assert not launcher.is_running
        with pytest.raises(ChildProcessError, match="the process that starts environments has ended"):
            await start(launcher, order("true"))
        with pytest.raises(ChildProcessError):
            await launcher.probe()

    with_launcher(run, main)


@on_linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_launcher_dies(run: Run, number: int) -> None:
    async def main(launcher: Launcher) -> None:
        running = await start(launcher, order("sh", "-c", FAMILY))
        grandchild = int(await running.line())
        os.kill(launcher.pid, number)
        assert (await running.end()).status == -signal.SIGKILL
        wait_until_gone(launcher.pid, running.pid, grandchild)
        with pytest.raises(ChildProcessError):
            await start(launcher, order("true"))

    with_launcher(run, main)


@on_linux
def test_the_launcher_dies_while_it_is_asked(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        os.kill(launcher.pid, signal.SIGSTOP)
        asking = [asyncio.ensure_future(start(launcher, order("true"))) for _ in range(5)]
        await asyncio.sleep(0.01)
        os.kill(launcher.pid, signal.SIGKILL)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ChildProcessError] * 5

    with_launcher(run, main)


SERVER = """
import asyncio, os, sys
from pilotlight.local.launcher import Launcher, Order, Plan

async def main():
    launcher = await Launcher.start(sys.executable)
    command = ("sh", "-c", "sleep 60 & echo $!; wait")
    output = os.dup(1)
    order = Order(command, {"PATH": os.environ["PATH"]}, "/", Plan("none", 8, "/tmp", ()))
    pids = [await launcher.launch(order, output, lambda status: None) for _ in range(3)]
    line = " ".join(map(str, [launcher.pid, *pids]))
    os.write(1, line.encode() + b"\\n")  # in one write: the commands write to the same pipe
    await asyncio.sleep(60)

asyncio.run(main())
"""


@on_linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_the_server_dies(number: int) -> None:
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(script(SERVER), stdout=subprocess.PIPE, text=True, env=environ) as server:
        assert server.stdout is not None
        pids = [int(pid) for _ in range(4) for pid in server.stdout.readline().split()]
        assert len(pids) == 7
        assert all(map(is_alive, pids))
        server.send_signal(number)
        wait_until_gone(*pids)


LEAVING = """
import subprocess, sys
child = subprocess.Popen(["setsid", "sh", "-c", "echo $$; exec sleep 60"])
child.wait() if sys.argv[1] == "stays" else None
"""


@on_linux
@pytest.mark.parametrize("end", ["stays", "ends"])
def test_closing_ends_what_has_left_its_session(run: Run, end: str) -> None:
    async def main(launcher: Launcher) -> None:
        running = await start(launcher, order(sys.executable, "-c", LEAVING, end))
        child = int(await running.line())
        if end == "ends":
            assert await running.status == 0
            assert is_alive(child)  # the environment's group would end it; here there is none
        await launcher.close()
        await running.end()
        wait_until_gone(child)

    with_launcher(run, main)


@on_linux
def test_orphans_that_end_are_no_zombies(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        running = await start(launcher, order("sh", "-c", "setsid sleep 0.2 &"))
        assert (await running.end()).status == 0  # its output ends when the orphan has ended too
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
        while children.exists() and children.read_text():
            await asyncio.sleep(0.01)

    with_launcher(run, main)


def switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("voluntary_ctxt_switches")))


@on_linux
def test_a_child_that_is_frozen_and_thawed_wakes_nobody(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        running = await start(launcher, order("sleep", "60"))
        before = switches(launcher.pid)
        for number, states in [(signal.SIGSTOP, "T"), (signal.SIGCONT, "SRD")] * 20:
            os.kill(running.pid, number)
            while Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0] not in states:
                await asyncio.sleep(0.001)
        assert switches(launcher.pid) - before < 20  # each of the 40 would be one

    with_launcher(run, main)


# isolation


@on_linux
def test_the_level_that_works_here(run: Run) -> None:
    async def main(launcher: Launcher) -> None:
        level = await launcher.probe()
        plan = Plan(level, 8, "/tmp", ("/usr",))
        ended = await launched(launcher, "sh", "-c", "touch /var/tmp/pilotlight-test", plan=plan)
        assert (ended.status == 0) == (level == "none")
        assert is_alive(launcher.pid)

    with_launcher(run, main)


@on_linux
def test_a_kernel_that_has_no_namespaces_left(tmp_path: Path) -> None:
    refusing = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    code = (
        "import asyncio, sys\nfrom pilotlight.local.launcher import Launcher\n"
        "async def main():\n    launcher = await Launcher.start(sys.executable)\n"
        "    print(await launcher.probe())\n    await launcher.close()\nasyncio.run(main())"
    )
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", refusing, "sh", *script(code)]
    environ = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert done.stdout in ("landlock\n", "none\n"), done.stderr


@on_linux
def test_isolated_processes_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    program = "id -u; cat file; touch new 2> /dev/null || echo refused; [ -e /tmp/x ] || echo new; echo > /tmp/x"

    async def main(launcher: Launcher) -> None:
        plan = Plan("namespace", 8, str(tmp_path), (str(tmp_path),))
        many = [launched(launcher, "sh", "-c", program, plan=plan, root=str(tmp_path)) for _ in range(20)]
        assert {one.output for one in await asyncio.gather(*many)} == {"993\nminerefused\nnew\n"}
        with pytest.raises(FileNotFoundError, match="keeping /tmp/pilotlight-none: No such file or directory"):
            await start(launcher, order("true", plan=plan._replace(keep=("/tmp/pilotlight-none",))))

    with_launcher(run, main)


# a launcher that has loaded a function


class RuntimeApi(ThreadingHTTPServer):
    """The Runtime API's wire side for one environment and one event; `answers` is what it was given."""

    daemon_threads = True

    def __init__(self, event: object) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.event: object | None = event
        self.answers: list[Any] = []
        self.answered = threading.Event()
        self.address = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        assert isinstance(sys.exc_info()[1], ConnectionError)  # the environment was killed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        event, self.server.event = self.server.event, None
        if event is None:
            self.rfile.read(1)  # until the environment is stopped
            return
        self._reply(200, json.dumps(event).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.answers.append(body)
        self._reply(202, b"{}")
        self.server.answered.set()

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Lambda-Runtime-Aws-Request-Id", "00000000-0000-0000-0000-000000000001")
        self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def runtime_api() -> Iterator[Callable[[object], RuntimeApi]]:
    servers: list[RuntimeApi] = []

    def make(event: object) -> RuntimeApi:
        servers.append(RuntimeApi(event))
        return servers[-1]

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


FUNCTION = """
    import os, signal, sys, threading

    loaded = {"pid": os.getpid(), "variables": sorted(os.environ), "file": open(__file__)}
    table = bytearray(b"x") * 32_000_000
    print("loading", end="")  # left in the buffer

    def shared():
        with open("/proc/self/smaps_rollup") as file:
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in file.readlines()[1:]}
        return sizes["Pss"] < sizes["Rss"] - 15_000

    def handler(event, context):
        print("handling", event)
        return {
            "loaded_by": loaded["pid"], "pid": os.getpid(), "variables": loaded["variables"], "is_shared": shared(),
            "now": os.environ["NOW"], "gone": os.environ.get("BEFORE"), "cwd": os.getcwd(),
            "table": len(table), "reads": len(os.pread(loaded["file"].fileno(), 9, 0)) == 9, "uid": os.getuid(),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "signal": signal.getsignal(signal.SIGCHLD), "wakeup": signal.set_wakeup_fd(-1),
            "session": os.getsid(0) == os.getpid(),
        }
"""


def loading(root: Path, **more: str) -> dict[str, str]:
    return {**VARIABLES, "PYTHONPATH": SOURCE, "_HANDLER": "qa.handler", "LAMBDA_TASK_ROOT": str(root), **more}


@on_linux
@pytest.mark.parametrize("level", ["none", "namespace", "landlock"])
def test_forks_of_a_function(run: Run, tmp_path: Path, runtime_api: Callable[[object], RuntimeApi], level: Any) -> None:
    write(tmp_path, {"qa.py": FUNCTION})
    apis = [runtime_api({"number": number}) for number in range(3)]
    before = loading(tmp_path, BEFORE="1")
    plan = Plan(level, 8, str(tmp_path), (str(tmp_path), SOURCE))
    log = (tmp_path / "log").open("w+")

    async def answers(launcher: Launcher) -> list[Ended]:
        running = []
        for api in apis:
            variables = {**loading(tmp_path), "AWS_LAMBDA_RUNTIME_API": api.address, "NOW": api.address}
            running.append(await start(launcher, Order((), variables, str(tmp_path), plan)))
        for api in apis:
            await asyncio.to_thread(api.answered.wait, 30)
        await launcher.close()
        return [await one.end() for one in running]

    async def main() -> None:
        launcher = await Launcher.start(sys.executable, before, tmp_path, log.fileno(), loads=True)
        try:
            ended = await answers(launcher)
        finally:
            await launcher.close()
        assert [(one.status, one.output) for one in ended] == [(-9, f"handling {{'number': {n}}}\n") for n in range(3)]
        for api, one in zip(apis, ended, strict=True):
            assert api.answers == [
                {
                    "loaded_by": launcher.pid,
                    "pid": one.pid,
                    "variables": sorted(before),
                    "now": api.address,
                    "gone": None,
                    "cwd": str(tmp_path),
                    "table": 32_000_000,
                    "reads": True,
                    "uid": 993 if level == "namespace" else os.getuid(),
                    "descriptors": 6,  # the three, the function's file, its connection, and this listing
                    "signal": 0,  # as the function had it, the default
                    "wakeup": -1,
                    "session": True,
                    "is_shared": True,
                }
            ]

    with log:
        run(main())
        log.seek(0)
        assert log.read() == "loading"


ISOLATED = """
    import os

    def attempt(path):
        try:
            with open(path, "w") as file:
                file.write("written by init")
        except OSError as error:
            return error.strerror
        return "done"

    loading = [attempt(path) for path in ("new", "/var/tmp/pilotlight-test", "/tmp/model")]
    os.makedirs("/tmp/deep/er")
    os.symlink("../model", "/tmp/deep/link")
    os.chmod("/tmp/deep", 0o700)
    os.mkfifo("/tmp/pipe")

    def handler(event, context):
        with open("/tmp/deep/link", "r+") as file:
            model = file.read()
            file.write(", and by one fork")
        size = os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize >> 20
        mode = oct(os.stat("/tmp/deep").st_mode)
        return [loading, attempt("new"), attempt("/var/tmp/x"), model, mode, os.getcwd(), size, os.getuid()]
"""


@on_linux
def test_the_init_phase_is_isolated_too(run: Run, tmp_path: Path, runtime_api: Callable[[object], RuntimeApi]) -> None:
    write(tmp_path, {"qa.py": ISOLATED})
    apis = [runtime_api({}) for _ in range(2)]
    (tmp_path / "tasks").touch()
    plan = Plan("namespace", 8, str(tmp_path), (str(tmp_path), SOURCE))

    async def main() -> None:
        variables = loading(tmp_path, PYTHONDONTWRITEBYTECODE="1")
        launcher = await Launcher.start(sys.executable, variables, tmp_path, loads=True, plan=plan)
        running: list[Running] = []
        try:
            for api in apis:
                order = Order((), {**variables, "AWS_LAMBDA_RUNTIME_API": api.address}, str(tmp_path), plan)
                running.append(await start(launcher, order._replace(cgroups=(str(tmp_path / "tasks"),))))
                await asyncio.to_thread(api.answered.wait, 30)
        finally:
            await launcher.close()
        for one in running:
            await one.end()
        assert (tmp_path / "tasks").read_text() == "0"
        refused = "Read-only file system"
        answer = [[refused, refused, "done"], refused, refused, "written by init"]
        answer += ["0o40700", str(tmp_path), 8, 993]
        assert [api.answers for api in apis] == [[answer]] * 2

    run(main())
    assert not Path("/tmp/model").exists()


@on_linux
def test_an_init_phase_that_cannot_be_isolated(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        plan = Plan("namespace", 8, "/tmp", ("/tmp/pilotlight-none",))
        with pytest.raises(FileNotFoundError, match="keeping /tmp/pilotlight-none: No such file or directory"):
            await Launcher.start(sys.executable, loading(tmp_path), tmp_path, loads=True, plan=plan)

    run(main())


@on_linux
def test_a_function_with_threads(run: Run, tmp_path: Path, runtime_api: Callable[[object], RuntimeApi]) -> None:
    code = """
        import threading
        threading.Thread(target=threading.Event().wait).start()  # it would keep a process from ending

        def handler(event, context):
            return threading.active_count()
    """
    write(tmp_path, {"qa.py": code})
    api = runtime_api({})
    variables = loading(tmp_path, AWS_LAMBDA_RUNTIME_API=api.address, PYTHONWARNINGS="error")
    plan = Plan("namespace", 8, str(tmp_path), (str(tmp_path), SOURCE))

    async def main() -> None:
        launcher = await Launcher.start(sys.executable, variables, tmp_path, loads=True)
        running = await start(launcher, Order((), variables, str(tmp_path), plan))
        await asyncio.to_thread(api.answered.wait, 30)
        await launcher.close()
        assert (await running.end()).output == ""
        assert api.answers == [1]
        wait_until_gone(launcher.pid, running.pid)

    run(main())


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("raise ValueError('no model')", "ValueError", "no model"),
        ("import nothing_like_it", "Runtime.ImportModuleError", "Unable to import module 'qa'"),
        ("import os; os._exit(3)", "Runtime.ExitError", "Error: Runtime exited with error: exit status 3"),
        ("import sys; sys.exit()", "Runtime.ExitError", "Error: Runtime exited without providing a reason"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "Runtime.ExitError",
            "Error: Runtime exited with error: signal: killed",
        ),
    ],
)
def test_a_function_that_cannot_be_loaded(run: Run, tmp_path: Path, code: str, kind: str, message: str) -> None:
    write(tmp_path, {"qa.py": code})
    read, output = os.pipe()

    async def main() -> None:
        with pytest.raises(LoadFailed) as caught:
            await Launcher.start(sys.executable, loading(tmp_path), tmp_path, output, loads=True)
        failure: Mapping[str, str] = json.loads(caught.value.payload)
        assert (failure["errorType"], failure["errorMessage"][: len(message)]) == (kind, message)

    run(main())
    os.close(output)
    with open(read) as file:
        assert ("[ERROR]" in file.read()) == (kind != "Runtime.ExitError")


@on_linux
def test_a_load_that_takes_too_long(run: Run, tmp_path: Path) -> None:
    write(tmp_path, {"qa.py": "import os, time\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(60)"})
    read, output = os.pipe()

    async def main() -> None:
        starting = asyncio.ensure_future(
            Launcher.start(sys.executable, loading(tmp_path), tmp_path, output, loads=True)
        )
        pid = int(await asyncio.to_thread(os.read, read, 100))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        wait_until_gone(pid)

    run(main())
    os.close(output)
    os.close(read)


def test_a_launcher_that_cannot_start(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await Launcher.start(tmp_path / "python")
        with pytest.raises(ChildProcessError, match="the launcher could not start"):
            await Launcher.start("/bin/true")

    run(main())


def test_nothing_is_left_open(run: Run) -> None:
    before = len(os.listdir("/dev/fd"))

    async def main(launcher: Launcher) -> None:
        await launched(launcher, "true")
        await launcher.probe()

    for _ in range(3):
        with_launcher(run, main)
    assert len(os.listdir("/dev/fd")) == before
