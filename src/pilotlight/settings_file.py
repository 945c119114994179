"""Reads `pilotlight.toml` into `settings`. Whatever does not fit is an `errors.ProjectError`: its message names the
file, the dotted key and the reason, its hint the nearest right name or an example.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

from pilotlight.errors import ProjectError
from pilotlight.settings import (
    MODEL_KEY,
    TABLE_NAME,
    TAG,
    TAG_VALUE,
    VARIABLE_NAME,
    Build,
    Cache,
    Cors,
    Defaults,
    Deploy,
    FunctionSettings,
    Inputs,
    Jwt,
    Network,
    Records,
    Settings,
    Table,
    Throttle,
    UsagePlan,
    toml,
)
from pilotlight.settings_checks import check_whole
from pilotlight.settings_convert import as_table, convert, lower, refuse
from pilotlight.settings_convert import nearest as nearest
from pilotlight.values import RECORD_EXPIRES, RECORD_KEY, RECORDS

# docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html: these cannot be set in a function's configuration
_RESERVED = re.compile(
    "AWS_LAMBDA_.*|LAMBDA_.*|_HANDLER|_X_AMZN_TRACE_ID|AWS_REGION|AWS_DEFAULT_REGION|AWS_EXECUTION_ENV"
    "|AWS_ACCESS_KEY|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN",
    re.DOTALL,
)
_OURS = {  # variables that say what settings say, each with its setting
    "PILOTLIGHT_ALLOW_URLS": "allow_urls in [inputs]",
    "PILOTLIGHT_BUCKETS": "buckets in [inputs]",
    "PILOTLIGHT_CACHE": "folder in [cache]",
    "PILOTLIGHT_CACHE_SIZE": "size in [cache]",
    "PILOTLIGHT_CORS": "[cors]",
    "PILOTLIGHT_MODEL": "model",
    "PILOTLIGHT_RECORDS": "records",
}
_VARIABLE_FORM = "letters, digits and _, a letter first, two characters at least"
_TABLE_NAME_LENGTH = 40
_TABLE_FORM = f"lower-case letters, digits and single dashes, a letter first, {_TABLE_NAME_LENGTH} characters at most"
_TAG_FORM = "letters, digits, spaces and _ . : / = + - @, 128 at most; aws: and pilotlight: at its beginning are taken"
_TAGS = ("pilotlight:service", "pilotlight:stage")  # which everything has
_TAG_VALUE_FORM = "letters, digits, spaces and _ . : / = + - @, 256 at most"
_TABLE_OF_RECORDS = {"key": RECORD_KEY, "expires": RECORD_EXPIRES}
_MODEL_HINT = 'put the model into the project and give its path from there, such as "models/qa", or its URI'
_URI_HINT = "write hf://org/name, hf://org/name@revision or s3://bucket/prefix, or a path inside the project"
_KEY_FORM = "lower-case letters, digits and _, a letter first"
_URIS = {  # what function/hub.py and function/s3.py read
    "hf": re.compile(r"hf://(?!.*\.\.)([\w.-]+/)?[\w.-]+(@\w[\w./-]*)?", re.ASCII),
    "s3": re.compile(r"s3://(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/].*"),
}


def read(file: Path) -> Settings:
    """The settings in `file`, all defaults when there is no such file. Raises `ProjectError`."""
    try:
        raw = tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError:
        raw = {}
    except OSError as error:
        raise ProjectError(f"{file}: {lower(error.strerror or str(error))}") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{file}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None
    except RecursionError:
        raise ProjectError(f"{file}: the tables and lists are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and the ValueError of int() for a number of thousands of digits
        raise _not_toml(file, str(error)) from None
    return decode(file, raw)


def _not_toml(file: Path, text: str) -> ProjectError:
    """`text` is tomllib's: "Invalid value (at line 3, column 5)" or "... (at end of document)"."""
    reason, _, place = text.partition(" (at ")
    where = f"{file}, {place.rstrip(')')}" if place else f"{file}"
    return ProjectError(f"{where}: this is not TOML: {lower(reason)}", "toml.io/en/v1.0.0 describes the format")


