"""What the doctor says of /dev/shm is so: each name that it knows is called in an environment, which has none."""

import asyncio
import json
from collections.abc import Sequence

import uvloop

from conftest import MakeService
from pilotlight.deploy.doctor.code_checks import SHARED
from pilotlight.local.host import Host
from pilotlight.local.pool import Pool
from pilotlight.values import Call

WORKS = ("multiprocessing.Process", "multiprocessing.Pipe", "concurrent.futures.ThreadPoolExecutor")
TRY = """
    import concurrent.futures.process, importlib, multiprocessing, multiprocessing.dummy, multiprocessing.pool
    import multiprocessing.queues, multiprocessing.shared_memory

    GIVEN = {
        "Value": ("i",), "RawValue": ("i",), "Array": ("i", 1), "RawArray": ("i", 1), "Barrier": (1,), "Pool": (1,),
        "ThreadPool": (1,), "ProcessPoolExecutor": (1,), "SharedMemory": (None, True, 8),
    }

    def attempt(name):
        module, _, last = name.rpartition(".")
        context = {"ctx": multiprocessing.get_context()} if module == "multiprocessing.queues" else {}
        try:
            made = getattr(importlib.import_module(module), last)(*GIVEN.get(last, ()), **context)
            if last == "ProcessPoolExecutor":
                made.submit(len, "").result()
        except OSError as error:
            return error.errno
        return 0

    def handler(event, context):
        return {name: attempt(name) for name in event}
"""


def errors(make_service: MakeService, names: Sequence[str]) -> dict[str, int]:
    """The errno of each, 0 for none."""
    service = make_service({"inference/attempt.py": TRY}, "[functions.attempt]\ntimeout = 100\n")

    async def main() -> bytes:
        pool = Pool(lambda key, line: None, 10_000, host=Host(None))
        pool.deploy(service.functions)
        try:
            return (await pool(Call("attempt", json.dumps(names).encode()))).payload
        finally:
            await pool.close()

    found: dict[str, int] = json.loads(uvloop.run(asyncio.wait_for(main(), 100)))
    return found


def test_each_fails_without_it(make_service: MakeService) -> None:
    found = errors(make_service, sorted(SHARED))
    assert {name for name, number in found.items() if number} == SHARED


def test_what_is_named_in_its_place_works(make_service: MakeService) -> None:
    assert errors(make_service, WORKS) == dict.fromkeys(WORKS, 0)
