"""The pages of the view Records: tables of records by their indexes, as JSON, and what is found as a file.

    GET  /_pilotlight/records/tables                    what there is, and how far each index is
    POST /_pilotlight/records/{table}/update            read the table, or what is new in it
    GET  /_pilotlight/records/{table}/page              the newest records, or those after `after`
    GET  /_pilotlight/records/{table}/overview          counts, distributions
    GET  /_pilotlight/records/{table}/drift             against the records from `reference_since` to `reference_until`
    GET  /_pilotlight/records/{table}/record/{key}      one record, whole
    GET  /_pilotlight/records/{table}/export/{format}   csv or jsonl, the newest first

All but the first take `function`, `since`, `until` (ms since 1970), `contains`, `failed`, `cold` and `class` as query.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from pilotlight.cli.record_formats import HEAD, csv_line, json_line
from pilotlight.errors import TableError
from pilotlight.events import Request, Response
from pilotlight.function.table import Item
from pilotlight.local import pages
from pilotlight.local.pages import PREFIX, Answer, Handler, Page
from pilotlight.local.streams import Cut, Streamed
from pilotlight.measure import records_look
from pilotlight.measure.answer_class import judged
from pilotlight.measure.records_index import Index
from pilotlight.measure.records_look import Look, Place
from pilotlight.values import RECORD_KEY

_PAGE = 50
_EXPORTED = 500  # records read together
_SHOWN = 160  # characters of input and output in a list
_THREADS = 2  # a slow search does not keep the list from being shown
_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
_LOOK = ("function", "contains", "failed", "cold", "class")

_T = TypeVar("_T")
_Query = dict[str, str]
_Ask = Callable[[Index, _Query, Mapping[str, str]], Answer]


class RecordsPages:
    """Tables by the names that they are shown by, with their URIs. What costs nothing is read when somebody looks; a
    remote table when that is asked for, or `reads_at_once`."""

    def __init__(self, tables: Mapping[str, str], reads_at_once: bool = False) -> None:
        self._indexes = {name: Index(uri) for name, uri in tables.items()}
        self._reads_at_once = reads_at_once
        self._threads = ThreadPoolExecutor(_THREADS, "records")

    def pages(self) -> Iterator[Page]:
        table = f"{PREFIX}records/{{table}}"
        yield "GET", f"{PREFIX}records/tables", self._tables
        yield "POST", f"{table}/update", self._answered(_update)
        yield "GET", f"{table}/page", self._answered(_page)
        yield "GET", f"{table}/overview", self._answered(_overview)
        yield "GET", f"{table}/drift", self._answered(_drift)
        yield "GET", f"{table}/record/{{key}}", self._answered(_record)
        yield "GET", f"{table}/export/{{format}}", self._answered(self._export)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for index in self._indexes.values():
            index.close()

    async def _tables(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return pages.json([await self._run(self._state, name, index) for name, index in self._indexes.items()])

    def _state(self, name: str, index: Index) -> dict[str, object]:
        if self._reads_at_once or not index.is_remote:
            index.begin()
        return _state(name, index)

    def _answered(self, ask: _Ask) -> Handler:
        def handler(request: Request, parameters: Mapping[str, str]) -> Answer | Awaitable[Answer]:
            index = self._indexes.get(parameters["table"])
            if index is None:
                return pages.fail(404, f"there is no table of records {parameters['table']!r}")
            return self._run(_careful, ask, index, dict(request.query_pairs()), parameters)

        return handler

    async def _run(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments))

    def _export(self, index: Index, query: _Query, parameters: Mapping[str, str]) -> Answer:
        form = parameters["format"]
        if form not in _TYPES:
            return pages.fail(404, "records are exported as csv or jsonl")
        _check(index)
        name = f'attachment; filename="records.{form}"'
        headers = (("content-type", _TYPES[form]), ("content-disposition", name), ("cache-control", "no-store"))
        return Streamed(Response(200, headers), self._lines(index, _look(query), form))

    async def _lines(self, index: Index, look: Look, form: str) -> AsyncIterator[bytes]:
        if form == "csv":
            yield f"{HEAD}\n".encode()
        line = csv_line if form == "csv" else json_line
        after: Place | None = None
        while True:
            try:
                found = await self._run(index.ask, partial(records_look.page, look=look, limit=_EXPORTED, after=after))
                records = await self._run(index.get, found.keys)
            except TableError:
                raise Cut from None
            yield "".join(f"{line(record)}\n" for record in records).encode()
            if (after := found.next) is None:
                return


def _careful(ask: _Ask, index: Index, query: _Query, parameters: Mapping[str, str]) -> Answer:
    try:
        return ask(index, query, parameters)
    except ValueError as error:
        return pages.fail(400, str(error))
    except TableError as error:
        return pages.fail(502, f"{error} ({error.hint})" if error.hint else str(error))
    except OSError as error:
        return pages.fail(500, f"reading the table: {error}")


def _state(name: str, index: Index) -> dict[str, object]:
    state: dict[str, object] = {"name": name, "is_remote": index.is_remote, "is_started": index.is_started}
    if not index.is_started:
        return state
    try:
        return {**state, **index.ask(_known)}
    except TableError as error:
        return {**state, "is_busy": False, "error": str(error), "hint": error.hint}


def _known(index: sqlite3.Connection) -> dict[str, object]:
    since, until = records_look.bounds(index)
    found = {"functions": records_look.functions(index), "since": since, "until": until}
    return {**records_look.progress(index)._asdict(), **found}


def _update(index: Index, query: _Query, parameters: Mapping[str, str]) -> Response:
    index.update()
    return Response(204)


def _page(index: Index, query: _Query, parameters: Mapping[str, str]) -> Response:
    after = Place(*_whole(query, "after", ":")) if query.get("after") else None
    found = _asked(index, partial(records_look.page, look=_look(query), limit=_PAGE, after=after))
    rows = [_short(record) for record in index.get(found.keys)]
    return pages.json({"rows": rows, "next": ":".join(map(str, found.next)) if found.next else None})


def _overview(index: Index, query: _Query, parameters: Mapping[str, str]) -> Response:
    return pages.json(plain(_asked(index, partial(records_look.overview, look=_look(query)))))


def _drift(index: Index, query: _Query, parameters: Mapping[str, str]) -> Response:
    [since], [until] = _whole(query, "reference_since"), _whole(query, "reference_until")
    if since >= until:
        raise ValueError("the reference window ends before it begins")
    ask = partial(records_look.drifts, look=_look(query), since=since, until=until)
    return pages.json(plain(_asked(index, ask)))


def _record(index: Index, query: _Query, parameters: Mapping[str, str]) -> Response:
    found = index.get([parameters["key"]])
    if not found:
        return pages.fail(404, "that record is gone from the table")
    name, score = judged(str(found[0].get("output", "")))
    return pages.json({**found[0], "class": name, "score": score})


def _asked(index: Index, question: Callable[[sqlite3.Connection], _T]) -> _T:
    _check(index)
    return index.ask(question)


def _check(index: Index) -> None:
    if not index.is_started:
        raise ValueError("the table has not been read yet")


def _look(query: _Query) -> Look:
    """Raises ValueError."""
    function, contains, failed, cold, name = (query.get(each, "") for each in _LOOK)
    since, until = (_whole(query, each)[0] if query.get(each) else 0 for each in ("since", "until"))
    return Look(function, since, until, contains, bool(failed), bool(cold), name)


def _whole(query: _Query, name: str, separator: str = ";") -> list[int]:
    """Numbers of a parameter. Raises ValueError."""
    numbers = query.get(name, "").split(separator)
    count = 2 if separator == ":" else 1
    if len(numbers) != count or not all(each.isascii() and each.isdecimal() and len(each) < 19 for each in numbers):
        raise ValueError(f"{name}: {query.get(name, '')!r} is not what it should be")
    return [int(each) for each in numbers]


def _short(record: Item) -> dict[str, object]:
    name, score = judged(str(record.get("output", "")))
    shown = {each: record.get(each) for each in (RECORD_KEY, "createdAt", "function", "status", "error", "cold")}
    texts = {each: _cut(str(record.get(each, ""))) for each in ("input", "output")}
    return {**shown, "latency_ms": record.get("latency_ms"), **texts, "class": name, "score": score}


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def plain(value: Any) -> Any:
    """Named tuples as objects."""
    match value:
        case tuple() if hasattr(value, "_asdict"):
            return {name: plain(each) for name, each in value._asdict().items()}
        case list() | tuple():
            return [plain(each) for each in value]
    return value
