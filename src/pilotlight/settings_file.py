"""Reads `pilotlight.toml` into `settings`. Whatever does not fit is an `errors.ProjectError`: its message names the
file, the dotted key and the reason, its hint the nearest right name or an example.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import NoReturn, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Struct

from pilotlight import limits
from pilotlight.errors import ProjectError
from pilotlight.settings import (
    MODEL_KEY,
    TABLE_NAME,
    VARIABLE_NAME,
    Build,
    Cache,
    Cors,
    Defaults,
    FunctionSettings,
    Inputs,
    Records,
    Settings,
    Table,
    Throttle,
    UsagePlan,
    toml,
)
from pilotlight.values import RECORD_EXPIRES, RECORD_KEY, RECORDS

_Table = TypeVar("_Table", bound=Struct)

_PLACES: dict[str, type[Struct]] = {
    "at the top": Settings,
    "in [cors]": Cors,
    "in [defaults]": Defaults,
    "in [functions.NAME]": FunctionSettings,
    "in [defaults.throttle]": Throttle,
    "in [usage_plans.NAME]": UsagePlan,
    "in [tables.NAME]": Table,
    "in [inputs]": Inputs,
    "in [records]": Records,
    "in [cache]": Cache,
    "in [build]": Build,
}

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
    "PILOTLIGHT_MODEL": "model",
    "PILOTLIGHT_RECORDS": "records",
}
_VARIABLE_FORM = "letters, digits and _, a letter first, two characters at least"
_TABLE_NAME_LENGTH = 40
_TABLE_FORM = f"lower-case letters, digits and single dashes, a letter first, {_TABLE_NAME_LENGTH} characters at most"
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
        raise ProjectError(f"{file}: {_lower(error.strerror or str(error))}") from None
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
    return ProjectError(f"{where}: this is not TOML: {_lower(reason)}", "toml.io/en/v1.0.0 describes the format")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def decode(file: Path, raw: Mapping[str, object]) -> Settings:
    """The settings in `raw`, the tables read from `file`, with `[defaults]` merged into each function's own.

    Raises `ProjectError` at the first thing that does not fit.
    """
    defaults, functions = _table(raw.get("defaults")), _table(raw.get("functions"))
    _check_cors(file, _convert(file, "cors", raw.get("cors", {}), Cors))
    _check_plans(file, {name: _plan(file, name, table) for name, table in _table(raw.get("usage_plans")).items()})
    for name, table in _table(raw.get("tables")).items():
        _check_table(file, name, table)
    _check_inputs(file, _convert(file, "inputs", raw.get("inputs", {}), Inputs))
    _convert(file, "records", raw.get("records", {}), Records)
    _convert(file, "cache", raw.get("cache", {}), Cache)
    _convert(file, "build", raw.get("build", {}), Build)
    _check_function(file, "defaults", raw.get("defaults", {}), Defaults)
    for name, table in functions.items():
        _check_function(file, f"functions.{name}", table, FunctionSettings)
    merged = {name: _merge(defaults, _table(table)) for name, table in functions.items()}
    settings = _convert(file, "", _with_records(file, {**raw, "functions": merged} if merged else raw), Settings)
    _check_whole(file, "defaults", settings.of(""), settings.tables)
    for name in merged:
        _check_whole(file, f"functions.{name}", settings.functions[name], settings.tables)
    return settings


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _merge(defaults: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    environment = {**_table(defaults.get("environment")), **_table(own.get("environment"))}
    return {**defaults, **own, "environment": environment}


def _refuse(file: Path, key: str, reason: str, hint: str = "") -> NoReturn:
    raise ProjectError(f"{file}: {key}: {reason}", hint)


def _check_cors(file: Path, cors: Cors) -> None:
    if cors.credentials and "*" in cors.origins:
        _refuse(
            file,
            "cors.credentials",
            'browsers refuse credentials where the allowed origin is "*"',
            "name the origins in cors.origins, or leave credentials out",
        )


def _plan(file: Path, name: str, table: object) -> UsagePlan:
    key = f"usage_plans.{name}"
    _check_throttle(file, key, table)
    return _convert(file, key, table, UsagePlan)


def _check_plans(file: Path, plans: Mapping[str, UsagePlan]) -> None:
    """A key is in one usage plan of a stage at most: docs.aws.amazon.com/apigateway/latest/developerguide/
    api-gateway-api-usage-plans.html."""
    taken: dict[str, str] = {}
    for name, key in [(name, key) for name, plan in plans.items() for key in plan.keys]:
        if key in taken:
            where = "twice" if taken[key] == name else f"in usage_plans.{taken[key]} too"
            _refuse(file, f"usage_plans.{name}.keys", f"{key!r} is there {where}", "a key is in one usage plan, once")
        taken[key] = name


def _check_table(file: Path, name: str, table: object) -> None:
    key = f"tables.{name}"
    if not re.search(TABLE_NAME, name) or len(name) > _TABLE_NAME_LENGTH:
        _refuse(file, key, "this is no name for a table", _TABLE_FORM)
    settings = _convert(file, key, table, Table)
    if settings.key == settings.expires:
        reason = f"{toml(settings.key)} is the key of the table, which is a string"
        _refuse(file, f"{key}.expires", reason, "name another attribute, which holds the time as a number")


def _check_inputs(file: Path, inputs: Inputs) -> None:
    for written in inputs.allow_urls:
        host, _, port = written.rpartition(":")
        if int(port) > 65_535 or not _is_host(host):
            reason = f"{toml(written)} is no host and port that a URL can have"
            _refuse(file, "inputs.allow_urls", reason, 'write them as in "images.lan:8080" or "192.168.0.7:80"')


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
    functions = {name: _using_records(table) for name, table in _table(raw.get("functions")).items()}
    defaults = _using_records(raw.get("defaults"))
    if not any(_table(table).get("records") is True for table in (defaults, *functions.values())):
        return raw
    tables = _table(raw.get("tables"))
    own = _table(tables.get(RECORDS))
    for name, value in _TABLE_OF_RECORDS.items():
        if own.get(name, value) != value:
            reason = f"it is the table of records, where this is {toml(value)}"
            _refuse(file, f"tables.{RECORDS}.{name}", reason, "leave it out, or give a table of your own another name")
    given = {"defaults": defaults, "functions": functions, "tables": {**tables, RECORDS: {**own, **_TABLE_OF_RECORDS}}}
    return {**raw, **{name: value for name, value in given.items() if value}}


def _using_records(table: object) -> object:
    names = _table(table).get("tables", ())
    if _table(table).get("records") is not True or not isinstance(names, Collection) or RECORDS in names:
        return table
    return {**_table(table), "tables": [*names, RECORDS]}


def _check_throttle(file: Path, key: str, table: object) -> None:
    """A table in a table, which msgspec would name by a path that the checks below do not read."""
    if "throttle" in _table(table):
        _convert(file, f"{key}.throttle", _table(table)["throttle"], Throttle)


def _check_function(file: Path, key: str, table: object, kind: type[Defaults]) -> None:
    """One table as it is written, before anything is merged into it."""
    _check_throttle(file, key, table)
    for name, value in _table(_table(table).get("environment")).items():
        _check_variable(file, f"{key}.environment.{name}", name, value)
    for name in _table(_table(table).get("models")):
        if not re.search(MODEL_KEY, name):
            _refuse(file, f"{key}.models.{name}", "this is no name for a model", _KEY_FORM)
    settings = _convert(file, key, table, kind)
    _check_model(file, f"{key}.model", settings.model)
    for name, model in settings.models.items():
        _check_model(file, f"{key}.models.{name}", model)


def _check_model(file: Path, key: str, model: str) -> None:
    scheme, separator, _ = model.partition("://")
    if separator and scheme not in _URIS:
        guess = nearest(scheme, _URIS)
        reason = f"{toml(model)} is fetched from nowhere"
        _refuse(file, key, reason, f"did you mean {guess}://? {_URI_HINT}" if guess else _URI_HINT)
    if separator and not _URIS[scheme].fullmatch(model):
        _refuse(file, key, f"{toml(model)} is no URI of a model", _URI_HINT)
    if not separator and (PurePosixPath(model).is_absolute() or ".." in PurePosixPath(model).parts):
        _refuse(file, key, f"{toml(model)} is outside the project", _MODEL_HINT)


def _check_variable(file: Path, key: str, name: str, value: object) -> None:
    if re.fullmatch(_RESERVED, name):
        _refuse(file, key, "Lambda sets this variable itself", "choose another name")
    ours = "models" if name.startswith("PILOTLIGHT_MODEL_") else _OURS.get(name)
    if ours:
        _refuse(file, key, "Pilotlight sets this variable itself", f"set {ours}, or choose another name")
    if not re.search(VARIABLE_NAME, name):
        _refuse(file, key, "this is no name for an environment variable", _VARIABLE_FORM)
    if not isinstance(value, str):
        _refuse(
            file, key, f"expected str, got {type(value).__name__}", f"write it in quotes: {name} = {toml(str(value))}"
        )
    if "\0" in value:
        _refuse(file, key, "an environment variable cannot hold a NUL character")


def _check_whole(file: Path, key: str, settings: FunctionSettings, tables: Iterable[str]) -> None:
    """What depends on several settings at once, or on both tables."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in settings.environment.items())
    if size > limits.ENVIRONMENT_VARIABLES:
        reason = f"names and values take {size} bytes, and Lambda allows {limits.ENVIRONMENT_VARIABLES}"
        _refuse(file, f"{key}.environment", reason, "move what is long into a file of the project")
    if settings.binary_media_types and settings.front not in (UNSET, "rest"):
        reason = f"only a REST API has them, and the front is {settings.front!r}"
        _refuse(file, f"{key}.binary_media_types", reason, 'set front = "rest", or leave one of the two out')
    if settings.api_key and settings.front not in (UNSET, "rest"):
        reason = f"only a REST API has API keys, and the front is {settings.front!r}"
        _refuse(file, f"{key}.api_key", reason, 'set front = "rest", or leave one of the two out')
    for name in settings.tables:
        if name not in tables:
            _refuse(file, f"{key}.tables", f"there is no table {name!r}", _hint_table(name, tables))
    _check_snapstart(file, key, settings)


