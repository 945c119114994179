"""`pilotlight serve` as its users run it: a process, requests over HTTP, files that change, signals."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from conftest import RunningServer, until, write

Start = Callable[..., RunningServer]

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVER_ERROR = b'{"message":"Internal Server Error"}'
ECHO = "def handler(event, context):\n    return event\n"

FIRST = {
    "pilotlight.toml": """
        [functions.people]
        route = ["GET /people/{id}", "POST /people/{id}"]
        [functions.rest]
        route = "POST /rest/{id}"
        front = "rest"
        [functions.url]
        route = "POST /url/{rest+}"
        front = "url"
        """,
    "helper.py": 'WHO = "first"\n',
    "inference/people.py": """
        from helper import WHO
        from pilotlight import endpoint

        @endpoint
        def handler(id: int, tags: list[str] = [], name: str = "") -> dict[str, object]:
            \"\"\"One of the people.\"\"\"
            return {"who": WHO, "id": id, "tags": tags, "name": name}
        """,
    "inference/upload.py": """
        from pilotlight import File, endpoint

        @endpoint
        def handler(file: File, note: str = "") -> dict[str, object]:
            return {"size": len(file.content), "name": file.filename, "type": file.content_type, "note": note}
        """,
    "inference/mirror.py": """
        from pilotlight import Body, Response, endpoint

        @endpoint
        def handler(body: Body) -> Response:
            return Response(201, (("content-type", body.content_type),), bytes(body))
        """,
    "inference/rest.py": """
        import json

        def handler(event, context):
            body = json.dumps([event["resource"], event["pathParameters"], event["body"], context.function_name])
            return {"statusCode": 202, "multiValueHeaders": {"X-Both": ["a", "b"]}, "body": body}
        """,
    "inference/url.py": """
        def handler(event, context):
            return [event["routeKey"], event["rawPath"], event.get("queryStringParameters"), event["body"]]
        """,
    "inference/fails.py": """
        def handler(event, context):
            raise RuntimeError("the password is swordfish")
        """,
    "inference/splits.py": """
        def handler(event, context):
            return {"statusCode": 200, "headers": {"x-a": "1\\r\\nset-cookie: stolen=1"}, "body": ""}
        """,
}
SECOND = {
    "helper.py": 'WHO = "second"\n',
    "inference/who.py": "from helper import WHO\n\ndef handler(event, context):\n    return WHO\n",
    "inference/thing.py": """
        import msgspec
        from pilotlight import endpoint

        class Thing(msgspec.Struct):
            size: int
            name: str = "box"

        @endpoint
        def handler(thing: Thing) -> Thing:
            return thing
        """,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("services")
    started = RunningServer([str(write(folder / "first", FIRST)), str(write(folder / "second", SECOND))], {})
    yield started
    assert started.stop() == 0


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made


# answers


def test_a_typed_function_takes_path_query_json_and_form(client: httpx.Client) -> None:
    answers = [
        client.get("/people/7?tags=a&tags=b%20c&name=%C3%A9"),
        client.post("/people/7", json={"tags": ["a", "b c"], "name": "é"}),
        client.post("/people/7", data={"tags": ["a", "b c"], "name": "é"}),
        client.post("/people/7", files={"tags": (None, "a"), "name": (None, "é")}),
    ]
    full = {"who": "first", "id": 7, "tags": ["a", "b c"], "name": "é"}
    assert [answer.json() for answer in answers] == [full, full, full, {**full, "tags": ["a"]}]
    assert {answer.headers["content-type"] for answer in answers} == {"application/json"}


def test_wrong_input_is_refused_with_field_and_reason(client: httpx.Client) -> None:
    answer = client.get("/people/seven")
    body = answer.json()
    assert (answer.status_code, [error["field"] for error in body["errors"]]) == (400, ["id"])
    assert body["message"].startswith("id: ")


def test_a_file_comes_in_a_form_and_alone(client: httpx.Client) -> None:
    content = bytes(range(256)) * 100
    form = client.post("/upload", files={"file": ("a.png", content, "image/png")}, data={"note": "n"})
    assert form.json() == {"size": 25_600, "name": "a.png", "type": "image/png", "note": "n"}
    alone = client.post("/upload?note=n", content=content, headers={"content-type": "image/png"})
    assert alone.json() == {"size": 25_600, "name": "", "type": "image/png", "note": "n"}


def test_bytes_come_back_as_they_went(client: httpx.Client) -> None:
    content = os.urandom(100_000)
    answer = client.post("/mirror", content=content, headers={"content-type": "image/webp"})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (201, "image/webp", content)


def test_a_raw_handler_behind_a_rest_api(client: httpx.Client) -> None:
    answer = client.post("/rest/a%20b", content=b"hello", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.headers.get_list("x-both")) == (202, ["a", "b"])
    assert answer.json() == ["/rest/{id}", {"id": "a%20b"}, "hello", "first--rest"]


def test_a_raw_handler_behind_a_function_url(client: httpx.Client) -> None:
    answer = client.post("/url/a/b%20c?q=1&q=2", content=b"hello", headers={"content-type": "text/plain"})
    assert answer.json() == ["$default", "/url/a/b%20c", {"q": "1,2"}, "hello"]


def test_a_function_that_fails_says_nothing_of_its_inside(client: httpx.Client, server: RunningServer) -> None:
    answer = client.post("/fails")
    assert (answer.status_code, answer.content) == (500, SERVER_ERROR)
    server.wait_for("log", function="first--fails", line="[ERROR] RuntimeError: the password is swordfish")


def test_a_function_cannot_write_headers_of_its_own(client: httpx.Client) -> None:
    answer = client.post("/splits")
    assert (answer.status_code, answer.content, "set-cookie" in answer.headers) == (500, SERVER_ERROR, False)


def test_services_have_modules_of_one_name(client: httpx.Client) -> None:
    assert client.post("/who").text == "second"
    assert client.get("/people/1").json()["who"] == "first"


# the server's own pages


def test_the_page_and_its_data(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    people: dict[str, Any] = next(entry for entry in described(client) if entry["key"] == "first--people")
    assert people == {
        "key": "first--people",
        "routes": ["GET /people/{id}", "POST /people/{id}"],
        "ready": True,
        "error": "",
        "hint": "",
        "doc": "One of the people.",
        "input": people["input"],
        "output": {"type": "object", "additionalProperties": {}},
        "raw": False,
        "streams": False,
        "memory": 1769,
        "timeout": 30,
        "event": None,
        "events": [],
        "needs_key": False,
    }
    assert people["input"]["properties"]["id"] == {"type": "integer"}


def described(client: httpx.Client) -> list[dict[str, object]]:
    """What the page knows when all functions are described."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        entries: list[dict[str, object]] = client.get("/_pilotlight/functions").json()
        if all(entry["ready"] for entry in entries):
            return entries
        time.sleep(0.05)
    raise AssertionError("some functions are never described")


