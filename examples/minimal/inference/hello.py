"""The smallest function: typed, checked, documented, and an API."""

from pilotlight import endpoint

GREETINGS = {"en": "Hello", "de": "Guten Tag", "es": "Hola", "zh": "你好"}


@endpoint
def handler(name: str, language: str = "en", times: int = 1) -> dict[str, str]:
    """Greet somebody; what is not right in a request is answered with 400 and the reason."""
    greeting = GREETINGS.get(language, GREETINGS["en"])
    return {"greeting": " ".join([f"{greeting}, {name}!"] * times)}
