"""Who a registry is told that we are: what `docker login` has kept, or a helper of Docker's gives.

docs.docker.com/reference/cli/docker/login (credential stores and helpers), and for the protocol of helpers
github.com/docker/docker-credential-helpers: the server on stdin, JSON on stdout.
"""

import base64
import binascii
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pilotlight.bundle.reference import DOCKER_HUB
from pilotlight.errors import UsageError

_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # what a helper says for a name when the secret is an identity token
_NO_SUCH = "credentials not found"
_HELPER_WITHIN = 60  # seconds: it may ask the network


class Credentials(NamedTuple):
    """A user with a password, as ECR's `AWS`, or an identity token, which is exchanged for tokens alone."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    @property
    def basic(self) -> str:
        """The header, RFC 7617."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


Keys = Callable[[str], Credentials | None]
"""The credentials for a registry, such as `public.ecr.aws`, or none."""


def anonymous(registry: str) -> None:
    """No credentials."""


def find(registry: str) -> Credentials | None:
    """What Docker's configuration has for the registry. Raises `UsageError` when it cannot be read."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    return of_config(folder / "config.json", registry)


def of_config(path: Path, registry: str) -> Credentials | None:
    """As `find`, of that file, which may be absent. A helper of the registry's own comes before the common store."""
    config = _read(path)
    key = _HUB_KEY if registry == DOCKER_HUB else registry
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    if helper and (found := _ask(str(helper), key)):
        return found
    return _entry(path, key, config.get("auths") or {})


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_bytes() or b"{}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"reading {path}: {error}", "run docker login again, or move the file away") from None
    if not isinstance(config, dict):
        raise UsageError(f"reading {path}: it is no JSON object", "run docker login again, or move the file away")
    return config


def _entry(path: Path, key: str, entries: Mapping[str, Any]) -> Credentials | None:
    """What is in the file itself: older clients wrote the registry as a URL."""
    for name in (key, f"https://{key}", f"https://{key}/v2/", f"https://{key}/v1/"):
        match entries.get(name):
            case {"identitytoken": str(token)} if token:
                return Credentials(identity_token=token)
            case {"auth": str(auth)} if auth:
                return _decoded(path, name, auth)
            case {"username": str(user), "password": str(password)}:
                return Credentials(user, password)
    return None


def _decoded(path: Path, name: str, auth: str) -> Credentials:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise UsageError(f"reading {path}: the auth of {name} is damaged", f"run docker login {name} again")
    return Credentials(user, password.rstrip("\0"))


def _ask(helper: str, key: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=key, capture_output=True, text=True, timeout=_HELPER_WITHIN)
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = f"asking {program} for {key}: {getattr(error, 'strerror', None) or 'no answer in a minute'}"
        raise UsageError(reason, f"install {program}, or take it out of Docker's config.json") from None
    if done.returncode != 0:
        said = (done.stdout or done.stderr).strip()
        if _NO_SUCH in said:
            return None
        raise UsageError(f"asking {program} for {key}: {said[:200]}", f"see what {program} needs")
    return _answered(program, key, done.stdout)


def _answered(program: str, key: str, text: str) -> Credentials:
    try:
        answer = json.loads(text)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):  # the answer itself is a secret
        raise UsageError(f"asking {program} for {key}: its answer is no credentials", f"update {program}") from None
    return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)
