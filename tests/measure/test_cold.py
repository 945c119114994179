"""The phases of a cold start, from marks and spans."""

from pilotlight.measure.cold import PHASES, split

MS = 1_000_000


def test_phases_add_up() -> None:
    marks = {"started": 20 * MS, "loaded": 100 * MS}
    spans = [
        ("library", 50 * MS, 62 * MS),
        ("weights", 62 * MS, 70 * MS),
        ("weights", 70 * MS, 73 * MS),
        ("tokenizer", 80 * MS, 85 * MS),
        ("first run", 101 * MS, 108 * MS),
    ]
    phases = split(10 * MS, 115 * MS, marks, spans)
    assert phases == {
        "process": 10.0,
        "imports": 52.0,
        "library": 12.0,
        "weights": 11.0,
        "tokenizer": 5.0,
        "first run": 7.0,
        "rest": 8.0,
    }
    assert tuple(phases) == PHASES
    assert sum(phases.values()) == 105.0


def test_a_model_that_the_handler_loads_is_no_import() -> None:
    spans = [("library", 30 * MS, 40 * MS), ("weights", 40 * MS, 45 * MS), ("first run", 45 * MS, 46 * MS)]
    phases = split(0, 50 * MS, {"started": 10 * MS, "loaded": 25 * MS}, spans)
    assert list(phases.values()) == [10.0, 15.0, 10.0, 5.0, 0.0, 1.0, 9.0]


def test_a_function_without_a_model_has_no_such_phases() -> None:
    phases = split(0, 30 * MS, {"started": 10 * MS, "loaded": 25 * MS}, [])
    assert list(phases.values()) == [10.0, 15.0, 0.0, 0.0, 0.0, 0.0, 5.0]