def test_the_openapi_document_is_valid(client: httpx.Client) -> None:
    described(client)
    document = client.get("/openapi.json").json()
    validate(document)
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} >= {
        ("/people/{id}", "get"),
        ("/people/{id}", "post"),
        ("/upload", "post"),
        ("/rest/{id}", "post"),
        ("/thing", "post"),
    }
    assert document["components"]["schemas"]["Thing"]["required"] == ["size"]


def test_an_unknown_path_is_not_found(client: httpx.Client) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.content) == (404, b'{"message":"Not Found"}')
    assert client.put("/who").status_code == 404


def test_head_answers_without_a_body(client: httpx.Client) -> None:
    head, page = client.head("/"), client.get("/")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(page.content)))


def test_a_route_of_the_users_goes_before_the_page(tmp_path: Path, start_server: Start) -> None:
    toml = '[functions.home]\nroute = ["GET /", "GET /openapi.json"]\n'
    started = start_server(write(tmp_path, {"pilotlight.toml": toml, "inference/home.py": ECHO}))
    assert httpx.get(f"{started.url}/", timeout=60).json()["routeKey"] == "GET /"
    assert httpx.get(f"{started.url}/openapi.json", timeout=60).json()["routeKey"] == "GET /openapi.json"
    assert httpx.get(f"{started.url}/_pilotlight/functions", timeout=60).json()[0]["key"].endswith("--home")


