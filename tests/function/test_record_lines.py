import json

from hypothesis import given
from hypothesis import strategies as st

from pilotlight.function import record_lines
from pilotlight.function.record_lines import Part, Reader

TEXTS = st.text(st.characters(max_codepoint=126, min_codepoint=32), min_size=1, max_size=30)


def test_a_record_is_a_line() -> None:
    assert list(record_lines.record("5d2f", '{"a":1}')) == [b'pilotlight.record 5d2f 1/1 |{"a":1}|\n']
    assert record_lines.stored("5d2f") == b"pilotlight.stored 5d2f\n"


def test_a_long_record_is_lines_that_a_pipe_takes_in_one_piece() -> None:
    text = json.dumps("x" * 20_000)
    lines = list(record_lines.record("5d2f", text))
    assert [len(line) for line in lines] == [4_090] * 4 + [3_792]
    assert read(lines).records == {"5d2f": text}


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32), min_size=1, max_size=9_000), TEXTS, TEXTS)
def test_parts_are_found_wherever_they_stand(text: str, before: str, after: str) -> None:
    reader = Reader()
    for line in record_lines.record("5d2f", text):
        part = record_lines.find(f"{before}{line.decode().rstrip()}{after.replace('|', '')}")
        assert part is not None
        assert part.before == before
        reader.take(part)
    assert (reader.records, reader.broken) == ({"5d2f": text}, 0)


@given(st.text())
def test_any_other_line_is_none(text: str) -> None:
    part = record_lines.find(f"pilotlight.record {text}")
    assert part is None or "|" in text


def test_what_is_no_part() -> None:
    assert record_lines.find("REPORT RequestId: 5d2f") is None
    assert record_lines.find("pilotlight.record 5d2f 1/2 |cut off") is None
    assert record_lines.find("pilotlight.record 5d2f one/2 |text|") is None
    assert record_lines.find("pilotlight.stored ") is None
    assert record_lines.find("2026 pilotlight.stored 5d2f\n") == Part("5d2f", 0, 0, "", "2026 ")


def read(lines: list[bytes]) -> Reader:
    reader = Reader()
    for part in filter(None, (record_lines.find(line.decode()) for line in lines)):
        reader.take(part)
    return reader


def test_what_is_said_to_be_stored_is_not_recovered() -> None:
    first, second = record_lines.record("1", "{}"), record_lines.record("2", "x" * 9_000)
    reader = read([*first, *second, record_lines.stored("1"), record_lines.stored("2")])
    assert (reader.records, reader.broken, list(reader.lines())) == ({}, 0, [])


def test_of_two_records_with_one_id_the_last_one_stays() -> None:
    long = [list(record_lines.record("1", letter * 9_000)) for letter in "ab"]
    assert read([*long[0][:2], *long[1]]).records == {"1": "b" * 9_000}
    assert read([*record_lines.record("1", "a"), *record_lines.record("1", "b")]).records == {"1": "b"}


def test_records_of_several_processes_may_be_mixed() -> None:
    lines = [list(record_lines.record(each, each * 9_000)) for each in "ab"]
    reader = read([each for pair in zip(*lines, strict=True) for each in pair])
    assert reader.records == {"a": "a" * 9_000, "b": "b" * 9_000}


def test_what_a_reader_has_it_can_write_again() -> None:
    lines = [*record_lines.record("1", "{}"), *list(record_lines.record("2", "x" * 9_000))[:2]]
    reader = read(lines)
    assert reader.broken == 1
    assert list(reader.lines()) == lines
