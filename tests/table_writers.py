"""The writer of a SQLite file as the server runs it, on an event loop of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from pilotlight.local.tables import Writer


@contextlib.contextmanager
def writing(file: Path) -> Iterator[str]:
    """The "host:port" of the file's writer."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    try:
        writer: Writer = run(Writer.start(file))
        try:
            yield writer.address
        finally:
            run(writer.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
