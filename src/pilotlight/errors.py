"""Every error Pilotlight raises on purpose, as one tree.

    PilotlightError              message + hint; the command line prints both, with the exit code of the class
    ├── UsageError               the caller has to change something before it can work (exit code 2)
    │   ├── ProjectError         pilotlight.toml or the layout of the project
    │   ├── PortError            the port is taken or may not be used
    │   └── SourceError          what a model is to be made from is missing, unsafe or not reachable
    ├── FunctionError            a user's function cannot be loaded or failed (exit code 1)
    ├── ModelError               a model file is missing, damaged or not what the function expects (exit code 1)
    │   ├── ModelNotInstalled    the model does not ship with the project; the hint is the command that installs it
    │   └── FetchError           a model that a URI names cannot be fetched
    │       ├── FetchRefused     the hub or S3 does not let these credentials read it, or there are none
    │       ├── FetchUnreachable the hub or S3 gave no answer, or broke off
    │       └── CacheError       the folder that models are kept in is full, or cannot be written
    ├── OptimizeError            a model cannot be optimised (exit code 1)
    │   └── FidelityError        the optimised model does not answer as the original does
    ├── BuildError               a package cannot be made (exit code 1)
    │   ├── RequirementError     requirements conflict, or have no wheel for the target
    │   └── PackageTooLarge      Lambda takes no package of that size; the hint says what is large in it
    ├── VectorError              word vectors are broken, or not what was expected (exit code 1)
    ├── TableError               a table, or its store, cannot do what was asked (exit code 1)
    │   ├── ItemError            the store takes no such item or key
    │   ├── TableNotFound        the store has no such table
    │   ├── TableRefused         the store does not let these credentials do this, or there are none
    │   ├── TableThrottled       the store asked to wait for longer than we do
    │   └── TableUnreachable     the store gave no answer
    ├── ObjectError              an object of S3 cannot be read, by no fault of who named it (exit code 1)
    │   ├── ObjectRefused        S3 does not let these credentials read it, or there are none
    │   └── ObjectUnreachable    S3 gave no answer
    ├── ImageError               an image, a layer or a registry is not as it has to be (exit code 1)
    │   ├── ImageNotFound        the registry has no such image or repository
    │   ├── RegistryRefused      the registry does not let these credentials do this, or there are none
    │   ├── RegistryThrottled    the registry asked to wait for longer than we do
    │   └── RegistryUnreachable  the registry gave no answer, broke off or failed, again and again
    ├── DeployError              AWS is not brought to what was asked (exit code 1)
    │   ├── CredentialsError     there are no credentials of AWS, or they are not valid, or not any more
    │   ├── AwsRefused           AWS does not let these credentials do this
    │   ├── AwsUnreachable       AWS gave no answer, or asked to wait for longer than we do
    │   └── StackError           CloudFormation could not bring the stack there, or its state does not admit it
    └── InvokeError              a call that never reached a function (exit code 1)
        ├── NotFound             no function of that name
        ├── Throttled            the function's concurrency, or its requests of this second, are used up
        └── PayloadTooLarge      the payload is over Lambda's limit

    InputError                   a request does not fit the function's annotations: 400 behind HTTP
    ├── InputTooLarge            a field holds more than the function can work through in its time: 413 behind HTTP
    └── UnsupportedMediaType     a body or a file of a kind that nothing here reads: 415 behind HTTP

This module ships to Lambda: it imports nothing.
"""


