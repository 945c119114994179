"""Which class an answer names, and with which score, by one rule for any function's output.

Of a list, the first element counts: our classifiers answer with the best one first. In an object:

    class   the first of `label`, `class`, `category`, `prediction` that has a short text, a bool or an int;
            else its only bool, by its name: `{"churn": true}` is "churn: true"
    score   the first of `score`, `probability`, `confidence` that has a number;
            else its only number whose name ends with one of them: `churn_probability`

An object of nothing but numbers, two or more, none of them a score, is a score for each class: `{"dress": 3.1, "hat":
-1.7}`. The highest counts. What a record has cut off is no JSON any more: there the first `"label": "text"` and
`"score": number` in the beginning count. All else, such as plain text, has neither.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

import msgspec

_CLASSES = ("label", "class", "category", "prediction")
_SCORES = ("score", "probability", "confidence")
_LONGEST = 64  # characters of a class's name: what is longer is a text
_LOOKED_AT = 2_000  # characters of what is no JSON

_CUT_CLASS = re.compile(rf'"(?:{"|".join(_CLASSES)})"\s*:\s*"([^"\\]{{1,{_LONGEST}}})"')
_CUT_SCORE = re.compile(rf'"(?:{"|".join(_SCORES)})"\s*:\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*[,}}\]]')

_decode = msgspec.json.Decoder().decode


class Judged(NamedTuple):
    """None is none."""

    name: str | None = None
    score: float | None = None


def is_error(record: Mapping[str, object]) -> bool:
    """Whether the function failed, or answered with a status of 400 or more."""
    status = record.get("status")
    return bool(record.get("error")) or (isinstance(status, int | float) and status >= 400)


def judged(output: str) -> Judged:
    """Class and score of an answer, as a record keeps it."""
    if output[:1] not in ("{", "["):
        return Judged()
    try:
        value = _decode(output)
    except (msgspec.DecodeError, RecursionError):
        return _of_cut(output[:_LOOKED_AT])
    if isinstance(value, list):
        value = value[0] if value else None
    return _of_object(value) if isinstance(value, dict) else Judged()


def _of_object(value: Mapping[str, Any]) -> Judged:
    name, score = _class(value), _score(value)
    if name is None and score is None and len(value) > 1 and all(_is_number(each) for each in value.values()):
        best = max(value, key=value.__getitem__)
        return Judged(best[:_LONGEST], float(value[best]))
    return Judged(name, score)


def _class(value: Mapping[str, Any]) -> str | None:
    for name in _CLASSES:
        match value.get(name):
            case str(text) if 0 < len(text) <= _LONGEST:
                return text
            case bool(flag):
                return str(flag).lower()
            case int(number):
                return str(number)
    flags = [name for name, each in value.items() if isinstance(each, bool)]
    return f"{flags[0][:_LONGEST]}: {str(value[flags[0]]).lower()}" if len(flags) == 1 else None


def _score(value: Mapping[str, Any]) -> float | None:
    for name in _SCORES:
        if _is_number(value.get(name)):
            return float(value[name])
    like = [name for name, each in value.items() if name.endswith(_SCORES) and _is_number(each)]
    return float(value[like[0]]) if len(like) == 1 else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and isfinite(value)


def _of_cut(text: str) -> Judged:
    name, score = _CUT_CLASS.search(text), _CUT_SCORE.search(text)
    return Judged(name[1] if name else None, float(score[1]) if score else None)
