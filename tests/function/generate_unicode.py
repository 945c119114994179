"""Writes src/pilotlight/function/unicode_tables.py: what the library `tokenizers` does with each code point.

    python tests/function/generate_unicode.py

Nothing here knows Unicode: every code point is put through the steps of the library's BertNormalizer and
BertPreTokenizer, and the answers are written down as ranges. Only decompositions and combining classes are not, as
Unicode promises that they never change once a character has them (https://www.unicode.org/policies/stability_policy.html);
the table says for which characters the library knows them, and `check` that Python's are the same.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

TARGET = Path(__file__).parents[2] / "src" / "pilotlight" / "function" / "unicode_tables.py"
SURROGATES = range(0xD800, 0xE000)  # the library refuses them
EVERY = [code for code in range(0x110000) if code not in SURROGATES]
BETWEEN = "yxy"  # what a character cannot be mistaken for
IOTA = "\u0345"  # the only character of the highest combining class, 240
LONG_LOWER = {0x130: "i\u0307"}  # the only character whose lower case is two

HEAD = '''"""What the library `tokenizers` does with each code point. Written by tests/function/generate_unicode.py.

Ranges are half open and flat, (first, end, first, end, ...): `bisect_right(ranges, code) & 1` says whether a code point
is in one.
"""

# fmt: off
'''
TABLES = {
    "DROPPED": "Removed first: control, format and private use characters, U+FFFD, and surrogates, which stand for it.",
    "SPACES": "Separate words and are no part of any.",
    "CHINESE": "Words of their own when `chinese` is set.",
    "PUNCTUATION": "Words of their own.",
    "MARKS": "Removed when accents are stripped.",
    "DECOMPOSED": "Decomposed when accents are stripped.",
    "COMBINING": "Of a combining class that is not 0: their order may change when accents are stripped.",
    "MOVING": "Of those the ones that stay then, and what is made of one.",
}


def step(**options: bool) -> Callable[[str], str]:
    """One step of the library's BertNormalizer, alone."""
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**off, **options}).normalize_str


def answers(normalize: Callable[[str], str], codes: Iterable[int], before: str = "") -> dict[int, str]:
    """What becomes of each code point, `before` standing before it, asked all at once."""
    codes = list(codes)
    text = normalize(BETWEEN.join([*(before + chr(code) for code in codes), ""]))
    return dict(zip(codes, text.split(BETWEEN), strict=False))


def tables() -> dict[str, list[int]]:
    """The code points of each table, in order."""
    clean = answers(step(clean_text=True), EVERY)
    chinese = answers(step(handle_chinese_chars=True), EVERY)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    words = {code: len(split(f"a{chr(code)}a")) for code in EVERY}  # with punctuation 3, with a space 2
    return {
        "DROPPED": sorted([*SURROGATES, *(code for code in EVERY if clean[code] == "")]),
        "SPACES": [code for code in EVERY if words[code] == 2 and clean[code] != ""],
        "CHINESE": [code for code in EVERY if chinese[code] != chr(code)],
        "PUNCTUATION": [code for code in EVERY if words[code] == 3],
        **accents(),
    }


def accents() -> dict[str, list[int]]:
    """The tables for stripping accents."""
    parts = answers(normalizers.NFD().normalize_str, EVERY)
    stripped = answers(step(strip_accents=True), EVERY)
    ordered = answers(normalizers.NFD().normalize_str, EVERY, before=IOTA)
    simple = [code for code in EVERY if parts[code] == chr(code)]
    marks = [code for code in simple if stripped[code] == ""]
    combining = [code for code in simple if not ordered[code].startswith(IOTA) or chr(code) == IOTA]
    moving = {chr(code) for code in combining} - {chr(code) for code in marks}
    return {
        "MARKS": marks,
        "DECOMPOSED": [code for code in EVERY if parts[code] != chr(code)],
        "COMBINING": combining,
        "MOVING": [code for code in EVERY if moving & set(parts[code])],
    }


def lowered() -> dict[int, str]:
    """Code points beyond ASCII -> their lower case where it is another."""
    return {code: low for code, low in answers(step(lowercase=True), EVERY).items() if low != chr(code) and code > 127}


def ranges(codes: Iterable[int]) -> list[int]:
    """Code points in order -> flat half-open ranges."""
    flat: list[int] = []
    for code in codes:
        if flat and flat[-1] == code:
            flat[-1] = code + 1
        else:
            flat += [code, code + 1]
    return flat


def runs(lower: dict[int, str]) -> Iterator[tuple[int, int, int, int]]:
    """Lower cases of one letter -> (first, last, stride, distance to the lower case), strides being 1 and 2."""
    pairs = [(code, ord(low) - code) for code, low in lower.items() if len(low) == 1]
    while pairs:
        first, distance = pairs[0]
        best = max((_run(pairs, stride) for stride in (1, 2)), key=len)
        stride = best[1] - first if len(best) > 1 else 1
        yield first, best[-1], stride, distance
        pairs = [pair for pair in pairs if pair[0] not in set(best)]


def _run(pairs: list[tuple[int, int]], stride: int) -> list[int]:
    """The code points from the first pair on that are `stride` apart and at one distance from their lower case."""
    first, distance = pairs[0]
    found = [first]
    for code, other in pairs[1:]:
        if code == found[-1] + stride and other == distance:
            found.append(code)
        elif code > found[-1] + stride:
            break
    return found


def check(table: dict[str, list[int]], lower: dict[int, str]) -> None:
    """What the code that reads the tables relies on; raises AssertionError where it is not so."""
    assert {code: low for code, low in lower.items() if len(low) > 1} == LONG_LOWER
    parts = {code: unicodedata.normalize("NFD", chr(code)) for code in table["DECOMPOSED"]}
    assert parts == answers(normalizers.NFD().normalize_str, table["DECOMPOSED"])
    check_classes(table["COMBINING"])
    alone = {*table["SPACES"], *table["CHINESE"], *table["PUNCTUATION"]}
    assert not alone & set(table["COMBINING"])  # so that nothing is ordered across them
    assert not alone & {ord(part) for whole in parts.values() for part in whole[1:]}
    for code in alone & set(parts):
        assert set(map(ord, parts[code][1:])) <= set(table["MARKS"])
    for whole in parts.values():  # so that the first of a row of marks is never a later part of one character
        classes = [unicodedata.combining(part) for part in whole]
        assert classes[0] == 0 or classes == sorted(classes)


def check_classes(combining: list[int]) -> None:
    """Each character with one of each class, in both orders."""
    one = {unicodedata.combining(chr(code)): chr(code) for code in combining}
    assert 0 not in one
    pairs = [f"{chr(code)}{other}" for code in combining for other in one.values()]
    text = BETWEEN.join([*pairs, *(pair[::-1] for pair in pairs)])
    assert normalizers.NFD().normalize_str(text) == unicodedata.normalize("NFD", text)


def lines(numbers: Iterable[str]) -> Iterator[str]:
    """Items, as many to a line as 120 columns take."""
    line = "   "
    for number in numbers:
        if len(line) + len(number) + 2 > 120:
            yield line
            line = "   "
        line += f" {number},"
    yield line


def source() -> str:
    """The module."""
    table, lower = tables(), lowered()
    check(table, lower)
    text = [HEAD]
    for name, meaning in TABLES.items():
        text += [f"# {meaning}", f"{name} = (", *lines(map(hex, ranges(table[name]))), ")", ""]
    text += ["# Beyond ASCII: (first, last, stride, distance to the lower case).", "LOWER = ("]
    text += [*lines(str(run) for run in runs(lower)), ")"]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    TARGET.write_text(source(), encoding="utf-8")