# limits and clients that misbehave


@pytest.mark.parametrize(
    ("path", "size", "message"),
    [
        ("/mirror", 10_485_761, "Request Entity Too Large"),
        ("/mirror", 6_291_556, "Request Entity Too Large"),  # over Lambda's limit once it is base64 in an event
        ("/url/a", 6_291_556, "Request must be smaller than 6291456 bytes for the InvokeFunction operation"),
    ],
)
def test_a_body_that_is_too_large(client: httpx.Client, path: str, size: int, message: str) -> None:
    answer = client.post(path, content=b"x" * size, headers={"content-type": "image/png"})
    assert (answer.status_code, answer.json()) == (413, {"message": message})
    assert client.post("/who").text == "second"


def connect(server: RunningServer) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /mirror HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nonly this",
        b"POST /mirror HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"POST /mirror HTTP/1.1\r\nHost: a\r\nContent-Le",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["a body that ends too soon", "a chunk that ends too soon", "half a header", "TLS"],
)
def test_a_client_that_leaves_early_does_no_harm(client: httpx.Client, server: RunningServer, sent: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(sent)
        assert client.post("/who").text == "second"
    assert client.post("/who").text == "second"
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("OPTIONS * HTTP/1.1", 404),
        ("GET //people/7 HTTP/1.1", 404),
        ("GET /%zz?%zz HTTP/1.1", 404),
        ("GET /people/%zz HTTP/1.1", 400),
        ("FOO /people/7 HTTP/1.1", 400),
        ("GARBAGE", 400),
    ],
)
def test_a_strange_request_line_is_answered(server: RunningServer, request_line: str, status: int) -> None:
    with connect(server) as connection:
        connection.sendall(f"{request_line}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_hundred_requests_on_one_connection(server: RunningServer) -> None:
    request = b"POST /who HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    with connect(server) as connection, connection.makefile("rb") as reader:
        for _ in range(100):
            connection.sendall(request)
            headers = dict(line.split(b": ", 1) for line in iter(reader.readline, b"\r\n") if b": " in line)
            assert reader.read(int(headers[b"content-length"])) == b"second"


# functions that are slow or broken


def test_a_quick_function_answers_while_a_slow_one_starts(tmp_path: Path, start_server: Start) -> None:
    waits = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.02)\n"
    files = {"inference/slow.py": waits + ECHO, "inference/quick.py": ECHO}
    started = start_server(write(tmp_path / "service", files))
    with request_without_waiting(started, "/slow") as connection:
        assert httpx.post(f"{started.url}/quick", timeout=60).status_code == 200
        entries = httpx.get(f"{started.url}/_pilotlight/functions", timeout=60).json()
        assert [entry["ready"] for entry in entries if entry["routes"] == ["POST /slow"]] == [False]
        (tmp_path / "service" / "go").touch()
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