def _hint_table(name: str, tables: Iterable[str]) -> str:
    guess = nearest(name, tables)
    return f"did you mean {guess!r}?" if guess else f"write [tables.{name}], and its settings below it"


def _check_snapstart(file: Path, key: str, settings: FunctionSettings) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/snapstart.html; that managed instances have none is a (belief)."""
    if settings.snapstart and settings.tmp > limits.TMP_MIN:
        reason = f"SnapStart takes no /tmp above {limits.TMP_MIN} MB, and tmp is {settings.tmp}"
        _refuse(file, f"{key}.snapstart", reason, "leave tmp out, or snapstart")
    if settings.snapstart and settings.environment_concurrency > 1:
        reason = "SnapStart is for environments that take one invocation at a time, and environment_concurrency is "
        _refuse(file, f"{key}.snapstart", f"{reason}{settings.environment_concurrency}", "leave one of the two out")


# What follows turns msgspec's errors into ours. Tables are converted one at a time, so a path is "", ".field" or
# ".field[index]".


def _convert(file: Path, table: str, value: object, kind: type[_Table]) -> _Table:
    for name in _table(value):
        if name not in kind.__struct_fields__:
            _refuse(file, f"{table}.{name}".lstrip("."), "there is no such setting", _hint_unknown(name, kind))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text, path = _split(str(error))
        reason = _lower(text).replace("object", "table").replace("array", "list")
        if not path:
            _refuse(file, table, reason, f"write [{table}] and its settings below it{_needed(kind)}")
        _refuse(file, (table + path).lstrip("."), *_explain(reason, _at(value, path), _field(kind, path)))


def _needed(kind: type[Struct]) -> str:
    names = [field.name for field in msgspec.structs.fields(kind) if field.required]
    return f": {' and '.join(names)}" if names else ""


def _split(error: str) -> tuple[str, str]:
    """Text and path of msgspec's "Expected `int`, got `str` - at `$.max_age`"; the top has no path.

    The text may quote what the user wrote, " - at " included: the last one is msgspec's.
    """
    text, place, path = error.rpartition(" - at `$")
    return (text if place else error).replace("`", ""), path.rstrip("`") if place else ""


def _hint_unknown(name: str, kind: type[Struct]) -> str:
    places = [place for place, table in _PLACES.items() if name in table.__struct_fields__]
    if places:
        return f"{name!r} belongs {' or '.join(places)}"
    guess = nearest(name, kind.__struct_fields__)
    return f"did you mean {guess!r}?" if guess else f"the settings here are {', '.join(kind.__struct_fields__)}"


def _at(value: object, path: str) -> object:
    """What stands at ".field" or ".field[index]" of a table."""
    field, _, index = path[1:].rstrip("]").partition("[")
    found = _table(value)[field]
    return found[int(index)] if index and isinstance(found, list) else found


def _field(kind: type[Struct], path: str) -> msgspec.structs.FieldInfo:
    name = path[1:].partition("[")[0]
    return next(field for field in msgspec.structs.fields(kind) if field.name == name)


def _explain(reason: str, value: object, field: msgspec.structs.FieldInfo) -> tuple[str, str]:
    """The reason and the hint for a value of `field` of which msgspec says `reason`."""
    parts = list(_parts(field.type))
    meta = next(part for part in parts if isinstance(part, Meta) and part.description)
    choices = [part for part in parts if isinstance(part, str)]
    example = f" Example: {field.name} = {toml(meta.examples[0])}" if meta.examples else ""
    hint = f"{meta.description}{example}"
    if "enum" in reason:
        guess = nearest(str(value), choices)
        reason, hint = f"expected one of {', '.join(choices)}", f"did you mean {guess!r}?" if guess else hint
    elif "regex" in reason and meta.extra:
        reason = f"expected {meta.extra['form']}"
    return reason if ", got " in reason else f"{reason}, got {toml(value)}", hint


def _parts(kind: object) -> Iterator[object]:
    """A type, what it is made of, and its annotations."""
    yield kind
    for part in get_args(kind):
        yield from _parts(part)


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that `name` may be a misspelling of, in whatever case; "" for none."""
    spelled = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), spelled, n=1)
    return spelled[found[0]] if found else ""
