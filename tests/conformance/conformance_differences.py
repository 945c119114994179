"""Where a partner is known to answer otherwise than the table, exactly how, and why. One that is gone fails a test."""

from typing import NamedTuple

from conformance_cases import Answer, exited, failure, init_failure


class Difference(NamedTuple):
    """`answers` None are those of the table; `log` is what of the table's is not in this partner's log."""

    why: str
    answers: tuple[Answer, ...] | None = None
    log: tuple[str, ...] | None = None


# Pilotlight's loop, wherever it runs

_STACK = "awslambdaric's stacks begin with its own frames where no frame of the function follows, or the file is \
imported; here they have the function's frames alone"

PILOTLIGHT: dict[str, Difference] = {
    "namedtuple": Difference(
        "simplejson makes an object of a named tuple, the json module an array; finding named tuples would take a walk "
        "through every answer before it is encoded",
        (Answer([1, 2]),),
    ),
    "surrogate": Difference(
        "half a surrogate pair is not UTF-8: awslambdaric escapes it before Python 3.12, and ends with an exception of "
        "its own from then on (lambda_runtime_marshaller.py: ensure_ascii); here it is an error of the answer",
        (
            failure(
                "Runtime.MarshalError",
                "Unable to marshal response: 'utf-8' codec can't encode character '\\ud83d' in position 1: surrogates "
                "not allowed",
            ),
        ),
    ),
    "import-raises": Difference(
        _STACK, (init_failure("ZeroDivisionError", "division by zero", "probe.py <module>", "probe.py load"),)
    ),
    "takes-too-little": Difference(
        _STACK, (failure("TypeError", "handler() takes 1 positional argument but 2 were given"),)
    ),
    "not-callable": Difference(_STACK, (failure("TypeError", "'int' object is not callable"),)),
    "prints-without-end-and-exits": Difference(
        "stdout is written line by line here, and by awslambdaric at every call of write(), which is two for a print: "
        "what a process that dies at once wrote after its last end of line is lost",
        log=("last words",),
    ),
}

# The emulator, whichever loop runs under it

_CUT = "it cuts an event after 6 MB and a bit, where Lambda refuses it"
_EXIT_IN_INIT = "it answers an exit in the init phase with status 500 and nothing"

EMULATOR: dict[str, Difference] = {
    "event-a-byte-too-large": Difference(
        _CUT,
        (
            failure(
                "Runtime.UnmarshalError",
                "Unable to unmarshal input: Unterminated string starting at: line 1 column 1 (char 0)",
            )._replace(error=""),
        ),
    ),
    "timeout": Difference(
        "its words for a timeout are no JSON, and without the request's id; "
        "docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html has Lambda's",
        (Answer("Task timed out after 2.00 seconds"), Answer("fresh")),
    ),
    "trace": Difference("it passes no trace id on, not even the request's", (Answer(False),)),
    "import-exits": Difference(_EXIT_IN_INIT, (Answer(""),)),
    "import-exits-at-once": Difference(_EXIT_IN_INIT, (Answer(""),)),
    "variables": Difference(
        "Lambda sets these around a container image, the emulator inside of one does not",
        (
            Answer(
                [
                    ["AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_REGION"],
                    "grüß dich",
                ]
            ),
        ),
    ),
}

# Lambda: what its Invoke API does before any runtime. Read in documents, not measured.

_REFUSED = "docs.aws.amazon.com/lambda/latest/api/API_Invoke.html: the body of a request has to be JSON"

LAMBDA: dict[str, Difference] = {
    "event-empty": Difference("a request without a body is an empty event (belief)", (Answer({}),)),
    "event-not-json": Difference(_REFUSED, (Answer("InvalidRequestContentException", "refused"),)),
    "event-not-utf-8": Difference(_REFUSED, (Answer("InvalidRequestContentException", "refused"),)),
    "event-a-byte-too-large": Difference(
        "the error's code in the Invoke API", (Answer("RequestEntityTooLargeException", "refused"),)
    ),
    "surrogate": Difference(
        "from Python 3.12 on awslambdaric raises what it cannot encode, and ends (lambda_runtime_client.py; belief)",
        (exited("with error: exit status 1"),),
    ),
    "prints-a-long-line": Difference("LogType=Tail has the last 4 KB of the log", log=("x" * 20_000,)),
}


def _without_header(known: Difference) -> Difference:
    """Under the emulator no header says that the function failed."""
    answers = known.answers and tuple(answer._replace(error="") for answer in known.answers)
    return known._replace(answers=answers)


KNOWN: dict[tuple[str, str], Difference] = {
    **{(case, "pilotlight"): known for case, known in PILOTLIGHT.items()},
    **{(case, "rie-pilotlight"): _without_header(known) for case, known in PILOTLIGHT.items()},
    **{(case, "rie-pilotlight"): known for case, known in EMULATOR.items()},
    **{(case, "rie"): known for case, known in EMULATOR.items()},
    **{(case, "aws"): known for case, known in LAMBDA.items()},
}
