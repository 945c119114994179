"""Say whether a text is positive or negative."""

from collections.abc import Callable
from os import environ
from os.path import exists, join

from pilotlight import InputError, endpoint
from pilotlight.function.cache import fetch
from pilotlight.function.labels import Label


def opened(path: str) -> Callable[[str], Label]:
    """The network that ships, which is one over whole words, or any that `pilotlight optimize` wrote."""
    if exists(join(path, "vocabulary.txt")):
        import kim

        return kim.Classifier(path).classify
    from pilotlight.function.text import Classifier

    return Classifier(path).classify


classify = opened(fetch(environ.get("PILOTLIGHT_MODEL", "models/sentiment")))


@endpoint
def handler(text: str) -> Label:
    """The more probable label of an English text, and how probable it is."""
    if not text.strip():
        raise InputError(("text", "must not be empty"))
    return classify(text)
