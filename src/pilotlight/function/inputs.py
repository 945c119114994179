"""What a function may ask for beyond fields: the raw body, an uploaded file, a picture, Lambda's context.

    @endpoint
    def handler(image: Image, top: int = 5) -> list[Label]: ...

`pilotlight.events.Request`, the whole request, is one more of these types.
"""

from __future__ import annotations

from pilotlight.errors import InputError
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol, Self

    import PIL.Image
else:
    Protocol = object


class Body(bytes):
    """The body of the request as it came, whatever its content type. In a bare event it is a base64 string.

    `content_type` is the Content-Type header, "" when there was none.
    """

    content_type: str

    def __new__(cls, content: bytes = b"", content_type: str = "") -> Self:
        body = super().__new__(cls, content)
        body.content_type = content_type
        return body


class File(NamedTuple):
    """An uploaded file.

    It is the part of that name in a multipart form; or the whole body, when the content type is neither a form nor
    JSON and the function takes one file; or a base64 string in JSON and in a bare event. `filename` is what the client
    said, never to be used as a path; `filename` and `content_type` are "" when the client gave none.
    """

    content: bytes
    filename: str = ""
    content_type: str = ""


class Image:
    """A picture: JPEG, PNG, GIF, BMP, TIFF, WebP, AVIF, and HEIF where pillow-heif is installed.

    It is the whole body, when the content type is neither a form nor JSON and the function takes one picture or file;
    or the part of that name in a multipart form; or a string: base64, a `data:` URL or `s3://bucket/key`.

    `content` are the bytes as they came, `format` is Pillow's name for what they are. `width` and `height` are in
    pixels, as the picture is to be shown, which EXIF may say. They are read when this is made, pixels when they are
    asked for. `field` is what errors name.

    Raises `errors.UnsupportedMediaType` (415) for what is no picture, `errors.InputTooLarge` (413) for too many bytes
    or pixels, `errors.InputError` (400) for a damaged one; `errors.FunctionError` where Pillow is not installed.
    """

    __slots__ = ("_orientation", "content", "field", "format", "height", "width")

    def __init__(self, content: bytes, field: str = "image") -> None:
        from pilotlight.function.pictures import read_header

        self.content = content
        self.field = field
        self.format, self.width, self.height, self._orientation = read_header(content, field)

    def open(self) -> PIL.Image.Image:
        """The picture in RGB, as it is to be shown: turned as EXIF says, over white where it is transparent.

        Of an animation it is the first frame. CMYK is converted without profiles, of 16 bits the upper 8 are taken.
        Raises `errors.InputError` for a damaged picture.
        """
        from pilotlight.function.pictures import decoded

        picture: PIL.Image.Image = decoded(self.content, self.format, self._orientation, self.field)
        return picture

    def pixels(
        self,
        width: int,
        height: int,
        resample: str = "bilinear",
        fit: str = "stretch",
        *,
        resize: int | None = None,
        draft: bool = False,
    ) -> memoryview:
        """The pixels of `open()`, brought to a size: uint8 [1, height, width, 3].

        `resample` is nearest, box, bilinear, bicubic or lanczos, as Pillow does them: all but nearest are smoothed
        when they make a picture smaller. `fit` is "stretch", to exactly that size whatever the proportions; or "crop":
        the shorter side becomes `resize` (without it, just so much that nothing stays empty), then the middle is cut
        out, as torchvision's Resize and CenterCrop do. `draft` lets a JPEG of at least twice the size be decoded at a
        half, a quarter or an eighth: faster, and with slightly other pixels than a trainer's.

        Raises `ValueError` for sizes and names that cannot be, `errors.InputError` for a damaged picture,
        `errors.InputTooLarge` for one so narrow that it cannot be brought to the size.
        """
        from pilotlight.function.pictures import Size, resized

        size = Size(width, height, resample, fit, resize, draft)
        return resized(self.content, self.format, self._orientation, self.field, size)


class ImageUrl(Image):
    """A picture behind an http or https URL, which is a string wherever it comes from. `url` is what was asked for.

    Only public addresses are asked, and those that the setting `inputs.allow_urls` names. Raises what `Image` does, and
    `url_fetch.Refused`, an `errors.InputError`, where nothing was fetched.
    """

    __slots__ = ("url",)

    def __init__(self, url: str, field: str = "url") -> None:
        from pilotlight import limits
        from pilotlight.function import url_fetch

        try:
            content, _ = url_fetch.fetch(url, most=limits.PICTURE, seconds=limits.PICTURE_SECONDS)
        except InputError as error:
            raise error.at(field) from None
        super().__init__(content, field)
        self.url = url


class Context(Protocol):
    """Lambda's context object: docs.aws.amazon.com/lambda/latest/dg/python-context.html. None outside a runtime."""

    aws_request_id: str
    function_name: str
    function_version: str
    invoked_function_arn: str
    log_group_name: str
    log_stream_name: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops this invocation."""
        ...
