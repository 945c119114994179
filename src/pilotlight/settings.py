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
from pilotlight.settings_deploy import TAG as TAG
from pilotlight.settings_deploy import TAG_VALUE as TAG_VALUE
from pilotlight.settings_deploy import Auth as Auth
from pilotlight.settings_deploy import Deploy as Deploy
from pilotlight.settings_deploy import Jwt as Jwt
from pilotlight.settings_deploy import Network as Network
from pilotlight.settings_gateway import Cors as Cors
from pilotlight.settings_gateway import Period as Period
from pilotlight.settings_gateway import Throttle as Throttle
from pilotlight.settings_gateway import UsagePlan as UsagePlan
from pilotlight.settings_parts import NAME as _NAME
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
Package = Literal["auto", "zip", "image"]

_MEDIA_TYPE = Annotated[str, Meta(pattern=_whole(r"(\*|[a-z]+)/(\*|[A-Za-z0-9.+_-]+)"))]
TABLE_NAME = _NAME
MODEL_KEY = _whole("[a-z][a-z0-9_]*")
VARIABLE_NAME = _whole("[A-Za-z][A-Za-z0-9_]+")  # Lambda's own rule, from its API model: two characters at least


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
    auth: Annotated[
        Auth,
        setting(
            "Who may call the function on AWS: anyone, who signs requests with IAM credentials that allow it, or who "
            "has a token of the issuer in `[jwt]`, which HTTP APIs check. `pilotlight serve` checks none of it.",
            "iam",
        ),
    ] = "none"
    throttle: Annotated[
        Throttle | UnsetType,
        setting(
            "Rate and burst of each of the function's routes, behind a REST or an HTTP API; a function URL has none. "
            "What comes above them is answered with 429.",
            {"rate": 100, "burst": 50},
        ),
    ] = UNSET
    provisioned: Annotated[
        int,
        Meta(ge=0, le=limits.CONCURRENCY_ACCOUNT),
        setting("Environments on AWS that are kept ready, used or not; each costs as long as it is there.", 2),
    ] = 0
    provisioned_max: Annotated[
        int,
        Meta(ge=0, le=limits.CONCURRENCY_ACCOUNT),
        setting(
            "The most environments that are kept ready: above `provisioned`, as many are as 70 % of them are in use. 0 "
            "scales nothing.",
            8,
        ),
    ] = 0
    latency_alarm: Annotated[
        int,
        Meta(ge=0, le=limits.TIMEOUT_MAX * 1000),
        setting("Milliseconds that 99 of 100 invocations should stay below; an alarm says when not. 0 is none.", 800),
    ] = 0
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
            f"Environment variables, {limits.ENVIRONMENT_VARIABLES} bytes as JSON at most. A function's own "
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
    metrics: Annotated[
        bool,
        setting(
            "Whether each invocation writes a line of metrics to the log: duration, cold start, init, error. "
            "CloudWatch makes metrics of them, which it bills by the month; `deploy` puts them on the dashboard.",
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
    jwt: Jwt | UnsetType = UNSET
    deploy: Deploy | UnsetType = UNSET
    network: Network | UnsetType = UNSET
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
