"""What is compared: which choices there are, their bills by hand, what stands by, and where the two meet."""

from pathlib import Path
from random import Random

import pytest

from conftest import write
from pilotlight import project
from pilotlight.measure import always_on, break_even, choices, month, traffic
from pilotlight.measure.always_on import Work
from pilotlight.measure.choices import Choice, Option, Refused, Target
from pilotlight.measure.month import Deployed
from pilotlight.measure.simulate import Lambda, Times, simulate

HANDLER = "def handler(event, context):\n    return {}\n"
HOUR = 3600.0


def function(folder: Path, settings: str) -> project.Function:
    write(folder, {"inference/qa.py": HANDLER, "pilotlight.toml": settings})
    return project.load(folder).functions[0]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("", []),
        ("[functions.qa]\ntmp = 2048", [Refused("snapstart", "tmp is 2048 MB, and it allows 512")]),
        (
            '[cache]\nfolder = "/mnt/models"\n[functions.qa]\nmodel = "hf://a/b"',
            [Refused("snapstart", "the models are on EFS, at /mnt/models")],
        ),
        (
            "[functions.qa]\nenvironment_concurrency = 2",
            [Refused("snapstart", "environment_concurrency is 2")],
        ),
        ('[functions.qa]\npackage = "image"', [Refused("zip", "package is image")]),
        (
            '[functions.qa]\napi_key = true\nfront = "rest"\n[usage_plans.free]\nkeys = ["a"]',
            [
                Refused("url", "only a REST API has API keys, and api_key is true"),
                Refused("http", "only a REST API has API keys, and api_key is true"),
            ],
        ),
        (
            '[jwt]\nissuer = "https://a.example"\naudiences = ["qa"]\n[functions.qa]\nauth = "jwt"',
            [
                Refused("url", "only an HTTP API checks tokens, and auth is jwt"),
                Refused("rest", "only an HTTP API checks tokens, and auth is jwt"),
            ],
        ),
        (
            "[functions.qa]\nthrottle = {rate = 10, burst = 5}",
            [Refused("url", "it has no throttle, and one is set")],
        ),
    ],
)
def test_what_settings_do_not_allow_is_named(settings: str, found: list[Refused], tmp_path: Path) -> None:
    meant = function(tmp_path, settings)
    assert choices.refused(meant, meant.tmp)[1:] == found
    left = choices.possible(found)
    assert left
    assert not {part for choice in left for part in choice} & {each.part for each in found}


def test_without_a_function_all_combinations_are_there() -> None:
    assert [each.part for each in choices.refused(None, 512)] == ["snapstart and provisioned"]
    assert len(choices.possible([])) == 2 * 3 * 2 * 3
    assert choices.possible([])[0] == Choice("zip", "plain", "x86_64", "url")
    assert choices.possible([])[0].text == "a zip for x86_64, started on demand, behind a function URL"


def test_a_gateway_gives_up_while_the_function_runs_on() -> None:
    times = Times([5.0, 29.5, 31.0], [0.0])
    outcome = simulate([0.0] * 300, times, Lambda(timeout=60, gateway=float("inf")), Random(1))
    slow = [latency for latency in outcome.latencies if latency > 30]
    middle = [latency for latency in outcome.latencies if 29 < latency < 30]
    assert slow
    assert middle
    assert choices.behind(outcome, "url") == outcome
    assert choices.behind(outcome, "http").given_up == len(slow)
    assert choices.behind(outcome, "rest").given_up == len(slow) + len(middle)
    assert choices.of_all(choices.behind(outcome, "rest"), 99) is None
    assert choices.of_all(outcome, 99) == 31.0


@pytest.mark.parametrize("least", [0, 1, 2, 3, 7, 8, 20])
def test_the_fewest_that_hold(least: int) -> None:
    assert choices.fewest(lambda count: count >= least, 20) == least


def test_none_holds() -> None:
    assert choices.fewest(lambda count: False, 20) is None
    assert choices.fewest(lambda count: count >= 21, 20) is None


def option(total: float, p99: float | None, lost: float = 0.0, cold: float = 0.0) -> Option:
    return Option(Choice("zip", "plain", "x86_64", "url"), 0, p99, p99, cold, lost, [("Requests", total)])


def test_the_cheapest_that_holds_is_the_best() -> None:
    dear, cheap, slow = option(9, 0.1), option(2, 0.2), option(1, 0.9)
    assert choices.best([slow, dear, cheap], Target(0.5)) == [cheap, dear, slow]
    assert choices.best([option(1, 0.2, cold=0.1), dear], Target(0.5, cold=0.01))[0] == dear


