"""Checks of the account: what new ones lack is what deployments of models want."""

from collections.abc import Iterable, Iterator
from typing import Any

from pilotlight import limits
from pilotlight.deploy import names
from pilotlight.deploy.doctor.finding import Finding, Problem, finding, looked
from pilotlight.deploy.session import Session, asking
from pilotlight.project import Function

CHECKS = ("concurrency quota", "memory of the account")
_QUOTA = "ask for more in Service Quotas: AWS Lambda, Concurrent executions"
_SUPPORT = f"deploy with memory = {limits.MEMORY_NEW_ACCOUNT} first, or ask AWS Support for more memory for Lambda"


def checks(session: Session, functions: Iterable[Function], stage: str) -> list[Finding]:
    wanted = list(functions)
    return [
        Finding("credentials", "", "ok", f"account {session.account}, region {session.region}"),
        looked("concurrency quota", "", lambda: _concurrency(session, wanted, stage)),
        looked("memory of the account", "", lambda: _memory(session, wanted)),
    ]


def _concurrency(session: Session, functions: list[Function], stage: str) -> Finding:
    """docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html: what is reserved is taken from all others."""
    with asking("asking for the account's limits"):
        limit = session.client("lambda").get_account_settings()["AccountLimit"]
    total, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    own = sum(_reserved(session, names.function(each, stage)) for each in functions)
    return finding(
        "concurrency quota", "", f"{total:,} at once, {free:,} not reserved", _short(functions, total, free + own)
    )


def _short(functions: list[Function], total: int, free: int) -> Iterator[Problem]:
    """`free` is what these functions may share out among them: what none has reserved, and what is theirs already."""
    floor = min(limits.CONCURRENCY_UNRESERVED, total)
    wanted = sum(each.concurrency or 0 for each in functions)
    if wanted and free - wanted < floor:
        seen = f"the functions reserve {wanted}, and {max(0, free - floor)} can be: {floor} have to stay unreserved"
        yield Problem(seen, f"lower concurrency, or {_QUOTA}")
    warm = sum(max(each.provisioned, each.provisioned_max) for each in functions)
    if warm > max(0, free - floor):
        yield Problem(f"{warm} provisioned environments, and {max(0, free - floor)} can be", f"lower it, or {_QUOTA}")
    if total < limits.CONCURRENCY_UNRESERVED:
        yield Problem(f"the account runs {total} environments at once, as new ones do", _QUOTA, "warning")


def _reserved(session: Session, name: str) -> int:
    """What the deployed function has reserved; 0 where there is none of that name."""
    with asking(f"asking for the concurrency of {name}"):
        try:
            found = session.client("lambda").get_function_concurrency(FunctionName=name)
        except session.client("lambda").exceptions.ResourceNotFoundException:
            return 0
    return int(found.get("ReservedConcurrentExecutions", 0))


def _memory(session: Session, functions: list[Function]) -> Finding:
    """No API tells an account's limit. One that has a function above the limit of new ones has more."""
    wanted = max((each.memory for each in functions), default=0)
    name = "memory of the account"
    if wanted <= limits.MEMORY_NEW_ACCOUNT:
        return finding(name, "", f"{wanted} MB at most are asked for", ())
    with asking("listing the functions of the account"):
        pages = session.client("lambda").get_paginator("list_functions").paginate()
        most = max((_size(each) for page in pages for each in page["Functions"]), default=0)
    if most > limits.MEMORY_NEW_ACCOUNT:
        return finding(name, "", f"a function here has {most} MB", ())
    with asking("asking for the account's limits"):
        total = session.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    is_new = total < limits.CONCURRENCY_UNRESERVED
    seen = f"{wanted} MB are asked for, and no function of the account has more than {limits.MEMORY_NEW_ACCOUNT:,}"
    return finding(name, "", "", [Problem(seen, _SUPPORT, "failed" if is_new else "warning")])


def _size(function: Any) -> int:
    return int(function.get("MemorySize", 0))