BROKEN = {
    "pilotlight.toml": '[functions.absent]\nmodel = "models/absent"\ninstall = "make absent"\n',
    "inference/good.py": ECHO,
    "inference/absent.py": ECHO,
    "inference/imports.py": "import nothing_of_that_name\n" + ECHO,
    "inference/raises.py": 'raise KeyError("LABELS")\n' + ECHO,
    "inference/exits.py": "import os\nos._exit(3)\n" + ECHO,
    "inference/syntax.py": "def handler(event, context:\n",
    "inference/nameless.py": "def handle(event, context):\n    return event\n",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(EXAMPLES / "sentences", folder / "sentences")
    model = folder / "sentences/models/kim_cnn/model.onnx"
    model.write_bytes(model.read_bytes()[:100_000])
    started = RunningServer([str(write(folder / "service", BROKEN)), str(folder / "sentences")], {})
    yield started, folder
    assert started.stop() == 0


def test_what_is_broken_is_said_at_the_start(broken: tuple[RunningServer, Path]) -> None:
    started, folder = broken
    said: dict[object, tuple[object, object]] = {}
    while len(said) < 9:
        line = started.wait_for("described")
        said[line["function"]] = (line["error"], line["hint"])
    assert said.pop("sentences--sm_cnn") == ("", "")
    model, hint = said.pop("sentences--kim_cnn")
    assert str(model).startswith(f"loading {folder}/sentences/models/kim_cnn/model.onnx: ")
    assert hint == "the file is damaged or is no ONNX model: copy or export it again"
    inference = folder / "service/inference"
    look = "`pilotlight invoke {} --dir " + f"{folder}/service` shows where"
    assert said == {
        "service--good": ("", ""),
        "service--absent": ("its model is not installed", "install it with: make absent"),
        "service--imports": (
            "Unable to import module 'inference/imports': No module named 'nothing_of_that_name'",
            "install it (into the service's .venv, where there is one), or correct the name",
        ),
        "service--raises": ("importing it: KeyError: 'LABELS'", look.format("raises")),
        "service--exits": ("importing it ended the process with exit status 3", look.format("exits")),
        "service--syntax": (
            f"{inference}/syntax.py, line 1: this is not Python: '(' was never closed",
            "correct the syntax",
        ),
        "service--nameless": (
            f"{inference}/nameless.py: there is no 'handler' at the top level",
            "rename 'handle', or set handler = \"handle\" under [functions.nameless]",
        ),
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/imports", {}),
        ("/raises", {}),
        ("/exits", {}),
        ("/syntax", {}),
        ("/nameless", {}),
        ("/kim_cnn", {"input": "a"}),
    ],
)
def test_what_is_broken_is_500_without_its_inside(
    broken: tuple[RunningServer, Path], path: str, body: Mapping[str, str]
) -> None:
    started, _ = broken
    answer = httpx.post(f"{started.url}{path}", json=body, timeout=60)
    assert (answer.status_code, answer.content) == (500, SERVER_ERROR)
    assert httpx.post(f"{started.url}/good", json={}, timeout=60).status_code == 200


def test_a_model_that_is_not_installed_is_503_with_the_command(broken: tuple[RunningServer, Path]) -> None:
    started, _ = broken
    answer = httpx.post(f"{started.url}/absent", json={}, timeout=60)
    message = "the model of absent is not installed; install it with: make absent"
    assert (answer.status_code, answer.json()) == (503, {"message": message})


# reloading


def answering(value: int) -> str:
    return f"def handler(event, context):\n    return {value}\n"


def test_a_change_is_served_and_a_mistake_is_not(tmp_path: Path, start_server: Start) -> None:
    started = start_server(write(tmp_path / "service", {"inference/one.py": answering(1), "pilotlight.toml": ""}))
    url = f"{started.url}/one"
    assert httpx.post(url, timeout=60).json() == 1

    # a machine may be so busy that files which are written together come as two changes
    write(tmp_path / "service", {"inference/one.py": answering(2), "inference/two.py": answering(22)})
    started.wait_for("reloaded", services=["service"])
    until(lambda: httpx.post(url, timeout=60).text == "2")
    until(lambda: httpx.post(f"{started.url}/two", timeout=60).text == "22")

    write(tmp_path / "service", {"pilotlight.toml": "[functions.one]\ntimeuot = 3\n"})
    refused = started.wait_for("refused")
    assert refused["error"] == f"{tmp_path}/service/pilotlight.toml: functions.one.timeuot: there is no such setting"
    assert refused["hint"] == "did you mean 'timeout'?"
    assert httpx.post(url, timeout=60).json() == 2

    write(tmp_path / "service", {"pilotlight.toml": '[functions.one]\nroute = "POST /uno"\n'})
    until(lambda: httpx.post(f"{started.url}/uno", timeout=60).text == "2")
    assert httpx.post(url, timeout=60).status_code == 404

    (tmp_path / "service/inference/two.py").unlink()
    until(lambda: httpx.post(f"{started.url}/two", timeout=60).status_code == 404)


