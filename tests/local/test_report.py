"""The lines in which Lambda tells of an invocation, whole, as its logs have them."""

import json

import pytest

from pilotlight.local import report
from pilotlight.local.report import Init, Report
from pilotlight.values import Result


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            Report("r-1", 0.0015, Init(), 128, 38),
            "REPORT RequestId: r-1\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB"
            "\tMax Memory Used: 38 MB",
        ),
        (  # the init phase is billed too, and both are rounded up together
            Report("r-2", 0.0102, Init(0.1203), 512, 40),
            "REPORT RequestId: r-2\tDuration: 10.20 ms\tBilled Duration: 131 ms\tMemory Size: 512 MB"
            "\tMax Memory Used: 40 MB\tInit Duration: 120.30 ms",
        ),
        (  # a restore is billed apart, the init phase before the snapshot is not
            Report("r-3", 0.0102, Init().ended(2.5).ended(0.0301), 512, 40),
            "REPORT RequestId: r-3\tDuration: 10.20 ms\tBilled Duration: 11 ms\tMemory Size: 512 MB"
            "\tMax Memory Used: 40 MB\tRestore Duration: 30.10 ms\tBilled Restore Duration: 31 ms",
        ),
        (
            Report("r-4", 3.0, Init(), 128, 50, "Sandbox.Timedout"),
            "REPORT RequestId: r-4\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 128 MB"
            "\tMax Memory Used: 50 MB\tStatus: timeout",
        ),
        (
            Report("r-5", 0.5, Init(0.25), 128, 128, "Runtime.OutOfMemory"),
            "REPORT RequestId: r-5\tDuration: 500.00 ms\tBilled Duration: 750 ms\tMemory Size: 128 MB"
            "\tMax Memory Used: 128 MB\tInit Duration: 250.00 ms\tStatus: error\tError Type: Runtime.OutOfMemory",
        ),
    ],
)
def test_a_report(told: Report, line: str) -> None:
    assert told.line() == line


@pytest.mark.parametrize(
    ("status", "error", "line"),
    [
        ("timeout", "", "INIT_REPORT Init Duration: 10000.12 ms\tPhase: init\tStatus: timeout"),
        (
            "error",
            "Runtime.ExitError",
            "INIT_REPORT Init Duration: 10000.12 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
        ),
    ],
)
def test_a_report_of_an_init_phase(status: str, error: str, line: str) -> None:
    assert report.init(10.00012, status, error) == line


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (Result(b'{"errorType": "Runtime.ExitError"}', "Unhandled"), "Runtime.ExitError"),
        (Result(b'{"errorType": "Sandbox.Timedout"}', "Unhandled"), "Sandbox.Timedout"),
        (Result(b'{"errorType": "ValueError"}', "Unhandled"), ""),  # the function answered, if only with an error
        (Result(b'{"errorType": "Runtime.ExitError"}'), ""),  # which is what it has answered
        (Result(b"no JSON", "Unhandled"), ""),
        (Result(b"[]", "Unhandled"), ""),
        (Result(b'{"errorType": 7}', "Unhandled"), ""),
        (Result(b"[" * 100_000, "Unhandled"), ""),
    ],
)
def test_what_ended_an_invocation_before_its_function_could_answer(result: Result, kind: str) -> None:
    assert report.kind(result) == kind


def test_words_for_failures() -> None:
    assert json.loads(report.failure("Sandbox.Timedout", report.timed_out(3), "r-1").payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: r-1 Error: Task timed out after 3.00 seconds",
    }
    assert [report.exited(status) for status in (0, 3, -9, -11)] == [
        "Error: Runtime exited without providing a reason",
        "Error: Runtime exited with error: exit status 3",
        "Error: Runtime exited with error: signal: killed",
        "Error: Runtime exited with error: signal: segmentation fault",
    ]
