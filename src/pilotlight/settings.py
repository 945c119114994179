"""The settings of `pilotlight.toml`: what each one is called, may be, means and defaults to, in one place.

The checks (`settings_file`), the JSON Schema that editors use and the reference page all come from the structs below.
They do not ship to Lambda: a function gets its settings as environment variables, here and there.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pilotlight import limits
from pilotlight.settings_parts import Build as Build
from pilotlight.settings_parts import Cache as Cache
from pilotlight.settings_parts import Inputs as Inputs
from pilotlight.settings_parts import Records as Records
from pilotlight.settings_parts import Table as Table
from pilotlight.settings_parts import setting
from pilotlight.settings_parts import whole as _whole

FILE = "pilotlight.toml"

Front = Literal["http", "rest", "url"]
Runtime = Literal["pilotlight", "awslambdaric"]
Period = Literal["DAY", "WEEK", "MONTH"]
Package = Literal["auto", "zip", "image"]
CorsMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "*"]


_HEADER = Annotated[str, Meta(pattern=_whole(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"))]
_ORIGIN = Annotated[str, Meta(pattern=_whole(r"(\*|[a-z][a-z0-9+.-]*://[^\sA-Z/?#*]+)"))]
_MEDIA_TYPE = Annotated[str, Meta(pattern=_whole(r"(\*|[a-z]+)/(\*|[A-Za-z0-9.+_-]+)"))]
_NAME = _whole("[a-z][a-z0-9]*(-[a-z0-9]+)*")
TABLE_NAME = _NAME
MODEL_KEY = _whole("[a-z][a-z0-9_]*")
VARIABLE_NAME = _whole("[A-Za-z][A-Za-z0-9_]+")  # Lambda's own rule, from its API model: two characters at least


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
        tuple[Annotated[str, Meta(pattern=_NAME, max_length=40)], ...],
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


class Defaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of every function; `[functions.NAME]` overrides them one by one."""

    handler: Annotated[
        str,
        Meta(pattern=_whole("[A-Za-z_][A-Za-z0-9_]*"), max_length=50),
        setting("The callable in the file that Lambda calls.", "predict", form="a Python name"),
    ] = "handler"
    memory: Annotated[
        int,
        Meta(ge=limits.MEMORY_MIN, le=limits.MEMORY_MAX),
        setting(f"Memory in MB. Processor time comes with it: one vCPU at {limits.MEMORY_OF_ONE_VCPU}.", 3008),
    ] = limits.MEMORY_OF_ONE_VCPU
    timeout: Annotated[
        int,
        Meta(ge=1, le=limits.TIMEOUT_MAX),
        setting("Seconds after which an invocation is ended and its environment killed.", 60),
    ] = 30
    tmp: Annotated[
        int,
        Meta(ge=limits.TMP_MIN, le=limits.TMP_MAX),
        setting("Size of /tmp in MB.", 2048),
    ] = limits.TMP_MIN
    concurrency: (
        Annotated[
            int,
            Meta(ge=1, le=limits.CONCURRENCY_ACCOUNT),
            setting(
                "Reserved concurrency: the most environments that run at once. Of synchronous requests, ten times as "
                "many pass in a second, however fast the function is. Without it the function shares what the account "
                "has.",
                10,
            ),
        ]
        | UnsetType
    ) = UNSET
    front: (
        Annotated[
            Front,
            setting(
                "What stands before the function: an HTTP API, a REST API or a function URL. Without it: rest with "
                "`binary_media_types` or `api_key`, url when the handler is a generator, else http.",
                "rest",
                default="http",
            ),
        ]
        | UnsetType
    ) = UNSET
    api_key: Annotated[
        bool,
        setting("Whether requests need an API key in the header x-api-key, one of a usage plan; for REST APIs.", True),
    ] = False
    throttle: Annotated[
        Throttle | UnsetType,
        setting(
            "Rate and burst of each of the function's routes, behind a REST or an HTTP API; a function URL has none. "
            "What comes above them is answered with 429.",
            {"rate": 100, "burst": 50},
        ),
    ] = UNSET
    retries: Annotated[
        int,
        Meta(ge=0, le=limits.EVENT_RETRIES),
        setting("How often an asynchronous invocation that failed is tried again, after one minute, then two.", 1),
    ] = limits.EVENT_RETRIES
    max_event_age: Annotated[
        int,
        Meta(ge=limits.EVENT_AGE_MIN, le=limits.EVENT_AGE_MAX),
        setting("Seconds that an asynchronous invocation may wait before it is dropped.", 3600),
    ] = limits.EVENT_AGE_MAX
    snapstart: Annotated[
        bool,
        setting(
            "Lambda SnapStart: the init phase runs once, and environments are restored from a snapshot taken after it. "
            f"Refused with a tmp above {limits.TMP_MIN} and with environment_concurrency.",
            False,
        ),
    ] = False
    environment_concurrency: Annotated[
        int,
        Meta(ge=1, le=limits.ENVIRONMENT_CONCURRENCY),
        setting(
            "Invocations that one environment takes at once, each in a process of its own: AWS_LAMBDA_MAX_CONCURRENCY "
            "of Lambda Managed Instances.",
            4,
        ),
    ] = 1
    binary_media_types: Annotated[
        tuple[_MEDIA_TYPE, ...],
        setting(
            "Content types that a REST API passes on as bytes, all others as text. The other fronts go by the content "
            "type themselves.",
            ["image/*", "application/octet-stream"],
            form='a media type such as "image/png"',
        ),
    ] = ()
    environment: Annotated[
        dict[Annotated[str, Meta(pattern=VARIABLE_NAME)], str],
        setting(
            f"Environment variables, {limits.ENVIRONMENT_VARIABLES} bytes with their names at most. A function's own "
            "are added to those in [defaults]. The names that Lambda sets itself are refused.",
            {"OMP_NUM_THREADS": "1"},
        ),
    ] = {}
    tables: Annotated[
        tuple[str, ...],
        setting("The tables of the service that the function may use, by their names.", ["vectors"]),
    ] = ()
    records: Annotated[
        bool,
        setting(
            "Whether each invocation is recorded: input, output, latency and more, see `[records]`. `pilotlight "
            "records` shows them. The function may use the table `records` then, which need not be set.",
            True,
        ),
    ] = False
    model: Annotated[
        str,
        Meta(pattern=_whole(r"[^\x00-\x1f]*")),
        setting(
            "Folder or file of the model, relative to the project and inside it, or where it is fetched from: "
            "hf://org/name[@revision], s3://bucket/prefix. The function has it as environment variable "
            "PILOTLIGHT_MODEL.",
            "models/qa",
            form="a path or a URI",
        ),
    ] = ""
    models: Annotated[
        dict[Annotated[str, Meta(pattern=MODEL_KEY)], Annotated[str, Meta(pattern=_whole(r"[^\x00-\x1f]+"))]],
        setting(
            "Models of a function that has several, each as `model` names one. The function has them as environment "
            "variables PILOTLIGHT_MODEL_ and the key in upper case.",
            {"en_zh": "models/en-zh", "zh_en": "hf://Helsinki-NLP/opus-mt-zh-en"},
        ),
    ] = {}
    optimize: Annotated[
        bool,
        setting(
            "Whether a checkpoint on the hub (hf://) is optimised once before the function sees it, and packed by "
            "`pilotlight build`. With false the function fetches the repository as it is, which must hold a model "
            "folder, or model.onnx or model.tflite.",
            False,
        ),
    ] = True
    task: Annotated[
        str,
        setting(
            "What checkpoints on the hub are optimised for, as `pilotlight optimize --task` has it. Without it: what "
            "the hub says of each.",
            "question-answering",
        ),
    ] = ""
    install: Annotated[
        str,
        setting(
            "The command that installs a model that does not ship. Until it is there, requests are answered with this.",
            "sh train/install.sh",
        ),
    ] = ""
    runtime: Annotated[
        Runtime,
        setting(
            "The loop that asks Lambda for events: Pilotlight's own, or the one that AWS publishes.", "awslambdaric"
        ),
    ] = "pilotlight"
    package: Annotated[
        Package,
        setting("What Lambda gets; auto: a zip where all fits in one, else an image.", "image"),
    ] = "auto"
    idle: Annotated[
        float,
        Meta(ge=0, le=86_400),
        setting("Seconds after which an unused environment is stopped on this machine.", 60),
    ] = 300.0


