"""What the model card says, from a report as `pilotlight optimize` wrote it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.optimize import card

NOWHERE = Path("/nowhere/README.md")
SHIPPED = Path(__file__).parents[2] / "examples" / "question_answering" / "models" / "qa"


@pytest.fixture
def made() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHIPPED / "report.json").read_text(encoding="utf-8"))
    return found


def test_the_shipped_reader_has_the_card_of_its_report(made: dict[str, Any]) -> None:
    shipped = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert shipped.startswith(card.write(made, NOWHERE))


def test_parts_that_stayed_in_fp32_are_named(made: dict[str, Any]) -> None:
    mixed = copy.deepcopy(made)
    mixed["precision"]["fp32"] = [mixed["precision"]["int8"].pop(3), mixed["precision"]["int8"].pop(0)]
    third, first = (part["node"] for part in mixed["precision"]["fp32"])
    written = card.write(mixed, NOWHERE)
    assert ", weights in int8 in 24 of 26 parts.\n" in written
    assert f"- Left in fp32, since answers would suffer: {third}, {first}.\n" in written


def test_a_comment_in_a_block_of_code_is_no_heading(made: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "README.md"
    own.write_text("---\nlicense: mit\n---\n# A\n\n~~~sh\n# b\n~~~\n## C\n```python\n# d\n```\n# E\n")
    expected = "### A\n\n~~~sh\n# b\n~~~\n#### C\n```python\n# d\n```\n### E\n"
    assert card.write(made, own).partition("## The source's own card\n\n")[2] == expected
