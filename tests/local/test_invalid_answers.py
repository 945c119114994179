"""What each front end makes of answers that are not as they should be: a real function behind each, a real server.

Rows without a mark are told by AWS's documentation or by answers of the real services that others published, see
`pilotlight.events` and `pilotlight.local.answers`; "(belief)" marks the others.
"""

from collections.abc import Iterator

import httpx
import pytest

from conftest import RunningServer, write

Answer = tuple[int, str]

EVALUATES = "def handler(event, context):\n    return eval(event['body'])\n"
FILES = {
    "pilotlight.toml": """
        [functions.rest]
        front = "rest"
        [functions.url]
        front = "url"
        """,
    **{f"inference/{name}.py": EVALUATES for name in ("rest", "http", "url")},
}

REST_ERROR = (502, '{"message": "Internal server error"}')
HTTP_ERROR = (500, '{"message":"Internal Server Error"}')
URL_ERROR = (502, "Internal Server Error")
REFUSED = (REST_ERROR, HTTP_ERROR, URL_ERROR)


def same(status: int, body: str) -> tuple[Answer, Answer, Answer]:
    return ((status, body),) * 3


def inferred(body: str) -> tuple[Answer, Answer, Answer]:
    """The whole answer is the body, but a REST API needs an object with fields that it knows."""
    return (REST_ERROR, (200, body), (200, body))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    server = RunningServer([str(write(tmp_path_factory.mktemp("answers") / "service", FILES)), "--no-reload"], {})
    with httpx.Client(base_url=server.url, timeout=60, headers={"content-type": "text/plain"}) as made:
        yield made
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # the status
        ("{'body': 'x'}", ((200, "x"), (200, '{"body":"x"}'), (200, '{"body":"x"}'))),
        ("{}", ((200, ""), (200, "{}"), (200, "{}"))),
        ("{'statusCode': None, 'body': 'x'}",
         ((200, "x"), (200, '{"statusCode":null,"body":"x"}'), (200, '{"statusCode":null,"body":"x"}'))),
        ("{'statusCode': '201', 'body': 'x'}", same(201, "x")),
        ("{'statusCode': '20', 'body': 'x'}", REFUSED),
        ("{'statusCode': 'OK', 'body': 'x'}", REFUSED),
        ("{'statusCode': 200.0, 'body': 'x'}", REFUSED),  # (belief)
        ("{'statusCode': True, 'body': 'x'}", REFUSED),  # (belief)
        ("{'statusCode': [200], 'body': 'x'}", REFUSED),
        ("{'statusCode': 0, 'body': 'x'}", REFUSED),
        ("{'statusCode': 101, 'body': 'x'}", REFUSED),  # (belief)
        ("{'statusCode': 600, 'body': 'x'}", REFUSED),
        ("{'statusCode': -200, 'body': 'x'}", REFUSED),
        ("{'statusCode': 10 ** 30, 'body': 'x'}", REFUSED),
        ("{'statusCode': 204, 'body': 'x'}", same(204, "")),
        ("{'statusCode': 304, 'body': 'x'}", same(304, "")),
        ("{'statusCode': 599, 'body': 'x'}", same(599, "x")),
        # not an object
        ("None", inferred("null")),
        ("5", inferred("5")),
        ("True", inferred("true")),
        ("[1, 'a']", inferred('[1,"a"]')),
        ("'some text'", inferred("some text")),
        ("{'answer': 42}", inferred('{"answer":42}')),
        ("{'errorMessage': 'x'}", (REST_ERROR, HTTP_ERROR, (200, '{"errorMessage":"x"}'))),
        # the body
        ("{'statusCode': 200, 'body': None}", same(200, "")),
        ("{'statusCode': 200}", same(200, "")),
        ("{'statusCode': 200, 'body': {'a': 1}}", REFUSED),
        ("{'statusCode': 200, 'body': 7}", REFUSED),
        ("{'statusCode': 200, 'body': ['a']}", REFUSED),
        ("{'statusCode': 200, 'body': True}", REFUSED),
        ("{'statusCode': 200, 'body': 'a\\ud800b'}", REFUSED),
        ("{'statusCode': 200, 'body': '!!', 'isBase64Encoded': True}", ((200, "!!"), HTTP_ERROR, URL_ERROR)),
        ("{'statusCode': 200, 'body': 'aGk=', 'isBase64Encoded': True}", ((200, "aGk="), (200, "hi"), (200, "hi"))),
        ("{'statusCode': 200, 'body': 'x', 'isBase64Encoded': 'false'}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'isBase64Encoded': None}", same(200, "x")),
        # headers
        ("{'statusCode': 200, 'body': 'x', 'headers': None}", same(200, "x")),
        ("{'statusCode': 200, 'body': 'x', 'headers': []}", REFUSED),
        ("{'statusCode': 200, 'body': 'x', 'headers': 'a: b'}", REFUSED),
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a': ['b']}}", REFUSED),
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a': {'b': 'c'}}}", REFUSED),
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a': 1, 'x-b': True, 'x-c': None}}", same(200, "x")),
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a': 'b\\r\\nset-cookie: c=d'}}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a': 'b\\0'}}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x a': 'b'}}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a\\r\\n': 'b'}}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'headers': {'': 'b'}}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a': 'é ☃'}}", same(200, "x")),
        ("{'statusCode': 200, 'body': 'x', 'headers': {'x-a': 'b' * 10_241}}",
         (REST_ERROR, HTTP_ERROR, (200, "x"))),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'headers': {f'x-{n}': 'b' * 100 for n in range(103)}}",
         (REST_ERROR, HTTP_ERROR, (200, "x"))),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'headers': {f'x-{n}': 'b' * 100 for n in range(100)}}", same(200, "x")),
        ("{'statusCode': 200, 'body': 'x', 'multiValueHeaders': {'x-a': 'b'}}",
         (REST_ERROR, (200, "x"), (200, "x"))),
        ("{'statusCode': 200, 'body': 'x', 'multiValueHeaders': {'x-a': [['b']]}}",
         (REST_ERROR, (200, "x"), (200, "x"))),
        ("{'statusCode': 200, 'body': 'x', 'multiValueHeaders': []}", (REST_ERROR, (200, "x"), (200, "x"))),
        ("{'statusCode': 200, 'body': 'x', 'cookies': 'a=b'}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'cookies': [['a=b']]}", REFUSED),  # (belief)
        ("{'statusCode': 200, 'body': 'x', 'cookies': ['a=b\\r\\nx: y']}", REFUSED),  # (belief)
        # fields that are not known
        ("{'statusCode': 200, 'body': 'x', 'cookies': ['a=b']}", (REST_ERROR, (200, "x"), (200, "x"))),
        ("{'statusCode': 200, 'body': 'x', 'elapsed': 5}", (REST_ERROR, (200, "x"), (200, "x"))),
        # what is no JSON, is no answer, or is too much of one
        ("{'statusCode': 200, 'body': b'x'}", same(200, "x")),  # the runtime of AWS takes bytes for text
        ("{'statusCode': 200, 'body': object()}", REFUSED),
        ("{1, 2}", REFUSED),
        ("1 / 0", REFUSED),
        ("__import__('os')._exit(3)", REFUSED),
        ("__import__('sys').exit()", REFUSED),
        ("{'statusCode': 200, 'body': 'x' * 6_291_557}", REFUSED),
        ("{'statusCode': 200, 'body': 'x' * 10_485_761}", REFUSED),
    ],
)  # fmt: skip
def test_an_answer(client: httpx.Client, expression: str, expected: tuple[Answer, Answer, Answer]) -> None:
    answers = [client.post(path, content=expression) for path in ("/rest", "/http", "/url")]
    assert tuple((answer.status_code, answer.text) for answer in answers) == expected
    assert all("set-cookie" not in answer.headers or answer.headers["set-cookie"] == "a=b" for answer in answers)
    assert answers[0].headers.get("x-amzn-errortype") == (
        "InternalServerErrorException" if expected[0] == REST_ERROR else None
    )