def test_where_none_holds_it_is_the_one_that_loses_least_and_then_the_fastest() -> None:
    lossy, slow, nearest = option(1, None, lost=0.2), option(2, 0.9), option(3, 0.8)
    assert choices.best([lossy, slow, nearest], Target(0.5)) == [nearest, slow, lossy]


# months


def test_a_month_is_730_hours_of_what_was_simulated() -> None:
    """One request a minute of a second each, in an hour: 43,800 a month, of 1 GB."""
    arrivals = [number * 60.0 for number in range(60)]
    outcome = simulate(arrivals, Times([0.9995], [2.0]), Lambda(), Random(1), seconds=HOUR)
    used = month.usage(Deployed(memory=1024, records=True, front="http"), outcome, HOUR)
    assert used.requests == pytest.approx(43_800)
    assert used.billed_ms == pytest.approx(
        43_800 * 1000 + 730 * 2000
    )  # half a millisecond of rounding, one init an hour
    assert used.front_requests == pytest.approx(43_800)
    assert used.write_units == pytest.approx(3 * 43_800)
    bill = month.bill(used, is_free_tier=False)
    assert {item.what: round(item.amount, 4) for item in bill.items}["Duration (x86_64)"] == 0.7543  # 45,260 GB-s
    free = month.bill(used, is_free_tier=True)
    assert bill.total - free.total == pytest.approx(43_800 * 0.2e-6 + 45_260 * 0.0000166667)


def test_provisioned_concurrency_is_paid_for_idle_and_in_use() -> None:
    outcome = simulate([0.0], Times([1.0], [0.5]), Lambda(provisioned=2), Random(1), seconds=HOUR)
    used = month.usage(Deployed(memory=1024, front="url", architecture="arm64"), outcome, HOUR)
    found = {item.what: item.amount for item in month.bill(used, is_free_tier=False).items}
    assert found["Provisioned concurrency (arm64)"] == pytest.approx(2 * 730 * 3600 * 0.0000033334)
    assert found["Duration in provisioned concurrency (arm64)"] == pytest.approx(730 * 1.0005 * 0.0000077778)
    assert "Duration (arm64)" not in found


def test_http_apis_are_metered_by_512_kb_and_answers_leave_aws() -> None:
    outcome = simulate([0.0], Times([1.0], [0.5]), Lambda(), Random(1), seconds=HOUR)
    large = Deployed(answer_bytes=2_000_000)
    assert month.usage(large, outcome, HOUR).front_requests == pytest.approx(4 * 730)
    assert month.usage(large._replace(front="rest"), outcome, HOUR).front_requests == pytest.approx(730)
    assert month.usage(large, outcome, HOUR).sent == pytest.approx(2_000_000 * 730)


def test_snapstart_pays_for_restores_and_the_cache() -> None:
    outcome = simulate([0.0, 900.0], Times([1.0], [0.2]), Lambda(snapstart=True), Random(1), seconds=HOUR)
    used = month.usage(Deployed(memory=1024, snapstart=True), outcome, HOUR)
    found = {item.what: item.amount for item in month.bill(used, is_free_tier=False).items}
    assert found["SnapStart restores"] == pytest.approx(2 * 730 * 0.0001397998)
    assert found["SnapStart cache"] == pytest.approx(730 * 3600 * 0.0000015046)
    twice = month.bill(month.times(used, 2), is_free_tier=False)
    assert {item.what: item.amount for item in twice.items}["SnapStart cache"] == found["SnapStart cache"]


# what is always on


@pytest.mark.parametrize(
    ("memory", "name"),
    [
        (128, "Fargate, x86_64, 0.25 vCPU, 0.5 GB"),
        (1769, "Fargate, x86_64, 1 vCPU, 2 GB"),
        (3008, "Fargate, x86_64, 2 vCPU, 4 GB"),
        (10_240, "Fargate, x86_64, 8 vCPU, 16 GB"),
    ],
)
def test_a_task_has_the_processors_of_the_function(memory: int, name: str) -> None:
    machine = always_on.task(memory, "x86_64")
    assert machine is not None
    assert machine.name == name


WORK = Work(rate=10.0, run=[0.1], within=0.2, month=10.0 * month.SECONDS, bytes=2**20)