class PilotlightError(Exception):
    """An error with a remedy. `str()` is one sentence; `hint`, when not empty, says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(PilotlightError):
    """Something the caller wrote has to change before this can work."""

    exit_code = 2


class ProjectError(UsageError):
    """`pilotlight.toml`, or the layout of the project, is not usable."""


class PortError(UsageError):
    """The port is taken, or this user may not listen on it."""


class SourceError(UsageError):
    """What a model is to be made from is missing, incomplete, not safe to load, or cannot be reached."""


class FunctionError(PilotlightError):
    """A function cannot be loaded, or failed."""


class ModelError(PilotlightError):
    """A model file is missing, damaged, or not what the function expects."""


class ModelNotInstalled(ModelError):
    """The model does not ship with the project; the hint is the command that installs it."""


class FetchError(ModelError):
    """A model that a URI names cannot be fetched: there is none, or it is not what its source says."""


class FetchRefused(FetchError):
    """The hub or S3 does not let these credentials read the model, or there are none."""


class FetchUnreachable(FetchError):
    """The hub or S3 gave no answer, or broke off, or asked to wait and went on doing so."""


class CacheError(FetchError):
    """The folder that fetched models are kept in is full, or cannot be written."""


class OptimizeError(PilotlightError):
    """A model cannot be optimised."""


class FidelityError(OptimizeError):
    """The optimised model does not answer as the original does, by the thresholds that were set."""


class BuildError(PilotlightError):
    """A package of a function cannot be made."""


class RequirementError(BuildError):
    """Requirements conflict, or one has no wheel for the target."""


class PackageTooLarge(BuildError):
    """Lambda takes no package of that size; the hint says what is large in it."""


class VectorError(PilotlightError):
    """A file or an item of word vectors is broken, or not what was expected."""


class TableError(PilotlightError):
    """A table, or the store that it is in, cannot do what was asked."""


class ItemError(TableError):
    """The store takes no such item or key: it is too large, or a value has no form there."""


class TableNotFound(TableError):
    """The store has no table of that name."""


class TableRefused(TableError):
    """The store does not let these credentials do this, or there are none."""


class TableThrottled(TableError):
    """The store asked to wait, and went on doing so."""


class TableUnreachable(TableError):
    """The store gave no answer, or broke off."""


class ObjectError(PilotlightError):
    """An object of S3 cannot be read, and not because there is none of that name."""


class ObjectRefused(ObjectError):
    """S3 does not let these credentials read the object, or there are none."""


class ObjectUnreachable(ObjectError):
    """S3 gave no answer, or broke off, or asked to wait and went on doing so."""


class ImageError(PilotlightError):
    """An image, one of its layers, or what a registry says of them is not as it has to be."""


class ImageNotFound(ImageError):
    """The registry has no such image, or no such repository."""


class RegistryRefused(ImageError):
    """The registry does not let these credentials do this, or there are none."""


class RegistryThrottled(ImageError):
    """The registry asked to wait, and went on doing so."""


class RegistryUnreachable(ImageError):
    """The registry gave no answer, broke off or failed, and went on doing so."""


class DeployError(PilotlightError):
    """AWS is not brought to what was asked. What was done until then stays; the same command goes on from there."""


class CredentialsError(DeployError):
    """There are no credentials of AWS, or they are not valid, or not any more."""


class AwsRefused(DeployError):
    """AWS does not let these credentials do this."""


class AwsUnreachable(DeployError):
    """AWS gave no answer, or broke off, or asked to wait for longer than we do."""


class StackError(DeployError):
    """CloudFormation could not bring the stack to what the template says, or its state does not admit it."""


class InvokeError(PilotlightError):
    """A call that never reached a function."""


class NotFound(InvokeError):
    """There is no function of that name."""


class Throttled(InvokeError):
    """All of the function's concurrency is in use, or more requests come in a second than that allows.

    `reason` is Lambda's word for the limit, of ThrottleReason in its service model.
    """

    def __init__(self, message: str, hint: str = "", reason: str = "ConcurrentInvocationLimitExceeded") -> None:
        super().__init__(message, hint)
        self.reason = reason


class PayloadTooLarge(InvokeError):
    """The payload is over the limit that Lambda sets."""


class InputError(Exception):
    """A request that does not fit the function's annotations.

    Takes one `(field, reason)` pair for each wrong field, or a plain sentence about the request as a whole, whose
    field is then empty.
    """

    def __init__(self, *problems: tuple[str, str] | str) -> None:
        self.problems = tuple(("", problem) if isinstance(problem, str) else problem for problem in problems)
        super().__init__("; ".join(f"{field}: {reason}" if field else reason for field, reason in self.problems))

    def at(self, field: str) -> "InputError":
        """The same error, of that field."""
        return type(self)(*((field, reason) for _, reason in self.problems))


class InputTooLarge(InputError):
    """A field of the request holds more than the function can work through in its time."""


class UnsupportedMediaType(InputError):
    """A body of a content type that no parameter takes, or a file that is not of a kind that can be read."""
