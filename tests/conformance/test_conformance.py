"""The same functions under every runtime and every emulator: one table of answers, and each known difference from it.

What one partner answers otherwise is in conformance_differences.py and has to be so exactly.
"""

from pathlib import Path

import pytest
from conformance_cases import CALLABLES, EVENTS, EXCEPTIONS, INIT, VALUES, Answer, Case
from conformance_differences import KNOWN, Difference
from conformance_partners import PARTNERS
from conformance_surroundings import ALL_SURROUNDINGS

CASES = (*VALUES, *EVENTS, *EXCEPTIONS, *INIT, *CALLABLES, *ALL_SURROUNDINGS)
AS_IN_THE_TABLE = Difference("")

partners = pytest.mark.parametrize(
    "partner", [pytest.param(name, marks=pytest.mark.aws if name == "aws" else ()) for name in PARTNERS]
)


@partners
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_as_lambda_does(case: Case, partner: str, tmp_path: Path) -> None:
    seen = PARTNERS[partner](case, tmp_path / "service")
    known = KNOWN.get((case.name, partner), AS_IN_THE_TABLE)
    assert seen.answers == (known.answers or as_told(case.answers, partner))
    missing = known.log or ()
    assert_in_order([part for part in case.log if part not in missing], seen.log)
    assert not [part for part in missing if part in "\n".join(seen.log)]


def as_told(answers: tuple[Answer, ...], partner: str) -> tuple[Answer, ...]:
    """The emulator answers with the error object and no header that says so (facts of aws-lambda-rie 1.x)."""
    if not partner.startswith("rie"):
        return answers
    return tuple(answer._replace(error="") for answer in answers)


def assert_in_order(parts: list[str], lines: tuple[str, ...]) -> None:
    text, place = "\n".join(lines), 0
    for part in parts:
        found = text.find(part, place)
        assert found >= 0, f"{part!r} is not in the log, or not in its place: {text}"
        place = found + len(part)


def test_every_known_difference_is_one() -> None:
    cases = {case.name: case for case in CASES}
    assert len(cases) == len(CASES)
    for (name, partner), known in KNOWN.items():
        assert partner in PARTNERS
        assert known.answers != as_told(cases[name].answers, partner)
        assert set(known.log or ()) <= set(cases[name].log)
        assert known.answers is not None or known.log
        assert known.why