def test_tasks_addresses_and_a_balancer() -> None:
    """One erlang, of which one in a hundred may wait as long as it takes: 4 servers."""
    machine = always_on.task(1769, "x86_64")
    assert machine is not None
    cost = always_on.fargate(machine, WORK)
    assert (cost.number, always_on.workers(WORK)) == (4, 4)
    assert dict(cost.items) == {
        "4 tasks": pytest.approx(4 * 730 * (0.04048 + 2 * 0.004445)),
        "public addresses": pytest.approx((4 + 2) * 730 * 0.005),
        "load balancer": pytest.approx(730 * (0.0225 + 10 * 3600 / 1024 * 0.008)),  # 10 MB a second, each GB a unit
    }
    small = always_on.fargate(machine, WORK._replace(bytes=1024))
    assert dict(small.items)["load balancer"] == pytest.approx(730 * (0.0225 + 10 / 25 * 0.008))


def test_answers_that_leave_aws_are_paid_wherever_they_are_made() -> None:
    """The first 100 GB are free there as well."""
    work = WORK._replace(month=1024.0 * 150, answer=2**20)
    task, endpoint = always_on.task(1769, "x86_64"), always_on.instances(1769)[0]
    assert task is not None
    costs = [always_on.fargate(task, work), always_on.endpoint(endpoint, work)]
    costs += [each for each in [always_on.serverless_endpoint(1769, 1.0, work)] if each]
    assert [dict(cost.items)["data transfer out"] for cost in costs] == [pytest.approx(50 * 0.09)] * 3


def test_instances_hold_several_workers() -> None:
    found = {each.name: each.workers for each in always_on.instances(1769)}
    assert found == {
        "SageMaker, ml.c5.large": 2, "SageMaker, ml.m5.large": 2, "SageMaker, ml.c5.xlarge": 4,
        "SageMaker, ml.m5.xlarge": 4, "SageMaker, ml.c5.2xlarge": 8, "SageMaker, ml.m5.2xlarge": 8,
    }  # fmt: skip
    large = always_on.endpoint(next(iter(always_on.instances(1769))), WORK)
    assert (large.number, large.items[0]) == (2, ("2 instances", pytest.approx(2 * 0.102 * 730)))
    assert [each.name for each in always_on.instances(10_240)] == [f"SageMaker, ml.{kind}5.2xlarge" for kind in "cm"]


def test_a_serverless_endpoint_has_six_gigabytes_at_most() -> None:
    cost = always_on.serverless_endpoint(1769, 1000.0, WORK._replace(month=1024.0))
    assert cost is not None
    assert dict(cost.items) == {"duration": pytest.approx(0.04), "data processed": pytest.approx(0.016)}
    assert always_on.serverless_endpoint(10_240, 1000.0, WORK) is None


def test_records_are_paid_wherever_they_are_made() -> None:
    work = WORK._replace(month=1e6, record=2e-6)
    task, endpoint = always_on.task(1769, "x86_64"), always_on.instances(1769)[0]
    assert task is not None
    costs = [always_on.fargate(task, work), always_on.endpoint(endpoint, work)]
    assert [cost.items[-1] for cost in costs] == [("records", pytest.approx(2.0))] * 2


def test_bursts_need_more_workers_than_the_formula_says() -> None:
    arrivals = [second + number / 1e4 for second in range(0, 600, 10) for number in range(100)]
    sized = always_on.sized(WORK, arrivals, Random(1))
    assert always_on.workers(sized) >= 50  # a hundred at once, and two turns in the time
    steady = traffic.constant(10, 600, Random(1))
    assert always_on.workers(always_on.sized(WORK, steady, Random(1))) == 4


def test_the_break_even_is_where_both_cost_the_same() -> None:
    found = break_even.solve(lambda requests: requests * 2e-6, lambda requests: 30 + requests * 1e-6)
    assert found == pytest.approx(30e6, rel=1e-4)
    assert break_even.solve(lambda requests: requests * 1e-6, lambda requests: 30 + requests * 1e-6) is None
    assert break_even.solve(lambda requests: 40 + requests, lambda requests: 30.0) == break_even.LEAST


def test_a_step_that_is_dearer_again_is_not_taken_for_it() -> None:
    def steps(requests: float) -> float:
        return 30.0 * (1 + requests // 20e6)

    found = break_even.solve(lambda requests: requests * 1.6e-6, steps)
    assert found is not None
    assert all(steps(requests) < requests * 1.6e-6 for requests in (found * 1.001, found * 1.5, found * 10))
