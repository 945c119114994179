"""What the extension talks to in its tests: services under `pilotlight serve`, and a front that sees what comes in."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

import http_servers
from conftest import RunningServer, write

KEY = "0123456789-0123456789"

TRANSLATE = '''
    """A translation that can be foreseen: the level and the text behind 你好; some texts ask for other answers."""
    import os, pathlib, time
    from pilotlight import Response, endpoint
    from pilotlight.errors import InputError, InputTooLarge

    @endpoint
    def handler(text: str, difficulty: int = 5) -> Response:
        if len(text) > 200_000:
            raise InputTooLarge(("text", f"{len(text)} characters, and 200000 are allowed"))
        while "SLOW" in os.environ:
            time.sleep(1)
        match text.split(" "):
            case ["bad"]:
                raise InputError(("text", "must not be bad"))
            case ["explode"]:
                raise ValueError("a secret of the service")
            case ["empty"]:
                return answer("")
            case ["page"]:
                return Response(200, (("content-type", "text/html"),), b"<h1>Welcome</h1>")
            case ["moved", url]:
                return Response(307, (("location", url),))
            case ["wait", gate]:
                while not pathlib.Path(gate).exists():
                    time.sleep(0.01)
        return answer(f"你好 {difficulty} {text}")

    def answer(text: str) -> Response:
        return Response(200, (("content-type", "text/plain; charset=utf-8"),), text.encode())
'''

CORS = '[cors]\norigins = ["*"]\nheaders = ["content-type", "x-api-key"]\n'

SERVICES: Mapping[str, str] = {  # settings by name, which is the stage too, so that all are behind one server
    "open": CORS,
    "closed": "",
    "keyed": f'{CORS}[usage_plans.all]\nkeys = ["mobile"]\n[functions.translate]\napi_key = true\n',
    "slow": f'{CORS}[functions.translate]\ntimeout = 900\nenvironment = {{ SLOW = "yes" }}\n',
    "busy": f"{CORS}[functions.translate]\nthrottle = {{ rate = 0.001, burst = 1 }}\n",
}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[http_servers.HttpServer]:
    """A front that hands everything on to `pilotlight serve` with the services, and keeps what it was asked."""
    for name, settings in SERVICES.items():
        toml = f'stage = "{name}"\n{settings}'
        write(folder / name, {"inference/translate.py": TRANSLATE, "pilotlight.toml": toml})
    folders = [str(folder / name) for name in SERVICES]
    # they wait for files of the tests, so that they are not isolated
    server = RunningServer([*folders, "--isolation", "none"], {"PILOTLIGHT_API_KEY_MOBILE": KEY})
    try:
        with watched(server.url) as front:
            yield front
    finally:
        server.stop()


@contextlib.contextmanager
def watched(url: str) -> Iterator[http_servers.HttpServer]:
    """The same before any server."""
    with (
        httpx.Client(base_url=url, timeout=600) as client,
        http_servers.serving(lambda request: _hand_on(client, request)) as front,
    ):
        yield front


def _hand_on(client: httpx.Client, request: http_servers.Request) -> bytes:
    headers = {name: value for name, value in request.headers.items() if name not in ("host", "connection")}
    answer = client.request(request.method, request.target, headers=headers, content=request.body)
    kept = {name: value for name, value in answer.headers.items() if name not in ("content-length", "connection")}
    lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
    return http_servers.answer(answer.status_code, answer.content, lines)
