"""Parts of `settings`: how a setting is described, and [tables.NAME], [inputs], [records], [cache] and [build]."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pilotlight import limits

Store = Literal["sqlite", "dynamodb"]
TableMethod = Literal["get", "put", "delete", "scan"]


def whole(pattern: str) -> str:
    """`pattern` for all of a string, in a spelling that Python and ECMA 262 read alike: a bare `$` lets "\\n" pass."""
    return f"^{pattern}$(?!\\n)"


NAME = whole("[a-z][a-z0-9]*(-[a-z0-9]+)*")


def setting(description: str, example: object, *, form: str = "", default: object = None) -> Meta:
    """What the schema, the reference page and the messages say about a setting.

    `form` is its pattern in words; `default` is for the schema, where the field itself has none.
    """
    shown = {"default": default} if default else None
    return Meta(description=description, examples=[example], extra={"form": form}, extra_json_schema=shown)


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """A table that functions read and write with `connect`: in SQLite on this machine, in DynamoDB on AWS."""

    key: Annotated[
        str,
        Meta(min_length=1, max_length=255),
        setting("The attribute by which items are found, a string: DynamoDB's partition key.", "word"),
    ] = "id"
    store: Annotated[
        Store,
        setting(
            "Where the table is on this machine: `.pilotlight/tables.sqlite` in the service's folder, or DynamoDB as "
            "on AWS, with the credentials, the region and the AWS_ENDPOINT_URL_DYNAMODB of the shell.",
            "dynamodb",
        ),
    ] = "sqlite"
    table: (
        Annotated[
            str,
            Meta(pattern=whole("[A-Za-z0-9_.-]+"), min_length=3, max_length=255),
            setting(
                "What DynamoDB calls the table. Without it: SERVICE-NAME.",
                "glove-300",
                form="letters, digits, _, . and -",
            ),
        ]
        | UnsetType
    ) = UNSET
    expires: Annotated[
        str,
        Meta(max_length=255),
        setting(
            "The attribute with the time, in seconds since 1970, after which an item is gone: DynamoDB's TTL. Without "
            "it items stay.",
            "expires",
        ),
    ] = ""
    allow: (
        Annotated[
            tuple[TableMethod, ...],
            setting(
                "The methods of the table that the roles of functions allow on AWS. Without it: all of them; of the "
                "table `records`, that a function whose invocations are recorded stores them, and nothing else.",
                ["get"],
            ),
        ]
        | UnsetType
    ) = UNSET
    keep: Annotated[
        bool,
        setting("Whether the table on AWS stays, with its items, when the service or the table is removed.", True),
    ] = False
    recovery: Annotated[
        bool,
        setting("Whether the table on AWS can be restored as it was at any second of the last 35 days.", False),
    ] = True


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


class Cache(Struct, frozen=True, forbid_unknown_fields=True):
    """Where models that are fetched (hf://, s3://) are kept."""

    folder: Annotated[
        str,
        Meta(pattern=whole(r"(/[^\x00-\x1f]*)?")),
        setting(
            "An absolute path, such as where EFS is mounted. Without it, and where this machine has no such folder: "
            "/tmp on Lambda, the machine's cache folder here.",
            "/mnt/models",
            form="an absolute path",
        ),
    ] = ""
    size: Annotated[
        int,
        Meta(ge=0),
        setting(
            "MB that models may take there. What was used longest ago goes first, and nothing that is in use; 0 is as "
            "much as the disk has.",
            20_480,
        ),
    ] = 0


class Build(Struct, frozen=True, forbid_unknown_fields=True):
    """What `pilotlight build` makes packages for, and of what."""

    python: Annotated[
        Literal["3.12", "3.13", "3.14"],
        setting("The Python of Lambda's that runs the functions.", "3.14"),
    ] = "3.13"
    architecture: Annotated[
        Literal["x86_64", "arm64"],
        setting("The processors that the functions run on.", "arm64"),
    ] = "x86_64"
    exclude: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        setting(
            "Files of the project that are left out of packages, as patterns of .gitignore; one that begins with ! is "
            "taken in again. A file .pilotlightignore, one pattern a line, says the same.",
            ["notebooks/", "*.csv", "!labels.csv"],
        ),
    ] = ()
    base_image: Annotated[
        str,
        setting(
            "The image that images of functions begin with, in any registry. Without it: AWS's own of that Python, "
            "public.ecr.aws/lambda/python.",
            "registry.example.com/lambda/python:3.13",
        ),
    ] = ""
