"""How an init phase ends that no `next` has ended."""

from pilotlight.local import report
from pilotlight.values import Call, Result


class InitError(Exception):
    """The init phase ended without a `next`. `log` is the end of what the function had written by then."""

    def __init__(self, kind: str, text: str, payload: bytes = b"", log: bytes = b"") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.payload = payload
        self.log = log

    def result(self, call: Call) -> Result:
        """What the caller of the function gets: the runtime's own report, or Lambda's words."""
        failed = (
            Result(self.payload, "Unhandled") if self.payload else report.failure(self.kind, self.text, call.request_id)
        )
        return failed._replace(request_id=call.request_id, log=self.log if call.tail else b"")


class InitTimeout(Exception):
    """The init phase took longer than it may."""


def why(error: BaseException) -> str:
    """Why an environment ends that did not start."""
    if isinstance(error, TimeoutError):
        return "init timed out"
    return "init failed" if isinstance(error, InitError) else "stopped"
