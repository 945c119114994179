"""Settings judged by what was measured of them, and the sweep that measures: fakes only for the function."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from pilotlight.errors import FunctionError
from pilotlight.measure.sweep import Ask, Plan, Round, Sample, Tried, refusal, sweep
from pilotlight.measure.tune import Choice, Pricing, as_if, break_even, choose, figures, is_less


def tried(memory: int, *times: float, init: float = 100.0, architecture: str = "x86_64") -> Tried:
    """A setting with a round for each time in ms, of four warm requests."""
    made = Tried(memory, architecture)
    for time in times:
        cold = Sample(init + time + 1, time, init + time, init, 40)
        made.rounds.append(Round(cold, (Sample(time + 1, time, time, 0, 41),) * 4))
    return made


SIX = (1.0, 1.02, 0.98, 1.01, 0.99, 1.0)


def around(time: float) -> list[float]:
    return [time * factor for factor in SIX]


PROCESSOR_BOUND = (
    tried(128, *around(800)),
    tried(256, *around(400)),
    tried(512, *around(170)),
    tried(1024, *around(100)),
    tried(1769, *around(55)),
    tried(3008, *around(55)),
)
WARM = Pricing(cold=0)


def test_dollars_are_those_of_lambda() -> None:
    """A million requests of 100 ms at 1 GB: 100,000 GB-seconds, and requests."""
    assert WARM.dollars(1024, "x86_64", 100, 0) == pytest.approx(0.20 + 100_000 * 0.0000166667)
    assert WARM.dollars(1024, "arm64", 100, 0) == pytest.approx(0.20 + 100_000 * 0.0000133334)
    assert Pricing(cold=0.5).dollars(1024, "x86_64", 100, 300) == pytest.approx(0.20 + 200_000 * 0.0000166667)
    assert Pricing(cold=0, tmp=1536).dollars(1024, "x86_64", 100, 0) == pytest.approx(
        0.20 + 100_000 * (0.0000166667 + 0.0000000309)
    )


def test_cheapest_fastest_balanced() -> None:
    found = choose(PROCESSOR_BOUND, WARM)
    assert found == {
        "cheapest": Choice("cheapest", 512, ()),
        "fastest": Choice("fastest", 1769, (3008,)),
        "balanced": Choice("balanced", 1769, ()),
    }


def test_the_weight_leads_from_time_to_cost() -> None:
    chosen = [choose(PROCESSOR_BOUND, WARM, weight)["balanced"].memory for weight in (0.0, 0.5, 1.0)]
    assert chosen == [1769, 1769, 512]


def test_of_settings_that_cannot_be_told_apart_the_smaller_is_taken() -> None:
    noisy = tried(1769, 54, 57, 53, 56, 55, 54)
    other = tried(3008, 55, 55, 54, 56, 54, 54)
    assert choose((noisy, other), WARM)["fastest"] == Choice("fastest", 1769, (3008,))


def test_rounds_say_what_is_less() -> None:
    assert is_less([1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2])
    assert not is_less([99, 99, 99, 99, 99, 99], [100] * 6)  # nobody would see that
    assert not is_less([1, 1, 1, 1, 1, 3], [2, 2, 2, 2, 2, 2])  # one of six says otherwise
    assert is_less([1] * 11 + [3], [2] * 12)  # one of twelve may
    assert is_less([1], [2])


def test_figures() -> None:
    found = figures(tried(512, 10, 20, 30), Pricing(cold=0.01))
    assert found._replace(dollars=0) == (
        *(512, "x86_64", "", 3, 12, 20.0, 0),
        *(20.0, 30.0, 120.0, 130.0, 21.0, 100.0, 20.0, 120.0, 41.0),
    )
    assert found.dollars == pytest.approx(0.20 + (0.99 * 20 + 0.01 * 120) * 1000 * 0.5 * 0.0000166667)


def test_what_was_not_measured_is_not_chosen() -> None:
    impossible = Tried(128, "x86_64")
    impossible.reason = "out of memory"
    assert figures(impossible, WARM)[:3] == (128, "x86_64", "out of memory")
    assert figures(Tried(256, "x86_64"), WARM)[:3] == (256, "x86_64", "not measured")
    assert choose((impossible, Tried(256, "x86_64")), WARM) == {}
    assert {each.memory for each in choose((impossible, tried(512, 1)), WARM).values()} == {512}


def test_the_other_architecture_has_another_price_for_the_same_times() -> None:
    mine = tried(1024, 100)
    other = figures(as_if(mine, "arm64"), WARM)
    assert (other.architecture, other.time) == ("arm64", 100)
    assert other.dollars == pytest.approx(0.20 + 100_000 * 0.0000133334)
    assert break_even() == pytest.approx(1.25, abs=0.001)


# the sweep


class Machine:
    """Environments of a function that needs `needs` MB, and the settings in the order in which they were started."""

    def __init__(self, needs: int = 0, error: str = "") -> None:
        self.started: list[int] = []
        self._needs, self._error = needs, error

    @asynccontextmanager
    async def fresh(self, setting: Tried) -> AsyncIterator[Ask]:
        self.started.append(setting.memory)
        cold = True

        async def ask() -> Sample:
            nonlocal cold
            init, cold = (50.0 if cold else 0.0), False
            if setting.memory < self._needs:
                return Sample(1, error="Runtime.OutOfMemory")
            return Sample(1, 1, 1, init, 10, self._error, "no luck" if self._error else "")

        yield ask


THREE = Plan(3, 5)


def swept(machine: Machine, memories: Sequence[int], plan: Plan = THREE) -> list[Tried]:
    settings = [Tried(memory, "x86_64") for memory in memories]
    asyncio.run(sweep(settings, machine.fresh, plan, lambda what, done, total: None))
    return settings


def test_rounds_take_turns() -> None:
    machine = Machine()
    found = swept(machine, (128, 256, 512))
    assert machine.started == [128, 256, 512, 256, 512, 128, 512, 128, 256]
    assert [[len(one.warm) for one in each.rounds] for each in found] == [[5, 5, 5]] * 3
    assert {one.cold.init for each in found for one in each.rounds} == {50.0}


def test_slow_requests_are_fewer() -> None:
    found = swept(Machine(), (128,), Plan(1, 50, seconds=0))
    assert [len(one.warm) for one in found[0].rounds] == [3]


def test_a_setting_that_is_too_small_is_a_result() -> None:
    machine = Machine(needs=256)
    found = swept(machine, (128, 256))
    assert [(each.reason, len(each.rounds)) for each in found] == [("out of memory", 0), ("", 3)]
    assert machine.started.count(128) == 1


def test_a_function_that_fails_ends_it() -> None:
    with pytest.raises(FunctionError, match="at 128 MB it failed: ValueError: no luck"):
        swept(Machine(error="ValueError"), (128, 256))
    with pytest.raises(FunctionError, match="no setting is possible: 128 MB: out of memory; 256 MB: out of memory"):
        swept(Machine(needs=512), (128, 256))


def test_who_is_cancelled_has_the_rounds_that_were_whole() -> None:
    settings = [Tried(128, "x86_64"), Tried(256, "x86_64")]

    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        counted = 0

        def count(what: str, done: int, total: int) -> None:
            nonlocal counted
            counted += 1
            if counted == 4:
                task.cancel()

        await asyncio.sleep(0)
        await sweep(settings, Waits().fresh, Plan(5, 2), count)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert [len(each.rounds) for each in settings] == [1, 2]


class Waits(Machine):
    @asynccontextmanager
    async def fresh(self, setting: Tried) -> AsyncIterator[Ask]:
        await asyncio.sleep(0)
        async with super().fresh(setting) as ask:
            yield ask


def test_a_response_to_a_gateway_can_be_a_refusal() -> None:
    assert refusal(b'{"statusCode": 400, "body": "no"}') == "400: no"
    assert refusal(b'{"statusCode": 200, "body": "yes"}') == ""
    assert refusal(b'{"answer": 1}') == refusal(b"plain") == refusal(b"[1]") == ""
