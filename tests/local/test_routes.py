"""Which route wins: API Gateway's order of preference."""

import pytest

from pilotlight.local.routes import Match, Router

ROUTES = [
    "GET /",
    "GET /pets",
    "ANY /pets",
    "GET /pets/{id}",
    "GET /pets/dog",
    "POST /pets/{id}/photos/{photo}",
    "GET /pets/{rest+}",
    "ANY /{all+}",
]
router = Router([(*route.split(" "), route) for route in ROUTES])  # type: ignore[misc]


@pytest.mark.parametrize(
    ("request_line", "route", "parameters"),
    [
        ("GET /", "GET /", {}),
        ("POST /", None, {}),
        ("GET /pets", "GET /pets", {}),
        ("DELETE /pets", "ANY /pets", {}),
        ("GET /pets/dog", "GET /pets/dog", {}),
        ("GET /pets/cat", "GET /pets/{id}", {"id": "cat"}),
        ("GET /pets/a%20b", "GET /pets/{id}", {"id": "a b"}),
        ("GET /pets/a%2Fb", "GET /pets/{id}", {"id": "a/b"}),
        ("GET /pets/caf%C3%A9", "GET /pets/{id}", {"id": "café"}),
        ("POST /pets/7/photos/2", "POST /pets/{id}/photos/{photo}", {"id": "7", "photo": "2"}),
        ("GET /pets/7/photos/2", "GET /pets/{rest+}", {"rest": "7/photos/2"}),
        ("POST /pets/dog", "ANY /{all+}", {"all": "pets/dog"}),
        ("GET /pets/", "ANY /{all+}", {"all": "pets/"}),  # an empty segment is no value for a parameter
        ("GET /a//b", "ANY /{all+}", {"all": "a//b"}),
        ("GET /PETS", "ANY /{all+}", {"all": "PETS"}),
    ],
)
def test_matches(request_line: str, route: str | None, parameters: dict[str, str]) -> None:
    method, path = request_line.split(" ")
    assert router.match(method, path) == (None if route is None else Match(route, parameters))


def test_lists_the_targets_of_a_path() -> None:
    assert router.targets_at("/pets/dog") == ["GET /pets/dog", "GET /pets/{id}", "GET /pets/{rest+}", "ANY /{all+}"]
    assert Router([("GET", "/a", 1)]).targets_at("/b") == []


def test_many_segments_do_not_take_long() -> None:
    deep = Router([("GET", "/" + "/".join(["{a}"] * 3), "short"), ("GET", "/{rest+}", "rest")])
    found = deep.match("GET", "/x" * 50_000)
    assert found is not None
    assert found.target == "rest"
