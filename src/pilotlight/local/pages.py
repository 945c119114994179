"""The pages that the server has of its own: which handler a request is for, and whether its sender may ask.

Some show what was recorded, some stop processes or write files. So what another machine sends to change something is
refused, and what another site's page sends, by the headers that browsers send and pages cannot change [fetch]; on a
loopback address also a name that is none of this machine, by which a site could make itself the page's own (DNS
rebinding). Source: [fetch] www.w3.org/TR/fetch-metadata/.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import isawaitable

import msgspec

from pilotlight.events import Request, Response
from pilotlight.local.routes import Router
from pilotlight.local.streams import Streamed

PREFIX = "/_pilotlight/"

Answer = Response | Streamed
Handler = Callable[[Request, Mapping[str, str]], Answer | Awaitable[Answer]]
Page = tuple[str, str, Handler]
"""Method, path in API Gateway's spelling, and what answers: it is given the request and the path's parameters."""

_READS = ("GET", "HEAD")


class Pages:
    """Answers the requests for the pages. `is_private` where the server listens on a loopback address."""

    def __init__(self, pages: Iterable[Page] = (), is_private: bool = True) -> None:
        self._router = Router(pages)
        self._is_private = is_private

    def find(self, request: Request) -> Awaitable[Answer] | None:
        """The answer of the page that the request is for; None where there is none."""
        method = "GET" if request.method == "HEAD" else request.method
        found = self._router.match(method, request.path)
        return None if found is None else self._answer(request, found.target, found.parameters)

    def answer(self, request: Request) -> Awaitable[Answer]:
        """The same for a path that belongs to the pages."""
        return self.find(request) or _now(self._missing(request))

    async def _answer(self, request: Request, handler: Handler, parameters: Mapping[str, str]) -> Answer:
        reason = refusal(request, self._is_private)
        if reason:
            return fail(403, reason)
        answer = handler(request, parameters)
        return await answer if isawaitable(answer) else answer

    def _missing(self, request: Request) -> Response:
        there = self._router.targets_at(request.path)
        return fail(405, "this page does not take that method") if there else fail(404, "there is no such page")


async def _now(answer: Answer) -> Answer:
    return answer


def refusal(request: Request, is_private: bool) -> str:
    """Why the request is not answered; "" where it is."""
    host = request.header("host")
    if is_private and not _is_local(host):
        return f"{host!r} is not a name of this machine: open the page by 127.0.0.1 or localhost"
    if request.method in _READS:
        return ""
    if not is_loopback(request.source_ip):
        return "only this machine may ask for that"
    return "only the server's own pages may ask for that" if _is_foreign(request, host) else ""


def _is_foreign(request: Request, host: str) -> bool:
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    return site not in ("", "same-origin", "none") or bool(origin and origin.partition("://")[2] != host)


def _is_local(host: str) -> bool:
    """Whether it is an address, with or without a port, or the machine's own name for itself."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    name = name.casefold().removesuffix(".")
    if name in ("", "localhost") or name.endswith(".localhost"):  # RFC 6761, 6.3: no resolver asks a network for them
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def json(value: object, status: int = 200) -> Response:
    """`value` as JSON that nothing keeps."""
    headers = (("content-type", "application/json"), ("cache-control", "no-store"))
    return Response(status, headers, msgspec.json.encode(value))


def fail(status: int, message: str) -> Response:
    """An error that a view shows as it is."""
    return json({"message": message}, status)
