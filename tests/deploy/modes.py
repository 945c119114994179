"""Every mode that a service can be deployed in, each by its settings, and its deployment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from units import HANDLER, ROOT, deployment, service

from pilotlight import project
from pilotlight.deploy.unit import Deployment

STREAM = "from pilotlight import endpoint\n\n@endpoint\ndef handler(text: str):\n    yield text\n"
MIRRORED = "s3://pilotlight-artifacts-${AWS::AccountId}-${AWS::Region}/vision/models/" + "89abcdef" * 8


class Mode(NamedTuple):
    toml: str
    sources: Mapping[str, str] = {"qa": HANDLER}
    models: Mapping[str, str] = {}
    kind: str = "zip"
    stage: str = ""


_EFS = """
[cache]
folder = "/mnt/models"

[functions.qa]
model = "hf://org/name"
"""
_CORS = """
[cors]
origins = ["https://example.com", "https://example.org"]
headers = ["content-type", "x-api-key"]
expose = ["x-amzn-requestid"]
max_age = 3600
credentials = true
"""
_JWT = '[jwt]\nissuer = "https://login.example.com/pool"\naudiences = ["vision"]\n'

MODES = {
    "nothing set": Mode(""),
    "image": Mode("", kind="image"),
    "stage": Mode("", stage="beta"),
    "called by the Invoke API alone": Mode("[functions.qa]\nroute = []\n"),
    "arm64": Mode('[build]\narchitecture = "arm64"\n'),
    "arm64 image": Mode('[build]\narchitecture = "arm64"\n', kind="image"),
    "large": Mode("[defaults]\nmemory = 10240\ntimeout = 900\ntmp = 10240\nconcurrency = 7\n"),
    "events": Mode("[defaults]\nretries = 0\nmax_event_age = 60\n"),
    "several functions": Mode("", {"qa": HANDLER, "kim_cnn": HANDLER, "textgen": STREAM}),
    "tags": Mode('[deploy]\ntags = { team = "search", "cost center" = "7" }\nlog_days = 90\n', stage="beta"),
    "variables": Mode('[functions.qa]\nenvironment = { LOG_LEVEL = "info", PATTERN = "${a}" }\n'),
    "awslambdaric": Mode('[defaults]\nruntime = "awslambdaric"\nrecords = true\n'),
    # fronts
    "http with routes": Mode('[functions.qa]\nroute = ["GET /", "ANY /a/{b}", "POST /a/{b}/{c+}", "GET /x.y/~z"]\n'),
    "http with a stage": Mode('stage = "v1"\n'),
    "http with throttles": Mode("[defaults]\nthrottle = { rate = 10.5, burst = 5 }\n"),
    "http with iam": Mode('[defaults]\nauth = "iam"\n'),
    "http with jwt": Mode(f'{_JWT}[functions.qa]\nauth = "jwt"\n', {"qa": HANDLER, "open": HANDLER}),
    "http with cors": Mode(_CORS),
    "http with cors of any": Mode('[cors]\norigins = ["*"]\nmethods = ["*"]\n'),
    "rest": Mode('[defaults]\nfront = "rest"\n'),
    "rest with routes": Mode(
        '[functions.qa]\nfront = "rest"\nroute = ["GET /", "ANY /a/{b}", "POST /a/{b}/{c+}", "PUT /a"]\n' + _CORS
    ),
    "rest with binary media types": Mode('[defaults]\nbinary_media_types = ["image/*", "*/*"]\n'),
    "rest with keys": Mode(
        """
        [usage_plans.partners]
        keys = ["acme", "big-corp"]
        throttle = { rate = 10, burst = 5 }
        quota = 1000
        period = "WEEK"

        [usage_plans.trial]
        keys = ["anyone"]

        [defaults]
        api_key = true
        """
    ),
    "rest with throttles and a stage": Mode(
        'stage = "v1"\n[defaults]\nfront = "rest"\nthrottle = { rate = 10, burst = 5 }\n'
        '[functions.qa]\nroute = ["GET /", "ANY /a/{b}"]\n'
    ),
    "rest with iam": Mode('[defaults]\nfront = "rest"\nauth = "iam"\n'),
    "rest with a stream": Mode('[defaults]\nfront = "rest"\n', {"textgen": STREAM}),
    "rest with cors of any": Mode('[cors]\norigins = ["*"]\n[defaults]\nbinary_media_types = ["*/*"]\n'),
    "rest with cors of one": Mode('[cors]\norigins = ["https://example.com"]\n[defaults]\nfront = "rest"\n'),
    "url": Mode('[defaults]\nfront = "url"\n'),
    "url with a stream": Mode("", {"textgen": STREAM}),
    "url with iam": Mode('[defaults]\nfront = "url"\nauth = "iam"\n'),
    "url with cors": Mode(_CORS + '[defaults]\nfront = "url"\n'),
    # tables, inputs, models
    "records": Mode("[defaults]\nrecords = true\n[records]\ndays = 30\n", stage="beta"),
    "records without a stage": Mode("[defaults]\nrecords = true\n"),
    "records that are kept": Mode("[tables.records]\nkeep = true\n[defaults]\nrecords = true\n"),
    "tables": Mode(
        """
        [tables.vectors]
        key = "word"
        allow = ["get"]

        [tables.labels]
        table = "labels-2026"
        expires = "until"
        recovery = false

        [functions.qa]
        tables = ["vectors", "labels"]
        records = true
        """,
        stage="beta",
    ),
    "table": Mode('[tables.words]\nkey = "word"\n[functions.qa]\ntables = ["words"]\n'),
    "table with another key": Mode('[tables.words]\nkey = "id"\n[functions.qa]\ntables = ["words"]\n'),
    "buckets": Mode('[inputs]\nbuckets = ["uploads", "more.uploads"]\n'),
    "model in S3": Mode('[functions.qa]\nmodel = "s3://models-2026/qa/v1"\n'),
    "model on the hub": Mode('[functions.qa]\nmodels = { en = "hf://org/name" }\n', models={"hf://org/name": MIRRORED}),
    "EFS": Mode(_EFS, models={"hf://org/name": MIRRORED}),
    "EFS with a name of its own": Mode('[deploy]\ntags = { Name = "vision models" }\n' + _EFS),
    "EFS and NAT": Mode(_EFS + "[network]\nnat = true\n", {"qa": HANDLER, "page": HANDLER}, kind="image"),
    # how it runs and is watched
    "snapstart": Mode("[defaults]\nsnapstart = true\n"),
    "snapstart of an image": Mode("[defaults]\nsnapstart = true\n", kind="image"),
    "provisioned": Mode("[defaults]\nprovisioned = 2\n"),
    "provisioned, scaled": Mode("[defaults]\nprovisioned = 2\nprovisioned_max = 8\nconcurrency = 8\n"),
    "canary": Mode('[deploy]\nrollout = "canary"\n', stage="beta"),
    "linear": Mode('[deploy]\nrollout = "linear"\n', {"qa": HANDLER, "page": HANDLER}),
    "canary on EFS without alarms": Mode('[deploy]\nrollout = "canary"\nalarms = false\n' + _EFS),
    "alarms by e-mail": Mode(
        '[deploy]\nalarm_email = "ops@example.com"\n[defaults]\nlatency_alarm = 800\nrecords = true\n'
    ),
    "no alarms": Mode("[deploy]\nalarms = false\n"),
    "no dashboard": Mode("[deploy]\ndashboard = false\n"),
}

EXAMPLES = sorted(file.parent.name for file in ROOT.glob("examples/*/pilotlight.toml"))


def of_mode(name: str, folder: Path) -> Deployment:
    """The deployment of a mode, whose project is written into `folder`."""
    mode = MODES[name]
    made = service(folder / "vision", 'name = "vision"\n' + mode.toml, **mode.sources)
    found = deployment(made, mode.kind, mode.stage, **mode.models)
    return _with_architecture(found, made.build.architecture)


def of_example(name: str, kind: str = "zip", stage: str = "") -> Deployment:
    return deployment(project.load(ROOT / "examples" / name), kind, stage)


def _with_architecture(found: Deployment, architecture: str) -> Deployment:
    units = [unit._replace(artifact=unit.artifact._replace(architecture=architecture)) for unit in found.units]
    return found._replace(units=tuple(units))


def of_kind(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The resources of a type, without AWS:: in front of it."""
    return {name: each for name, each in template["Resources"].items() if each["Type"] == f"AWS::{kind}"}
