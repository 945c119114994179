"""Bills against sums made by hand from AWS's price list."""

import pytest

from pilotlight.measure import cost
from pilotlight.measure.cost import Item, Projection
from pilotlight.usage import Usage


def test_a_function_behind_an_http_api() -> None:
    usage = Usage("a", memory=512, requests=2_000_000, billed_ms=100_000_000, front_requests=2_000_000)
    bill = cost.bill([usage])
    assert bill.items == (
        Item("a", "Requests", 2_000_000, "requests", 0.20 / 1_000_000, pytest.approx(0.40)),
        Item("a", "Duration (x86_64)", 50_000.0, "GB-s", 0.0000166667, pytest.approx(0.833335)),
        Item("a", "HTTP API requests", 2_000_000, "requests", 1 / 1_000_000, pytest.approx(2.00)),
    )
    assert bill.total == pytest.approx(3.233335)
    assert bill.per_million == (Projection("a", pytest.approx(1.6166675)),)
    assert bill.notes == ()


def test_arm_storage_streams_records_and_logs() -> None:
    usage = Usage(
        "a",
        architecture="arm64",
        memory=2048,
        tmp=2560,
        front="url",
        requests=1_000,
        billed_ms=500_000,
        streamed=10 * 2**30,
        log_bytes=2**29,
        write_units=3_000,
    )
    assert [(item.what, item.quantity, item.amount) for item in cost.bill([usage]).items] == [
        ("Requests", 1000, pytest.approx(0.0002)),
        ("Duration (arm64)", 1000.0, pytest.approx(0.0133334)),
        ("Ephemeral storage above 512 MB", 1000.0, pytest.approx(0.0000309)),
        ("Streamed bytes after the first 6 MB", 10.0, pytest.approx(0.08)),
        ("DynamoDB writes of records", 3000, pytest.approx(0.001875)),
        ("CloudWatch log ingestion", 0.5, pytest.approx(0.25)),
    ]


def test_snapstart_is_paid_for_three_hours_at_least_and_for_each_restore() -> None:
    usage = Usage("a", memory=1024, snapstart=True, seconds=60, requests=4, billed_ms=1_000, restores=2)
    bill = cost.bill([usage])
    found = {item.what: item.amount for item in bill.items}
    assert found["SnapStart cache"] == pytest.approx(10_800 * 0.0000015046)  # 0.01625
    assert found["SnapStart restores"] == pytest.approx(0.0002795996)
    assert bill.per_million[0].amount == pytest.approx((bill.total - found["SnapStart cache"]) / 4 * 1_000_000)
    later = cost.bill([usage._replace(seconds=21_600)])
    assert {item.what: item.amount for item in later.items}["SnapStart cache"] == pytest.approx(21_600 * 0.0000015046)


def test_tiers_are_those_of_all_functions_together() -> None:
    seconds = 4_000_000_000
    usages = [Usage(name, memory=1024, front="url", billed_ms=seconds * 1000) for name in ("a", "b")]
    bill = cost.bill(usages)
    assert [(item.function, item.quantity, item.price) for item in bill.items] == [
        ("a", 4e9, 0.0000166667),
        ("b", 2e9, 0.0000166667),
        ("b", 2e9, 0.000015),
    ]
    assert bill.total == pytest.approx(100_000.2 + 30_000)


def test_a_rest_api_costs_more() -> None:
    usage = Usage("a", front="rest", requests=400_000_000, front_requests=400_000_000)
    items = cost.bill([usage]).items
    assert [(item.what, item.quantity, item.price) for item in items] == [
        ("Requests", 400_000_000, pytest.approx(0.20e-6)),
        ("REST API requests", 333_000_000, pytest.approx(3.50e-6)),
        ("REST API requests", 67_000_000, pytest.approx(2.80e-6)),
    ]


def test_provisioned_concurrency_is_a_note() -> None:
    usage = Usage("a", memory=1024, provisioned=2)
    assert cost.provisioned_month(usage) == pytest.approx(2 * 730 * 3600 * 0.0000041667)  # 21.90
    assert cost.bill([usage], ["Another."]).notes == (
        "Provisioned concurrency of 2 for a would cost $21.90 a month, used or not; durations in it cost less than is "
        "billed here.",
        "Another.",
    )


def test_nothing_costs_nothing() -> None:
    assert cost.bill([Usage("a")]) == ((), 0, (), ())


def test_answers_leave_aws_after_a_hundred_gigabytes_for_nothing() -> None:
    bill = cost.bill([Usage("a", sent=150 * 2**30)])
    assert [(item.quantity, item.price) for item in bill.items] == [(100, 0.0), (50, 0.09)]
    assert bill.total == pytest.approx(4.5)


def test_the_free_tier_is_taken_off_by_items_of_its_own() -> None:
    bill = cost.free_tier(cost.bill([Usage("a", memory=1024, requests=3_000_000, billed_ms=100_000_000, front="url")]))
    assert [(item.what, item.quantity, item.amount) for item in bill.items[2:]] == [
        ("Free tier: Requests", 1_000_000, pytest.approx(-0.2)),
        ("Free tier: Duration (x86_64)", 100_000, pytest.approx(-1.66667)),
    ]
    assert bill.total == pytest.approx(0.4)
