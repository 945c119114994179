"""Answer a question by a part of a passage."""

from pilotlight import endpoint
from pilotlight.function.text import Answer, Reader

reader = Reader("models/qa", longest=30)  # tokens of an answer at most: a subordinate clause, no paragraph


@endpoint
def handler(question: str, context: str) -> Answer:
    """Find the part of `context` that answers `question`: `context[start:end] == answer`."""
    return reader.answer(question, context)
