"""What AWS's front ends add to a request when it arrives: ids, the trace, where it came from.

Sources: docs.aws.amazon.com/xray/latest/devguide/xray-services-apigateway.html (a trace header is added where none
is), docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html (Root and Self),
docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html (the headers of an event), and events of function URLs and
REST APIs that others published: `Self=...;Root=...` behind a proxy, whose address is appended to X-Forwarded-For.
"""

from base64 import b64encode
from random import Random

from pilotlight.events import Headers

_TRACE = "x-amzn-trace-id"
_FORWARDED = "x-forwarded-for"
_random = Random()  # ids are no secrets, and the system's randomness costs a system call for each
ADDED = frozenset((_TRACE, _FORWARDED, "x-forwarded-port", "x-forwarded-proto"))


def new_ids() -> tuple[str, str, str]:
    """A request id, a UUID of version 4; an id as API Gateway itself gives them, 15 characters and "="; and 24
    hexadecimal digits for a trace."""
    random = _random.randbytes(39)
    digits = random.hex()
    variant = "89ab"[random[8] & 3]
    uuid = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
    return uuid, b64encode(random[16:27], b"-_").decode(), digits[54:]


def forwarded(headers: Headers, source_ip: str, port: int, scheme: str, seconds: float, root: str) -> Headers:
    """The client's headers with those of the front end, which replace the client's or go on with them.

    `root` are the digits of a trace that begins here."""
    sent = {name: value for name, value in headers if name in ADDED}
    kept = tuple([pair for pair in headers if pair[0] not in ADDED]) if sent else headers
    before = sent.get(_FORWARDED)
    return (
        *kept,
        (_TRACE, _traced(sent.get(_TRACE, ""), seconds, root)),
        (_FORWARDED, f"{before}, {source_ip}" if before else source_ip),
        ("x-forwarded-port", str(port)),
        ("x-forwarded-proto", scheme),
    )


def _traced(sent: str, seconds: float, root: str) -> str:
    """The client's Root is kept, and Self says when the request came here; other fields stay as they are."""
    own = f"1-{int(seconds):08x}-{root}"
    if not sent:
        return f"Root={own}"
    fields = [field for part in sent.split(";") if (field := part.strip()) and not field.startswith("Self=")]
    has_root = any(field.startswith("Root=") for field in fields)
    return ";".join((f"{'Self' if has_root else 'Root'}={own}", *fields))


def of_invocation(header: str) -> str:
    """What Lambda makes of the header for its function, `_X_AMZN_TRACE_ID`; "" without a Root.

    A Parent and a decision to sample that the client sent stay (belief).
    """
    if header[:5] == "Root=" and len(header) > 5 and ";" not in header and header.isascii():  # the client sent none
        return f"{header};Parent={_random.randbytes(8).hex()};Sampled=0"
    fields = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    root = fields.get("Root", "")
    if not root or not header.isascii():
        return ""
    parent = fields.get("Parent") or _random.randbytes(8).hex()
    return f"Root={root};Parent={parent};Sampled={fields.get('Sampled') or '0'}"
