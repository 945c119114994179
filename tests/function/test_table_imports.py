"""What a cold function pays for a table: the modules that its process has imported after one read and one write."""

import json
import os
import subprocess
import sys
from pathlib import Path

from dynamodb_stores import ENVIRON
from http_servers import Request, answer, serving
from pilotlight.function.table import Address

CODE = """
import json, sys
from pilotlight.function import runtime
before = set(sys.modules)
from pilotlight.function.table import connect_uri
at_import = set(sys.modules) - before
table = connect_uri(sys.argv[1])
table.put([{"word": "red"}])
assert table.get(["red"]) == {"red": {"word": "red"}}
print(json.dumps([sorted(at_import), sorted(set(sys.modules) - before - at_import)]))
"""
AT_IMPORT = {
    "pilotlight.function.items",
    "pilotlight.function.table",
    "pilotlight.errors",
    "pilotlight.limits",
    "binascii",
    "math",
}
BROUGHT_ALONG = {  # by sqlite3, by a pool of threads and by hashlib, where nothing has imported them before
    *("collections", "collections.abc", "itertools", "keyword", "operator", "reprlib", "types", "warnings"),
}


def imported(uri: Address, **environ: str) -> tuple[set[str], set[str]]:
    """Without private modules, and beyond what the runtime loop has imported."""
    command = [sys.executable, "-c", CODE, str(uri)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"], **environ})
    assert done.returncode == 0, done.stderr
    at_import, later = ({name for name in names if name[0] != "_"} for names in json.loads(done.stdout))
    assert at_import <= AT_IMPORT
    return at_import, later - BROUGHT_ALONG


def test_sqlite(tmp_path: Path) -> None:
    _, later = imported(Address("sqlite", f"{tmp_path}/tables.sqlite", "word", table="words"))
    assert later == {"pilotlight.function.table_sqlite", "sqlite3", "sqlite3.dbapi2", "datetime"}


def test_dynamodb() -> None:
    def store(request: Request) -> bytes:
        if request.headers["x-amz-target"].endswith("PutItem"):
            return answer(200, b'{"ConsumedCapacity":{}}')
        return answer(200, b'{"Responses":{"words":[{"word":{"S":"red"}}]},"UnprocessedKeys":{}}')

    with serving(store) as server:
        url = f"http://127.0.0.1:{server.port}"
        _, later = imported(Address("dynamodb", "words", "word"), **ENVIRON, AWS_ENDPOINT_URL_DYNAMODB=url)
    ours = {
        f"pilotlight.function.{name}" for name in ("credentials", "dynamodb", "dynamodb_answers", "dynamodb_client")
    }
    assert later == ours | {"pilotlight.function.signing", "hashlib", "hmac"}
