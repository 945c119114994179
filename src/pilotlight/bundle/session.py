"""Requests to one registry: with credentials, made again when that may help, and errors that say what to do.

OCI distribution specification 1.1: "Endpoints" and "Error Codes". RFC 9110, 10.2.3: Retry-After.
"""

import email.utils
import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Self
from urllib.parse import urljoin, urlsplit

from pilotlight.bundle.credentials import Keys
from pilotlight.bundle.http import Answer, Cut, Request, Untrusted, Wire
from pilotlight.bundle.reference import DOCKER_HUB, Reference, is_loopback
from pilotlight.bundle.tokens import Login
from pilotlight.errors import (
    ImageError,
    ImageNotFound,
    RegistryRefused,
    RegistryThrottled,
    RegistryUnreachable,
)

AGAIN = (408, 429, 500, 502, 503, 504)
ATTEMPTS = 6
"""Of one thing, without anything gained in between."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds
_PATIENCE = 120.0  # seconds that a registry may ask to wait

Sleep = Callable[[float], None]


class Failed(Exception):
    """An attempt that may be made again: the answer, or the reason why there was none."""

    def __init__(self, problem: Answer | Cut) -> None:
        super().__init__(problem)
        self.problem = problem


class Patience:
    """How often one thing is tried again. `doing` begins the message of the error."""

    def __init__(self, session: "Session", doing: str) -> None:
        self._session, self._doing, self._failed = session, doing, 0

    def gained(self) -> None:
        """Something was done: the next failure is the first again."""
        self._failed = 0

    def wait(self, problem: Answer | Cut) -> None:
        """Wait before the next attempt. Raises the error when there has been enough of them."""
        self._failed += 1
        asked = _retry_after(problem) if isinstance(problem, Answer) else 0.0
        if self._failed >= ATTEMPTS or asked > _PATIENCE or isinstance(problem, Untrusted):
            raise self._session.error(self._doing, problem)
        most = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (self._failed - 1))
        self._session.sleep(max(asked, random.uniform(most / 2, most)))


class Session:
    """One registry, for several threads. `scopes` are asked for when the registry gives tokens.

    Without TLS are only registries on this machine, or with `is_plain`.
    """

    def __init__(
        self,
        reference: Reference,
        scopes: Iterable[str],
        keys: Keys,
        is_plain: bool = False,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.reference, self.sleep = reference, sleep
        self._is_plain = is_plain
        self._base = urlsplit(f"{'http' if is_plain or reference.is_loopback else 'https'}://{reference.host}")
        self._wire = Wire()
        self._login = Login(keys(reference.registry), scopes, self._fetch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def url(self, path: str) -> str:
        """Of `path` below the repository."""
        return f"{self._base.geturl()}/v2/{self.reference.repository}/{path}"

    def resolve(self, location: str, asked: str) -> str:
        """The URL of the Location header in the answer of `asked`, which may be relative.

        Registries behind a proxy that ends TLS tend to name themselves without it. Raises `RegistryRefused` for
        another server without TLS.
        """
        place = urlsplit(urljoin(asked, location))
        if place.hostname == self._base.hostname and (place.scheme != self._base.scheme or not place.port):
            place = place._replace(scheme=self._base.scheme, netloc=self._base.netloc)
        if place.scheme != "https" and self._base.scheme == "https":
            reason = f"{self.reference.registry} sends an upload on to {place.scheme}://{place.netloc}"
            raise RegistryRefused(reason, "the registry's own address has to be set right, with https")
        return place.geturl()

    def attempt(self, request: Request) -> Answer:
        """The answer to one attempt, and to a second with what the registry asked for. Raises `Failed`."""
        used = self._login.header
        answer = self._sent(request, used)
        if answer.status == 401 and self._login.renew(answer.headers.get_all("WWW-Authenticate", []), used):
            answer = self._sent(request, self._login.header)
        return answer

    def ask(self, request: Request, doing: str) -> Answer:
        """The answer to a request that can be made again as it is. Raises `ImageError`s when there is none."""
        return _answered(lambda: self.attempt(request), Patience(self, doing))

    def need(self, request: Request, doing: str, *wanted: int) -> Answer:
        """As `ask`, and raises the error that any other status is."""
        answer = self.ask(request, doing)
        if answer.status not in wanted:
            raise self.error(doing, answer)
        return answer

    def error(self, doing: str, problem: Answer | Cut) -> ImageError:
        """What the user is told."""
        if isinstance(problem, Cut):
            reason = f"{doing}: {self.reference.registry} cannot be reached: {problem}"
            return RegistryUnreachable(reason, "see whether it is well and its name is right, then run this again")
        reason = f"{doing}: {self.reference.registry} answered {problem.status}{_told(problem)}"
        kind, hint = _KINDS.get(problem.status, (ImageError, "see what the registry says"))
        if problem.status >= 500:
            kind, hint = RegistryUnreachable, "see whether the registry is well, then run this again"
        return kind(reason, _advice(problem.status, self.reference) or hint)

    def _sent(self, request: Request, header: str) -> Answer:
        """The credentials go to the registry itself alone: an upload may go on elsewhere."""
        is_own = urlsplit(request.url)[:2] == self._base[:2]
        return self._once(request._replace(headers=_with(request.headers, header if is_own else "")))

    def _once(self, request: Request) -> Answer:
        try:
            answer = self._wire.send(request)
        except Cut as cut:
            raise Failed(cut) from cut
        if answer.status in AGAIN:
            raise Failed(answer)
        return answer

    def _fetch(self, url: str, body: bytes, header: str) -> bytes:
        """For `Login`: what the server of tokens answers."""
        place = urlsplit(url)
        doing = f"asking {place.scheme}://{place.netloc}{place.path} for a token"
        is_safe = place.scheme == "https" or is_loopback(place.hostname or "") or self._is_plain
        if place.scheme not in ("http", "https") or not is_safe:
            raise RegistryRefused(f"{doing}: no credentials go there without TLS", "see how the registry is set up")
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        request = Request("POST" if body else "GET", url, _with(form, header), body)
        answer = _answered(lambda: self._once(request), Patience(self, doing))
        if answer.status != 200:
            raise self.error(doing, answer)
        return answer.body


def _answered(attempt: Callable[[], Answer], patience: Patience) -> Answer:
    while True:
        try:
            return attempt()
        except Failed as failed:
            patience.wait(failed.problem)


def _with(headers: Mapping[str, str], authorization: str) -> dict[str, str]:
    return {**headers, **({"Authorization": authorization} if authorization else {})}


class _Kind(NamedTuple):
    error: type[ImageError]
    hint: str


_KINDS = {
    401: _Kind(RegistryRefused, "log in first: docker login, or a credential helper in Docker's config.json"),
    403: _Kind(RegistryRefused, "these credentials may not do this here: see the permissions of the repository"),
    404: _Kind(ImageNotFound, "see whether the name is right and the repository is there"),
    429: _Kind(RegistryThrottled, "run this again later: what has been uploaded stays"),
}


def _advice(status: int, reference: Reference) -> str:
    """What helps with ECR and Docker Hub, which most names are of."""
    registry = reference.registry
    is_ecr = ".dkr.ecr." in registry
    match status:
        case 401 | 403 if is_ecr:
            region = registry.split(".")[3]
            return (
                f"log in first, for twelve hours: aws ecr get-login-password --region {region}"
                f" | docker login --username AWS --password-stdin {registry}"
            )
        case 404 if is_ecr:
            return f"make the repository first: aws ecr create-repository --repository-name {reference.repository}"
        case 429 if registry == DOCKER_HUB:
            return "Docker Hub limits pulls of those who are not logged in: docker login"
    return ""


def _told(answer: Answer) -> str:
    """The errors of the specification's "Error Codes", or nothing."""
    try:
        errors = json.loads(answer.body)["errors"]
        said = [" ".join(str(each.get(key) or "") for key in ("code", "message")).strip() for each in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f": {'; '.join(said)[:300]}" if any(said) else ""


def _retry_after(answer: Answer) -> float:
    """Seconds from now: the header has them, or a date."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
