"""The Runtime API as one environment serves it: who waits for an event, and which invocation an answer is for.

    restore/next (SnapStart) -> invocation/next -> response | error -> invocation/next ...

An environment has one slot, or with AWS_LAMBDA_MAX_CONCURRENCY as many as that: each is a client of the Runtime API
with one pending `next`, or with one invocation. Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from pilotlight import limits
from pilotlight.function.runtime_client import RECORD
from pilotlight.local.invocation import Invocation, from_trailers
from pilotlight.local.runtime_api import Connection, RuntimeRequest
from pilotlight.local.streams import Stream, too_large
from pilotlight.values import Result

_API = "/2018-06-01/runtime"


class Listener(Protocol):
    """What an environment wants to be told."""

    def restoring(self) -> bool:
        """The runtime is ready for its snapshot; whether that was asked for."""

    def ready(self, finished: Invocation | None) -> None:
        """A slot is free, that of the invocation `finished` if it had one."""

    def recorded(self, invocation: Invocation, text: str) -> None:
        """The function sends the record of an invocation along with its answer, which is told of next."""

    def answered(self, invocation: Invocation, result: Result) -> None:
        """The function has given its whole answer, or failed."""

    def end(self, invocation: Invocation, result: Result) -> None:
        """Lambda, not the function, ends an invocation."""

    def init_failed(self, payload: bytes, restoring: bool) -> bool:
        """The runtime reports why it cannot start; whether it still may."""

    def lost(self, running: list[Invocation]) -> None:
        """One client of several has gone, and with it what ran there, if anything."""

    def hung_up(self) -> None:
        """There is no client any more that could take an event, or go on with its answer."""


class Exchange:
    """See the module. `running` are the invocations that have begun and whose slot is not free again, by request id."""

    def __init__(self, listener: Listener, slots: int = 1) -> None:
        self.running: dict[str, Invocation] = {}
        self._waiting: deque[Connection] = deque()  # clients whose `next` is pending
        self._listener = listener
        self._slots = slots
        self._server: asyncio.Server | None = None

    @property
    def free(self) -> int:
        """How many invocations can be sent now."""
        return len(self._waiting)

    @property
    def missing(self) -> int:
        """How many clients have not come yet."""
        return self._slots - len(self._waiting) - len(self.running)

    @property
    def is_finishing(self) -> bool:
        """Whether the function has answered and the runtime has not yet asked for the next event."""
        return any(invocation.answered for invocation in self.running.values())

    async def listen(self) -> str:
        """Listen on a port of its own, and give `host:port`. Raises OSError."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=4 + self._slots)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._handle_stream_end, self._forget), sock=listener
        )
        host, port = listener.getsockname()[:2]
        return f"{host}:{port}"

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._waiting):
            connection.close()

    def send(self, invocation: Invocation, payload: bytes, headers: str) -> None:
        """Give a waiting client the event. `headers` are whole lines."""
        invocation.client = self._waiting.popleft()
        self.running[invocation.request_id] = invocation
        invocation.client.reply(200, payload, headers)

    # requests of the runtime

    def _handle(self, connection: Connection, request: RuntimeRequest) -> None:
        match request.method, request.path.removeprefix(_API).strip("/").split("/"):
            case "GET", ["invocation", "next"]:
                self._handle_next(connection)
            case "POST", ["invocation", request_id, "response"] if request.stream is not None:
                self._handle_stream(connection, request_id, request.stream)
            case "POST", ["invocation", request_id, "response"]:
                self._handle_answer(connection, request_id, Result(request.body), request.headers.get(RECORD, ""))
            case "POST", ["invocation", request_id, "error"]:
                self._handle_answer(connection, request_id, Result(request.body, "Unhandled"))
            case "POST", [("init" | "restore") as phase, "error"]:
                self._handle_init_error(connection, request.body, phase == "restore")
            case "GET", ["restore", "next"]:
                self._handle_restore(connection)
            case _:
                connection.refuse(404, "NotFound", f"no such operation: {request.method} {request.path}")

    def _handle_next(self, connection: Connection) -> None:
        unanswered = sum(not invocation.answered for invocation in self.running.values())
        if any(each.client is connection and not each.answered for each in self.running.values()) or (
            unanswered >= self._slots
        ):
            text = "Transition from Invoked to Ready is not allowed: answer the invocation first"
            connection.refuse(403, "InvalidStateTransition", text)
        elif connection in self._waiting or unanswered + len(self._waiting) >= self._slots:
            connection.refuse(403, "InvalidStateTransition", "The next invocation is being waited for already")
        else:
            self._waiting.append(connection)
            self._listener.ready(self._finish(connection))

    def _finish(self, connection: Connection) -> Invocation | None:
        """The invocation whose slot is free again: that of the same client, which may have connected anew."""
        answered = [invocation for invocation in self.running.values() if invocation.answered]
        own = [invocation for invocation in answered if invocation.client is connection] or answered
        return self.running.pop(own[0].request_id) if own else None

    def _handle_answer(self, connection: Connection, request_id: str, result: Result, record: str = "") -> None:
        invocation = self._accepts(connection, request_id)
        if invocation is None:
            return
        if record:
            self._listener.recorded(invocation, record)
        if len(result.payload) > limits.PAYLOAD:
            text = f"Exceeded maximum allowed payload size ({limits.PAYLOAD} bytes)."
            connection.refuse(413, "RequestEntityTooLarge", text)
            self._listener.end(invocation, too_large(limits.PAYLOAD))
        else:
            connection.accept()
            self._listener.answered(invocation, result)

    def _accepts(self, connection: Connection, request_id: str) -> Invocation | None:
        """The invocation that an answer is for; None when it has been refused."""
        invocation = self.running.get(request_id)
        if invocation is None:
            connection.refuse(400, "InvalidRequestID", "Invalid request ID")
        elif invocation.answered or invocation.stream is not None:
            connection.refuse(403, "InvalidStateTransition", "The invocation has been answered")
        else:
            return invocation
        return None

    def _handle_stream(self, connection: Connection, request_id: str, stream: Stream) -> None:
        invocation = self._accepts(connection, request_id)
        if invocation is None:
            stream.drop()
        else:
            invocation.begin(stream, connection)

    def _handle_stream_end(self, connection: Connection, stream: Stream, trailers: Mapping[str, str]) -> None:
        streaming = [invocation for invocation in self.running.values() if invocation.stream is stream]
        if not streaming:
            return  # it was refused when it began
        if stream.is_too_large:
            text = f"Exceeded maximum allowed payload size ({limits.STREAMED_PAYLOAD} bytes)."
            connection.refuse(413, "RequestEntityTooLarge", text)
            self._listener.end(streaming[0], too_large(limits.STREAMED_PAYLOAD))
        else:
            connection.accept()
            self._listener.answered(streaming[0], from_trailers(trailers))

    def _handle_init_error(self, connection: Connection, payload: bytes, restoring: bool) -> None:
        if self._listener.init_failed(payload, restoring):
            connection.accept()
            return
        connection.refuse(403, "InvalidStateTransition", "The init phase is over")
        if self.missing > 0 and self._slots > 1:  # one client of several will not come
            self._slots -= 1
            self._listener.lost([])

    def _handle_restore(self, connection: Connection) -> None:
        """A snapshot would be taken here and restored at once: what comes is the phase of restoring."""
        if self._listener.restoring():
            connection.reply(200, b"")
        else:
            connection.refuse(404, "InvalidStateTransition", "The function has no SnapStart")

    def _forget(self, connection: Connection) -> None:
        """A client is gone. One alone that runs an invocation may come back to answer, unless it streams its answer."""
        running = [each for each in self.running.values() if each.client is connection]
        if connection in self._waiting:
            self._waiting.remove(connection)
        elif not running or (self._slots == 1 and (running[0].answered or running[0].source is None)):
            return
        if self._slots == 1:
            self._listener.hung_up()
            return
        self._slots -= 1
        for invocation in running:
            del self.running[invocation.request_id]
        self._listener.lost(running)
