"""`pilotlight bench compare`: tables, exit codes, and files that are no runs."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from test_commands import Done, run

from pilotlight.cli import main
from pilotlight.measure import run_file
from pilotlight.measure.run_file import Saved


def save(path: Path, seed: int, factor: float = 1.0, count: int = 1000, **given: Any) -> None:
    random = Random(seed)
    usual = {
        "target": "service--qa", "began": "2026-11-29T04:00:00+00:00", "machine": "two processors",
        "requests": count, "seconds": 10.0, "errors": {}, "concurrency": 4, "told": count, "cold": 2,
        "latencies": [factor * random.gauss(10, 1) for _ in range(count)], "each": [count // 20] * 20,
    }  # fmt: skip
    run_file.write(path, Saved(**{**usual, **given}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "before.json", 1)
    save(tmp_path / "same.json", 2)
    save(tmp_path / "slower.json", 3, 1.5, errors={"500": 100}, requests=1100, told=1100, cold=60)
    save(tmp_path / "few.json", 4, 1.5, 40, concurrency=8)
    return tmp_path


Run = Callable[..., Done]


@pytest.fixture
def ask(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`pilotlight bench compare ARGUMENTS` in this process: what `run` gives."""
    monkeypatch.chdir(folder)

    def asked(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["pilotlight", "bench", "compare", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return asked


def test_help_shows_examples() -> None:
    status, out, err = run("bench", "compare", "--help")
    assert (status, err) == (0, "")
    assert "\n  Examples:\n    pilotlight bench compare before.json after.json\n" in out


def test_a_slower_run_as_a_table(folder: Path) -> None:
    assert run("bench", "compare", "before.json", "slower.json", folder=folder) == (0, SLOWER.lstrip(), "")


SLOWER = """
before:  service--qa, 1,000 requests in 10.0 s, 4 at once, 2026-11-29T04:00:00+00:00
after:   service--qa, 1,100 requests in 10.0 s, 4 at once, 2026-11-29T04:00:00+00:00

                 before      after   difference   95 % interval
  p50 ms           9.99      14.95      +49.7 %   +47.9 to +51.5 %: slower
  p90 ms          11.26      16.82      +49.4 %   +46.8 to +52.0 %: slower
  p99 ms          12.20      18.49      +51.6 %   +45.9 to +62.2 %: slower
  mean ms          9.99      14.96      +49.8 %   +48.0 to +51.5 %: slower
  qps            100.00     100.00       +0.0 %   -0.1 to +0.1 %: may be none
  errors          0.00%      9.09%       +9.1 pt  +7.5 to +10.9 pt: more
  cold            0.20%      5.45%       +5.3 pt  +4.0 to +6.8 pt: more
"""


def test_too_few_requests_and_another_load(ask: Run) -> None:
    assert ask("before.json", "few.json") == (0, FEW.lstrip(), NOTES)


FEW = """
before:  service--qa, 1,000 requests in 10.0 s, 4 at once, 2026-11-29T04:00:00+00:00
after:   service--qa, 40 requests in 10.0 s, 8 at once, 2026-11-29T04:00:00+00:00

                 before      after   difference   95 % interval
  p50 ms           9.99      14.72      +47.4 %   +42.3 to +54.9 %: slower
  p90 ms          11.26      16.96      +50.6 %   +39.9 to +63.0 %: slower
  p99 ms          12.20      18.35      +50.5 %   not enough requests for p99: 368 are needed
  mean ms          9.99      14.97      +49.8 %   not enough requests for the mean: 100 are needed
  qps            100.00       4.00      -96.0 %   not enough requests for the throughput: 100 are needed
  errors          0.00%      0.00%       +0.0 pt  -0.4 to +8.8 pt: may be none
  cold            0.20%      5.00%       +4.8 pt  +1.1 to +16.3 pt: more
"""
NOTES = "Not comparable: the loads differ: 4 at once before, 8 at once after.\n"


def test_a_pipeline_fails_for_what_is_slower_for_certain(ask: Run) -> None:
    status, _, err = ask("before.json", "slower.json", "--fail-if-slower", "10")
    assert status == 1
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error"] * 4
    assert err.startswith("error: p50 ms is slower by more than 10 %: by 4")
    assert ask("before.json", "slower.json", "--fail-if-slower", "80")[0] == 0
    assert ask("before.json", "same.json", "--fail-if-slower", "0")[0] == 0


def test_one_object_for_programs(ask: Run) -> None:
    status, out, err = ask("before.json", "slower.json", "--json")
    found = json.loads(out)
    assert (status, err, found["misfits"], found["slower"]) == (0, "", [], [])
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["p50_ms", "p90_ms", "p99_ms", "mean_ms", "qps", "errors", "cold"]
    assert 0 < rows["p50_ms"]["low"] < rows["p50_ms"]["difference"] < rows["p50_ms"]["high"]
    assert {name: row["verdict"] for name, row in rows.items()} == {
        **dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "mean_ms"), "slower"),
        **{"qps": "", "errors": "more", "cold": "more"},
    }


def test_both_curves_are_plotted(ask: Run, folder: Path) -> None:
    assert ask("before.json", "slower.json", "--plot", "both.svg")[0] == 0
    drawn = (folder / "both.svg").read_text()
    for text in ("before and slower", ">before<", ">after<", ">99 %<", ">latency in ms<"):
        assert text in drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["before.json", "none.json"], "reading none.json: No such file or directory"),
        (["before.json", "broken.json"], "reading broken.json: it is no run: Input data was truncated"),
        (["before.json", "failed.json"], "comparing failed.json: no request of it was answered well"),
        (["before.json"], "Missing argument 'AFTER'."),
        (["before.json", "same.json", "--plot", "a.pdf"], "plotting to a.pdf: it is neither PNG nor SVG"),
        (["before.json", "same.json", "--fail-if-slower", "nan"],
         "Invalid value for '--fail-if-slower': nan is not a finite number."),
    ],
)  # fmt: skip
def test_mistakes(ask: Run, folder: Path, arguments: list[str], message: str) -> None:
    (folder / "broken.json").write_text('{"target": ')
    save(folder / "failed.json", 1, requests=10, told=10, errors={"500": 10}, latencies=[])
    status, out, err = ask(*arguments)
    assert (status, out, err.splitlines()[0]) == (2, "", f"error: {message}")
