from pilotlight import endpoint
from pilotlight.function.text import Answer, Reader

reader = Reader("models/qa")


@endpoint
def handler(question: str, context: str) -> Answer:
    return reader.answer(question, context)
