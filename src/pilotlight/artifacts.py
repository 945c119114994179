"""What engines exchange that make things: packages, and how long a model takes. Does not ship to Lambda."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Artifact(NamedTuple):
    """A function's package, as it is deployed.

    `kind` is Lambda's PackageType in lower case. `location` is a zip's or a layout's path, or the reference of an image
    in a registry, with its digest. `digest` is "sha256:...", of the zip's bytes or of the image's manifest; `size` what
    is uploaded, `unpacked` what Lambda unpacks, in bytes. `runtime` ("python3.13"), `architecture` and `handler` are
    Lambda's own words; the handler of an image is the argument of its command. `environment` are the variables that the
    settings and the package itself ask for; the tables' are known when they are there.
    """

    service: str
    function: str
    kind: Literal["zip", "image"]
    location: str
    digest: str
    size: int
    unpacked: int
    runtime: str
    architecture: str
    handler: str
    environment: Mapping[str, str]


class Timing(NamedTuple):
    """What a bare model takes: medians over fresh processes.

    `cold_ms` is process start to first answer, `p50_ms` and `p95_ms` are runs after it; `bytes` on the disk; `pss_mb`
    is the memory of the process in MB, where what processes share is divided among them.
    """

    cold_ms: float
    p50_ms: float
    p95_ms: float
    bytes: int
    pss_mb: float
