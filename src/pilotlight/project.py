"""A project: the folder of one service, with its settings and the functions found in it.

    pilotlight.toml       the settings, see `settings`; the file may be absent
    inference/NAME.py     one function each; files that begin with "_" or "." are not functions

`load` finds and checks everything without importing any of the user's code. What is wrong with the project raises
`errors.ProjectError`. What is wrong with one function alone does not stop the others: it is that function's `defect`,
and its routes stay, so that a request is answered with the reason.

Does not ship to Lambda.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pilotlight import limits, settings_file
from pilotlight.errors import ProjectError
from pilotlight.route import Route as Route
from pilotlight.route import parse_route as parse_route
from pilotlight.settings import (
    FILE,
    Auth,
    Build,
    Cache,
    Cors,
    Deploy,
    Front,
    FunctionSettings,
    Inputs,
    Jwt,
    Network,
    Package,
    Records,
    Runtime,
    Settings,
    Table,
    Throttle,
    UsagePlan,
)
from pilotlight.settings_checks import check_gateway
from pilotlight.source import Source, inspect

FOLDER = "inference"
MODEL_FILES = ("model.onnx", "model.tflite")  # one of which is in a model's folder


class Function(Struct, frozen=True, kw_only=True):
    """One function of a service. `defect`, when not empty, says why it cannot run, and `hint` what to do about it.

    `file` is absolute; `handler` is Lambda's handler string, "inference/kim_cnn.handler"; `memory` and `tmp` are in MB,
    `timeout`, `idle` and `max_event_age` in seconds; `concurrency`, `throttle` and `records` None are none; `tables`
    have their name in DynamoDB; `model`, "" for none, and `models` are relative to `root`, or URIs, of which `fetched`
    has the folder on this machine where there is one; `unmade`, when not empty, says why one of them could not be made
    ready, and `hint` what to do. `stage` is "" where paths have none, as those of function URLs.
    `streams` says whether its function URL has the invoke mode RESPONSE_STREAM, or its REST API
    the response transfer mode STREAM.
    """

    service: str
    name: str
    root: Path
    file: Path
    handler: str
    routes: tuple[Route, ...]
    stage: str
    memory: int
    timeout: int
    tmp: int
    concurrency: int | None
    front: Front
    streams: bool
    binary_media_types: tuple[str, ...]
    api_key: bool
    auth: Auth
    provisioned: int
    provisioned_max: int
    latency_alarm: int
    throttle: Throttle | None
    retries: int
    max_event_age: int
    snapstart: bool
    environment_concurrency: int
    environment: Mapping[str, str]
    tables: Mapping[str, Table]
    inputs: Inputs
    records: Records | None
    metrics: bool
    model: str
    models: Mapping[str, str]
    optimize: bool
    task: str
    cache: Cache
    install: str
    runtime: Runtime
    package: Package
    idle: float
    defect: str
    hint: str
    fetched: Mapping[str, str] = {}
    unmade: str = ""

    @property
    def key(self) -> str:
        """What the function is called on Lambda: unique among all services."""
        return f"{self.service}--{self.name}"

    @property
    def served(self) -> tuple[Route, ...]:
        """The routes with the stage before their paths, as clients call them."""
        prefix = f"/{self.stage}" if self.stage else ""
        return tuple(Route(route.method, prefix + route.path) for route in self.routes)

    @property
    def named_models(self) -> Mapping[str, str]:
        """`models`, and `model` as ""."""
        return {**({"": self.model} if self.model else {}), **self.models}

    @property
    def uris(self) -> tuple[str, ...]:
        """Of the models that are fetched, each once."""
        return tuple(dict.fromkeys(each for each in self.named_models.values() if is_uri(each)))

    @property
    def fetches(self) -> tuple[str, ...]:
        """Of `uris` those that the function fetches itself, since this machine has not made them ready."""
        return tuple(each for each in self.uris if each not in self.fetched)

    @property
    def model_paths(self) -> tuple[Path, ...]:
        """Where the models are that are on this machine, or should be."""
        found = (self.fetched.get(each, each) for each in self.named_models.values())
        return tuple(self.root / each for each in found if not is_uri(each))

    @property
    def missing(self) -> tuple[Path, ...]:
        """Those of `model_paths` where no model is."""
        return tuple(path for path in self.model_paths if not _is_model(path))

    @property
    def is_installed(self) -> bool:
        """Whether the models are there that the function names and does not fetch."""
        return not self.unmade and not self.missing

    @property
    def how_to_install(self) -> str:
        """The one command that installs the model, or where to put it, or what else to do."""
        if self.unmade:
            return self.hint
        missing = self.missing
        where = missing[0].relative_to(self.root) if missing else self.model
        return f"install it with: {self.install}" if self.install else f"put it at {where}"

    @property
    def event_file(self) -> Path:
        """Where its saved test event is, if it has one."""
        return self.root / "events" / f"{self.name}.json"


def is_uri(model: str) -> bool:
    """Whether a model is fetched, and not a path in the project."""
    return "://" in model


def _is_model(path: Path) -> bool:
    """A file, a folder with one of `MODEL_FILES`, or a folder of such folders, one for each part."""
    return path.is_file() or any(any(path.glob(part + name)) for part in ("", "*/") for name in MODEL_FILES)


class Project(Struct, frozen=True, kw_only=True):
    """One service. `root` is absolute; `functions` are in the order of names; `cors` None and `stage` "" are none.

    `tables` have their name in DynamoDB, and are those that no function uses as well.
    """

    name: str
    root: Path
    functions: tuple[Function, ...]
    cors: Cors | None
    stage: str
    usage_plans: Mapping[str, UsagePlan]
    tables: Mapping[str, Table]
    build: Build
    jwt: Jwt | None
    deploy: Deploy
    network: Network
    cache: Cache


def load(folder: Path) -> Project:
    """The project in `folder`. Raises `ProjectError`; messages name files below `folder` as it is given."""
    if not folder.is_dir():
        raise ProjectError(f"{folder}: there is no such folder", "`pilotlight new` starts a project")
    file = folder / FILE
    settings = settings_file.read(file)
    sources = {path.stem: path for path in _discover(folder)}
    _check_names(file, sources, settings)
    root = folder.resolve()
    service = settings.name or _service_name(root.name)
    tables = {name: _table(service, name, table) for name, table in settings.tables.items()}
    project = Project(
        name=service,
        root=root,
        functions=tuple(_function(service, root, file, path, settings, tables) for path in sources.values()),
        cors=settings.cors if settings.cors and settings.cors.origins else None,
        stage=settings.stage or "",
        usage_plans=settings.usage_plans,
        tables=tables,
        build=settings.build or Build(),
        jwt=settings.jwt or None,
        deploy=settings.deploy or Deploy(),
        network=settings.network or Network(),
        cache=settings.cache or Cache(),
    )
    check_routes([project])
    return project


def _discover(folder: Path) -> list[Path]:
    shadow = folder / f"{FOLDER}.py"
    if shadow.exists():
        raise ProjectError(f"{shadow}: Python takes this file for the folder {FOLDER}/ beside it", "rename the file")
    files = sorted(path for path in (folder / FOLDER).glob("*.py") if path.name[0] not in "_." and not path.is_dir())
    if not files:
        hint = f"write {FOLDER}/NAME.py with a handler in it, or start from an example with `pilotlight new`"
        raise ProjectError(f"{folder}: there are no functions: no file is named {FOLDER}/*.py", hint)
    return files


def _service_name(folder: str) -> str:
    """The name of a folder as `Settings.name` must be; a CloudFormation stack begins with a letter too."""
    name = re.sub("[^a-z0-9]+", "-", folder.lower()).strip("-") or "service"
    return (name if name[0].isalpha() else f"service-{name}")[:40].rstrip("-")


def _check_names(file: Path, sources: Mapping[str, Path], settings: Settings) -> None:
    for name, path in sources.items():
        if iskeyword(name) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
            hint = f"rename it, such as to {_identifier(name)}.py"
            raise ProjectError(f"{path}: {name!r} cannot be the name of a function: it is no Python name", hint)
    for name in settings.functions:
        if name not in sources:
            guess = settings_file.nearest(name, sources)
            hint = (
                f"did you mean {guess!r}?"
                if guess
                else f"the functions are {', '.join(sources)}, for the files in {FOLDER}/"
            )
            raise ProjectError(f"{file}: functions.{name}: no function has that name", hint)


def _identifier(name: str) -> str:
    words = re.sub("[^A-Za-z0-9]+", "_", name).strip("_")
    return words if words[:1].isalpha() and not iskeyword(words) else f"predict_{words}".rstrip("_")


def _function(
    service: str, root: Path, file: Path, path: Path, project: Settings, tables: Mapping[str, Table]
) -> Function:
    name = path.stem
    settings = project.of(name)
    source = inspect(path, settings.handler)
    front = _front(settings, source)
    check_gateway(file, name, front, settings, project)
    function = Function(
        service=service,
        name=name,
        root=root,
        file=root / FOLDER / path.name,
        handler=f"{FOLDER}/{name}.{settings.handler}",
        routes=tuple(_routes(file, name, settings.route)),
        stage="" if front == "url" else project.stage or "",
        memory=settings.memory,
        timeout=settings.timeout,
        tmp=settings.tmp,
        concurrency=settings.concurrency or None,
        front=front,
        streams=source.streams and front in ("url", "rest") and settings.runtime == "pilotlight",
        binary_media_types=settings.binary_media_types,
        api_key=settings.api_key,
        auth=settings.auth,
        provisioned=settings.provisioned,
        provisioned_max=settings.provisioned_max,
        latency_alarm=settings.latency_alarm,
        throttle=settings.throttle or None,
        retries=settings.retries,
        max_event_age=settings.max_event_age,
        snapstart=settings.snapstart,
        environment_concurrency=settings.environment_concurrency,
        environment=settings.environment,
        tables={name: tables[name] for name in settings.tables},
        inputs=project.inputs or Inputs(),
        records=(project.records or Records()) if settings.records else None,
        metrics=settings.metrics,
        model=settings.model,
        models=settings.models,
        optimize=settings.optimize,
        task=settings.task,
        cache=project.cache or Cache(),
        install=settings.install,
        runtime=settings.runtime,
        package=settings.package,
        idle=settings.idle,
        defect=source.defect,
        hint=source.hint,
    )
    if len(function.key) > limits.FUNCTION_NAME:
        reason = f"{function.key!r} has {len(function.key)} characters, and Lambda allows {limits.FUNCTION_NAME}"
        raise ProjectError(f"{path}: {reason}", f"shorten the name of the file, or of the service in {file}")
    return function


def _table(service: str, name: str, table: Table) -> Table:
    return table if table.table else msgspec.structs.replace(table, table=f"{service}-{name}")


def _front(settings: FunctionSettings, source: Source) -> Front:
    if settings.front is not UNSET:
        return settings.front
    if settings.binary_media_types or settings.api_key:
        return "rest"
    return "url" if source.streams else "http"


# routes


def _routes(file: Path, name: str, written: str | tuple[str, ...] | UnsetType) -> Iterator[Route]:
    texts = (f"POST /{name}",) if written is UNSET else (written,) if isinstance(written, str) else written
    for text in texts:
        try:
            yield parse_route(text)
        except ProjectError as error:
            raise ProjectError(f"{file}: functions.{name}.route: {error}", error.hint) from None


def saved_event(function: Function) -> object:
    """The event that is saved for a function; None when there is none, or when the file is not JSON."""
    try:
        return json.loads(function.event_file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def check_routes(projects: Sequence[Project]) -> None:
    """Raises `ProjectError` when two services have one name, or two functions a route of one method and shape.

    `/a/{x}` and `/a/{y}` are one shape. ANY and POST on one shape are two routes: API Gateway prefers POST.
    """
    services: dict[str, Project] = {}
    for project in projects:
        other = services.setdefault(project.name, project)
        if other is not project:
            files = f"{other.root / FILE} and {project.root / FILE}"
            raise ProjectError(
                f"{files}: both services are named {project.name!r}", "set another name at the top of one of them"
            )
    _check_shapes(function for project in projects for function in project.functions)


def _check_shapes(functions: Iterable[Function]) -> None:
    taken: dict[Route, tuple[Function, Route]] = {}
    for function, route in [(each, route) for each in functions for route in each.served]:
        first, same = taken.setdefault(route.shape, (function, route))
        if same is not route:
            _refuse_shape(first, same, function, route)


def _refuse_shape(first: Function, same: Route, function: Function, route: Route) -> NoReturn:
    file = function.root / FILE
    one = f"{str(same)!r} and {str(route)!r} are one route"
    if first is function:
        raise ProjectError(f"{file}: functions.{function.name}.route: {one}", "leave one of the two out")
    what = f"both have the route {str(route)!r}" if same == route else one
    hint = f"set another route under [functions.{function.name}] in {file}"
    raise ProjectError(f"{first.file} and {function.file}: {what}", hint)
