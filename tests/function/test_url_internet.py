"""URLs of clients in an internet of one machine, where the public addresses are there as well, and those inside too."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import png, write
from http_servers import CERTIFICATE
from url_bypasses import BYPASSES

pytestmark = pytest.mark.system  # a network namespace

TESTS = Path(__file__).parents[1]
PUBLIC = "must be a public http or https address"
NONE_THERE = f"{PUBLIC}: its host has none"

# Fetches the URLs of stdin, one after the other; {"URL": "what it holds, or why not"}.
FETCH = """
import json, sys
from pilotlight.errors import InputError
from pilotlight.function.url_fetch import fetch
asked = json.load(sys.stdin)
told = []
for url in asked["urls"]:
    try:
        told.append(fetch(url, most=1_000, seconds=asked["seconds"])[0].decode())
    except InputError as error:
        told.append(str(error))
json.dump(told, sys.stdout)
"""


# Starts `pilotlight serve` in the folder that stdin names, and gives the function `size` each URL; messages or sizes.
SERVE = f"""
import json, sys, urllib.error, urllib.request
sys.path.insert(0, {str(TESTS)!r})
from conftest import RunningServer
asked = json.load(sys.stdin)
server = RunningServer([asked["folder"], "--no-reload"], {{}})
told = []
for url in asked["urls"]:
    headers = {{"content-type": "application/json"}}
    request = urllib.request.Request(server.url + "/size", json.dumps({{"url": url}}).encode(), headers)
    try:
        told.append(urllib.request.urlopen(request).read().decode())
    except urllib.error.HTTPError as error:
        told.append(str(error.code) + " " + json.load(error)["message"])
