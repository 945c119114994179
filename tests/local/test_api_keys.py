"""API keys: where their values come from, and that none of them shows where it should not."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from conftest import RunningServer, write
from pilotlight.errors import ProjectError
from pilotlight.local.keys import KeyRing, Made
from pilotlight.settings import UsagePlan

PLAN = UsagePlan(keys=("mobile", "big-corp"))
SET = {"PILOTLIGHT_API_KEY_BIG_CORP": "0123456789-0123456789"}


def test_a_value_is_that_of_the_variable_or_made_once() -> None:
    ring = KeyRing(SET)
    mobile, corp = ring.of("service", {"plan": PLAN}).keys
    assert corp.value == "0123456789-0123456789"
    assert len(mobile.value) == 40
    assert mobile.value != KeyRing(SET).of("service", {"plan": PLAN}).keys[0].value
    assert ring.told() == [
        Made("mobile", "PILOTLIGHT_API_KEY_MOBILE", mobile.value),
        Made("big-corp", "PILOTLIGHT_API_KEY_BIG_CORP", ""),
    ]
    again = ring.of("service", {"plan": PLAN}).keys
    assert [key.value for key in again] == [mobile.value, corp.value]
    assert ring.told() == []


def test_a_key_keeps_its_count_until_its_plan_is_another() -> None:
    ring = KeyRing({})
    plan = UsagePlan(keys=("mobile",), quota=1)
    assert ring.of("service", {"plan": plan}).keys[0].admit(0, 0) == ""
    assert ring.of("service", {"plan": plan}).keys[0].admit(0, 0) == "quota"
    assert ring.of("other", {"plan": plan}).keys[0].admit(0, 0) == ""
    assert ring.of("service", {"plan": UsagePlan(keys=("mobile",), quota=2)}).keys[0].admit(0, 0) == ""


@pytest.mark.parametrize(
    "value", ["short", "x" * 129, "with a space in its middle", "ü" * 20, "tab\tin-the-middle-of-it"]
)
def test_a_value_that_aws_would_refuse(value: str) -> None:
    with pytest.raises(ProjectError) as refused:
        KeyRing({"PILOTLIGHT_API_KEY_MOBILE": value}).of("service", {"plan": PLAN})
    assert str(refused.value) == (
        "PILOTLIGHT_API_KEY_MOBILE: API Gateway takes keys of 20 to 128 printable characters without spaces"
    )
    assert refused.value.hint == "make one with: openssl rand -hex 20; or leave the variable out, and serve makes one"
    assert value not in str(refused.value)


def test_two_keys_of_one_value() -> None:
    environ = {**SET, "PILOTLIGHT_API_KEY_MOBILE": SET["PILOTLIGHT_API_KEY_BIG_CORP"]}
    with pytest.raises(ProjectError, match=r"^PILOTLIGHT_API_KEY_BIG_CORP: another key has this value$"):
        KeyRing(environ).of("service", {"plan": PLAN})


FILES = {
    "pilotlight.toml": """
        [usage_plans.all]
        keys = ["mobile", "big-corp"]
        quota = 2
        [functions.guarded]
        api_key = true
        [functions.open]
        front = "rest"
        """,
    "inference/guarded.py": """
        import json

        def handler(event, context):
            print(event["requestContext"]["stage"])
            return {"statusCode": 200, "body": json.dumps(event)}
        """,
    "inference/open.py": 'def handler(event, context):\n    return {"statusCode": 200, "body": "open"}\n',
}


def test_keys_of_a_server(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    server = start_server(write(tmp_path / "service", FILES), "--no-reload", **SET)
    mobile, corp = server.wait_for("keys")["keys"]  # type: ignore[misc]
    assert corp == {"name": "big-corp", "variable": "PILOTLIGHT_API_KEY_BIG_CORP", "value": ""}
    refused = httpx.post(f"{server.url}/guarded", headers={"x-api-key": "wrong"}, timeout=60)
    assert (refused.status_code, refused.json()) == (403, {"message": "Forbidden"})
    assert refused.headers["x-amzn-errortype"] == "ForbiddenException"
    assert httpx.post(f"{server.url}/open", timeout=60).text == "open"
    for value in (mobile["value"], SET["PILOTLIGHT_API_KEY_BIG_CORP"]):
        event = httpx.post(f"{server.url}/guarded", headers={"x-api-key": value}, timeout=60).json()
        identity = event["requestContext"].pop("identity")
        assert identity["apiKey"] == value
        assert len(identity["apiKeyId"]) == 10
        assert event["headers"].pop("x-api-key") == value
        assert event["multiValueHeaders"].pop("x-api-key") == [value]
        assert value not in json.dumps(event)
    headers = {"x-api-key": mobile["value"]}
    assert httpx.post(f"{server.url}/guarded", headers=headers, timeout=60).status_code == 200
    limited = httpx.post(f"{server.url}/guarded", headers=headers, timeout=60)
    assert (limited.status_code, limited.json()) == (429, {"message": "Limit Exceeded"})
    server.wait_for("request", status=429)
    log = json.dumps([line for line in server.lines if line["event"] != "keys"])
    assert mobile["value"] not in log
    assert SET["PILOTLIGHT_API_KEY_BIG_CORP"] not in log


def test_a_value_that_is_too_short_stops_the_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pilotlight", "serve", str(write(tmp_path / "service", FILES)), "--port", "0"]
    environ = {**os.environ, "PILOTLIGHT_API_KEY_MOBILE": "short"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert done.returncode == 2
    assert "PILOTLIGHT_API_KEY_MOBILE: API Gateway takes keys of 20 to 128 printable characters" in done.stderr


def test_keys_are_printed_at_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pilotlight", "serve", str(write(tmp_path / "service", FILES)), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **SET}) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        told = [line for _, line in zip(range(2), (each for each in lines if "API key" in each), strict=False)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert re.fullmatch("  API key mobile, for the header x-api-key: [0-9a-f]{40}\n", told[0])
    assert told[1] == "  API key big-corp, for the header x-api-key: that of PILOTLIGHT_API_KEY_BIG_CORP\n"


def test_a_key_that_comes_with_a_change(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    folder = write(tmp_path / "service", FILES)
    server = start_server(folder, PILOTLIGHT_API_KEY_SHORT="short")
    first = {key["name"]: key["value"] for key in server.wait_for("keys")["keys"]}  # type: ignore[attr-defined]
    settings = (folder / "pilotlight.toml").read_text()
    (folder / "pilotlight.toml").write_text(f'{settings}\n[usage_plans.new]\nkeys = ["short"]\n')
    assert str(server.wait_for("refused")["error"]).startswith("PILOTLIGHT_API_KEY_SHORT: API Gateway takes keys of")
    (folder / "pilotlight.toml").write_text(f'{settings}\n[usage_plans.new]\nkeys = ["later"]\n')
    server.wait_for("reloaded")
    (later,) = server.wait_for("keys")["keys"]  # type: ignore[misc]
    for value in (later["value"], first["mobile"]):
        assert httpx.post(f"{server.url}/guarded", headers={"x-api-key": value}, timeout=60).status_code == 200
