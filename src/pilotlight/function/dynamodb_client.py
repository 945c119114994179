"""Requests to DynamoDB: signed, several under way at once, sent again where that can help.

The protocol is JSON by POST: docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html. How
long to wait is "full jitter" of aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter. Every request
made here may be made twice.
"""

from __future__ import annotations

import os
import time
from collections import deque

from pilotlight.errors import TableError
from pilotlight.function import credentials
from pilotlight.function.dynamodb_answers import Again, Reader
from pilotlight.function.http1 import Answer, Connection, Endpoint, parse, request
from pilotlight.function.signing import sign
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from pilotlight.function.table import Address

_LANES = 8  # connections at most, each with one request under way


class Patience(NamedTuple):
    """How long a request that makes no progress is sent again: `attempts` times in all, for `seconds`.

    Before attempt n a time is waited that is drawn evenly from 0 to `base` * 2 ** n seconds, `cap` at most. `wait` is
    for a connection, and for each piece of an answer.
    """

    attempts: int = 10
    seconds: float = 30.0
    base: float = 0.025
    cap: float = 5.0
    wait: float = 5.0

    def pause(self, attempt: int) -> float:
        drawn = int.from_bytes(os.urandom(4), "big") / 2**32  # random draws the same in all forks of a process
        return drawn * min(self.cap, self.base * 2.0 ** min(attempt, 60))


PATIENCE = Patience()


class Operation(NamedTuple):
    """`body` makes a request of its parts, each of them JSON. `absorb` takes the answer, and gives those not done.

    `field` is in every answer.
    """

    name: str
    field: str
    body: Callable[[Sequence[str]], str]
    absorb: Callable[[Any], Sequence[str]]


class _Batch(NamedTuple):
    """The parts of one request. `attempt` were made without progress, since `since` of the monotonic clock."""

    parts: Sequence[str]
    attempt: int
    since: float


class Client:
    """Sends the requests for one table. Nothing is opened before it is needed. Raises `TableError`."""

    def __init__(self, address: Address, patience: Patience) -> None:
        self._region, self._endpoint = _place()
        self._reader = Reader(address, self._region)
        self._patience = patience
        self._lanes: list[_Lane] = []
        self._process = os.getpid()

    def run(self, operation: Operation, requests: Iterable[Sequence[str]]) -> None:
        """Do all requests, several at a time."""
        if self._process != os.getpid():  # a fork: these connections are the other process's
            self._lanes, self._process = [], os.getpid()
        fresh = (_Batch(parts, 0, time.monotonic()) for parts in requests)
        again: list[_Batch] = []
        under_way: deque[tuple[_Lane, _Batch]] = deque()
        try:
            while True:
                while len(under_way) < _LANES and (batch := again.pop() if again else next(fresh, None)) is not None:
                    lane = self._lanes.pop() if self._lanes else _Lane(self._endpoint, self._patience.wait)
                    under_way.append((lane, batch))
                    lane.send(self._request(operation, batch.parts))
                if not under_way:
                    return
                lane, batch = under_way[0]
                again += self._finish(operation, lane, batch)
                under_way.popleft()
                self._lanes.append(lane)
        finally:
            for lane, _ in under_way:  # what they answer would be taken for another answer
                lane.close()

    def close(self) -> None:
        while self._lanes:
            self._lanes.pop().close()

    def _request(self, operation: Operation, parts: Sequence[str]) -> bytes:
        body = operation.body(parts).encode()
        headers = {
            "Host": self._endpoint.authority,
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation.name}",
        }
        signed = sign(credentials.current(), self._region, "dynamodb", f"{self._endpoint.path}/", headers, body)
        return request("POST", self._endpoint, "/", signed, body)

    def _finish(self, operation: Operation, lane: _Lane, batch: _Batch) -> list[_Batch]:
        """Take the answer; the batch that is left to do, after a pause, or none."""
        try:
            left = operation.absorb(self._reader.read(operation.name, operation.field, lane.receive))
            problem: TableError = self._reader.undone(operation.name)
        except Again as error:
            left, problem = batch.parts, error.problem
            if error.is_expired:
                credentials.forget()
            if error.is_lost and lane.was_idle:  # the other side has closed what was not used for a while
                return [batch]
        if not left:
            return []
        has_moved = len(left) < len(batch.parts)
        rest = _Batch(left, 0, time.monotonic()) if has_moved else batch._replace(attempt=batch.attempt + 1)
        if rest.attempt >= self._patience.attempts or time.monotonic() - rest.since > self._patience.seconds:
            raise problem
        time.sleep(self._patience.pause(rest.attempt))
        return [rest]


class _Lane:
    """A connection with one request at a time, opened anew when it was lost."""

    def __init__(self, endpoint: Endpoint, wait: float) -> None:
        self._endpoint = endpoint
        self._wait = wait
        self._connection: Connection | None = None
        self._problem: OSError | None = None
        self.was_idle = False  # whether the request went over a connection that was there

    def send(self, data: bytes) -> None:
        """Send a request. What goes wrong is said by `receive`."""
        self._problem = None
        self.was_idle = self._connection is not None
        try:
            self._connection = self._connection or Connection(self._endpoint, self._endpoint.host, self._wait)
            self._connection.send(data)
        except OSError as error:
            self._problem = error

    def receive(self) -> Answer:
        """The answer. Raises OSError."""
        try:
            if self._problem is not None or self._connection is None:
                raise self._problem or ConnectionError("nothing was sent")
            answer = self._connection.receive()
        except OSError:
            self.close()
            raise
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _place() -> tuple[str, Endpoint]:
    """Region and endpoint, as the variables of AWS's own tools say. Raises `TableError`."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise TableError("connecting to DynamoDB: no region is set", "set AWS_REGION, such as AWS_REGION=eu-central-1")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("AWS_ENDPOINT_URL")
    try:
        return region, parse((url or f"https://dynamodb.{region}.{domain}").rstrip("/"))
    except ValueError as error:
        raise TableError(f"connecting to DynamoDB: {error}", "correct AWS_ENDPOINT_URL_DYNAMODB, or unset it") from None
