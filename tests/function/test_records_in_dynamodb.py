"""Records in DynamoDB, of both runtime loops, where every other answer of the store is late, broken, or none."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from conftest import RunningServer, write
from dynamodb_stores import ENVIRON, dynalite, faulty, make_table
from pilotlight.function.table import connect_uri

SERVICE = {
    "pilotlight.toml": """
        name = "service"
        [tables.records]
        store = "dynamodb"
        [defaults]
        records = true
        [functions.ric]
        runtime = "awslambdaric"
        """,
    "inference/own.py": "def handler(event, context):\n    return event['number'] + 1\n",
    "inference/ric.py": "def handler(event, context):\n    return event['number'] + 1\n",
}


@pytest.mark.system
def test_each_invocation_has_one_record(
    tmp_path: Path, start_server: Callable[..., RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "service", SERVICE)
    with dynalite() as url, faulty(url, 2.0) as (proxy, faults):
        make_table(url, "service-records", "primary_key")
        server = start_server(root, "--no-reload", AWS_ENDPOINT_URL_DYNAMODB=proxy, **ENVIRON)
        for number in range(24):
            name = ("own", "ric")[number % 2]
            path = f"{server.url}/2015-03-31/functions/{name}/invocations"
            assert httpx.post(path, json={"number": number}, timeout=60).json() == number + 1
        assert server.stop() == 0
        assert sum(faults.counts[fault] for fault in faults.counts if fault) > 0
        for name, value in {**ENVIRON, "AWS_ENDPOINT_URL_DYNAMODB": url}.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-m", "pilotlight", "records", "recover", str(root)]
        subprocess.run(command, check=True, timeout=60, env=os.environ)
        table = connect_uri("dynamodb://service-records?key=primary_key")
        found = [(json.loads(str(item["input"]))["number"], item["output"]) for item in table.scan()]
        table.close()
    assert sorted(found) == [(number, str(number + 1)) for number in range(24)]
