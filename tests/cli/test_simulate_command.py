"""`pilotlight simulate` and `pilotlight cost`, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from matplotlib.figure import Figure
from test_commands import run

from conftest import write
from pilotlight.cli import cli, sim_output
from pilotlight.errors import UsageError
from pilotlight.measure import run_file
from pilotlight.measure.run_file import Saved

GIVEN = ("--run", "100ms", "--init", "500ms")
ECHO = "def handler(event, context):\n    return event\n"
FAILS = "def handler(event, context):\n    raise ValueError('no')\n"
RUN = Saved(
    target="qa", began="2026-11-29T04:00:00+00:00", machine="two processors", requests=4, seconds=2.0,
    errors={"ValueError": 1, "429": 1}, latencies=[60.0, 70.0], durations=[50.0, 50.0], inits=[200.0], cold=1,
    memory=1024, architecture="arm64",
)  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Path:
    settings = "[functions.echo]\nmemory = 1024\ntimeout = 5\nconcurrency = 7\nrecords = true\nfront = 'rest'\n"
    return write(tmp_path / "service", {"inference/echo.py": ECHO, "pilotlight.toml": settings})


Found = Callable[..., Any]


@pytest.fixture
def found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Found:
    """What a command tells with --json, run in this process."""

    def tell(*arguments: str, folder: Path) -> Any:
        monkeypatch.chdir(folder)
        cli.main([*arguments, "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)

    return tell


def refused(*arguments: str) -> str:
    """The error that ends a command."""
    with pytest.raises((UsageError, ClickException)) as caught:
        cli.main(list(arguments), standalone_mode=False)
    error = caught.value
    return error.format_message() if isinstance(error, ClickException) else str(error)


@pytest.mark.parametrize("command", ["simulate", "cost"])
def test_help_shows_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([command, "--help"], prog_name="pilotlight", standalone_mode=False)
    out = capsys.readouterr().out
    assert f"\n  Examples:\n    pilotlight {command} kim_cnn --requests-per-month 1000000\n" in out


def test_one_configuration_as_json(tmp_path: Path, found: Found) -> None:
    """Requests at even minutes, in which nothing is by chance: the first is cold, and none after it."""
    (tmp_path / "a.csv").write_text("time\n" + "".join(f"{60 * number}\n" for number in range(61)))
    told = found("simulate", *GIVEN, "--trace", "a.csv", "--memory", "1024", "--front", "url", folder=tmp_path)
    counts = ("requests", "cold", "throttled", "timed_out", "given_up", "failed", "peak", "environments")
    assert [told[name] for name in counts] == [61, 1, 0, 0, 0, 0, 1, 1]
    assert (told["p50_ms"], told["p99_ms"], told["max_ms"]) == (100.0, 650.0, 650.0)
    assert told["seconds"] == 3600
    month = told["month"]
    amounts = {item["what"]: item["amount"] for item in month["items"]}
    assert amounts["Requests"] == pytest.approx(61 * 730 * 0.2e-6)
    assert amounts["Duration (x86_64)"] == pytest.approx(730 * (61 * 0.1005 + 0.5) * 0.0000166667)
    assert month["total"] == pytest.approx(sum(amounts.values()))


def test_a_table_a_file_and_a_plot(tmp_path: Path) -> None:
    command = ["simulate", *GIVEN, "--rate", "0.02", "--provisioned", "1", "--save", "a.json", "--plot", "a.svg"]
    status, out, err = run(*command, folder=tmp_path)
    assert status == 0, err
    assert "function: 1,769 MB, x86_64, behind an HTTP API, 1 environment kept ready\n" in out
    assert "Times: as given; 50 ms of AWS's own before an init phase\n" in out
    assert "\nA month of 730 h that goes on like this, in us-east-1\n" in out
    saved = json.loads((tmp_path / "a.json").read_text())
    assert saved["requests"] == 1667
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")


def test_the_last_minute_of_a_plot_is_as_wide_as_the_others() -> None:
    axes = Figure().subplots()
    sim_output._over_time(axes, {"requests": [3, 5]}, ["red"])
    assert [list(axes.lines[0].get_xdata()), list(axes.lines[0].get_ydata())] == [[0, 1 / 60, 2 / 60], [3, 5, 5]]
    assert axes.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.0, "$0.00"), (0.0039, "$0.0039"), (-0.0039, "-$0.0039"), (-0.11, "-$0.11"), (1e3, "$1,000.00")],
)
def test_dollars(amount: float, text: str) -> None:
    assert sim_output.dollars(amount) == text


def test_what_is_counted_is_whole_in_the_table(tmp_path: Path) -> None:
    """1,667 requests in a day: 50,704.6 in a month."""
    status, out, err = run("simulate", *GIVEN, "--rate", "0.02", "--records", folder=tmp_path)
    assert status == 0, err
    lines = {line[2:50].strip(): line[50:67].strip() for line in out.splitlines() if "$" in line}
    assert (lines["Requests"], lines["HTTP API requests"]) == ("50,705", "50,705")
    assert lines["DynamoDB writes of records"] == "152,114"
    assert lines["CloudWatch log ingestion"] == "0.015"


def test_the_settings_of_the_folder_hold_and_options_go_before_them(service: Path, found: Found) -> None:
    told = found("simulate", *GIVEN, "--hours", "1", folder=service)
    function, allowed = told["function"], told["lambda"]
    assert (function["name"], function["memory"], function["front"], function["records"]) == (
        "echo",
        1024,
        "rest",
        True,
    )
    assert (allowed["timeout"], allowed["concurrency"], allowed["gateway"]) == (5, 7, 29)
    options = ("--memory", "512", "--timeout", "50", "--front", "http", "--no-records", "--concurrency", "9")
    told = found("simulate", *GIVEN, "--hours", "1", *options, folder=service)
    function, allowed = told["function"], told["lambda"]
    assert (function["memory"], function["front"], function["records"]) == (512, "http", False)
    assert (allowed["timeout"], allowed["concurrency"], allowed["gateway"]) == (50, 9, 30)


def test_a_function_is_measured_here_and_that_is_said(service: Path, found: Found) -> None:
    told = found("simulate", "--hours", "1", folder=service)
    assert str(told["times"]).startswith("Times: of 5 cold starts and 100 requests one after the other on this machine")
    assert "which is not Lambda" in str(told["times"])
    assert told["failed"] == 0
    assert "With 1024 MB Lambda gives 58% of a processor, and here there was a whole one." in told["notes"]


def test_a_function_that_always_fails_is_billed_for_it(service: Path) -> None:
    (service / "inference" / "echo.py").write_text(FAILS)
    status, out, err = run("simulate", "--hours", "1", "--json", folder=service)
    assert status == 0
    assert "100% of the requests failed: the simulation has as many errors." in err
    told = json.loads(out)
    assert told["failed"] == told["requests"] > 0
    assert told["p50_ms"] is None
    assert told["month"]["total"] > 0


def test_the_times_of_a_run_that_was_kept(tmp_path: Path, found: Found) -> None:
    run_file.write(tmp_path / "run.json", RUN)
    told = found("simulate", "--times", "run.json", "--architecture", "arm64", "--rate", "1", folder=tmp_path)
    assert told["p50_ms"] == 50.0
    assert told["times"] == (
        "Times: Duration and Init Duration of 2 requests to qa, run.json, measured on two processors"
    )
    assert told["failed"] / told["requests"] == pytest.approx(0.25, abs=0.01)
    assert "run.json was measured with 1024 MB, and times are taken for those of 1769 MB." in told["notes"]
    assert refused("simulate", "--times", "run.json") == "--times has no run of x86_64"


def test_no_request_at_all(tmp_path: Path, found: Found) -> None:
    told = found("simulate", *GIVEN, "--rate", "0.0000001", "--hours", "1", "--provisioned", "1", folder=tmp_path)
    assert (told["requests"], told["p50_ms"], told["max_ms"]) == (0, None, None)
    month = told["month"]
    assert [item["what"] for item in month["items"]] == ["Provisioned concurrency (x86_64)"]
    message = refused("cost", *GIVEN, "--rate", "0.0000001", "--hours", "1")
    assert message == "the traffic has no request: nothing to compare"


def test_one_request_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("5\n")
    for command in ("simulate", "cost"):
        status, out, err = run(command, *GIVEN, "--trace", "a.csv", folder=tmp_path)
        assert status == 0, err
        assert "\n1 request in 60 s, of a.csv\n" in out
        assert "1 request in 60 s: that says little of a month" in err


def test_a_trace_with_gaps_says_how_long_they_are(tmp_path: Path, found: Found) -> None:
    (tmp_path / "a.csv").write_text("0\n1\n7201\n7202\n")
    told = found("simulate", *GIVEN, "--trace", "a.csv", folder=tmp_path)
    assert told["notes"] == [
        "The longest gap without a request is 2.0 h, from 0.0 h on: no environment outlives it.",
        "4 requests in 2.0 h: that says little of a month, to which the bill is scaled.",
    ]
    assert told["cold"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trace", "a.csv"], "reading a.csv, line 2: the time is missing"),
        (["--trace", "b.csv"], "reading b.csv, line 3: the count -1 is negative"),
        (["--trace", "c.csv"], "reading c.csv: it is no text in UTF-8"),
        (["--trace", "a.csv", "--rate", "2"], "--trace and --rate exclude each other"),
        (["--rate", "2", "--requests-per-month", "9"], "--rate and --requests-per-month exclude each other"),
        (["--rate", "0.0001", "--hours", "90000"], "3,750 days are too many to simulate"),
        (["--trace", "d.csv"], "6,944 days are too many to simulate"),
        (["--rate", "1000000"], "86,400,000,000 requests are more than 20,000,000 to simulate"),
        (
            ["--traffic", "bursts", "--burst", "500"],
            "bursts of 500 requests a second alone make more than 1 on average",
        ),
        (["--run", "120"], "Invalid value for '--run': '120' is no time: "),
        (["--run", "400ms/100ms"], "Invalid value for '--run': '400ms/100ms' is no time: "),
        (["--run", "99999s"], "Invalid value for '--run': '99999s' is no time: "),
        (["--run", "0ms/100ms"], "a median of 0 has no 99th percentile above it"),
        (["--times", "none.json"], "--times and --run exclude each other"),
        (["--provisioned", "1", "--snapstart"], "Lambda keeps environments ready or restores them from snapshots"),
        (["--snapstart", "--tmp", "2048"], "SnapStart does not go with 2048 MB of /tmp"),
        (["--provisioned", "9", "--concurrency", "5"], "9 provisioned environments are more than the concurrency of 5"),
        (["--provisioned", "9", "--provisioned-max", "5"], "--provisioned-max is 5, and --provisioned, the least, 9"),
        (["--provisioned-schedule", "8=3"], "Invalid value for '--provisioned-schedule': '8=3' is no schedule"),
        (["--rate", "nan"], "Invalid value for '--rate': nan is not a finite number."),
        (["--keep-alive", "nan"], "Invalid value for '--keep-alive': nan is not a finite number."),
        (["--traffic", "published", "--cv", "nan"], "Invalid value for '--cv': nan is not a finite number."),
        (["--memory", "64"], "Invalid value for '--memory': 64 is not in the range 128<=x<=10240."),
        (["--save", "none/a.json"], "writing none/a.json: there is no folder none"),
        (["--plot", "a.gif"], "plotting to a.gif: it is neither PNG nor SVG"),
    ],
)
def test_what_is_not_right_is_said_before_anything_is_simulated(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("0\n ,x\n2\n")
    (tmp_path / "b.csv").write_text("minute,count\n0,1\n1,-1\n")
    (tmp_path / "d.csv").write_text("minute,count\n0,1\n9999999,1\n")
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\n")
    monkeypatch.chdir(tmp_path)
    assert refused("simulate", *GIVEN, *options).startswith(message)


def test_no_function_and_no_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("simulate") == "there is no FUNCTION to measure"


def test_an_error_is_one_sentence_and_a_hint(tmp_path: Path) -> None:
    status, out, err = run("simulate", *GIVEN, "--rate", "1000000", folder=tmp_path)
    assert (status, out) == (2, "")
    assert err == (
        "error: 86,400,000,000 requests are more than 20,000,000 to simulate\n"
        "hint: simulate less of it with --hours; the bill is scaled to a month\n"
    )


def test_provisioned_concurrency_by_a_schedule(tmp_path: Path, found: Found) -> None:
    schedule = ("--provisioned-schedule", "08:00=3,20:00=0")
    told = found("simulate", *GIVEN, *schedule, "--traffic", "constant", "--rate", "0.02", folder=tmp_path)
    month = told["month"]
    (provisioned,) = (item for item in month["items"] if item["what"] == "Provisioned concurrency (x86_64)")
    hours = provisioned["quantity"] / (1769 / 1024) / 3600 / (730 / 24)
    assert hours == pytest.approx(3 * 12, abs=0.2)


def test_a_schedule_is_told_of_in_the_table(tmp_path: Path) -> None:
    status, out, err = run("simulate", *GIVEN, "--provisioned-schedule", "08:00=2,20:00=0", folder=tmp_path)
    assert status == 0, err
    assert "behind an HTTP API, environments kept ready by a schedule\n" in out


def test_a_schedule_is_by_the_time_of_day_of_the_trace(tmp_path: Path, found: Found) -> None:
    """Half an hour before eight there is nothing, and after it two, after a minute or two."""
    (tmp_path / "a.csv").write_text("2026-11-28T07:30:00Z\n2026-11-28T08:30:00Z\n")
    told = found("simulate", *GIVEN, "--provisioned-schedule", "08:00=2,20:00=0", "--trace", "a.csv", folder=tmp_path)
    items = told["month"]["items"]
    (provisioned,) = (item for item in items if item["what"] == "Provisioned concurrency (x86_64)")
    minutes = provisioned["quantity"] / (1769 / 1024) / 730 / 60
    assert minutes == pytest.approx(2 * 28, abs=2)
    assert told["cold"] == 1


# cost


def test_options_side_by_side(tmp_path: Path, found: Found) -> None:
    told = found("cost", *GIVEN, "--traffic", "constant", "--rate", "1", "--hours", "6", folder=tmp_path)
    options = told["options"]
    assert (options[0]["start"], options[0]["architecture"], options[0]["front"]) == ("plain", "arm64", "url")
    assert len({(each["package"], each["start"], each["architecture"], each["front"]) for each in options}) == 24
    assert {each["part"] for each in told["not_possible"]} == {"snapstart and provisioned", "provisioned"}
    standing = told["always_on"]
    assert [each["what"] for each in standing] == [
        "Fargate, arm64, 1 vCPU, 2 GB", "SageMaker, ml.c5.large", "SageMaker serverless, 2 GB",
    ]  # fmt: skip
    assert 10e6 < standing[0]["cheaper_from_requests_per_month"] < 200e6
    assert standing[2]["cheaper_from_requests_per_month"] is None
    assert str(told["recommendation"]).startswith(
        "Take a zip for arm64, started on demand, behind a function URL, for $"
    )


def test_a_target_that_asks_for_provisioned_concurrency(tmp_path: Path, found: Found) -> None:
    """A request every seven minutes finds no environment: without one that is kept ready all are cold."""
    (tmp_path / "a.csv").write_text("".join(f"{420 * number}\n" for number in range(300)))
    told = found("cost", *GIVEN, "--trace", "a.csv", "--p99", "200ms", folder=tmp_path)
    options = told["options"]
    assert (options[0]["start"], options[0]["provisioned"], options[0]["p99_ms"]) == ("provisioned", 1, 100.0)
    plain = next(each for each in options if each["start"] == "plain")
    assert (plain["cold_share"], plain["p99_ms"]) == (1.0, 650.0)
    assert "with provisioned concurrency of 1, behind a function URL" in str(told["recommendation"])


def test_more_requests_need_more_provisioned_environments(tmp_path: Path, found: Found) -> None:
    """One is enough for a request of 100 ms a minute, and not for all that come before containers cost less."""
    (tmp_path / "a.csv").write_text("".join(f"{60 * number}\n" for number in range(300)))
    traffic = ("--trace", "a.csv", "--p99", "200ms", "--keep-alive", "1")
    told = found("cost", *GIVEN, *traffic, folder=tmp_path)
    assert (told["options"][0]["start"], told["options"][0]["provisioned"]) == ("provisioned", 1)
    [fargate, *_] = told["always_on"]
    assert 1e6 < fargate["cheaper_from_requests_per_month"] < 1e8


def test_what_does_not_hold_the_target_is_not_said_to_be_the_nearest_of_all(tmp_path: Path) -> None:
    """Provisioned environments come nearer and are not offered."""
    (tmp_path / "a.csv").write_text("".join(f"{420 * number}\n" for number in range(300)))
    given = ("--run", "100ms/300ms", "--init", "500ms", "--trace", "a.csv", "--p99", "200ms")
    status, out, err = run("cost", *given, folder=tmp_path)
    assert status == 0, err
    assert "with provisioned concurrency: the target does not hold with 1 of them either\n" in out
    assert "nothing answers 99 of 100 requests in 200.0 ms, and of what is offered it comes nearest." in out


def test_a_difference_that_is_not_seen_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0\n2628000\n")
    status, out, err = run("cost", *GIVEN, "--trace", "a.csv", "--p99", "1s", folder=tmp_path)
    assert status == 0, err
    assert "; the next, a zip for arm64, with SnapStart, behind a function URL, costs $6.83 more" in out


def test_a_busy_function_is_cheaper_in_containers(tmp_path: Path) -> None:
    status, out, err = run(
        "cost", *GIVEN, "--traffic", "constant", "--rate", "60", "--hours", "0.1", "--plot", "a.png", folder=tmp_path
    )
    assert status == 0, err
    assert " x Fargate, arm64, 1 vCPU, 2 GB, for $" in out.splitlines()[-1]
    assert "of Lambda, a zip for arm64, started on demand, behind a function URL." in out
    assert "requests a month on\n" in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_what_only_an_always_on_machine_holds_is_said_to_be_on_it(tmp_path: Path) -> None:
    """No cold start at all, with one environment at most: even the first would have to be there before."""
    status, out, err = run(
        "cost", *GIVEN, "--traffic", "constant", "--rate", "1", "--hours", "0.5", "--concurrency", "1", "--cold", "0",
        folder=tmp_path,
    )  # fmt: skip
    assert status == 0, err
    last = out.splitlines()[-1]
    assert last.startswith("Take 1 x SageMaker, ml.c5.large, for $")
    assert "with 0.00% of cold starts at most, and on Lambda nothing does; of what is offered there a zip for " in last


def test_what_fails_on_lambda_fails_on_an_always_on_machine(tmp_path: Path) -> None:
    status, out, err = run("cost", *GIVEN, "--errors", "0.2", "--hours", "1", folder=tmp_path)
    assert status == 0, err
    assert "\n    always on: 20% of requests end in an error of the function there, too\n" in out
    assert "x Fargate" not in out
    assert "nothing answers 99 of 100 requests in 200.0 ms" in out.splitlines()[-1]


def test_a_serverless_endpoint_that_costs_less_is_said_with_what_is_not_known(tmp_path: Path) -> None:
    status, out, err = run("cost", "--run", "5ms", "--init", "300ms", "--hours", "1", folder=tmp_path)
    assert status == 0, err
    last = out.splitlines()[-1]
    assert last.startswith("Take a zip for arm64, started on demand, behind a function URL, for $")
    assert " By price alone SageMaker serverless, 2 GB, is cheaper, by $0." in last
    assert last.endswith("measure whether it holds the target.")


def test_both_processors_with_times_of_their_own(tmp_path: Path, found: Found) -> None:
    run_file.write(tmp_path / "arm.json", RUN)
    slow = Saved(**{**{name: getattr(RUN, name) for name in RUN.__struct_fields__}, "architecture": "x86_64"})
    run_file.write(tmp_path / "x86.json", slow)
    options = ("--times", "arm.json", "--times", "x86.json", "--hours", "1", "--errors", "0")
    told = found("cost", *options, folder=tmp_path)
    assert list(told["times"]) == ["arm64", "x86_64"]
    assert not any("Times of the other processor" in note for note in told["notes"])
    message = refused("cost", "--times", "arm.json", "--times", "arm.json")
    assert message == "reading arm.json: another file of --times is of arm64 as well"


def test_what_settings_do_not_allow_is_not_offered(service: Path) -> None:
    with (service / "pilotlight.toml").open("a") as settings:
        settings.write("tmp = 2048\npackage = 'image'\n")
    status, out, err = run("cost", *GIVEN, "--hours", "1", folder=service)
    assert status == 0, err
    assert "\n    with SnapStart: tmp is 2048 MB, and it allows 512\n" in out
    assert "\n    a zip: package is image\n" in out
    assert "\nTake an image for arm64, started on demand, behind a function URL, for $" in out
