"""What depends on several settings at once: `settings_file` and `project` ask for it when all are read."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import UNSET

from pilotlight import limits
from pilotlight.errors import ProjectError
from pilotlight.settings import Front, FunctionSettings, Settings
from pilotlight.settings_convert import nearest, refuse


def measured(variables: Mapping[str, str]) -> int:
    """Bytes that environment variables take as Lambda counts them: as JSON, which its error quotes, "exceeded the 4KB
    limit. String measured: {...}"."""
    return len(json.dumps(dict(variables), ensure_ascii=False, separators=(",", ":")).encode())


def check_whole(file: Path, key: str, settings: FunctionSettings, tables: Iterable[str]) -> None:
    """What depends on several settings at once, or on both tables."""
    size = measured(settings.environment)
    if size > limits.ENVIRONMENT_VARIABLES:
        reason = f"they take {size} bytes as JSON, and Lambda allows {limits.ENVIRONMENT_VARIABLES}"
        refuse(file, f"{key}.environment", reason, "move what is long into a file of the project")
    if settings.binary_media_types and settings.front not in (UNSET, "rest"):
        reason = f"only a REST API has them, and the front is {settings.front!r}"
        refuse(file, f"{key}.binary_media_types", reason, 'set front = "rest", or leave one of the two out')
    if settings.api_key and settings.front not in (UNSET, "rest"):
        reason = f"only a REST API has API keys, and the front is {settings.front!r}"
        refuse(file, f"{key}.api_key", reason, 'set front = "rest", or leave one of the two out')
    for name in settings.tables:
        if name not in tables:
            refuse(file, f"{key}.tables", f"there is no table {name!r}", _hint_table(name, tables))
    _check_snapstart(file, key, settings)


def _hint_table(name: str, tables: Iterable[str]) -> str:
    guess = nearest(name, tables)
    return f"did you mean {guess!r}?" if guess else f"write [tables.{name}], and its settings below it"


def _check_snapstart(file: Path, key: str, settings: FunctionSettings) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/snapstart.html; that managed instances have none is a (belief)."""
    if settings.snapstart and settings.tmp > limits.TMP_MIN:
        reason = f"SnapStart takes no /tmp above {limits.TMP_MIN} MB, and tmp is {settings.tmp}"
        refuse(file, f"{key}.snapstart", reason, "leave tmp out, or snapstart")
    if settings.snapstart and settings.environment_concurrency > 1:
        reason = "SnapStart is for environments that take one invocation at a time, and environment_concurrency is "
        refuse(file, f"{key}.snapstart", f"{reason}{settings.environment_concurrency}", "leave one of the two out")


def check_gateway(file: Path, name: str, front: Front, settings: FunctionSettings, project: Settings) -> None:
    """What depends on the front that the handler chooses, or on other tables."""
    key = f"{file}: functions.{name}"
    if front == "url" and settings.throttle:
        reason = "a function URL has no throttle, and this function has a URL"
        hint = 'set front = "rest" or "http", or concurrency in place of throttle'
        raise ProjectError(f"{key}.throttle: {reason}", hint)
    if settings.api_key and not project.usage_plans:
        reason = "requests need a key of a usage plan, and there is none"
        hint = 'write [usage_plans.NAME] and its keys below it, such as keys = ["mobile"]'
        raise ProjectError(f"{key}.api_key: {reason}", hint)
    if settings.auth == "jwt" and front != "http":
        reason = f"only an HTTP API checks tokens, and the front is {front!r}"
        raise ProjectError(f"{key}.auth: {reason}", 'set front = "http", or auth = "iam"')
    if settings.auth == "jwt" and not project.jwt:
        hint = "write [jwt] and its settings below it: issuer and audiences"
        raise ProjectError(f"{key}.auth: it is not said whose tokens are taken", hint)
