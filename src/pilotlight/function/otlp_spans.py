"""The spans of an invocation, as OTLP's JSON has them: opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.

An invocation is a span of kind server, and the init phase before it a child. No body, no query and no message of an
error is in a span: they may hold what nobody is to see.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pilotlight.function.told import Invocation

_INTERNAL, _SERVER, _ERROR = 1, 2, 2  # SpanKind and StatusCode: opentelemetry/proto/trace/v1/trace.proto
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")


class Parent(NamedTuple):
    """What an invocation goes on with: a trace, the caller's span if there is one, and whether that is sampled."""

    trace_id: str
    span_id: str = ""
    is_sampled: bool = False


class Sampler(NamedTuple):
    """Which traces are kept: opentelemetry.io/docs/languages/sdk-configuration/general/#otel_traces_sampler."""

    asks_parent: bool = True
    ratio: float = 1.0

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Sampler:
        """What OTEL_TRACES_SAMPLER says; what it cannot mean is the default, as the specification has it."""
        name = environ.get("OTEL_TRACES_SAMPLER", "")
        own = name.removeprefix("parentbased_")
        ratios = {"always_on": 1.0, "always_off": 0.0, "traceidratio": _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG"))}
        return cls(own != name, ratios[own]) if own in ratios else cls()

    def keeps(self, parent: Parent) -> bool:
        if self.asks_parent and parent.span_id:
            return parent.is_sampled
        return int(parent.trace_id[16:], 16) < round(self.ratio * 2**64)


def _ratio(text: str | None) -> float:
    try:
        ratio = float(text or "1")
    except ValueError:
        return 1.0
    return ratio if 0 <= ratio <= 1 else 1.0


def parent(headers: Mapping[str, object], xray: str) -> Parent:
    """The caller's W3C context (w3.org/TR/trace-context), else X-Ray's, else a new trace.

    Where Lambda's own tracing is off, X-Ray's header says Sampled=0 of every invocation and its Parent is a span that
    nobody keeps: only its trace id is taken then, by which logs name the request.
    """
    given = next((str(value) for name, value in headers.items() if name.lower() == "traceparent"), "")
    if (found := _PARENT.fullmatch(given.strip())) and not (given.startswith("00") and found[4]):
        return Parent(found[1], found[2], bool(int(found[3], 16) & 1))
    fields = dict(part.strip().partition("=")[::2] for part in xray.split(";"))
    if not (root := _ROOT.fullmatch(fields.get("Root", ""))):
        return Parent(os.urandom(16).hex())
    span_id = fields.get("Parent", "")
    is_kept = fields.get("Sampled") == "1" and re.fullmatch("(?!0{16})[0-9a-f]{16}", span_id)
    return Parent(root[1] + root[2], span_id, True) if is_kept else Parent(root[1] + root[2])


def spans(invocation: Invocation, sampler: Sampler) -> list[dict[str, object]]:
    """Those of an invocation: none where it is not sampled."""
    event = _event(invocation.event.payload)
    headers = event.get("headers")
    origin = parent(headers if isinstance(headers, dict) else {}, invocation.event.trace_id)
    if not sampler.keeps(origin):
        return []
    about = _about(event, invocation)
    name = _name(about)
    server = _span(origin, name, _SERVER, invocation.began, invocation.ended, about)
    if invocation.error or ("http.response.status_code" in about and invocation.failed):
        server["status"] = {"code": _ERROR}
    if not invocation.init:
        return [server]
    own = Parent(origin.trace_id, str(server["spanId"]))
    return [server, _span(own, "init", _INTERNAL, invocation.init, invocation.loaded, {})]


def _event(payload: bytes) -> dict[str, Any]:
    try:
        event = json.loads(payload)
    except ValueError:  # the caller of the Invoke API may send anything
        return {}
    return event if isinstance(event, dict) else {}


def _name(about: Mapping[str, object]) -> str:
    """ "POST /qa" behind HTTP, else the function's name."""
    if "http.request.method" not in about:
        return os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "function")
    return f"{about['http.request.method']} {about.get('http.route', '')}".rstrip()


def _about(event: Mapping[str, Any], invocation: Invocation) -> dict[str, object]:
    http = _http(event)
    status = invocation.status if http else None
    return {
        "faas.invocation_id": invocation.event.request_id,
        "faas.coldstart": invocation.is_cold,
        "faas.trigger": "http" if http else "other",
        "cloud.resource_id": invocation.event.arn,
        **http,
        **({"http.response.status_code": status} if status else {}),
        **({"error.type": invocation.error} if invocation.error else {}),
    }


def _http(event: Mapping[str, Any]) -> dict[str, object]:
    """Method, path and pattern of the path, of both formats of events."""
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    if isinstance(http, dict):
        key = str(event.get("routeKey", ""))
        method, path, route = http.get("method"), event.get("rawPath"), key.partition(" ")[2]
    else:
        method, path, route = event.get("httpMethod"), event.get("path"), str(event.get("resource") or "")
    said = {"http.request.method": method, "url.path": path, "http.route": route}
    return {name: value for name, value in said.items() if value and isinstance(value, str)} if method else {}


def _span(
    origin: Parent, name: str, kind: int, began: int, ended: int, about: Mapping[str, object]
) -> dict[str, object]:
    return {
        "traceId": origin.trace_id,
        "spanId": os.urandom(8).hex(),
        **({"parentSpanId": origin.span_id} if origin.span_id else {}),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(ended),
        "attributes": attributes(about),
    }


def resource(environ: Mapping[str, str]) -> dict[str, object]:
    """What sends the spans: OTEL_SERVICE_NAME, else OTEL_RESOURCE_ATTRIBUTES, else what Lambda says."""
    import pilotlight

    name, memory = (environ.get(f"AWS_LAMBDA_FUNCTION_{each}", "") for each in ("NAME", "MEMORY_SIZE"))
    said: dict[str, object] = {
        "service.name": name,
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": environ.get("AWS_REGION", ""),
        "faas.name": name,
        "faas.version": environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        "faas.instance": environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
        "faas.max_memory": int(memory) * 2**20 if memory.isdecimal() else 0,
        "telemetry.sdk.name": "pilotlight",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": pilotlight.__version__,
        **dict(pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))),
    }
    if own := environ.get("OTEL_SERVICE_NAME"):
        said["service.name"] = own
    return {"attributes": attributes({key: value for key, value in said.items() if value})}


def attributes(values: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """ "a=1,b=c%20d" as W3C's baggage has it, which the variables of OpenTelemetry follow."""
    for part in text.split(","):
        name, sign, value = part.partition("=")
        if sign and name.strip():
            yield _decoded(name.strip()), _decoded(value.strip())


def _decoded(text: str) -> str:
    escaped = re.sub("%([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text) if text.isascii() else text
    return escaped.encode("latin-1").decode("utf-8", "replace") if text.isascii() else text
