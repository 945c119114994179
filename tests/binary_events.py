"""Events of HTTP APIs whose bodies are any bytes."""

import base64
from typing import Any


def http(body: bytes, kind: str = "", query: str = "") -> dict[str, Any]:
    """A POST of `body`, whose content type is `kind`."""
    return {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": query,
        "headers": {"content-type": kind} if kind else {},
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
