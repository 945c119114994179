"""Our events beside the sample events of AWS, as the aws-sam-cli wheel carries them.

The samples are Mustache templates; `event-mapping.json` beside them says what goes in. Only its files are read, nothing
of aws-sam-cli is imported.
"""

import base64
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pilotlight import events
from pilotlight.events import Request


def samples() -> Path:
    package = importlib.util.find_spec("samcli")
    assert package is not None, "aws-sam-cli is missing: pip install --no-deps aws-sam-cli"
    assert package.origin is not None
    return Path(package.origin).parent / "lib" / "generated_sample_events"


def sample(event_type: str) -> dict[str, Any]:
    """The sample event with the defaults of its mapping filled in."""
    mapping = json.loads((samples() / "event-mapping.json").read_text())["apigateway"][event_type]
    template = (samples() / "events" / "apigateway" / f"{mapping['filename']}.json").read_text()
    event = re.sub(r'"\{\{\{(\w+)\}\}\}"|\{\{\{(\w+)\}\}\}', lambda hole: filled(hole, mapping), template)
    return dict(json.loads(event))


def filled(hole: re.Match[str], mapping: dict[str, Any]) -> str:
    whole, inside = hole.groups()
    tag = mapping["tags"].get(whole or inside) or mapping["tags"][(whole or inside).replace("_", "-")]
    value: str = tag["default"]
    if tag.get("encoding") == "base64":
        value = base64.b64encode(value.encode()).decode()
    return value if inside or tag.get("type") == "dict" else json.dumps(value)


def keys(value: object, path: str = "") -> set[str]:
    """Every key below `value` as a path; header names in lower case, since ours are."""
    if not isinstance(value, Mapping):
        return set()
    found = set()
    for key, inner in value.items():
        name = f"{path}.{key.lower() if path.lower().endswith('headers') else key}".lstrip(".")
        found |= {name} | keys(inner, name)
    return found


PROXY = Request(
    method="POST",
    path="/path/to/resource",
    query="foo=bar",
    headers=(
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, sdch"),
        ("accept-language", "en-US,en;q=0.8"),
        ("cache-control", "max-age=0"),
        ("cloudfront-forwarded-proto", "https"),
        ("cloudfront-is-desktop-viewer", "true"),
        ("cloudfront-is-mobile-viewer", "false"),
        ("cloudfront-is-smarttv-viewer", "false"),
        ("cloudfront-is-tablet-viewer", "false"),
        ("cloudfront-viewer-country", "US"),
        ("host", "0123456789.execute-api.us-east-1.amazonaws.com"),
        ("upgrade-insecure-requests", "1"),
        ("user-agent", "Custom User Agent String"),
        ("via", "1.1 08f323deadbeefa7af34d5feb414ce27.cloudfront.net (CloudFront)"),
        ("x-amz-cf-id", "cDehVQoZnx43VYQb9j2-nvCh-9z396Uhbp027Y2JvkCPNLmGJHqlaA=="),
        ("x-forwarded-for", "127.0.0.1, 127.0.0.2"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ),
    body=b'{"test":"body"}',
    route="POST /{proxy+}",
    path_parameters={"proxy": "/path/to/resource"},
    stage="prod",
    request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    source_ip="127.0.0.1",
    time=1428582896.0,
    protocol="HTTP/1.1",
    account="123456789012",
    api="1234567890",
)

HTTP_API = Request(
    method="POST",
    path="/path/to/resource",
    query="parameter1=value1&parameter1=value2&parameter2=value",
    headers=(("header1", "value1"), ("header2", "value1,value2"), ("cookie", "cookie1; cookie2")),
    body=b'{"test":"body"}',
    route="$default",
    path_parameters={"parameter1": "value1"},
    stage="$default",
    request_id="id",
    source_ip="192.168.0.1/32",
    time=1583348638.39,
    protocol="HTTP/1.1",
    domain="id.execute-api.us-east-1.amazonaws.com",
    account="123456789012",
    api="api-id",
)


@pytest.mark.parametrize(("event_type", "request_"), [("aws-proxy", PROXY), ("http-api-proxy", HTTP_API)])
def test_sample_event_is_read(event_type: str, request_: Request) -> None:
    assert events.is_http(sample(event_type))
    assert events.from_event(sample(event_type)) == request_


def test_rest_event_has_the_fields_of_the_sample() -> None:
    ours, theirs = keys(events.to_v1(PROXY, ("*/*",))), keys(sample("aws-proxy"))
    # the sample sets a stage variable, which no local API has
    assert theirs - ours == {"stageVariables.baz"}
    # the sample is older than these; they are in today's documentation of the event
    assert ours - theirs == {
        "requestContext.domainName",
        "requestContext.domainPrefix",
        "requestContext.extendedRequestId",
        "requestContext.deploymentId",
        "requestContext.identity.principalOrgId",
    }


def test_http_api_event_has_the_fields_of_the_sample() -> None:
    ours, theirs = keys(events.to_v2(HTTP_API)), keys(sample("http-api-proxy"))
    # there only with mutual TLS, with an authorizer, and with stage variables
    optional = ("requestContext.authentication", "requestContext.authorizer", "stageVariables")
    assert {key for key in theirs if not key.startswith(optional)} == ours


@pytest.mark.parametrize(
    ("event", "event_type"),
    [(events.to_v1(PROXY, ("*/*",)), "aws-proxy"), (events.to_v2(HTTP_API), "http-api-proxy")],
    ids=["aws-proxy", "http-api-proxy"],
)
def test_event_has_the_values_of_the_sample(event: dict[str, Any], event_type: str) -> None:
    expected = sample(event_type)
    apart = {
        "headers",  # the sample keeps the client's spelling of the names
        "multiValueHeaders",
        "requestContext",  # the sample's time and timeEpoch are different moments
        "stageVariables",
    }
    assert {name: event[name] for name in expected if name not in apart} == {
        name: value for name, value in expected.items() if name not in apart
    }
