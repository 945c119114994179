"""Parts of `settings`: [jwt], [deploy] and [network], what only AWS has."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pilotlight.settings_parts import setting, whole

Auth = Literal["none", "iam", "jwt"]
Rollout = Literal["all-at-once", "canary", "linear"]

# docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LogDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]


# docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html: what every service takes
TAG = whole(r"(?![Aa][Ww][Ss]:|pilotlight:)[\w .:/=+@-]{1,128}")
TAG_VALUE = whole(r"[\w .:/=+@-]{0,256}")


class Jwt(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens functions with `auth = "jwt"` take: an HTTP API on AWS checks them, in the header authorization."""

    issuer: Annotated[
        str,
        Meta(pattern=whole(r"https://[^\s/?#]+(/[^\s?#]*)?")),
        setting(
            "The tokens' `iss`, below which their keys are, at /.well-known/openid-configuration.",
            "https://login.example.com",
            form="a URL that begins with https://, without a query",
        ),
    ]
    audiences: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(min_length=1),
        setting("A token's `aud`, or its `client_id`, is one of these.", ["question-answering"]),
    ]


class Deploy(Struct, frozen=True, forbid_unknown_fields=True):
    """How `pilotlight deploy` puts the service on AWS."""

    region: Annotated[
        str,
        Meta(pattern=whole("([a-z]{2,4}(-[a-z]+)+-[0-9]{1,2})?")),
        setting(
            "The region. Without it: --region, else that of the shell or the profile.",
            "eu-west-1",
            form="the name of a region",
        ),
    ] = ""
    log_days: Annotated[
        LogDays,
        setting("Days for which logs are kept.", 90),
    ] = 30
    tags: Annotated[
        dict[Annotated[str, Meta(pattern=TAG)], Annotated[str, Meta(pattern=TAG_VALUE)]],
        Meta(max_length=45),
        setting("Tags of everything on AWS, next to those that say the service and the stage.", {"team": "search"}),
    ] = {}
    rollout: Annotated[
        Rollout,
        setting(
            "How requests come to a new version: all at once; a tenth, and all after five minutes; a tenth more each "
            "minute. An error of the new version in that time brings the old one back.",
            "canary",
        ),
    ] = "all-at-once"
    alarm_email: Annotated[
        str,
        Meta(pattern=whole(r"([^@\s]+@[^@\s]+\.[^@\s]+)?")),
        setting(
            "Where alarms are sent; AWS asks that address once whether it wants them. Without it they are only shown.",
            "ops@example.com",
            form="an e-mail address",
        ),
    ] = ""
    alarms: Annotated[
        bool,
        setting("Whether there are alarms: of errors, throttles, `latency_alarm` and records that were lost.", False),
    ] = True
    dashboard: Annotated[
        bool,
        setting("Whether there is a dashboard of the functions.", False),
    ] = True


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """The network of functions whose models are on EFS, which a `folder` below /mnt in `[cache]` asks for."""

    nat: Annotated[
        bool,
        setting(
            "Whether these functions reach the internet, by a NAT gateway, which costs some $37 a month before any "
            "traffic. Without it they reach S3 and DynamoDB, and nothing else.",
            True,
        ),
    ] = False
