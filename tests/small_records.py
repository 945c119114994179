"""A table of 801 records of two days, in which the second day's answers are others, for tests."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pilotlight.function.table import Item, connect_uri

DAY = 86_400_000  # ms
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
FIRST = round(BEGIN.timestamp() * 1000)
COUNT = 800
SETTINGS = 'name = "library"\n[defaults]\nrecords = true\n'
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def uri(folder: Path) -> str:
    return f"sqlite://{folder}/.pilotlight/tables.sqlite?table=records&key=primary_key&expires=expires"


def stamp(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z"


def record(number: int) -> Item:
    """One of 400 a day. Most are "good" on the first day, most are "bad" on the second; each 80th one failed."""
    is_good = (number % 10 != 0) == (number < COUNT // 2)
    answer = {"label": "good" if is_good else "bad", "score": round(number % 10 / 10, 1)}
    ended = {"status": 500, "error": "ValueError: no mood"} if number % 80 == 0 else {"status": 200}
    return {
        "primary_key": f"r{number:03}",
        "createdAt": stamp(BEGIN + number * timedelta(days=2) / COUNT),
        "function": "library--mood",
        "route": "POST /mood",
        **ended,
        "latency_ms": 10 + number * 37 % 100 / 10,
        "cold": number % 200 == 0,
        "input": json.dumps({"text": f"room {number}!"}),
        "output": json.dumps(answer),
    }


def make(folder: Path) -> None:
    hostile: Item = {
        **record(COUNT - 1),
        "primary_key": "hostile",
        "createdAt": "2026-11-02T23:59:59.999Z",
        "input": json.dumps({"text": HOSTILE}),
        "output": HOSTILE,
    }
    table = connect_uri(uri(folder))
    table.put([*map(record, range(COUNT)), hostile])
    table.close()
