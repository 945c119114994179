"""How much of AWS a function would have used: what the local machine counts, and the bill is made of.

Does not ship to Lambda.
"""

from typing import NamedTuple

from pilotlight.settings import Front


class Usage(NamedTuple):
    """One function. `memory`, `tmp` in MB; `seconds` is how long it was there, `billed_ms` what its invocations took as
    they are billed, init included.

    `restores` are cold starts from a snapshot. `streamed` are bytes of streamed answers after the first 6 MB of each.
    `front_requests` are requests that its front end has counted, of 512 KB each where that meters by size. `log_bytes`
    are ingested; `write_units` are of DynamoDB, 1 KB each. `provisioned_seconds` is how long provisioned environments
    were there, each counted, and `provisioned_ms` what invocations in them took, which is not in `billed_ms`; `sent`
    are bytes of answers that left AWS.
    """

    function: str
    architecture: str = "x86_64"
    memory: int = 128
    tmp: int = 512
    snapstart: bool = False
    provisioned: int = 0
    front: Front = "http"
    seconds: float = 0.0
    requests: float = 0
    billed_ms: float = 0.0
    restores: float = 0
    streamed: int = 0
    front_requests: float = 0
    log_bytes: float = 0
    write_units: float = 0
    provisioned_seconds: float = 0.0
    provisioned_ms: float = 0.0
    sent: float = 0.0
