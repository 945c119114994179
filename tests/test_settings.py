import json
import runpy
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pilotlight import settings
from pilotlight.project import load

ROOT = Path(__file__).parents[1]
VALIDATOR = jsonschema.Draft202012Validator(settings.schema())
FILES = sorted(ROOT.glob("examples/*/pilotlight.toml"))


def example(page: str) -> str:
    """The file with every setting that the reference page shows."""
    return page.split("```toml\n")[2].split("```")[0]


def test_the_generated_files_are_up_to_date() -> None:
    for file, text in runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]().items():
        assert file.read_text() == text, f"{file.name} differs from what the code says; `make docs` writes it"


def test_the_example_of_the_reference_sets_everything_and_loads(tmp_path: Path) -> None:
    text = example((ROOT / "docs" / "reference" / "settings.md").read_text())
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "qa.py").write_text("predict = print\n")
    (tmp_path / "pilotlight.toml").write_text(text)
    assert load(tmp_path).functions[0].defect == ""
    raw = tomllib.loads(text)
    VALIDATOR.validate(raw)
    assert raw.keys() == {*settings.Settings.__struct_fields__}
    assert raw["cors"].keys() == {*settings.Cors.__struct_fields__}
    assert raw["usage_plans"]["partners"].keys() == {*settings.UsagePlan.__struct_fields__}
    assert raw["tables"]["vectors"].keys() == {*settings.Table.__struct_fields__}
    assert raw["inputs"].keys() == {*settings.Inputs.__struct_fields__}
    assert raw["records"].keys() == {*settings.Records.__struct_fields__}
    assert raw["cache"].keys() == {*settings.Cache.__struct_fields__}
    assert raw["build"].keys() == {*settings.Build.__struct_fields__}
    assert raw["jwt"].keys() == {*settings.Jwt.__struct_fields__}
    assert raw["deploy"].keys() == {*settings.Deploy.__struct_fields__}
    assert raw["network"].keys() == {*settings.Network.__struct_fields__}
    assert raw["defaults"]["throttle"].keys() == {*settings.Throttle.__struct_fields__}
    assert {**raw["defaults"], **raw["functions"]["qa"]}.keys() == {*settings.FunctionSettings.__struct_fields__}


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(settings.schema())))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_schema_admits_the_examples(file: Path) -> None:
    VALIDATOR.validate(tomllib.loads(file.read_text()))


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({"nmae": "qa"}, "$"),
        ({"name": "QA"}, "$.name"),
        ({"name": "qa\n"}, "$.name"),
        ({"stage": "v1/beta"}, "$.stage"),
        ({"usage_plans": {"free": {"keys": []}}}, "$.usage_plans.free.keys"),
        ({"usage_plans": {"free": {"quota": 5}}}, "$.usage_plans.free"),
        ({"usage_plans": {"free": {"keys": ["Mobile"]}}}, "$.usage_plans.free.keys[0]"),
        ({"usage_plans": {"free": {"keys": ["a"], "period": "YEAR"}}}, "$.usage_plans.free.period"),
        ({"usage_plans": {"free": {"keys": ["a"], "throttle": {"rate": 1}}}}, "$.usage_plans.free.throttle"),
        ({"tables": {"vectors": {"store": "redis"}}}, "$.tables.vectors.store"),
        ({"tables": {"vectors": {"table": "a b c"}}}, "$.tables.vectors.table"),
        ({"tables": {"Vectors": {}}}, "$.tables"),
        ({"functions": {"qa": {"tables": "vectors"}}}, "$.functions.qa.tables"),
        ({"inputs": {"allow_urls": ["images.lan"]}}, "$.inputs.allow_urls[0]"),
        ({"inputs": {"allow_urls": "images.lan:80"}}, "$.inputs.allow_urls"),
        ({"inputs": {"buckets": ["s3://uploads"]}}, "$.inputs.buckets[0]"),
        ({"cors": []}, "$.cors"),
        ({"cors": {"origins": "https://example.com"}}, "$.cors.origins"),
        ({"cors": {"origins": ["example.com"]}}, "$.cors.origins[0]"),
        ({"cors": {"methods": ["get"]}}, "$.cors.methods[0]"),
        ({"cors": {"headers": ["x key"]}}, "$.cors.headers[0]"),
        ({"cors": {"max_age": 86401}}, "$.cors.max_age"),
        ({"cors": {"credentials": "yes"}}, "$.cors.credentials"),
        ({"defaults": {"route": "POST /qa"}}, "$.defaults"),
        ({"defaults": {"handler": "qa.handler"}}, "$.defaults.handler"),
        ({"defaults": {"memory": "512"}}, "$.defaults.memory"),
        ({"defaults": {"memory": 127}}, "$.defaults.memory"),
        ({"defaults": {"timeout": 0}}, "$.defaults.timeout"),
        ({"defaults": {"tmp": 10241}}, "$.defaults.tmp"),
        ({"defaults": {"concurrency": 0}}, "$.defaults.concurrency"),
        ({"defaults": {"front": "graphql"}}, "$.defaults.front"),
        ({"defaults": {"api_key": "mobile"}}, "$.defaults.api_key"),
        ({"defaults": {"throttle": 10}}, "$.defaults.throttle"),
        ({"defaults": {"throttle": {"rate": 0, "burst": 1}}}, "$.defaults.throttle.rate"),
        ({"defaults": {"throttle": {"rate": 1, "burst": 1.5}}}, "$.defaults.throttle.burst"),
        ({"defaults": {"retries": 3}}, "$.defaults.retries"),
        ({"defaults": {"max_event_age": 59}}, "$.defaults.max_event_age"),
        ({"defaults": {"snapstart": 1}}, "$.defaults.snapstart"),
        ({"defaults": {"environment_concurrency": 65}}, "$.defaults.environment_concurrency"),
        ({"defaults": {"binary_media_types": ["png"]}}, "$.defaults.binary_media_types[0]"),
        ({"defaults": {"environment": {"A": "one letter"}}}, "$.defaults.environment"),
        ({"defaults": {"environment": {"LEVEL": 1}}}, "$.defaults.environment.LEVEL"),
        ({"defaults": {"model": 1}}, "$.defaults.model"),
        ({"defaults": {"models": {"EN": "models/en"}}}, "$.defaults.models"),
        ({"defaults": {"models": {"en": ""}}}, "$.defaults.models.en"),
        ({"defaults": {"models": ["models/en"]}}, "$.defaults.models"),
        ({"defaults": {"optimize": "no"}}, "$.defaults.optimize"),
        ({"defaults": {"task": 1}}, "$.defaults.task"),
        ({"cache": {"folder": "models"}}, "$.cache.folder"),
        ({"cache": {"size": -1}}, "$.cache.size"),
        ({"defaults": {"install": False}}, "$.defaults.install"),
        ({"defaults": {"runtime": "node"}}, "$.defaults.runtime"),
        ({"defaults": {"idle": -1}}, "$.defaults.idle"),
        ({"functions": []}, "$.functions"),
        ({"functions": {"qa": 1}}, "$.functions.qa"),
        ({"functions": {"qa": {"route": 1}}}, "$.functions.qa.route"),
        ({"functions": {"qa": {"memroy": 512}}}, "$.functions.qa"),
    ],
)
def test_the_schema_refuses_what_loading_refuses(tmp_path: Path, raw: dict[str, Any], place: str) -> None:
    assert [error.json_path for error in VALIDATOR.iter_errors(raw)] == [place]
