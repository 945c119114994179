"""What DynamoDB's answers mean: done, do it again, or an error with a remedy.

Which errors may be tried again: docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html.
"""

from __future__ import annotations

import binascii

from pilotlight.errors import TableError, TableNotFound, TableRefused, TableThrottled, TableUnreachable
from pilotlight.function import plain_json

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pilotlight.function.http1 import Answer
    from pilotlight.function.table import Address

_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
}
_EXPIRED = {"ExpiredTokenException", "ExpiredToken"}
_REFUSED = _EXPIRED | {
    "AccessDeniedException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}
_SLOWER = "the table allows fewer requests than this: raise its capacity, or make it on-demand"
_ANY_STORE = "is DynamoDB reached from here, and is AWS_ENDPOINT_URL_DYNAMODB right, if it is set?"
_ALLOW = "the role or user needs dynamodb:{} on this table"
_KEY = "`key` in the settings must be the table's partition key, of type S, and the table have no sort key"


class Again(Exception):
    """The request may be made again; `problem` is the error when that does not help.

    `is_lost`: there was no answer, since the connection was closed. `is_expired`: the credentials were.
    """

    def __init__(self, problem: TableError, *, is_lost: bool = False, is_expired: bool = False) -> None:
        self.problem = problem
        self.is_lost = is_lost
        self.is_expired = is_expired


class Reader:
    """Reads the answers to requests for one table."""

    def __init__(self, address: Address, region: str) -> None:
        self._address = address
        self._region = region

    def read(self, operation: str, field: str, receive: Callable[[], Answer]) -> Any:
        """What the answer says that `receive` gives, which has `field`. Raises `Again`, `TableError`."""
        doing = f"{operation} on the table {self._address.place!r}"
        try:
            answer = receive()
        except OSError as error:
            problem = TableUnreachable(f"{doing}: {error}", _ANY_STORE)
            raise Again(problem, is_lost=isinstance(error, ConnectionError)) from None
        fields = _fields(answer)
        if fields is None:
            raise Again(TableUnreachable(f"{doing}: the answer {answer.status} arrived damaged", _ANY_STORE))
        if answer.status == 200 and field in fields:
            return fields
        if answer.status == 200:
            raise TableError(f"{doing}: what answered is not DynamoDB: the answer has no {field}", _ANY_STORE)
        raise self._error(operation, doing, answer.status, fields)

    def _error(self, operation: str, doing: str, status: int, fields: dict[str, Any]) -> Exception:
        kind = str(fields.get("__type", "")).rpartition("#")[2]
        text = fields.get("message") or fields.get("Message") or ""
        said = f"{doing}: DynamoDB answered {kind or status}{': ' if text else ''}{text}"
        if kind in _THROTTLED:
            return Again(TableThrottled(said, _SLOWER))
        if status >= 500:
            return Again(TableUnreachable(said))
        if kind in _EXPIRED:
            return Again(TableRefused(said), is_expired=True)
        if kind in _REFUSED:
            return TableRefused(said, _ALLOW.format(operation))
        if kind == "ResourceNotFoundException":
            return TableNotFound(f"{doing}: there is none in {self._region}", f"create it: {self._creation()}")
        return TableError(said, _KEY if "key element" in text or "key in the item" in text else "")

    def undone(self, operation: str) -> TableThrottled:
        """The error for requests that are left undone again and again."""
        return TableThrottled(
            f"{operation} on the table {self._address.place!r}: DynamoDB leaves parts undone", _SLOWER
        )

    def _creation(self) -> str:
        place, key = self._address.place, self._address.key
        form = (
            f"--attribute-definitions AttributeName={key},AttributeType=S --key-schema AttributeName={key},KeyType=HASH"
        )
        return f"aws dynamodb create-table --table-name {place} --billing-mode PAY_PER_REQUEST {form}"


def _fields(answer: Answer) -> dict[str, Any] | None:
    """The answer's JSON object; None for one that did not arrive as it was sent. Errors of others may have none."""
    checksum = answer.headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(binascii.crc32(answer.body)):
        return None
    try:
        fields = plain_json.loads(answer.body)
    except ValueError:
        fields = None
    return fields if isinstance(fields, dict) else None if answer.status == 200 else {}
