"""Go on with a text, token by token: each is sent as soon as it is known."""

from collections.abc import Iterator

from pilotlight import endpoint
from pilotlight.function.text import Generator

generator = Generator("models/textgen")


@endpoint
def handler(
    prompt: str, max_length: int = 50, temperature: float = 0.0, top_k: int = 50, seed: int | None = None
) -> Iterator[str]:
    """Go on with `prompt` until the text ends or has `max_length` tokens, the prompt's included.

    At temperature 0 each token is the likeliest; above, it is drawn from the `top_k` likeliest.
    """
    yield from generator.stream(prompt, max_length=max_length, temperature=temperature, top_k=top_k, seed=seed)