def decode(file: Path, raw: Mapping[str, object]) -> Settings:
    """The settings in `raw`, the tables read from `file`, with `[defaults]` merged into each function's own.

    Raises `ProjectError` at the first thing that does not fit.
    """
    defaults, functions = as_table(raw.get("defaults")), as_table(raw.get("functions"))
    _check_cors(file, convert(file, "cors", raw.get("cors", {}), Cors))
    _check_plans(file, {name: _plan(file, name, table) for name, table in as_table(raw.get("usage_plans")).items()})
    for name, table in as_table(raw.get("tables")).items():
        _check_table(file, name, table)
    _check_inputs(file, convert(file, "inputs", raw.get("inputs", {}), Inputs))
    convert(file, "records", raw.get("records", {}), Records)
    convert(file, "cache", raw.get("cache", {}), Cache)
    convert(file, "build", raw.get("build", {}), Build)
    _check_tags(file, as_table(as_table(raw.get("deploy")).get("tags")))
    convert(file, "deploy", raw.get("deploy", {}), Deploy)
    convert(file, "network", raw.get("network", {}), Network)
    if "jwt" in raw:
        convert(file, "jwt", raw["jwt"], Jwt)
    _check_function(file, "defaults", raw.get("defaults", {}), Defaults)
    for name, table in functions.items():
        _check_function(file, f"functions.{name}", table, FunctionSettings)
    merged = {name: _merge(defaults, as_table(table)) for name, table in functions.items()}
    settings = convert(file, "", _with_records(file, {**raw, "functions": merged} if merged else raw), Settings)
    check_whole(file, "defaults", settings.of(""), settings.tables)
    for name in merged:
        check_whole(file, f"functions.{name}", settings.functions[name], settings.tables)
    return settings


