"""What a simulated function costs in a month of 730 hours. Pure."""

from math import ceil
from typing import NamedTuple

from pilotlight import limits
from pilotlight.measure import cost
from pilotlight.measure.simulate import Outcome
from pilotlight.prices import HOURS
from pilotlight.settings import Front
from pilotlight.usage import Usage

SECONDS = HOURS * 3600.0

_UNIT = 524_288  # bytes by which HTTP APIs are metered, aws.amazon.com/api-gateway/pricing (belief)
_LOG = 320  # bytes of START, END and REPORT, as of an invocation on this machine
_RECORD = 1_024  # bytes of a record beside input and output (ours)
_ROUNDED = 0.5  # ms that rounding up to whole ones adds on average


class Deployed(NamedTuple):
    """What of a function its bill depends on. `memory` and `tmp` in MB; bytes of one request and of its answer."""

    name: str = "function"
    memory: int = limits.MEMORY_OF_ONE_VCPU
    tmp: int = limits.TMP_MIN
    architecture: str = "x86_64"
    front: Front = "http"
    snapstart: bool = False
    records: bool = False
    request_bytes: int = 1_024
    answer_bytes: int = 1_024


def usage(function: Deployed, outcome: Outcome, seconds: float) -> Usage:
    """That of a month which goes on as the simulated `seconds` went. A front counts what Lambda refuses, too."""
    invocations, factor = outcome.invocations, SECONDS / seconds
    share = outcome.provisioned_seconds / (outcome.provisioned_seconds + outcome.run_seconds or 1.0)
    recorded = ceil((function.request_bytes + function.answer_bytes + _RECORD) / 1024) if function.records else 0
    metered = max(1, ceil(max(function.request_bytes, function.answer_bytes) / _UNIT))
    simulated = Usage(
        function.name,
        architecture=function.architecture,
        memory=function.memory,
        tmp=function.tmp,
        snapstart=function.snapstart,
        front=function.front,
        seconds=SECONDS,
        provisioned_seconds=outcome.allocated_seconds * factor,
        requests=invocations,
        billed_ms=(outcome.run_seconds + outcome.init_seconds) * 1000 + _ROUNDED * invocations * (1 - share),
        provisioned_ms=outcome.provisioned_seconds * 1000 + _ROUNDED * invocations * share,
        restores=outcome.cold if function.snapstart else 0,
        front_requests=outcome.requests * (metered if function.front == "http" else 1),
        log_bytes=_LOG * invocations,
        write_units=recorded * invocations,
        sent=function.answer_bytes * invocations,
    )
    return times(simulated, factor)


def times(used: Usage, factor: float) -> Usage:
    """The same month with so many times the requests; what is there whether they come or not stays."""
    return used._replace(
        requests=used.requests * factor,
        billed_ms=used.billed_ms * factor,
        provisioned_ms=used.provisioned_ms * factor,
        restores=used.restores * factor,
        front_requests=used.front_requests * factor,
        log_bytes=used.log_bytes * factor,
        write_units=used.write_units * factor,
        sent=used.sent * factor,
    )


def bill(used: Usage, is_free_tier: bool) -> cost.Bill:
    charged = cost.bill([used])
    return cost.free_tier(charged) if is_free_tier else charged
