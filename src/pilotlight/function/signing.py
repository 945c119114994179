"""AWS Signature Version 4: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.

botocore, which signs as well, costs a cold start a third of a second; a test holds the two against each other.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotlight.function.credentials import Credentials

_ALGORITHM = "AWS4-HMAC-SHA256"


def sign(
    credentials: Credentials,
    region: str,
    service: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    at: float | None = None,
    method: str = "POST",
    query: str = "",
) -> dict[str, str]:
    """The headers of a request, with those added that sign it.

    `path` is of letters, digits and "-._~/", for S3 of "%" too; `query` has its fields in the order of their names,
    each with "=", and nothing but letters, digits and "-._~%" in names and values. `headers` have Host, and all of them
    are signed; `at` is in seconds since the epoch.
    """
    import hashlib

    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    token = {"X-Amz-Security-Token": credentials.token} if credentials.token else {}
    signed = {**headers, "X-Amz-Date": moment, **token}
    fields = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
    names = ";".join(name for name, _ in fields)
    lines = "".join(f"{name}:{value}\n" for name, value in fields)
    canonical = f"{method}\n{path or '/'}\n{query}\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = _hmac(_key(credentials.secret_key, scope), text).hex()
    credential = f"Credential={credentials.access_key}/{scope}"
    return {**signed, "Authorization": f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"}


def _key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    import hmac

    return hmac.digest(key, text.encode(), "sha256")