def test_headers_that_are_not_the_functions(client: httpx.Client) -> None:
    """A REST API sends some of them on renamed; no other does."""
    headers = {
        "Date": "now",
        "Connection": "close",
        "Content-Length": "9",
        "Server": "mine",
        "WWW-Authenticate": "Basic",
    }
    own = {
        **headers,
        "X-Amzn-RequestId": "mine",
        "X-Amzn-Trace-Id": "mine",
        "Apigw-Requestid": "mine",
        "Upgrade": "h2c",
    }
    expression = repr({"statusCode": 200, "body": "x", "headers": own})
    rest, http, url = (client.post(path, content=expression).headers for path in ("/rest", "/http", "/url"))
    assert {name: value for name, value in rest.items() if "remapped" in name} == {
        f"x-amzn-remapped-{name.lower()}": value for name, value in headers.items()
    }
    assert all("mine" not in rest[name] for name in ("x-amzn-requestid", "x-amzn-trace-id"))
    for answer in (http, url):
        assert {answer["server"], answer["www-authenticate"], answer["content-length"]} == {"mine", "Basic", "1"}
        assert not {name for name in answer if "remapped" in name or name == "upgrade"}
    assert "mine" not in (http["apigw-requestid"], url["x-amzn-requestid"], url["x-amzn-trace-id"])