class FunctionSettings(Defaults, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the function in `inference/NAME.py`: everything that `[defaults]` has, and its routes."""

    route: (
        Annotated[
            str | tuple[str, ...],
            setting(
                '"METHOD /path" or a list of them. Without it: "POST /NAME"; an empty list is none, and only the '
                "Invoke API calls the function. METHOD is one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS and ANY; "
                "{name} in the path takes one segment, {name+} at its end all that is left.",
                ["POST /answer", "GET /answers/{id}"],
            ),
        ]
        | UnsetType
    ) = UNSET


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a Pilotlight service. Every one has a default; the file itself may be absent."""

    name: (
        Annotated[
            str,
            Meta(pattern=_NAME, max_length=40),
            setting(
                "What the service is called. Without it: the name of its folder.",
                "question-answering",
                form="lower-case letters, digits and single dashes, a letter first",
            ),
        ]
        | UnsetType
    ) = UNSET
    stage: (
        Annotated[
            str,
            Meta(pattern=_whole("[A-Za-z0-9_-]+"), max_length=128),
            setting(
                "The stage that a REST or an HTTP API is deployed to, the first segment of every path of theirs. "
                "Without it: none in paths; an HTTP API then has the stage $default, a REST API the stage prod.",
                "v1",
                form="letters, digits, _ and -",
            ),
        ]
        | UnsetType
    ) = UNSET
    cors: Cors | UnsetType = UNSET
    usage_plans: Annotated[
        dict[str, UsagePlan],
        Meta(description="One table a usage plan of REST APIs, named freely."),
    ] = {}
    tables: Annotated[
        dict[Annotated[str, Meta(pattern=TABLE_NAME, max_length=40)], Table],
        Meta(description="One table a table of items, named as functions call it."),
    ] = {}
    inputs: Inputs | UnsetType = UNSET
    records: Records | UnsetType = UNSET
    cache: Cache | UnsetType = UNSET
    build: Build | UnsetType = UNSET
    defaults: Defaults | UnsetType = UNSET
    functions: Annotated[
        dict[str, FunctionSettings],
        Meta(description="One table a function, named for its file in inference/."),
    ] = {}

    def of(self, function: str) -> FunctionSettings:
        """The settings of one function: its own table, which has what `[defaults]` says, else `[defaults]` alone."""
        if function in self.functions:
            return self.functions[function]
        return FunctionSettings(**msgspec.structs.asdict(self.defaults)) if self.defaults else FunctionSettings()


def schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of `pilotlight.toml`, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
        **msgspec.json.schema(Settings),
    }


def toml(value: object) -> str:
    """`value` as TOML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False, default=str)  # default: dates, which only messages show
