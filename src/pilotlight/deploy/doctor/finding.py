"""What a check found."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from pilotlight.errors import DeployError

Status = Literal["ok", "warning", "failed", "not checked"]
_WORST: tuple[Status, ...] = ("failed", "warning", "not checked", "ok")


class Finding(NamedTuple):
    """`seen` is what was looked at and how it is, or why it was not checked; `remedy` what to do, "" where nothing is.

    `function` is the name of one, "" for the service or the account.
    """

    check: str
    function: str
    status: Status
    seen: str
    remedy: str = ""


class Problem(NamedTuple):
    """Why a check is not passed."""

    seen: str
    remedy: str
    status: Status = "failed"


def finding(check: str, function: str, fine: str, problems: Iterable[Problem]) -> Finding:
    """One finding of all `problems`, the worst of which gives the status; `fine` is what is seen without any."""
    found = list(dict.fromkeys(problems))
    if not found:
        return Finding(check, function, "ok", fine)
    remedies = dict.fromkeys(each.remedy for each in found if each.remedy)
    status = min((each.status for each in found), key=_WORST.index)
    return Finding(check, function, status, "; ".join(each.seen for each in found), "; ".join(remedies))


def unchecked(check: str, function: str, reason: str, remedy: str = "") -> Finding:
    return Finding(check, function, "not checked", reason, remedy)


def looked(check: str, function: str, look: Callable[[], Finding]) -> Finding:
    """What `look` finds; not checked, with the reason, where AWS does not let it."""
    try:
        return look()
    except DeployError as error:
        return unchecked(check, function, str(error), error.hint)
