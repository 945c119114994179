from pilotlight import ImageUrl, endpoint


@endpoint
def handler(image: ImageUrl) -> str:
    return image.format
