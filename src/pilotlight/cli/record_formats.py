"""Records as lines: CSV with fields in one order, or one JSON object each."""

import csv
import io
import json
from collections.abc import Iterable

from pilotlight.cli.record_filters import FIELDS, exported
from pilotlight.function.table import Item

HEAD = ",".join(FIELDS)


def csv_line(record: Item) -> str:
    return _csv(record.get(name, "") for name in FIELDS)


def _csv(values: Iterable[object]) -> str:
    text = io.StringIO()
    shown = (str(value).lower() if isinstance(value, bool) else value for value in values)
    csv.writer(text, lineterminator="").writerow(shown)
    return text.getvalue()


def json_line(record: Item) -> str:
    return json.dumps(exported(record), ensure_ascii=False, default=_as_text)


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
