"""For `pilotlight doctor`: whether a model on the hub is packed, or fetched by the function, which only then needs EFS
and its network. A build knows it; here it is looked for on this machine, then the hub is asked, once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pilotlight.cli import models
from pilotlight.deploy import network
from pilotlight.deploy.doctor.finding import Finding, unchecked
from pilotlight.errors import FetchUnreachable, PilotlightError, ProjectError
from pilotlight.project import Function, Project

_PLACE = "models/packed"  # where the package would have it: checks look at whether there is one


class Known(NamedTuple):
    """The service as it would be deployed. Where the hub does not say, models are fetched in `service` and packed in
    `other`; `why` has the reasons, by the names of functions."""

    service: Project
    other: Project
    why: Mapping[str, PilotlightError]


def known(service: Project) -> Known:
    fetching: list[Function] = []
    packing: list[Function] = []
    why: dict[str, PilotlightError] = {}
    for function in service.functions:
        found, problem = _looked_up(function, next(filter(_is_away, why.values()), None))
        fetching.append(found)
        packing.append(_packed(found, _of_the_hub(found)) if problem else found)
        why |= {function.name: problem} if problem else {}
    return Known(_with(service, fetching), _with(service, packing), why)


def _is_away(problem: PilotlightError) -> bool:
    return isinstance(problem, FetchUnreachable)


def _looked_up(function: Function, before: PilotlightError | None) -> tuple[Function, PilotlightError | None]:
    """The function, with what is known of its models, and why that is not all. A hub that was away `before` is not
    asked again."""
    if function.defect or not _matters(function):
        return function, None
    try:
        found, checkpoints = models.planned(function, models.once if before is None else models.never)
    except PilotlightError as error:
        return function, before or error
    return _packed(found, checkpoints), None


def _matters(function: Function) -> bool:
    """Models that are fetched into /tmp change nothing of what is checked, nor do those that are packed in any case."""
    try:
        return function.optimize and bool(_of_the_hub(function)) and network.place(function) != ""
    except ProjectError:
        return True


def _of_the_hub(function: Function) -> Sequence[str]:
    return [uri for uri in function.fetches if uri.startswith("hf://")]


def _packed(function: Function, uris: Iterable[str]) -> Function:
    places = {uri: _PLACE for uri in uris}
    return msgspec.structs.replace(function, fetched={**function.fetched, **places}) if places else function


def _with(service: Project, functions: Sequence[Function]) -> Project:
    return msgspec.structs.replace(service, functions=tuple(functions))


def merged(found: Iterable[Finding], other: Iterable[Finding], why: PilotlightError) -> list[Finding]:
    """What holds in both cases; what does not is not known."""
    return [_merged(*each, why) for each in zip(found, other, strict=True)]


def _merged(found: Finding, other: Finding, why: PilotlightError) -> Finding:
    if found.status == other.status:
        return found if found.status == "ok" else other
    reason = "not known without the hub, whether a model is packed, or fetched by the function"
    return unchecked(found.check, found.function, f"{reason}: {why}", why.hint)
