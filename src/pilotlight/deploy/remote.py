"""Deployed functions, called by Lambda's Invoke API: the other side of `local.pool`.

A call is made once. boto3 would make one again that timed out, and the function would run twice.
"""

import asyncio
import base64
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from pilotlight import limits
from pilotlight.deploy import names
from pilotlight.deploy.session import Session, asking, code
from pilotlight.errors import DeployError, InvokeError, NotFound, PayloadTooLarge, Throttled
from pilotlight.values import Call, Result

WAIT = limits.TIMEOUT_MAX + 60
"""Seconds that a client has to wait for an answer."""

AT_ONCE = 50
"""Calls that are under way together; the others wait here."""

_trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="")

_TOO_LARGE = {  # the API model has the first and the last, the service answers with the second
    *("RequestTooLargeException", "RequestEntityTooLargeException", "SerializedRequestEntityTooLargeException"),
}
_HINTS = {  # of docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    "EFSMountConnectivityException": "see its security groups and mount targets: `pilotlight doctor --remote`",
    "EFSMountTimeoutException": "see its security groups and mount targets: `pilotlight doctor --remote`",
    "EFSMountFailureException": "the role needs elasticfilesystem:ClientMount: `pilotlight doctor --remote`",
    "EFSIOException": "see the file system's throughput in CloudWatch",
    "ENILimitReachedException": "ask for more network interfaces of the VPC in Service Quotas",
    "EC2ThrottledException": "wait a minute: Lambda could not make a network interface in time",
    "SubnetIPAddressLimitReachedException": "give the function subnets with more free addresses",
    "KMSAccessDeniedException": "let the function's role use the key of its environment variables",
    "ResourceConflictException": "the function is being changed: wait until `pilotlight status` shows it active",
    "ResourceNotReadyException": "it has been idle for weeks and is being made ready: call it again in a minute",
    "SnapStartNotReadyException": "its snapshot is being made: call it again in a minute",
    "SnapStartException": "its snapshot could not be restored: `pilotlight logs` shows why",
    "SnapStartTimeoutException": "restoring its snapshot took too long: see what runs after the restore",
    "InvalidRequestContentException": "the event has to be JSON",
}


class About(NamedTuple):
    """What a deployed function has; `memory` in MB."""

    memory: int
    architecture: str


class Remote:
    """Deployed functions of one stage (`values.Invoke`). `client` is boto3's of Lambda: `connect` makes the right one.

    `qualifier` is the alias or the version that is called, with so many calls under way `at_once` that the client has
    connections for. What a function streams is collected. To be closed.
    """

    def __init__(self, client: Any, stage: str = "", qualifier: str = names.ALIAS, at_once: int = AT_ONCE) -> None:
        self._client, self._stage, self._qualifier = client, stage, qualifier
        self._threads = ThreadPoolExecutor(at_once, "invoke")
        client.meta.events.register("before-call.lambda.Invoke", _add_trace)

    async def __call__(self, call: Call, /) -> Result:
        """Invoke a function. Raises NotFound, Throttled, PayloadTooLarge, another `InvokeError`, or `DeployError`."""
        _trace.set(call.trace_id)
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, self._invoke, call)

    async def about(self, key: str) -> About:
        """What the function of that key is set to. Raises NotFound, or `DeployError`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, key)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.meta.events.unregister("before-call.lambda.Invoke", _add_trace)

    def _invoke(self, call: Call) -> Result:
        name = named(call.function, self._stage)
        given = {
            **self._named(name),
            "Payload": call.payload,
            "LogType": "Tail" if call.tail else "None",
            **({"ClientContext": _encoded(call.client_context)} if call.client_context else {}),
        }
        try:
            with asking(f"invoking {name}"):
                answer = self._client.invoke(**given)
                payload = answer["Payload"].read()
        except DeployError as error:
            raise _translated(error, name) from error
        request_id = answer["ResponseMetadata"].get("RequestId", "")
        log = base64.b64decode(answer.get("LogResult", ""))
        return Result(payload, answer.get("FunctionError", ""), request_id, log)

    def _look(self, key: str) -> About:
        name = named(key, self._stage)
        try:
            with asking(f"looking at {name}"):
                found = self._client.get_function_configuration(**self._named(name))
        except DeployError as error:
            raise _translated(error, name) from error
        return About(found["MemorySize"], found.get("Architectures", ["x86_64"])[0])

    def _named(self, name: str) -> dict[str, str]:
        return {"FunctionName": name, **({"Qualifier": self._qualifier} if self._qualifier else {})}


def connect(session: Session, stage: str = "", qualifier: str = names.ALIAS, at_once: int = AT_ONCE) -> Remote:
    """The functions in the session's account and region."""
    return Remote(session.once("lambda", WAIT, at_once), stage, qualifier, at_once)


def named(key: str, stage: str) -> str:
    """What the function of that key is called on Lambda: "service-STAGE--name"."""
    service, separator, name = key.partition("--")
    return f"{names.stack(service, stage)}--{name}" if separator else key


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _add_trace(params: dict[str, Any], **_: object) -> None:
    if trace := _trace.get():
        params["headers"]["X-Amzn-Trace-Id"] = trace


def _translated(error: DeployError, name: str) -> Exception:
    """The error of the seam that AWS's own means; itself where it means none."""
    cause = error.__cause__
    kind = code(cause) if cause is not None and hasattr(cause, "response") else ""
    text = f"invoking {name}: {_said(cause)}"
    match kind:
        case "ResourceNotFoundException":
            return NotFound(text, "`pilotlight status` shows what is deployed, in which region and stage")
        case "TooManyRequestsException":
            reason = str(getattr(cause, "response", {}).get("Reason") or "ConcurrentInvocationLimitExceeded")
            return Throttled(text, "raise the function's concurrency, or that of the account in Service Quotas", reason)
        case (
            "RequestTooLargeException"
            | "RequestEntityTooLargeException"
            | "SerializedRequestEntityTooLargeException"
            | "413"
        ):
            return PayloadTooLarge(text, "send what is large to S3, and its URL to the function")
        case _ if kind in _HINTS:
            return InvokeError(f"{text} ({kind})", _HINTS[kind])
    return error


def _said(cause: BaseException | None) -> str:
    response: dict[str, Any] = getattr(cause, "response", None) or {}
    error = response.get("Error", {})
    return str(response.get("message") or error.get("Message") or error.get("Code", ""))
