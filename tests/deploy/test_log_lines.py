"""What Lambda's platform writes, read: literal lines, and all that the local server can write."""

from hypothesis import given
from hypothesis import strategies as st

from pilotlight.deploy.log_lines import Line, Report, invocation, report
from pilotlight.local import report as local

ID = "8f5e0d36-3c1e-4b4e-9d5f-2f0a4a6f7b11"


def test_a_cold_start() -> None:
    text = (
        f"REPORT RequestId: {ID}\tDuration: 12.34 ms\tBilled Duration: 813 ms\tMemory Size: 1769 MB\t"
        "Max Memory Used: 98 MB\tInit Duration: 800.02 ms\t"
    )
    assert report(text) == Report(ID, 12.34, 813, 1769, 98, init_ms=800.02)


def test_a_restored_snapshot_that_timed_out() -> None:
    text = (
        f"REPORT RequestId: {ID}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 512 MB\t"
        "Max Memory Used: 80 MB\tRestore Duration: 310.11 ms\tBilled Restore Duration: 311 ms\tStatus: timeout"
    )
    assert report(text) == Report(
        ID, 3000, 3000, 512, 80, restore_ms=310.11, billed_restore_ms=311, status="timeout"
    )  # fmt: skip


def test_an_error_and_x_ray() -> None:
    text = (
        f"REPORT RequestId: {ID}\tDuration: 5.00 ms\tBilled Duration: 5 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB"
        "\tStatus: error\tError Type: Runtime.ExitError\nXRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793"
    )
    found = report(text.partition("\n")[0])
    assert found is not None
    assert (found.status, found.error) == ("error", "Runtime.ExitError")


def test_what_is_no_report() -> None:
    assert report("REPORT") is None
    assert report(f"END RequestId: {ID}") is None
    assert report(f"REPORT RequestId: {ID}\tDuration: fast\t\tMemory Size") == Report(ID)


@given(
    seconds=st.floats(0, 900),
    init=st.floats(0, 900),
    restore=st.floats(0, 10),
    memory=st.integers(128, 10_240),
    peak=st.integers(0, 10_240),
    error=st.sampled_from(["", "Sandbox.Timedout", "Runtime.OutOfMemory"]),
)
def test_the_local_server_writes_what_is_read(
    seconds: float, init: float, restore: float, memory: int, peak: int, error: str
) -> None:
    made = local.Report(ID, seconds, local.Init(init, restore), memory, peak, error)
    found = report(made.line())
    assert found is not None
    assert (found.request_id, found.memory_mb, found.peak_mb) == (ID, memory, peak)
    assert found.duration_ms == float(f"{seconds * 1000:.2f}")
    assert found.status == {"": "", "Sandbox.Timedout": "timeout"}.get(error, "error")
    assert (found.init_ms > 0) <= (restore == 0)


def lines(*texts: str) -> list[Line]:
    return [Line(number, "stream", text) for number, text in enumerate(texts)]


def test_one_request_of_several_of_an_environment() -> None:
    log = lines(
        "INIT_START Runtime Version: python:3.13.v42",
        "loading",
        "START RequestId: a Version: 7",
        "of a",
        "END RequestId: a",
        "REPORT RequestId: a\tDuration: 1.00 ms",
        "START RequestId: b Version: 7",
        "of b, which asks like a",
        "END RequestId: b",
        "REPORT RequestId: b\tDuration: 1.00 ms",
    )
    assert invocation(log, "a") == log[:6]
    assert invocation(log, "b") == log[6:]
    assert invocation(log, "c") == []


def test_a_request_whose_environment_died() -> None:
    log = lines("START RequestId: a Version: 7", "of a", "REPORT RequestId: a\tDuration: 1.00 ms", "INIT_START x")
    assert invocation(log, "a") == log[:3]
