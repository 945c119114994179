"""Registries for tests: docker-registry, and a proxy before it at which much goes wrong.

docker-registry is Debian's package of github.com/distribution/distribution, htpasswd that of apache2-utils.
"""

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from http_servers import Cut, Request, answer, serving

_CONFIG = """
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: {folder}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:0"}}
{auth}
"""
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
USER, PASSWORD = "AWS", "a password: with a colon"


@contextlib.contextmanager
def docker_registry(folder: Path, auth: str = "") -> Iterator[str]:
    """An empty registry, as `127.0.0.1:PORT`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(folder=folder / "store", auth=auth))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        yield _wait_for_address(process, folder / "log")
    finally:
        process.terminate()
        process.wait(30)


def _wait_for_address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := _LISTENING.search(log.read_text(errors="replace")):
            return found[1]
        assert process.poll() is None, log.read_text(errors="replace")
        time.sleep(0.02)
    raise AssertionError(f"docker-registry does not listen: {log.read_text(errors='replace')}")


def basic(folder: Path) -> str:
    """The settings of a registry that knows one user by a password, as ECR does."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["htpasswd", "-nbB", USER, PASSWORD], capture_output=True, text=True, check=True)
    (folder / "htpasswd").write_text(made.stdout)
    return f"auth: {{htpasswd: {{realm: test, path: {folder / 'htpasswd'}}}}}"


class Tokens:
    """A server of tokens by "Token Authentication Specification", for one user; `asked` are the scopes of each token.

    `granted` says what of the asked actions a repository's token has; `lives` for how many seconds.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens of a test")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        self._chain = [b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
        self.bundle = folder / "tokens.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.granted: Callable[[str, list[str]], list[str]] = lambda repository, actions: actions
        self.asked: list[list[str]] = []

    def __call__(self, request: Request) -> bytes:
        fields = parse_qs(request.body.decode() if request.body else urlsplit(request.target).query)
        is_known = request.headers.get("authorization") == f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        if not is_known and fields.get("refresh_token") != ["an identity token"]:
            return answer(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]}')
        scopes = [scope for field in fields.get("scope", []) for scope in field.split()]
        self.asked.append(scopes)
        return answer(200, json.dumps({"token": self._token(scopes)}).encode())

    def _token(self, scopes: list[str]) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": self.granted(name, actions.split(","))})
        now = int(time.time())
        claims = {"iss": "test", "sub": USER, "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now}
        head = {"typ": "JWT", "alg": "RS256", "x5c": self._chain}
        text = f"{_part(head)}.{_part({**claims, 'jti': str(len(self.asked)), 'access': access})}"
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _part(document: Any) -> str:
    return urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def bearer(tokens: Tokens, port: int) -> str:
    """The settings of a registry that asks for tokens of the server on `port`."""
    fields = f"realm: http://127.0.0.1:{port}/token, service: registry, issuer: test"
    return f"auth: {{token: {{{fields}, rootcertbundle: {tokens.bundle}}}}}"


Plan = Callable[[Request], str]
"""What happens to a request: "", or a fault."""


class Faults:
    """Answers as the registry at `address` does, but for the requests for which `plan` names a fault.

    - "cut": the connection ends before the registry has seen the request
    - "cut within": the registry sees half of its body
    - "cut after": the registry answers, which the client does not see
    - "cut short": the client sees half of the answer
    - "403", "429 Retry-After: 7" and the like are answered without the registry
    """

    def __init__(self, address: str, plan: Plan) -> None:
        host, _, port = address.rpartition(":")
        self._place, self.plan = (host, int(port)), plan
        self._lock = threading.Lock()
        self.faults: Counter[str] = Counter()
        self.requests: list[Request] = []

    @property
    def sent(self) -> int:
        """Bytes of bodies that have come."""
        return sum(len(request.body) for request in self.requests)

    def methods(self) -> Counter[str]:
        return Counter(request.method for request in self.requests)

    def __call__(self, request: Request) -> bytes:
        with self._lock:
            fault = self.plan(request)
            self.requests.append(request)
            self.faults[fault] += 1
        match fault:
            case "cut":
                return Cut()
            case "cut within":
                self._forward(request, len(request.body) // 2)
                return Cut()
            case "":
                return Cut(self._forward(request, len(request.body)))
            case "cut after":
                self._forward(request, len(request.body))
                return Cut()
            case "cut short":
                whole = self._forward(request, len(request.body))
                return Cut(whole[: len(whole) // 2])
        status, _, header = fault.partition(" ")
        return Cut(answer(int(status), b"", "Connection: close\r\n" + (f"{header}\r\n" if header else "")))

    def _forward(self, request: Request, length: int) -> bytes:
        """The registry's answer to so much of the request, which asks it to close the connection."""
        headers = {**request.headers, "connection": "close"}
        lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        with socket.create_connection(self._place, timeout=60) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + request.body[:length])
            if length < len(request.body):
                return b""
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@contextlib.contextmanager
def faulty(address: str, plan: Plan = lambda request: "") -> Iterator[tuple[str, Faults]]:
    """The same registry behind the proxy."""
    faults = Faults(address, plan)
    with serving(faults) as proxy:
        yield f"127.0.0.1:{proxy.port}", faults
