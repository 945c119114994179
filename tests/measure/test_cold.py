"""The phases of a cold start, from marks and spans."""

from pilotlight.measure.cold import PHASES, split

MS = 1_000_000


def test_phases_add_up() -> None:
    marks = {"forked": 12 * MS, "executed": 13 * MS, "started": 20 * MS, "loaded": 98 * MS, "ready": 100 * MS}
    spans = [
        ("library", 50 * MS, 62 * MS),
        ("weights", 62 * MS, 70 * MS),
        ("weights", 70 * MS, 73 * MS),
        ("tokenizer", 80 * MS, 85 * MS),
        ("decode", 101 * MS, 102 * MS),
        ("first run", 102 * MS, 109 * MS),
        ("handler", 102 * MS, 111 * MS),
        ("encode", 111 * MS, 111 * MS),
        ("respond", 111 * MS, 112 * MS),
    ]
    phases = split(10 * MS, 115 * MS, marks, spans)
    assert phases == {
        "fork": 2.0,
        "isolation": 1.0,
        "python": 7.0,
        "imports": 52.0,
        "library": 12.0,
        "weights": 11.0,
        "tokenizer": 5.0,
        "Pillow": 0.0,
        "runtime api": 4.0,
        "first run": 7.0,
        "handler": 4.0,
    }
    assert tuple(phases) == PHASES
    assert sum(phases.values()) == 105.0


def test_a_model_that_the_handler_loads_is_no_import() -> None:
    marks = {"forked": 4 * MS, "executed": 5 * MS, "started": 10 * MS, "loaded": 25 * MS, "ready": 25 * MS}
    spans = [
        ("library", 30 * MS, 40 * MS),
        ("weights", 40 * MS, 45 * MS),
        ("first run", 45 * MS, 46 * MS),
        ("handler", 29 * MS, 48 * MS),
    ]
    phases = split(0, 50 * MS, marks, spans)
    assert list(phases.values()) == [4.0, 1.0, 5.0, 15.0, 10.0, 5.0, 0.0, 0.0, 6.0, 1.0, 3.0]


def test_a_function_without_a_model_has_no_such_phases() -> None:
    marks = {"forked": 4 * MS, "executed": 5 * MS, "started": 10 * MS, "loaded": 25 * MS, "ready": 25 * MS}
    phases = split(0, 30 * MS, marks, [("handler", 26 * MS, 27 * MS)])
    assert list(phases.values()) == [4.0, 1.0, 5.0, 15.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 1.0]