def test_what_a_function_writes_into_its_folder_is_no_change(tmp_path: Path, start_server: Start) -> None:
    code = """
        import pathlib, time
        pathlib.Path("cache.db").write_text(str(time.time()))

        def handler(event, context):
            return 1
    """
    started = start_server(write(tmp_path, {"inference/one.py": code}), "--isolation", "none")
    started.wait_for("described")
    assert httpx.post(f"{started.url}/one", timeout=60).json() == 1
    time.sleep(1)
    write(tmp_path, {"inference/two.py": answering(2)})
    started.wait_for("reloaded")
    assert [line["event"] for line in started.lines].count("reloaded") == 1


def test_without_reload_nothing_changes(tmp_path: Path, start_server: Start) -> None:
    started = start_server(write(tmp_path, {"inference/one.py": answering(1)}), "--no-reload")
    write(tmp_path, {"inference/two.py": answering(2)})
    time.sleep(1)
    assert httpx.post(f"{started.url}/two", timeout=60).status_code == 404


# the service's own virtual environment


def test_the_services_own_virtual_environment_is_used(tmp_path: Path, start_server: Start) -> None:
    code = """
        import sys
        from pilotlight import endpoint

        @endpoint
        def handler() -> list[str]:
            return [sys.prefix, *sorted(name for name in ("httpx", "onnxruntime") if _is_there(name))]

        def _is_there(name):
            try:
                __import__(name)
            except ImportError:
                return False
            return True
        """
    write(tmp_path, {"inference/where.py": code})
    command = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")]
    subprocess.run(command, check=True, timeout=60)
    started = start_server(tmp_path)
    assert httpx.post(f"{started.url}/where", timeout=60).json() == [str(tmp_path / ".venv")]


def test_a_virtual_environment_that_does_not_start_is_said(tmp_path: Path, start_server: Start) -> None:
    python = write(tmp_path, {"inference/echo.py": ECHO, ".venv/bin/python": "no program\n"}) / ".venv/bin/python"
    started = start_server(tmp_path)
    line = started.wait_for("described")
    assert line["error"] == f"starting {python}: Permission denied"
    assert line["hint"] == "make the service's .venv again"
    assert httpx.post(f"{started.url}/echo", timeout=60).status_code == 500


# starting and stopping


def run(*arguments: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "pilotlight", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_taken_port_is_said(tmp_path: Path, server: RunningServer) -> None:
    port = server.url.rpartition(":")[2]
    assert run(write(tmp_path, {"inference/one.py": ECHO}), "--port", port) == (
        2,
        "",
        f"error: listening on 127.0.0.1:{port}: the port is taken\n"
        "hint: choose another with --port; 0 takes a free one\n",
    )


def test_two_functions_on_one_route_are_refused_with_both_files(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, {"inference/qa.py": ECHO}) for name in ("one", "two"))
    assert run(one, two, "--port", 0) == (
        2,
        "",
        f"error: {one}/inference/qa.py and {two}/inference/qa.py: both have the route 'POST /qa'\n"
        f"hint: set another route under [functions.qa] in {two}/pilotlight.toml\n",
    )


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    status, out, err = run(tmp_path / "nowhere", "--json")
    error = {"error": f"{tmp_path}/nowhere: there is no such folder", "hint": "`pilotlight new` starts a project"}
    assert (status, json.loads(out)) == (2, error)
    assert err == f"error: {error['error']}\nhint: {error['hint']}\n"