server.stop()
json.dump(told, sys.stdout)
"""
SIZE = """
    from pilotlight import ImageUrl, endpoint


    @endpoint
    def handler(url: ImageUrl) -> list[int]:
        return [url.width, url.height]
    """


def page(text: str, status: str = "200 OK", headers: str = "") -> str:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Type: image/png\r\nContent-Length: {len(text)}\r\n\r\n{text}"


def moved(location: str) -> str:
    return page("", "302 Found", f"Location: {location}\r\n")


def internet(
    urls: list[str],
    zone: dict[str, list[list[str]]],
    pages: dict[str, str],
    seconds: float = 60,
    folder: Path | None = None,
) -> dict[str, Any]:
    """`told`: what came of each URL; `connections` and `asked` as in `small_internet`.

    With a `folder` the function `size` in it is served and asked, else `fetch` is.
    """
    plan = {
        "zone": zone,
        "pages": pages,
        "certificate": str(CERTIFICATE),
        "command": [sys.executable, "-c", SERVE if folder else FETCH],
        "input": json.dumps({"urls": urls, "seconds": seconds, "folder": str(folder)}),
    }
    command = [sys.executable, str(TESTS / "small_internet.py")]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["status"] == 0, result["errors"]
    return {"told": json.loads(result["output"]), "connections": result["connections"], "asked": result["asked"]}


def test_public_addresses_are_fetched_from() -> None:
    zone = {
        "pictures.net": [["8.8.8.8"]],
        "six.pictures.net": [["2606:4700::6"]],
        "both.pictures.net": [["1.1.1.1", "8.8.4.4"]],
    }
    pages = {
        "http://8.8.8.8/a.png": page("four"),
        "http://[2606:4700::6]/a.png": page("six"),
        "http://1.1.1.1/a.png": page("one"),
        "http://8.8.4.4/a.png": page("one"),
    }
    urls = [
        *("http://pictures.net/a.png", "http://six.pictures.net/a.png", "http://both.pictures.net/a.png"),
        *("http://8.8.8.8/a.png", "http://[2606:4700::6]:80/a.png", "http://pictures.net/b.png"),
    ]
    found = internet(urls, zone, pages)
    assert found["told"] == ["four", "six", "one", "four", "six", "cannot be fetched: its server answered 404"]
    assert [*found["connections"][:2], *found["connections"][3:]] == [
        *("8.8.8.8", "2606:4700::6", "8.8.8.8", "2606:4700::6", "8.8.8.8")
    ]
    assert found["connections"][2] in ("1.1.1.1", "8.8.4.4")
    assert found["asked"] == {"pictures.net": 2, "six.pictures.net": 1, "both.pictures.net": 1}


def test_a_name_server_that_changes_its_mind() -> None:
    """The address that was checked is the one that is connected to, and the name is not asked for again in between."""
    zone = {
        "rebinding.net": [["8.8.8.8"], ["127.0.0.1"]],
        "metadata.rebinding.net": [["8.8.8.8"], ["169.254.169.254"]],
        "six.rebinding.net": [["2606:4700::6"], ["::1"]],
    }
    pages = {
        "http://8.8.8.8": page("public"),
        "http://[2606:4700::6]": page("public"),
        "http://127.0.0.1": page("inside"),
    }
    urls = [f"http://{name}/a.png" for name in zone for _ in range(2)]
    found = internet(urls, zone, pages)
    assert found["told"] == ["public", NONE_THERE] * 3
    assert found["connections"] == ["8.8.8.8", "8.8.8.8", "2606:4700::6"]
    assert found["asked"] == dict.fromkeys(zone, 2)


def test_a_redirect_to_the_same_name_is_resolved_and_checked_again() -> None:
    zone = {"rebinding.net": [["8.8.8.8"], ["127.0.0.1"]]}
    pages = {"http://8.8.8.8/a": moved("/b"), "http://127.0.0.1/b": page("inside")}
    found = internet(["http://rebinding.net/a"], zone, pages)
    assert found["told"] == [NONE_THERE]
    assert found["connections"] == ["8.8.8.8"]
    assert found["asked"] == {"rebinding.net": 2}


INSIDE = (
    *("127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fd00:ec2::254"),
    *("fe80::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::1", "2001:db8::1"),
)


def test_names_of_addresses_inside() -> None:
    """As localtest.me and nip.io are: public names that lead back to whoever asks."""
    zone = {f"n{number}.attacker.net": [[address]] for number, address in enumerate(INSIDE)}
    zone |= {f"mixed{number}.attacker.net": [["8.8.8.8", address]] for number, address in enumerate(INSIDE)}
    found = internet([f"http://{name}/" for name in zone], zone, {"http://8.8.8.8": page("public")})
    assert found["told"] == [NONE_THERE] * 2 * len(INSIDE)
    assert found["connections"] == []


def test_redirects_inside() -> None:
    places = [f"http://{f'[{address}]' if ':' in address else address}/" for address in INSIDE]
    urls = [bypass.at(80) for bypass in BYPASSES]
    places += [url for url in urls if re.match("([A-Za-z][A-Za-z0-9+.-]*:|//)[!-~]+$", url)]  # as a header may say it
    assert len(places) > 200
    pages = {f"http://8.8.8.8/{number}": moved(place) for number, place in enumerate(places)}
    found = internet([f"http://8.8.8.8/{number}" for number in range(len(places))], {}, pages)
    assert found["told"] == [PUBLIC] * len(places)
    assert found["connections"] == ["8.8.8.8"] * len(places)


def test_every_known_bypass() -> None:
    found = internet([bypass.at(80) for bypass in BYPASSES], {}, {})
    assert found["told"] == [PUBLIC] * len(BYPASSES)
    assert found["connections"] == []
    assert found["asked"] == {}


def test_a_function_that_is_served(tmp_path: Path) -> None:
    folder = write(tmp_path, {"inference/size.py": SIZE})
    zone = {"pictures.net": [["8.8.8.8"], ["127.0.0.1"]], "inside.net": [["10.0.0.1"]]}
    pages = {"http://8.8.8.8/a.png": page(png(3, 2).decode("latin-1")), "http://8.8.8.8/b": moved("http://127.0.0.1/")}
    bypasses = [bypass.at(80) for bypass in BYPASSES]
    urls = [
        "http://pictures.net/a.png",
        "http://pictures.net/a.png",
        "http://8.8.8.8/b",
        "http://inside.net/",
        *bypasses,
    ]
    found = internet(urls, zone, pages, folder=folder)
    inside, refused = f"400 url: {NONE_THERE}", f"400 url: {PUBLIC}"
    assert found["told"] == ["[3,2]", inside, refused, inside, *([refused] * len(bypasses))]
    assert found["connections"] == ["8.8.8.8", "8.8.8.8"]
    assert found["asked"] == {"pictures.net": 2, "inside.net": 1}


def test_a_name_server_that_says_nothing() -> None:
    found = internet(["http://silent.net/"], {"silent.net": [[""]]}, {}, seconds=0.5)
    assert found["told"] == ["cannot be fetched: it took longer than 0.5 s"]
    assert found["connections"] == []


def test_a_name_that_there_is_not() -> None:
    found = internet(["http://nothing.net/"], {}, {})
    assert (found["told"], found["connections"]) == ([NONE_THERE], [])
