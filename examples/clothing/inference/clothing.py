"""Say which of ten kinds of clothes a picture shows: a picture behind a URL, or one that is sent."""

from os import environ

from pilotlight import Image, ImageUrl, InputError, endpoint
from pilotlight.function.image import ImageClassifier

classifier = ImageClassifier(environ.get("PILOTLIGHT_MODEL", "models/clothing"))


@endpoint
def handler(url: ImageUrl | None = None, image: Image | None = None) -> dict[str, float]:
    """Give a logit for each kind of clothes, of the picture at `url` or of `image`."""
    if (picture := url or image) is None:
        raise InputError(("url", "missing: give a url, or a picture as image"))
    if url and image:
        raise InputError(("url", "given beside a picture: give one of the two"))
    return classifier.logits(picture)
