"""How a registry wants to be told who asks: challenges, and tokens from the server that one names.

RFC 9110, 11.6.1 (WWW-Authenticate); "Token Authentication Specification" and "Token Authentication Scope" of
distribution.github.io/distribution/spec/auth; for identity tokens its "OAuth2 Token Authentication".
"""

import json
import re
from collections.abc import Callable, Iterable
from threading import Lock
from typing import NamedTuple
from urllib.parse import urlencode

from pilotlight.bundle.credentials import Credentials
from pilotlight.errors import RegistryRefused

_CHALLENGE = re.compile(r"(?:^|,)\s*(Basic|Bearer)(?=\s|,|$)", re.I)
_PARAMETER = re.compile(r'([\w!#$%&\'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_CLIENT = "pilotlight"

Fetch = Callable[[str, bytes, str], bytes]
"""The content of a URL, asked for with a body, where there is one, and an Authorization header."""


class Challenge(NamedTuple):
    """`scheme` is "basic" or "bearer"; names of parameters are in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """Those of both schemes that are in WWW-Authenticate headers; one header may have several."""
    found = []
    for header in headers:
        quoted = [match.span() for match in re.finditer(r'"(?:[^"\\]|\\.)*"', header)]
        starts = [m for m in _CHALLENGE.finditer(header) if not any(a < m.start(1) < b for a, b in quoted)]
        ends = [*(match.start() for match in starts[1:]), len(header)]
        for match, end in zip(starts, ends, strict=False):
            found.append(Challenge(match[1].lower(), _parameters(header[match.end() : end])))
    return found


def _parameters(text: str) -> dict[str, str]:
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for name, quoted, plain in _PARAMETER.findall(text)
    }


class Login:
    """What the Authorization header of one registry is, for all threads. It changes when the registry asks for it.

    `scopes` are what will be asked for, such as `repository:qa:pull,push`: one token is for all of it.
    """

    def __init__(self, credentials: Credentials | None, scopes: Iterable[str], fetch: Fetch) -> None:
        self._credentials, self._scopes, self._fetch = credentials, tuple(scopes), fetch
        self._lock = Lock()
        self.header = ""

    def renew(self, asked: Iterable[str], used: str) -> bool:
        """Whether a request with the header `used`, which the registry refused, is worth a second try.

        `asked` are the WWW-Authenticate headers of that answer. Raises `RegistryRefused` when there is no token.
        """
        with self._lock:
            if self.header == used:  # else another thread was faster
                self.header = self._next(challenges(asked))
            return self.header not in ("", used)

    def _next(self, asked: list[Challenge]) -> str:
        for challenge in asked:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return f"Bearer {self._token(challenge.parameters)}"
        has_password = self._credentials is not None and self._credentials.user
        if self._credentials is not None and has_password and any(each.scheme == "basic" for each in asked):
            return self._credentials.basic
        return ""

    def _token(self, asked: dict[str, str]) -> str:
        realm = asked["realm"]
        scopes = dict.fromkeys((*self._scopes, *asked.get("scope", "").split()))
        known = self._credentials or Credentials()
        if known.identity_token:
            answer = self._fetch(realm, _form(known, asked, scopes), "")
        else:
            query = [("service", asked["service"])] if "service" in asked else []
            query += [("scope", scope) for scope in scopes]
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            answer = self._fetch(url, b"", known.basic if known.user else "")
        return _read(answer, realm)


def _form(known: Credentials, asked: dict[str, str], scopes: Iterable[str]) -> bytes:
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": known.identity_token,
        "service": asked.get("service", ""),
        "scope": " ".join(scopes),
        "client_id": _CLIENT,
    }
    return urlencode(fields).encode()


def _read(answer: bytes, realm: str) -> str:
    """`token` and `access_token` are the same, and either may be absent."""
    try:
        found = json.loads(answer)
        token = found.get("token") or found.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise RegistryRefused(f"asking {realm} for a token: its answer has none", "see whether the registry is well")
    return token
