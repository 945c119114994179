"""A table in DynamoDB, by signed requests on plain sockets: boto3 alone costs a cold start 400 ms.

Reads are eventually consistent, as DynamoDB's are unless one asks (and pays) for more: what was written less than a
second ago may be missing.
"""

from __future__ import annotations

import time
from itertools import islice

from pilotlight import limits
from pilotlight.function.dynamodb_client import PATIENCE, Client, Operation, Patience
from pilotlight.function.items import Item, check_key, decode, dumps, encode, expiry, key_of
from pilotlight.function.plain_json import quote

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    from pilotlight.function.table import Address

    _Each = TypeVar("_Each")

_WINDOW = 80 * limits.BATCH_WRITE  # items among which two with one key are looked for, for they go side by side


class DynamoTable:
    """See the module and `table.Table`."""

    def __init__(self, address: Address, patience: Patience = PATIENCE) -> None:
        self.key = address.key
        self._name = address.place
        self._expires = address.expires
        self._client = Client(address, patience)

    def get(self, keys: Iterable[str]) -> dict[str, Item]:
        wanted = dict.fromkeys(check_key(each, self.key) for each in keys)
        found: dict[str, Item] = {}

        def absorb(answer: Any) -> Sequence[str]:
            items = self._valid(answer["Responses"].get(self._name, ()))
            found.update((key_of(item, self.key), item) for item in items)
            return [dumps(key) for key in answer["UnprocessedKeys"].get(self._name, {}).get("Keys", ())]

        frame = self._frame('{"Keys":[', "]}")
        self._client.run(
            Operation("BatchGetItem", "UnprocessedKeys", frame, absorb),
            _batches(map(self._key, wanted), limits.BATCH_GET),
        )
        return found

    def put(self, items: Iterable[Item]) -> None:
        for window in _batches(items, _WINDOW):
            last = {key_of(item, self.key): item for item in window}
            if len(last) == 1:
                self._put_one(encode(window[-1], self.key))
            else:
                self._write(f'{{"PutRequest":{{"Item":{encode(item, self.key)}}}}}' for item in last.values())

    def delete(self, keys: Iterable[str]) -> None:
        for window in _batches(keys, _WINDOW):
            unique = dict.fromkeys(check_key(each, self.key) for each in window)
            self._write(f'{{"DeleteRequest":{{"Key":{self._key(each)}}}}}' for each in unique)

    def scan(self) -> Iterator[Item]:
        request = {"TableName": self._name}
        while True:
            page: dict[str, Any] = {}

            def absorb(answer: dict[str, Any], page: dict[str, Any] = page) -> Sequence[str]:
                page.update(answer)
                return ()

            self._client.run(Operation("Scan", "Items", "".join, absorb), [[dumps(request)]])
            yield from self._valid(page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def close(self) -> None:
        self._client.close()

    def _put_one(self, text: str) -> None:
        """By PutItem: who puts one item at a time, as records are, needs the right to that alone. The answer would be
        empty, but for the capacity."""
        body = f'{{"TableName":{quote(self._name)},"ReturnConsumedCapacity":"TOTAL","Item":{text}}}'
        self._client.run(Operation("PutItem", "ConsumedCapacity", "".join, lambda _: ()), [[body]])

    def _write(self, requests: Iterable[str]) -> None:
        def absorb(answer: Any) -> Sequence[str]:
            return [dumps(each) for each in answer["UnprocessedItems"].get(self._name, ())]

        frame = self._frame("[", "]")
        self._client.run(
            Operation("BatchWriteItem", "UnprocessedItems", frame, absorb), _batches(requests, limits.BATCH_WRITE)
        )

    def _frame(self, begin: str, end: str) -> Callable[[Sequence[str]], str]:
        """The body of a request around its parts."""
        name = quote(self._name)
        return lambda parts: f'{{"RequestItems":{{{name}:{begin}{",".join(parts)}{end}}}}}'

    def _key(self, key: str) -> str:
        return dumps({self.key: {"S": key}})

    def _valid(self, items: Iterable[Any]) -> Iterator[Item]:
        """Those that are not gone yet: DynamoDB removes them within days of the time."""
        now = time.time()
        for item in map(decode, items):
            end = expiry(item, self._expires)
            if end is None or end > now:
                yield item


def _batches(parts: Iterable[_Each], size: int) -> Iterator[list[_Each]]:
    rest = iter(parts)
    while batch := list(islice(rest, size)):
        yield batch
