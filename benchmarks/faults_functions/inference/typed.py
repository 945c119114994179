"""A typed function: what does not fit its annotations is for it to refuse."""

from pilotlight import endpoint


@endpoint
def handler(number: int, name: str = "", tags: list[str] = [], ratio: float = 0.5) -> dict[str, object]:  # noqa: B006
    return {"number": number, "name": name, "tags": tags, "ratio": ratio}
