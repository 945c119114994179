"""Saved test events sent to what was deployed: as clients do, to its URL, else by the Invoke API."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from pilotlight.deploy import names
from pilotlight.deploy.session import Session, absent, asking
from pilotlight.errors import DeployError
from pilotlight.project import Function
from pilotlight.route import Route

_ATTEMPTS = 5  # of a URL that is new: its name and its permissions are not known everywhere at once
_FIRST_WAIT = 2.0  # seconds, doubled each time
_LONGEST = 300  # characters of an answer that are told


class Request(NamedTuple):
    """One event as a client would send it."""

    method: str
    url: str
    body: bytes

    def curl(self) -> str:
        """For a shell."""
        data = self.body.decode().replace("'", "'\\''")
        sent = f" -H 'content-type: application/json' -d '{data}'" if self.body else ""
        method = "" if self.method == ("POST" if self.body else "GET") else f" -X {self.method}"
        return f"curl -s{method} '{self.url}'{sent}"


class Answer(NamedTuple):
    """What came of it: `error` is "" when it was answered well; `how` is a URL or "Invoke"."""

    how: str
    error: str
    text: str
    seconds: float


def request(function: Function, url: str, event: bytes) -> Request | None:
    """The event as a request to the first route, whose URL is `url`; None when the event says too little.

    A saved event is what the body has. Fields with the names of path parameters go into the path, and without a body,
    as in a GET, the others are the query.
    """
    route = function.routes[0] if function.routes else None
    fields = json.loads(event)
    if route is None or not isinstance(fields, dict) or "requestContext" in fields:
        return None
    rest = dict(fields)
    for name in _parameters(route):
        if name.rstrip("+") not in rest:
            return None
        url = url.replace(f"{{{name}}}", quote(str(rest.pop(name.rstrip("+"))), safe="/" if name.endswith("+") else ""))
    method = "POST" if route.method == "ANY" else route.method
    if method in ("POST", "PUT", "PATCH"):
        return Request(method, url, json.dumps(rest, ensure_ascii=False).encode())
    pairs = "&".join(f"{quote(name)}={quote(str(value))}" for name, value in rest.items())
    return Request(method, f"{url}?{pairs}" if pairs else url, b"")


def _parameters(route: Route) -> list[str]:
    return [part[1:-1] for part in route.path.split("/") if part.startswith("{") and part.endswith("}")]


def send(asked: Request, timeout: float, sleep: Callable[[float], None] = time.sleep) -> Answer:
    """Ask; again when a front that is new may not be ready."""
    wait = _FIRST_WAIT
    for attempt in range(_ATTEMPTS):
        answer, may_come = _ask(asked, timeout)
        if not may_come or attempt == _ATTEMPTS - 1:
            break
        sleep(wait)
        wait *= 2
    return answer


def _ask(asked: Request, timeout: float) -> tuple[Answer, bool]:
    headers = {"content-type": "application/json"} if asked.body else {}
    sent = urllib.request.Request(asked.url, asked.body or None, headers, method=asked.method)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(sent, timeout=timeout) as reply:
            text = reply.read().decode("utf-8", "replace")
            return Answer(asked.url, "", text[:_LONGEST], time.monotonic() - began), False
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode("utf-8", "replace")[:_LONGEST]
        return Answer(asked.url, f"HTTP {error.code}", text, time.monotonic() - began), error.code in (403, 404, 503)
    except (OSError, http.client.HTTPException) as error:  # the latter for an answer that broke off
        reason = str(getattr(error, "reason", error))
        return Answer(asked.url, f"no answer: {reason}", "", time.monotonic() - began), True


def invoke(session: Session, name: str, event: bytes, timeout: float) -> Answer:
    """By the Invoke API, as a function without an open front is called; once, as it would run again each time."""
    began = time.monotonic()
    try:
        with asking(f"invoking {name}"):
            client = session.once("lambda", timeout, 1)
            found: Mapping[str, Any] = client.invoke(FunctionName=name, Qualifier=names.ALIAS, Payload=event)
            text = found["Payload"].read().decode("utf-8", "replace")
    except DeployError as error:  # the deployment is done all the same
        return Answer("Invoke", f"no answer: {error}", "", time.monotonic() - began)
    return Answer("Invoke", _failure(found, text), text[:_LONGEST], time.monotonic() - began)


def _failure(found: Mapping[str, Any], text: str) -> str:
    """The function's own error, or the status of an answer to a gateway."""
    if found.get("FunctionError"):
        return str(found["FunctionError"])
    try:
        status = json.loads(text)["statusCode"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f"HTTP {status}" if isinstance(status, int) and status >= 400 else ""


def version(session: Session, name: str) -> dict[str, str] | None:
    """Of a deployed function the version that is live, its state and size; None when there is none."""
    client = session.client("lambda")
    with asking(f"asking for the function {name}"), absent("ResourceNotFoundException"):
        alias = client.get_alias(FunctionName=name, Name=names.ALIAS)
        found = client.get_function_configuration(FunctionName=name, Qualifier=names.ALIAS)
        return {
            "version": f"version {alias['FunctionVersion']}",
            "state": found.get("State", ""),
            "memory": f"{found['MemorySize']} MB",
            "updated": found["LastModified"],
        }
    return None
