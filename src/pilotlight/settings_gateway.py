"""Parts of `settings`: what stands before functions, [cors], `throttle` and [usage_plans.NAME]."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pilotlight.settings_parts import NAME, setting, whole

Period = Literal["DAY", "WEEK", "MONTH"]
CorsMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "*"]

_HEADER = Annotated[str, Meta(pattern=whole(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"))]
_ORIGIN = Annotated[str, Meta(pattern=whole(r"(\*|[a-z][a-z0-9+.-]*://[^\sA-Z/?#*\"'$\\]+)"))]


class Cors(Struct, frozen=True, forbid_unknown_fields=True):
    """Which pages of other origins may call the functions. The gateway sets the headers; a function sets none."""

    origins: Annotated[
        tuple[_ORIGIN, ...],
        setting(
            'Origins that may call: scheme, host and port, no path; "*" is any. An empty list turns CORS off.',
            ["https://example.com"],
            form='an origin in lower case without a path, or "*"',
        ),
    ] = ()
    methods: Annotated[
        tuple[CorsMethod, ...],
        setting('Methods that a page may use; "*" is any.', ["GET", "POST", "DELETE"]),
    ] = ("GET", "POST", "OPTIONS")
    headers: Annotated[
        tuple[_HEADER, ...],
        setting(
            'Request headers that a page may send; "*" is any.',
            ["content-type", "x-api-key"],
            form="the name of a header",
        ),
    ] = ("content-type",)
    expose: Annotated[
        tuple[_HEADER, ...],
        setting("Answer headers that a page may read.", ["x-amzn-requestid"], form="the name of a header"),
    ] = ()
    max_age: Annotated[
        int,
        Meta(ge=0, le=86_400),
        setting("Seconds for which a browser may keep the answer to a preflight.", 3600),
    ] = 0
    credentials: Annotated[
        bool,
        setting('Whether a page may send cookies. Refused with the origin "*", as browsers refuse it.', True),
    ] = False


class Throttle(Struct, frozen=True, forbid_unknown_fields=True):
    """How many requests a gateway lets through; the others are answered with 429."""

    rate: Annotated[
        float,
        Meta(gt=0, le=10_000),
        setting("Requests a second, in the long run.", 100),
    ]
    burst: Annotated[
        int,
        Meta(ge=1, le=10_000),
        setting("Requests at one moment: the size of the token bucket that `rate` fills.", 50),
    ]


class UsagePlan(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may call the functions with `api_key = true`, and how often."""

    keys: Annotated[
        tuple[Annotated[str, Meta(pattern=NAME, max_length=40)], ...],
        Meta(min_length=1),
        setting(
            "Names of API keys. A key's value never stands here: AWS makes one, and `pilotlight serve` takes that of "
            "the variable PILOTLIGHT_API_KEY_NAME, else it makes one and prints it.",
            ["mobile", "partner"],
            form="lower-case letters, digits and single dashes, a letter first",
        ),
    ]
    throttle: Annotated[
        Throttle | UnsetType,
        setting("Rate and burst of each key.", {"rate": 10, "burst": 5}),
    ] = UNSET
    quota: Annotated[
        int,
        Meta(ge=0),
        setting("Requests of each key in a period; 0 is no quota.", 10_000),
    ] = 0
    period: Annotated[
        Period,
        setting("The period of the quota; it begins at midnight UTC, on a Sunday, on the first of a month.", "MONTH"),
    ] = "DAY"
