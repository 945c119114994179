"""The document of a REST API, imported by moto's API Gateway: which paths and methods there are then."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moto_aws
import pytest
from modes import of_mode
from moto_aws import Aws
from openapi_spec_validator import validate
from units import HANDLER, deployment, service

from pilotlight.deploy.template import template


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto_aws.running() as running:
        yield running


def document(folder: Path, routes: str) -> bytes:
    toml = f'[functions.qa]\nfront = "rest"\nroute = {routes}\n'
    made = template(deployment(service(folder / "vision", toml, qa=HANDLER)))
    return json.dumps(filled(made["Resources"]["RestApi"]["Properties"]["Body"])).encode()


def filled(value: Any) -> Any:
    match value:
        case {"Fn::Sub": str(text)}:
            arn = "arn:aws:lambda:eu-west-1:111122223333:function:vision--qa:live"
            known = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "QaAlias": arn}
            for name, each in known.items():
                text = text.replace(f"${{{name}}}", each)
            return text
        case dict():
            return {name: filled(each) for name, each in value.items()}
        case list():
            return [filled(each) for each in value]
    return value


def test_a_document_replaces_the_one_before(aws: Aws, tmp_path: Path) -> None:
    """moto imports no mock without a URI, so there is no [cors], and it lists ANY as the document has it."""
    gateway = aws.client("apigateway")
    api = gateway.create_rest_api(name="vision")["id"]
    documents = ('["POST /a/{id}", "GET /b"]', '["POST /a/{key}", "ANY /a"]')
    found = []
    for number, routes in enumerate(documents):
        body = document(tmp_path / str(number), routes)
        gateway.put_rest_api(restApiId=api, mode="overwrite", failOnWarnings=True, body=body)
        resources = gateway.get_resources(restApiId=api)["items"]
        found.append({each["path"]: sorted(each.get("resourceMethods", ())) for each in resources})
    assert found == [
        {"/": [], "/a": [], "/a/{id}": ["POST"], "/b": ["GET"]},
        {"/": [], "/a": ["X-AMAZON-APIGATEWAY-ANY-METHOD"], "/a/{key}": ["POST"]},
    ]
    [key] = [each["id"] for each in resources if each["path"] == "/a/{key}"]
    integration = gateway.get_integration(restApiId=api, resourceId=key, httpMethod="POST")
    assert integration["uri"] == (
        "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/"
        "arn:aws:lambda:eu-west-1:111122223333:function:vision--qa:live/invocations"
    )


@pytest.mark.parametrize("mode", ["rest with cors of one", "rest with keys", "rest with iam", "rest with a stream"])
def test_a_document_is_openapi(mode: str, tmp_path: Path) -> None:
    """Greedy parameters are no OpenAPI, but API Gateway's: `openapi.py` looks at those."""
    validate(filled(template(of_mode(mode, tmp_path))["Resources"]["RestApi"]["Properties"]["Body"]))