def _merge(defaults: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    environment = {**as_table(defaults.get("environment")), **as_table(own.get("environment"))}
    return {**defaults, **own, "environment": environment}


def _check_cors(file: Path, cors: Cors) -> None:
    if cors.credentials and "*" in cors.origins:
        refuse(
            file,
            "cors.credentials",
            'browsers refuse credentials where the allowed origin is "*"',
            "name the origins in cors.origins, or leave credentials out",
        )


def _plan(file: Path, name: str, table: object) -> UsagePlan:
    key = f"usage_plans.{name}"
    _check_throttle(file, key, table)
    return convert(file, key, table, UsagePlan)


def _check_plans(file: Path, plans: Mapping[str, UsagePlan]) -> None:
    """A key is in one usage plan of a stage at most: docs.aws.amazon.com/apigateway/latest/developerguide/
    api-gateway-api-usage-plans.html."""
    taken: dict[str, str] = {}
    for name, key in [(name, key) for name, plan in plans.items() for key in plan.keys]:
        if key in taken:
            where = "twice" if taken[key] == name else f"in usage_plans.{taken[key]} too"
            refuse(file, f"usage_plans.{name}.keys", f"{key!r} is there {where}", "a key is in one usage plan, once")
        taken[key] = name


def _check_table(file: Path, name: str, table: object) -> None:
    key = f"tables.{name}"
    if not re.search(TABLE_NAME, name) or len(name) > _TABLE_NAME_LENGTH:
        refuse(file, key, "this is no name for a table", _TABLE_FORM)
    settings = convert(file, key, table, Table)
    if settings.key == settings.expires:
        reason = f"{toml(settings.key)} is the key of the table, which is a string"
        refuse(file, f"{key}.expires", reason, "name another attribute, which holds the time as a number")


def _check_tags(file: Path, tags: Mapping[str, object]) -> None:
    """Keys of a role's tags differ in more than case: docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html."""
    taken = {name: name for name in _TAGS}
    for name, value in tags.items():
        if not re.search(TAG, name):
            refuse(file, f"deploy.tags.{name}", "this is no name for a tag", _TAG_FORM)
        if isinstance(value, str) and not re.search(TAG_VALUE, value):
            refuse(file, f"deploy.tags.{name}", f"{toml(value)} is no value of a tag", _TAG_VALUE_FORM)
        if taken.setdefault(name.lower(), name) != name:
            reason = f"it differs from {taken[name.lower()]} in case alone, and roles take one of them"
            refuse(file, f"deploy.tags.{name}", reason, "leave one of the two out, or give it another name")


def _check_inputs(file: Path, inputs: Inputs) -> None:
    for written in inputs.allow_urls:
        host, _, port = written.rpartition(":")
        if int(port) > 65_535 or not _is_host(host):
            reason = f"{toml(written)} is no host and port that a URL can have"
            refuse(file, "inputs.allow_urls", reason, 'write them as in "images.lan:8080" or "192.168.0.7:80"')


def _is_host(host: str) -> bool:
    """Whether it is an address in full, as no two readers of URLs read differently, or a name."""
    try:
        if host.startswith("[") or re.search(r"(^|\.)([0-9]+|0x[0-9a-f]*)$", host):
            return ip_address(host.strip("[]")) is not None
    except ValueError:
        return False
    return all(re.fullmatch("[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in host.split("."))


def _with_records(file: Path, raw: Mapping[str, object]) -> Mapping[str, object]:
    """With the table that the functions use whose invocations are recorded."""
    functions = {name: _using_records(table) for name, table in as_table(raw.get("functions")).items()}
    defaults = _using_records(raw.get("defaults"))
    if not any(as_table(table).get("records") is True for table in (defaults, *functions.values())):
        return raw
    tables = as_table(raw.get("tables"))
    own = as_table(tables.get(RECORDS))
    for name, value in _TABLE_OF_RECORDS.items():
        if own.get(name, value) != value:
            reason = f"it is the table of records, where this is {toml(value)}"
            refuse(file, f"tables.{RECORDS}.{name}", reason, "leave it out, or give a table of your own another name")
    given = {"defaults": defaults, "functions": functions, "tables": {**tables, RECORDS: {**own, **_TABLE_OF_RECORDS}}}
    return {**raw, **{name: value for name, value in given.items() if value}}


def _using_records(table: object) -> object:
    names = as_table(table).get("tables", ())
    if as_table(table).get("records") is not True or not isinstance(names, Collection) or RECORDS in names:
        return table
    return {**as_table(table), "tables": [*names, RECORDS]}


def _check_throttle(file: Path, key: str, table: object) -> None:
    """A table in a table, which msgspec would name by a path that the checks below do not read."""
    if "throttle" in as_table(table):
        convert(file, f"{key}.throttle", as_table(table)["throttle"], Throttle)


def _check_function(file: Path, key: str, table: object, kind: type[Defaults]) -> None:
    """One table as it is written, before anything is merged into it."""
    _check_throttle(file, key, table)
    for name, value in as_table(as_table(table).get("environment")).items():
        _check_variable(file, f"{key}.environment.{name}", name, value)
    for name in as_table(as_table(table).get("models")):
        if not re.search(MODEL_KEY, name):
            refuse(file, f"{key}.models.{name}", "this is no name for a model", _KEY_FORM)
    settings = convert(file, key, table, kind)
    _check_model(file, f"{key}.model", settings.model)
    for name, model in settings.models.items():
        _check_model(file, f"{key}.models.{name}", model)


def _check_model(file: Path, key: str, model: str) -> None:
    scheme, separator, _ = model.partition("://")
    if separator and scheme not in _URIS:
        guess = nearest(scheme, _URIS)
        reason = f"{toml(model)} is fetched from nowhere"
        refuse(file, key, reason, f"did you mean {guess}://? {_URI_HINT}" if guess else _URI_HINT)
    if separator and not _URIS[scheme].fullmatch(model):
        refuse(file, key, f"{toml(model)} is no URI of a model", _URI_HINT)
    if not separator and (PurePosixPath(model).is_absolute() or ".." in PurePosixPath(model).parts):
        refuse(file, key, f"{toml(model)} is outside the project", _MODEL_HINT)


def _check_variable(file: Path, key: str, name: str, value: object) -> None:
    if re.fullmatch(_RESERVED, name):
        refuse(file, key, "Lambda sets this variable itself", "choose another name")
    ours = "models" if name.startswith("PILOTLIGHT_MODEL_") else _OURS.get(name)
    if ours:
        refuse(file, key, "Pilotlight sets this variable itself", f"set {ours}, or choose another name")
    if not re.search(VARIABLE_NAME, name):
        refuse(file, key, "this is no name for an environment variable", _VARIABLE_FORM)
    if not isinstance(value, str):
        refuse(
            file, key, f"expected str, got {type(value).__name__}", f"write it in quotes: {name} = {toml(str(value))}"
        )
    if "\0" in value:
        refuse(file, key, "an environment variable cannot hold a NUL character")
