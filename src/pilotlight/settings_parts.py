"""Parts of `settings`: how a setting is described, and the tables [inputs] and [records]."""

from typing import Annotated

from msgspec import Meta, Struct

from pilotlight import limits


def whole(pattern: str) -> str:
    """`pattern` for all of a string, in a spelling that Python and ECMA 262 read alike: a bare `$` lets "\\n" pass."""
    return f"^{pattern}$(?!\\n)"


def setting(description: str, example: object, *, form: str = "", default: object = None) -> Meta:
    """What the schema, the reference page and the messages say about a setting.

    `form` is its pattern in words; `default` is for the schema, where the field itself has none.
    """
    shown = {"default": default} if default else None
    return Meta(description=description, examples=[example], extra={"form": form}, extra_json_schema=shown)


class Inputs(Struct, frozen=True, forbid_unknown_fields=True):
    """What the functions take as input beyond what is safe for every service."""

    allow_urls: Annotated[
        tuple[Annotated[str, Meta(pattern=whole(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+):[1-9][0-9]{0,4}"))], ...],
        setting(
            "Hosts, each with its port, that URLs in requests may name (`ImageUrl`) though they are not public, or "
            "have another port than 80 and 443. Other URLs are fetched from public addresses alone.",
            ["images.lan:8080"],
            form="a host in lower case and its port",
        ),
    ] = ()
    buckets: Annotated[
        tuple[Annotated[str, Meta(pattern=whole("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"))], ...],
        setting(
            "Buckets of S3 whose objects requests may name (s3://bucket/key), read with the credentials of the "
            "function's role, on this machine those of the shell. Objects of other buckets are refused.",
            ["uploads"],
            form="the name of a bucket",
        ),
    ] = ()


class Records(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of the invocations of functions with `records = true`, in the table `records`."""

    redact: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        setting(
            "Fields of inputs and outputs whose values are not kept, at any depth, in whatever case they are written.",
            ["context", "password"],
        ),
    ] = ()
    max_size: Annotated[
        int,
        Meta(ge=limits.RECORD_MIN, le=limits.ITEM),
        setting(
            "Bytes that a record may have; a longer input or output is cut. DynamoDB counts and bills each 1,024.", 8192
        ),
    ] = 32_768
    days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        setting("Days after which a record is gone; 0 keeps it for ever.", 30),
    ] = 0
