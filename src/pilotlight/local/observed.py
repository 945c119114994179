"""The server's pages about what happens: the live view, single requests, faults, the bill, /metrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from pilotlight.errors import NotFound, PilotlightError, UsageError
from pilotlight.events import Request, Response
from pilotlight.local import faults, pages
from pilotlight.local.activity import Activity, Counts
from pilotlight.local.live import Live
from pilotlight.local.metrics import Metrics
from pilotlight.local.pages import PREFIX, Page
from pilotlight.local.pool import Pool
from pilotlight.project import Function, Project
from pilotlight.usage import Usage

Billed = Callable[[Sequence[Usage]], Mapping[str, object]]
"""What a use would have cost on AWS: the page's `region`, `items`, `total`, `per_million` and `notes`."""

_Ms = Annotated[int, Meta(ge=0, le=faults.SLOWEST)]


class _Change(Struct, frozen=True, forbid_unknown_fields=True):
    throttle: bool | None = None
    slow_init_ms: _Ms | None = None


class Observed:
    """See the module. `projects` gives those that are served now."""

    def __init__(
        self, pool: Pool, activity: Activity, projects: Callable[[], Sequence[Project]], billed: Billed
    ) -> None:
        self._pool = pool
        self._activity = activity
        self._projects = projects
        self._billed = billed
        self._live = Live(pool, activity)
        self._metrics = Metrics(pool, activity)

    def pages(self) -> Iterator[Page]:
        yield "GET", f"{PREFIX}live", self._live.page
        yield "GET", f"{PREFIX}requests/{{id}}", self._request
        yield "GET", f"{PREFIX}bill", self._bill
        yield "GET", "/metrics", self._metrics.page
        yield "POST", f"{PREFIX}functions/{{key}}/faults", self._change
        for name, work in (("kill", faults.kill), ("freeze", faults.freeze), ("thaw", faults.thaw)):
            yield "POST", f"{PREFIX}environments/{{id}}/{name}", self._fault(work)

    def _request(self, request: Request, parameters: Mapping[str, str]) -> Response:
        found = self._activity.requests.find(parameters["id"])
        if found is None:
            return pages.fail(404, "no such request is known: it has not ended, or others came since")
        return pages.json(found)

    def _fault(self, work: Callable[[Pool, str], None]) -> Callable[[Request, Mapping[str, str]], Response]:
        return lambda request, parameters: _done(lambda: work(self._pool, parameters["id"]))

    def _change(self, request: Request, parameters: Mapping[str, str]) -> Response:
        try:
            change = msgspec.json.decode(request.body, type=_Change)
        except msgspec.DecodeError as error:
            return pages.fail(400, str(error))
        work = faults.change
        return _done(lambda: work(self._pool, parameters["key"], change.throttle, change.slow_init_ms))

    def _bill(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return pages.json({"since": round(self._activity.since * 1000), **self._billed(self._usages())})

    def _usages(self) -> list[Usage]:
        now = self._activity.clock()
        return [
            _usage(self._activity.of(function.key), function, project.build.architecture, now)
            for project in self._projects()
            for function in project.functions
        ]


def _usage(counts: Counts, function: Function, architecture: str, now: float) -> Usage:
    """`function` is as the project has it, without what the server's own options make of it."""
    return Usage(
        function.key,
        architecture,
        function.memory,
        function.tmp,
        function.snapstart,
        function.provisioned,
        function.front,
        now - counts.since,
        counts.invocations,
        counts.billed_ms,
        counts.restores if function.snapstart else 0,
        counts.streamed,
        counts.front_requests,
        counts.log_bytes,
        counts.write_units,
    )


def _done(work: Callable[[], None]) -> Response:
    try:
        work()
    except NotFound as error:
        return pages.fail(404, _said(error))
    except UsageError as error:
        return pages.fail(409, _said(error))
    return Response(204, ())


def _said(error: PilotlightError) -> str:
    return f"{error}; {error.hint}" if error.hint else str(error)
