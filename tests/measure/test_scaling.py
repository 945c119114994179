"""Provisioned concurrency that scales: its alarms, its schedule, and how long it takes."""

from random import Random

from pilotlight.measure.scaling import Allocation, Scaling
from pilotlight.measure.simulate import Lambda, Times, simulate


def told(allocation: Allocation, *uses: float | None, begin: int = 1) -> list[int]:
    """What there is after each of these minutes."""
    counts = []
    for minute, use in enumerate(uses, begin):
        allocation.minute(minute * 60.0, use)
        counts.append(allocation.allocated)
    return counts


def test_three_minutes_above_the_target_make_more_after_a_minute_or_two() -> None:
    allocation = Allocation(10, Scaling(most=50, target=0.7))
    assert told(allocation, 0.9, 0.9, 0.9, 0.9, 0.9) == [10, 10, 10, 10, 13]  # 10 x 0.9 / 0.7, 90 s after the third


def test_two_minutes_above_it_make_nothing() -> None:
    allocation = Allocation(10, Scaling(most=50))
    assert told(allocation, 0.9, 0.9, 0.5, 0.9, 0.9, 0.65, 0.9, 0.9) == [10] * 8


def test_fifteen_minutes_below_it_make_fewer_at_once_but_not_fewer_than_the_least() -> None:
    allocation = Allocation(4, Scaling(most=50))
    allocation.allocated = 20
    assert told(allocation, *[0.35] * 15) == [20] * 14 + [10]
    assert told(allocation, 0.0, begin=16) == [4]


def test_minutes_without_a_request_say_nothing() -> None:
    allocation = Allocation(4, Scaling(most=50))
    allocation.allocated = 20
    assert told(allocation, *[None] * 60) == [20] * 60


def test_the_most_is_not_exceeded() -> None:
    allocation = Allocation(10, Scaling(most=12))
    assert told(allocation, *[1.0] * 6)[-1] == 12


def test_a_thousand_environments_take_ten_seconds_more() -> None:
    allocation = Allocation(0, Scaling(schedule=((60.0, 6_000), (0.0, 0))[::-1]))
    assert told(allocation, None, None, None, None) == [0, 0, 0, 6_000]  # asked for at 60 s, 90 s and one minute


def test_a_schedule_holds_by_the_time_of_day_and_from_the_day_before() -> None:
    scaling = Scaling(schedule=((8 * 3600.0, 10), (20 * 3600.0, 2)))
    assert [scaling.least(hour * 3600.0, 7) for hour in (0, 7, 8, 19, 20, 24 + 9)] == [2, 2, 10, 10, 2, 10]
    assert Scaling().least(0.0, 7) == 7
    assert Allocation(7, scaling).allocated == 2


def test_a_steady_load_finds_its_number_of_environments() -> None:
    """Ten requests are under way at all times: with a target of 70 % there are 15 for them."""
    arrivals = [second + number / 10 for second in range(7_200) for number in range(10)]
    function = Lambda(provisioned=2, scaling=Scaling(most=100))
    outcome = simulate(arrivals, Times([0.999], [0.1]), function, Random(0))
    assert outcome.minutes[-2].provisioned == 15
    assert outcome.minutes[60].cold == 0
    assert outcome.spilled < 0.2 * outcome.requests
