"""A function is described by a process that has no more rights than an environment has, and that leaves nothing."""

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from conftest import MakeService, RunningServer, write
from pilotlight.local import describe
from pilotlight.local.cgroup import usable
from pilotlight.local.describe import Describer, Description
from pilotlight.local.host import Host
from pilotlight.project import Function

ENDPOINT = """
from pilotlight import endpoint

@endpoint
def handler(number: int) -> int:
    \"\"\"Takes a number.\"\"\"
    return number
"""


def described(function: Function) -> Description:
    async def main() -> Description:
        host = Host("none")
        try:
            return await asyncio.wait_for(describe.describe(function, host), 100)
        finally:
            await host.close()

    return uvloop.run(main())


def processes_with(argument: str) -> list[int]:
    """Those that run, by what is in their command line; Linux alone has /proc."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [pid for pid in pids if argument.encode() in command_line(pid)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def wait_until_gone(argument: str) -> None:
    until = time.monotonic() + 60
    while processes_with(argument):
        assert time.monotonic() < until, f"{argument} is still there"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="isolation is Linux's")
def test_what_a_module_does_when_it_is_imported_leaves_nothing(
    start_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    mark = f"pilotlight-test-{uuid.uuid4().hex}"
    places = [str(tmp_path / "service" / mark), f"/var/tmp/{mark}"]
    source = f"""
import subprocess
import sys

refusals = []
for place in {places!r}:
    try:
        open(place, "w").close()
    except OSError as error:
        refusals.append(error.strerror)
if refusals != ["Read-only file system"] * 2:
    raise RuntimeError(f"refused: {{refusals}}")
with open("/tmp/{mark}", "w") as file:
    file.write("x")
sleep = [sys.executable, "-c", "import time; time.sleep(600)", {mark!r}]
subprocess.Popen(sleep, start_new_session=True, stdout=2)
subprocess.Popen(sleep)
{ENDPOINT}"""
    write(tmp_path / "service", {"pilotlight.toml": "", "inference/leaves.py": source})
    server = start_server(tmp_path / "service", "--isolation", "namespace")
    line = server.wait_for("described", function="service--leaves")
    assert (line["error"], line["hint"]) == ("", "")
    assert [place for place in (*places, f"/tmp/{mark}") if Path(place).exists()] == []
    assert server.process.poll() is None
    if usable().folders():  # else what has left its group of processes is not found again
        wait_until_gone(mark)
    assert server.stop() == 0


def test_more_than_a_pipe_holds_and_what_else_is_written(make_service: MakeService) -> None:
    names = [f"field_{number}" for number in range(3_000)]
    fields = "\n".join(f"    {name}: int = 0" for name in names)
    source = f"""
import sys
import msgspec

print("x" * 200_000)
sys.stderr.write("y" * 200_000)

class Wide(msgspec.Struct):
{fields}

def handler(wide: Wide) -> int:
    return 1

from pilotlight import endpoint
handler = endpoint(handler)
"""
    description = described(make_service({"inference/wide.py": source}).functions[0])
    assert (description.error, description.hint) == ("", "")
    schema = json.dumps(description.schema)
    assert [name for name in names if f'"{name}"' not in schema] == []


def test_a_module_that_ends_its_process(make_service: MakeService) -> None:
    service = make_service({"inference/ends.py": "import os\nos._exit(3)\n"})
    assert described(service.functions[0]) == Description(
        {},
        "importing it ended the process with exit status 3",
        f"`pilotlight invoke ends --dir {service.root}` shows where",
    )


def test_a_module_that_takes_more_memory_than_it_has(make_service: MakeService) -> None:
    source = """
import time

taken = bytearray(400 << 20)
for place in range(0, len(taken), 4096):
    taken[place] = 1
time.sleep(30)
"""
    service = make_service({"inference/large.py": source}, "[functions.large]\nmemory = 128\n")
    assert described(service.functions[0]) == Description(
        {}, "importing it takes more than its memory of 128 MB", "set more memory for it in pilotlight.toml"
    )


def test_closing_ends_what_is_being_described(make_service: MakeService, tmp_path: Path) -> None:
    started = tmp_path / "pid"
    source = f"""
import os, time

with open({str(started)!r} + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename({str(started)!r} + ".new", {str(started)!r})
time.sleep(600)

def handler(event, context):
    return event
"""
    function = make_service({"inference/slow.py": source}).functions[0]

    async def main() -> None:
        host = Host("none")
        describer = Describer(host, lambda function, description: None)
        try:
            describer.describe(function)
            while not started.exists():
                await asyncio.sleep(0.01)
            await describer.close()
            with pytest.raises(ProcessLookupError):
                os.kill(int(started.read_text()), 0)
        finally:
            await host.close()
        assert describer.descriptions == {}

    uvloop.run(asyncio.wait_for(main(), 60))
