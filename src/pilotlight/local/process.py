"""The process of an execution environment: its command, its variables, its folder.

A function sees what it sees on Lambda: the variables of docs.aws.amazon.com/lambda/latest/dg/
configuration-envvars.html and those of its settings, not the shell that started the server.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import msgspec

import pilotlight
from pilotlight import model_version
from pilotlight.function import cache, s3, url_fetch
from pilotlight.function.model import VARIABLE
from pilotlight.function.runtime import HANDLER, INVOKE_MODE, RECORDS
from pilotlight.function.told import METRICS
from pilotlight.local.isolation import Level
from pilotlight.project import Function
from pilotlight.settings import Inputs

ACCOUNT = "000000000000"
_LOOP = "from pilotlight.function.runtime import main; main()"
_PASSED_ON = (  # what a role gives a function on AWS comes from the caller's own session here
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_S3",
)
_OF_THE_HUB = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN")  # where a model is on it


def region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def arn(function: Function) -> str:
    return f"arn:aws:lambda:{region()}:{ACCOUNT}:function:{function.key}"


def interpreter(root: Path) -> Path:
    """The service's own virtual environment when it has one, else the interpreter that runs the server."""
    own = root / ".venv" / "bin" / "python"
    return own if own.exists() else Path(sys.executable)


def command(function: Function) -> list[str]:
    python = str(interpreter(function.root))
    if function.runtime == "awslambdaric":
        return [python, "-m", "awslambdaric", handler(function)]
    return [python, "-c", _LOOP]


def handler(function: Function) -> str:
    """What the runtime loop is told to call: under `awslambdaric` a handler around it tells of its invocations."""
    if function.runtime == "awslambdaric" and (function.records or function.metrics):
        return f"pilotlight/function/recorded.{function.handler.rpartition('.')[2]}"
    return function.handler


def variables(
    function: Function, runtime_api: str, folder: Path, level: Level, tables: Mapping[str, str]
) -> dict[str, str]:
    """Every variable of the environment. `folder` is the environment's own: its temporary files go there, unless it
    has a /tmp of its own. `tables` are those that say where its tables are."""
    python = interpreter(function.root)
    hub = _OF_THE_HUB if any(uri.startswith("hf://") for uri in function.uris) else ()
    passed = {name: os.environ[name] for name in (*_PASSED_ON, *hub) if name in os.environ}
    return {
        **passed,
        **_lambda_variables(function, runtime_api),
        "LANG": "C.UTF-8",  # Lambda's en_US.UTF-8 is the same encoding, but not every machine has that locale
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": ":".join(_import_path(function.root, python, folder)),
        **({} if level == "namespace" else {"TMPDIR": str(folder)}),
        "TZ": ":UTC",
        **tables,
        **deployed(function, cache_folder(function)),
    }


def deployed(function: Function, folder: str, packed: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a function that are the same on Lambda: those which its settings ask for. `folder` is where its
    models are kept when it fetches some, "" for where Lambda has room: `cache_folder` says it for this machine.
    `packed` says of the URIs whose models are in the package where they are in it."""
    streams = {INVOKE_MODE: "RESPONSE_STREAM"} if function.streams else {}
    return {**streams, **_told_variables(function), **settings(function, folder, packed)}


def settings(function: Function, folder: str, packed: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The variables that the function's own settings make; arguments as for `deployed`."""
    places = {**function.fetched, **(packed or {})}
    models = {
        f"{VARIABLE}{'_' if name else ''}{name.upper()}": places.get(model, model)
        for name, model in function.named_models.items()
    }
    kept = _cache_variables(function, folder) if set(function.uris).difference(packed or ()) else {}
    return {**models, **kept, **_input_variables(function.inputs), **function.environment}


def cache_folder(function: Function) -> str:
    """Where the function's models are kept on this machine, by its real path; "" where none is fetched."""
    own = function.cache.folder
    return os.path.realpath(own if own and os.path.isdir(own) else cache.home()) if function.uris else ""


def writable(function: Function) -> tuple[str, ...]:
    """What its environments may write to as if EFS was mounted there."""
    models = os.path.join(cache_folder(function), cache.MODELS) if function.uris else ""
    with contextlib.suppress(OSError):  # a mount that is read-only, say: then it stays so
        os.makedirs(models, exist_ok=True)
    return (os.path.realpath(models),) if os.path.isdir(models) else ()


def _cache_variables(function: Function, folder: str) -> Mapping[str, str]:
    said = {cache.VARIABLE: folder, cache.SIZE: str(function.cache.size or "")}
    return {name: value for name, value in said.items() if value}


def _input_variables(inputs: Inputs) -> Mapping[str, str]:
    opened = {url_fetch.VARIABLE: inputs.allow_urls, s3.VARIABLE: inputs.buckets}
    return {name: ",".join(each) for name, each in opened.items() if each}


def _told_variables(function: Function) -> Mapping[str, str]:
    """What is told of each invocation: its record, its metrics. `awslambdaric` gets a handler of ours that tells."""
    if function.records is None and not function.metrics:
        return {}
    found = (
        model_version.of(function.root, each, function.fetched.get(each, "")) for each in function.named_models.values()
    )
    version = ", ".join(filter(None, found))
    kept = {} if function.records is None else {"model": version, **msgspec.structs.asdict(function.records)}
    return {
        **({RECORDS: json.dumps(kept)} if kept else {}),
        **({METRICS: version} if function.metrics else {}),
        **({} if function.runtime == "pilotlight" else {HANDLER: function.handler}),
    }


def _lambda_variables(function: Function, runtime_api: str) -> Mapping[str, str]:
    several = function.environment_concurrency
    return {
        **({"AWS_LAMBDA_MAX_CONCURRENCY": str(several)} if several > 1 else {}),
        "AWS_DEFAULT_REGION": region(),
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.key,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if function.snapstart else "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.key}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": region(),
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",  # where X-Ray's daemon listens, if one runs here
        "LAMBDA_TASK_ROOT": str(function.root),
        "_HANDLER": function.handler,
    }


def _import_path(root: Path, python: Path, folder: Path) -> list[str]:
    """The task root, and Pilotlight itself where the service's own virtual environment may not hold it.

    A link to the one package, so that nothing else of this interpreter's packages is seen.
    """
    if python == Path(sys.executable):
        return [str(root)]
    site = folder / "site"
    if not site.exists():  # forks have that of the process that they come from
        site.mkdir()
        (site / "pilotlight").symlink_to(Path(pilotlight.__file__).parent)
    return [str(root), str(site)]


def make_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pilotlight-"))


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
