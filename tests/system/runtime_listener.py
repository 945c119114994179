"""The Runtime API as Lambda serves it to a container, for one invocation whose answer is streamed.

The emulator in base images gathers an answer before it sends it on, so that it cannot show when chunks leave.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from pilotlight.local import streams
from pilotlight.local.exchange import Exchange
from pilotlight.local.invocation import Invocation
from pilotlight.local.streams import Streamed
from pilotlight.values import Call, Result

_SECONDS = 120.0  # until the container's runtime asks for an event, and until its answer begins


class Listener:
    """What becomes of the one invocation: `asked` when the runtime waits for it, `ended` when its answer is whole."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def restoring(self) -> bool:
        return False

    def ready(self, finished: Invocation | None) -> None:
        self.asked.set()

    def recorded(self, invocation: Invocation, text: str) -> None:
        raise AssertionError("the function keeps no records")

    def answered(self, invocation: Invocation, result: Result) -> None:
        invocation.end(result)
        self.ended.set_result(result)

    def end(self, invocation: Invocation, result: Result) -> None:
        self.answered(invocation, result)

    def init_failed(self, payload: bytes, restoring: bool) -> bool:
        self.ended.set_exception(AssertionError(payload.decode()))
        return True

    def lost(self, running: list[Invocation]) -> None:
        self.hung_up()

    def hung_up(self) -> None:
        if not self.ended.done():
            self.ended.set_exception(AssertionError("the container's runtime hung up"))


class RuntimeApi:
    """It listens on this machine's loopback at `address`."""

    def __init__(self, exchange: Exchange, listener: Listener, address: str) -> None:
        self._exchange, self._listener, self.address = exchange, listener, address

    async def stream(self, event: bytes) -> Streamed:
        """Send the event when the runtime asks for it; the answer, as a function URL takes it, when it has begun."""
        call = Call("function", event, str(uuid.uuid4()))
        invocation = Invocation(call, asyncio.get_running_loop().create_future())
        await self._unless_ended(self._listener.asked.wait())
        headers = (
            f"Lambda-Runtime-Aws-Request-Id: {call.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int((time.time() + _SECONDS) * 1000)}\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:function\r\n"
        )
        self._exchange.send(invocation, event, headers)
        await self._unless_ended(invocation.result)
        result = invocation.result.result()
        assert result.stream is not None, result
        return await streams.opened(result.stream)

    async def _unless_ended(self, awaited: Awaitable[object]) -> None:
        waiting: asyncio.Future[Any] = asyncio.ensure_future(awaited)
        done, _ = await asyncio.wait(
            {waiting, self._listener.ended}, timeout=_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        assert done, f"nothing came from the container for {_SECONDS:.0f} s"
        if not waiting.done():
            waiting.cancel()
            self._listener.ended.result()  # raises what went wrong

    async def whole(self) -> Result:
        """What the runtime said when the answer was whole."""
        return await asyncio.wait_for(self._listener.ended, _SECONDS)


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[RuntimeApi]:
    listener = Listener()
    exchange = Exchange(listener)
    try:
        yield RuntimeApi(exchange, listener, await exchange.listen())
    finally:
        exchange.close()
