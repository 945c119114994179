"""AWS credentials, as a function, a container or an instance has them: of those places the first that has some.

    environment   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN: what Lambda sets
    container     AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI: ECS, EKS, and Lambda with SnapStart
    instance      the role of an EC2 instance, by its metadata service, version 2

Those of containers and instances are for a time, and renewed before it ends. Profiles are not read: where functions run
there are none. Sources: docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html and .../
feature-imds-credentials.html.
"""

from __future__ import annotations

import os
import time

from pilotlight.errors import TableRefused
from pilotlight.function import plain_json
from pilotlight.function.http1 import Answer, Connection, Endpoint, parse, request
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any


_RENEW_SECONDS = 600.0  # before they end, as AWS's own clients at the latest
_AGAIN_SECONDS = 10.0  # after a renewal that failed
_ATTEMPTS = 3
_CONTAINER_SECONDS, _INSTANCE_SECONDS = 2.0, 1.0  # to wait for an answer: both are on this machine or next to it
_CONTAINER = "AWS_CONTAINER_CREDENTIALS_"
_ECS = "169.254.170.2"
_TRUSTED = ("localhost", "127.0.0.1", "::1", _ECS, "169.254.170.23", "fd00:ec2::23")  # may be asked without TLS
_IMDS = "http://169.254.169.254"
_ROLES = "/latest/meta-data/iam/security-credentials/"
_HINT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role gives some"


class Credentials(NamedTuple):
    """`expires` is in seconds since the epoch; those of the environment never do."""

    access_key: str
    secret_key: str
    token: str = ""
    expires: float = float("inf")


class _Held(NamedTuple):
    credentials: Credentials
    renew: float  # seconds since the epoch


_held: list[_Held] = []  # at most one: all tables of a process have the same


def current() -> Credentials:
    """The credentials to sign with now. Raises `TableRefused` when there are none to be had."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN", ""))
    if not _held or time.time() >= _held[0].renew:
        _held[:] = [_renew(_held[0] if _held else None)]
    return _held[0].credentials


def forget() -> bool:
    """Ask again next time: the store calls them expired. Whether there is somebody to ask: the environment's stay."""
    was_held = bool(_held)
    _held.clear()
    return was_held


def _renew(held: _Held | None) -> _Held:
    """New ones; while there are none, those that are held, as long as they are valid."""
    is_container = f"{_CONTAINER}RELATIVE_URI" in os.environ or f"{_CONTAINER}FULL_URI" in os.environ
    try:
        found = _of_container() if is_container else _of_instance()
    except (OSError, ValueError) as error:
        if held is not None and time.time() < held.credentials.expires:
            return held._replace(renew=time.time() + _AGAIN_SECONDS)
        whose = "container" if is_container else "instance"
        reason = f"none are in the environment; asking the {whose}: {error}"
        raise TableRefused(f"finding AWS credentials: {reason}", _HINT) from None
    return _Held(found, max(found.expires - _RENEW_SECONDS, time.time() + _AGAIN_SECONDS))


def _of_container() -> Credentials:
    relative = os.environ.get(f"{_CONTAINER}RELATIVE_URI")
    uri, _, query = (f"http://{_ECS}{relative}" if relative else os.environ[f"{_CONTAINER}FULL_URI"]).partition("?")
    endpoint = parse(uri)
    if not endpoint.is_secure and endpoint.host not in _TRUSTED:
        raise ValueError(f"{_CONTAINER}FULL_URI: {endpoint.host} may be asked by https only")
    token = _authorization()
    headers = {"Accept": "application/json", **({"Authorization": token} if token else {})}
    path = f"{endpoint.path or '/'}{'?' if query else ''}{query}"
    return _read(_ask(endpoint._replace(path=""), "GET", path, headers, _CONTAINER_SECONDS))


def _authorization() -> str:
    """Read anew each time, since what the file holds is for a time as well."""
    token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if file := os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        with open(file, encoding="utf-8") as opened:
            token = opened.read()
    if "\r" in token or "\n" in token:
        raise ValueError("the authorization token of the container has a line break in it")
    return token


def _of_instance() -> Credentials:
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise ValueError("AWS_EC2_METADATA_DISABLED says not to")
    endpoint = parse(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", _IMDS).rstrip("/"))
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
    token = _ask(endpoint, "PUT", "/latest/api/token", lifetime, _INSTANCE_SECONDS).body.decode("latin-1")
    headers = {"X-aws-ec2-metadata-token": token}
    role = _ask(endpoint, "GET", _ROLES, headers, _INSTANCE_SECONDS).body.decode("latin-1").partition("\n")[0].strip()
    return _read(_ask(endpoint, "GET", f"{_ROLES}{role}", headers, _INSTANCE_SECONDS))


def _ask(endpoint: Endpoint, method: str, path: str, headers: dict[str, str], seconds: float) -> Answer:
    """The answer, which is a 200. Asks again where there was none, or the fault was not ours. Raises OSError."""
    for _ in range(_ATTEMPTS):
        try:
            answer = _exchange(endpoint, request(method, endpoint, path, {**headers, "Connection": "close"}), seconds)
        except OSError as error:
            problem = OSError(f"{endpoint.authority}: {error}")
            continue
        if answer.status == 200:
            return answer
        problem = OSError(f"{method} {path.partition('?')[0]}: {endpoint.authority} answered {answer.status}")
        if answer.status < 500:
            break
    raise problem


def _exchange(endpoint: Endpoint, data: bytes, seconds: float) -> Answer:
    connection = Connection(endpoint, "it", seconds)
    try:
        return connection.exchange(data)
    finally:
        connection.close()


def _read(answer: Answer) -> Credentials:
    """Both places answer with one JSON object. Raises ValueError."""
    try:
        fields: dict[str, Any] = plain_json.loads(answer.body)
        key, secret = fields["AccessKeyId"], fields["SecretAccessKey"]
        expires = _seconds(fields["Expiration"]) if fields.get("Expiration") else float("inf")
        return Credentials(key, secret, fields.get("Token") or "", expires)
    except (ValueError, KeyError, TypeError):
        raise ValueError("the answer has no credentials in it") from None


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()
