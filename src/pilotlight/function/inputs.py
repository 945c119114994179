"""What a function may ask for beyond fields: the raw body, an uploaded file, Lambda's context.

    @endpoint
    def handler(image: File, top: int = 5) -> list[Label]: ...

`pilotlight.events.Request`, the whole request, is the fourth of these types.
"""

from typing import NamedTuple, Protocol, Self


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