def test_the_text_that_a_user_sees(tmp_path: Path) -> None:
    """The printed curl is run as it stands: its answer is the example's."""
    command = [sys.executable, "-m", "pilotlight", "serve", str(EXAMPLES / "minimal"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    curl = next(line.strip() for line in lines if line.strip().startswith("curl "))
    answer = subprocess.run(curl, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(answer.stdout) == {"greeting": "Hello, Ada!"}
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in out, err) == (0, False, "")


def processes_of(pid: int) -> set[int]:
    """The processes that a process has started, and theirs."""
    children: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it is gone by now
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            children |= {child} | processes_of(child)
    return children


def alive(pids: set[int]) -> list[str]:
    """Their command lines; a process that has ended and that nobody has asked about has none."""
    lines = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    return [line.read_text() for line in lines if line.exists() and line.read_text()]


STAYING = "import subprocess, time\nsubprocess.Popen(['sleep', '600'])\n"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.system)]
)
def test_a_signal_stops_it_and_leaves_no_process(tmp_path: Path, number: int) -> None:
    """A request runs, one waits for its environment's init, one is half sent; a function has started a process."""
    files = {
        "inference/idle.py": STAYING + ECHO,
        "inference/busy.py": "import time\n\ndef handler(event, context):\n    print('runs')\n    time.sleep(600)\n",
        "inference/init.py": "import os, time\nprint('AWS_LAMBDA_RUNTIME_API' in os.environ, flush=True)\n"
        "time.sleep(600)\n" + ECHO,
    }
    (tmp_path / "tmp").mkdir()
    started = RunningServer([str(write(tmp_path / "service", files))], {"TMPDIR": str(tmp_path / "tmp")})
    pid = started.process.pid
    assert httpx.post(f"{started.url}/idle", timeout=60).status_code == 200
    connections = [request_without_waiting(started, "/idle", 9), request_without_waiting(started, "/busy")]
    started.wait_for("log", function="service--busy", line="runs")
    connections.append(request_without_waiting(started, "/init"))
    started.wait_for("log", function="service--init", line="True")  # in an environment, not where it is described
    children = processes_of(pid)
    assert len(children) >= 5  # three environments, sleep, the process that forks
    started.process.send_signal(number)
    assert started.end() == (0, "")
    assert alive(children) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    for connection in connections:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 503 ")
        connection.close()


def request_without_waiting(server: RunningServer, path: str, missing: int = 0) -> socket.socket:
    """A request whose body has `missing` bytes less than it says."""
    connection = connect(server)
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {missing}\r\n\r\n".encode())
    return connection


def test_a_second_signal_does_not_wait(tmp_path: Path, start_server: Start) -> None:
    code = "import time\n\ndef handler(event, context):\n    print('running')\n    time.sleep(600)\n"
    started = start_server(write(tmp_path, {"inference/one.py": code}))
    with request_without_waiting(started, "/one") as connection:
        started.wait_for("log", line="running")
        children = processes_of(started.process.pid)
        started.process.send_signal(signal.SIGINT)
        until(lambda: refuses(started))  # the first signal has come
        assert started.stop(signal.SIGINT) == 0
        assert not connection.recv(65_536).startswith(b"HTTP/1.1 503 ")  # which is the answer after the whole wait
    assert alive(children) == []


def refuses(server: RunningServer) -> bool:
    """Whether it takes no connections any more."""
    try:
        connect(server).close()
    except ConnectionError:  # refused, or taken by a listener that closes
        return True
    return False


def test_a_request_that_is_nearly_done_is_answered_before_the_end(tmp_path: Path, start_server: Start) -> None:
    code = "import time\n\ndef handler(event, context):\n    print('running')\n    time.sleep(1)\n    return 1\n"
    started = start_server(write(tmp_path, {"inference/one.py": code}))
    with request_without_waiting(started, "/one") as connection:
        started.wait_for("log", line="running")
        assert started.stop(signal.SIGTERM) == 0
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
