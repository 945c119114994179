"""DynamoDB's client against answers that a real store gives too rarely: each is one that AWS documents or has sent.

`test_table.py` has what every store does, over a real one.
"""

import json
import os
from binascii import crc32
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from dynamodb_stores import ENVIRON
from http_servers import CERTIFICATE, Cut, HttpServer, Request, answer, serving
from pilotlight.errors import TableError, TableNotFound, TableRefused, TableThrottled, TableUnreachable
from pilotlight.function import http1
from pilotlight.function.dynamodb import DynamoTable
from pilotlight.function.dynamodb_client import Patience
from pilotlight.function.table import Address

QUICK = Patience(attempts=4, base=0.0, wait=20)
DONE = answer(200, b'{"UnprocessedItems":{},"ConsumedCapacity":{}}')
Reply = bytes | Callable[[Request], bytes]
Opened = tuple[DynamoTable, HttpServer]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Opened]]:
    """`store(reply, ...)` -> a table, and the server that answers its requests with these, the last one for ever."""
    with ExitStack() as ends:

        def start(*replies: Reply, patience: Patience = QUICK, secure: bool = False) -> Opened:
            rest = iter(replies)
            last: list[Reply] = []

            def reply(request: Request) -> bytes:
                last[:] = [next(rest, last[0] if last else b"")]
                return last[0] if isinstance(last[0], bytes) else last[0](request)

            server = ends.enter_context(serving(reply, secure))
            url = f"{'https' if secure else 'http'}://localhost:{server.port}"
            for name, value in {**ENVIRON, "AWS_ENDPOINT_URL_DYNAMODB": url}.items():
                monkeypatch.setenv(name, value)
            table = DynamoTable(Address("dynamodb", "words", "word"), patience)
            ends.callback(table.close)
            return table, server

        yield start


def error(kind: str, message: str = "", status: int = 400) -> bytes:
    return answer(
        status, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}).encode()
    )


def found(words: Sequence[str], left: Sequence[str] = ()) -> bytes:
    unprocessed = {"words": {"Keys": [{"word": {"S": word}} for word in left]}} if left else {}
    items = [{"word": {"S": word}} for word in words]
    return answer(200, json.dumps({"Responses": {"words": items}, "UnprocessedKeys": unprocessed}).encode())


def keys(request: Request) -> list[str]:
    """What a BatchGetItem asks for."""
    asked = json.loads(request.body)["RequestItems"]["words"]["Keys"]
    return [key["word"]["S"] for key in asked]


def get_all(request: Request) -> bytes:
    return found(keys(request))


def test_the_request_of_a_read(store: Callable[..., Opened]) -> None:
    table, server = store(get_all)
    assert table.get(["red", "grün"]) == {"red": {"word": "red"}, "grün": {"word": "grün"}}
    [request] = server.requests
    assert request.body == b'{"RequestItems":{"words":{"Keys":[{"word":{"S":"red"}},{"word":{"S":"gr\\u00fcn"}}]}}}'
    signed = request.headers.pop("authorization")
    moment = request.headers.pop("x-amz-date")
    assert (request.method, request.target) == ("POST", "/")
    assert request.headers == {
        "host": f"localhost:{server.port}",
        "user-agent": "pilotlight",
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.BatchGetItem",
        "content-length": str(len(request.body)),
    }
    scope = f"any/{moment[:8]}/us-east-1/dynamodb/aws4_request"
    names = "content-type;host;x-amz-date;x-amz-target"
    assert signed.startswith(f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature=")


def test_the_request_of_a_write(store: Callable[..., Opened]) -> None:
    table, server = store(DONE)
    table.put([{"word": "red", "vector": b"\x00\xff", "rank": 7}])
    table.put([{"word": "red"}, {"word": "green"}])
    table.delete(["red"])
    assert [(each.headers["x-amz-target"], each.body) for each in server.requests] == [
        (
            "DynamoDB_20120810.PutItem",
            b'{"TableName":"words","ReturnConsumedCapacity":"TOTAL","Item":{"word":{"S":"red"},"vector":{"B":"AP8="},"rank":{"N":"7"}}}',
        ),
        (
            "DynamoDB_20120810.BatchWriteItem",
            b'{"RequestItems":{"words":[{"PutRequest":{"Item":{"word":{"S":"red"}}}},'
            b'{"PutRequest":{"Item":{"word":{"S":"green"}}}}]}}',
        ),
        (
            "DynamoDB_20120810.BatchWriteItem",
            b'{"RequestItems":{"words":[{"DeleteRequest":{"Key":{"word":{"S":"red"}}}}]}}',
        ),
    ]


def test_requests_of_a_hundred_keys_and_of_twenty_five_items(store: Callable[..., Opened]) -> None:
    words = [f"w{number}" for number in range(230)]
    table, server = store(get_all)
    assert list(table.get([*words, *words])) == words
    assert sorted(len(keys(request)) for request in server.requests) == [30, 100, 100]
    table, server = store(DONE)
    table.put({"word": word} for word in words)
    sizes = sorted(len(json.loads(request.body)["RequestItems"]["words"]) for request in server.requests)
    assert sizes == [5, *[25] * 9]


def test_connections_are_kept(store: Callable[..., Opened]) -> None:
    table, server = store(get_all)
    for word in ("red", "green", "blue"):
        table.get([word])
    assert [request.connection for request in server.requests] == [1, 1, 1]


def test_batches_go_side_by_side(store: Callable[..., Opened]) -> None:
    words = [f"w{number}" for number in range(2000)]
    table, server = store(get_all)
    assert len(table.get(words)) == 2000
    assert {request.connection for request in server.requests} == set(range(1, 9))


def test_what_is_left_undone_is_done_again(store: Callable[..., Opened]) -> None:
    table, server = store(found(["red"], left=["green", "blue"]), found([], left=["blue", "green"]), get_all)
    assert table.get(["red", "green", "blue"]).keys() == {"red", "green", "blue"}
    assert [keys(request) for request in server.requests] == [
        ["red", "green", "blue"],
        ["green", "blue"],
        ["green", "blue"],
    ]
    left = {"PutRequest": {"Item": {"word": {"S": "green"}}}}
    table, server = store(answer(200, json.dumps({"UnprocessedItems": {"words": [left]}}).encode()), DONE)
    table.put([{"word": "red"}, {"word": "green"}])
    assert json.loads(server.requests[1].body) == {"RequestItems": {"words": [left]}}


def test_progress_renews_the_patience(store: Callable[..., Opened]) -> None:
    words = [f"w{number}" for number in range(40)]
    table, server = store(lambda request: found(keys(request)[:1], left=keys(request)[1:]))
    assert table.get(words).keys() == set(words)
    assert len(server.requests) == 40


def test_nothing_is_done_for_ever(store: Callable[..., Opened]) -> None:
    table, server = store(lambda request: found([], left=keys(request)))
    with pytest.raises(TableThrottled) as refused:
        table.get(["red"])
    assert str(refused.value) == "BatchGetItem on the table 'words': DynamoDB leaves parts undone"
    assert len(server.requests) == QUICK.attempts


THROTTLED = error("ProvisionedThroughputExceededException", "The level was exceeded.")
AGAIN = {
    "throttled": THROTTLED,
    "request limit": error("RequestLimitExceeded"),
    "too fast": error("ThrottlingException"),
    "internal error": error("InternalServerError", status=500),
    "no JSON": answer(503, b"<html>Service Unavailable</html>"),
    "not whole": Cut(found(["red"])[:-2]),
    "no answer": Cut(),
    "head cut off": Cut(b"HTTP/1.1 200 OK\r\nConte"),
    "not HTTP": Cut(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "wrong checksum": answer(200, b'{"Responses":{}}', "x-amz-crc32: 1\r\n"),
}


@pytest.mark.parametrize("name", AGAIN)
def test_what_may_be_tried_again_is(store: Callable[..., Opened], name: str) -> None:
    table, server = store(AGAIN[name], AGAIN[name], get_all)
    assert table.get(["red"]) == {"red": {"word": "red"}}
    assert [keys(request) for request in server.requests] == [["red"]] * 3


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "throttled",
            TableThrottled,
            "DynamoDB answered ProvisionedThroughputExceededException: The level was exceeded.",
        ),
        ("internal error", TableUnreachable, "DynamoDB answered InternalServerError"),
        ("no JSON", TableUnreachable, "DynamoDB answered 503"),
        ("not whole", TableUnreachable, "localhost closed the connection in the middle of an answer"),
        ("no answer", TableUnreachable, "localhost closed the connection"),
        ("not HTTP", TableUnreachable, "localhost answered what is not HTTP/1.1"),
        ("wrong checksum", TableUnreachable, "the answer 200 arrived damaged"),
    ],
)
def test_patience_ends(store: Callable[..., Opened], name: str, kind: type[TableError], message: str) -> None:
    table, server = store(AGAIN[name])
    with pytest.raises(kind) as refused:
        table.get(["red"])
    assert str(refused.value) == f"BatchGetItem on the table 'words': {message}"
    assert len(server.requests) == QUICK.attempts


def test_patience_ends_by_time(store: Callable[..., Opened]) -> None:
    table, server = store(THROTTLED, patience=Patience(attempts=10**9, seconds=0.2, base=0.0))
    with pytest.raises(TableThrottled):
        table.get(["red"])
    assert len(server.requests) > 1


def test_pauses_are_drawn_between_nothing_and_twice_as_long_each_time() -> None:
    patience = Patience(base=0.1, cap=1.0)
    for attempt, longest in ((1, 0.2), (2, 0.4), (3, 0.8), (4, 1.0), (2000, 1.0)):
        pauses = [patience.pause(attempt) for _ in range(300)]
        assert 0 <= min(pauses) < longest / 4
        assert longest * 3 / 4 < max(pauses) <= longest


def test_an_answer_that_does_not_come(store: Callable[..., Opened]) -> None:
    table, server = store(b"", get_all, patience=QUICK._replace(wait=0.2))
    assert table.get(["red"]) == {"red": {"word": "red"}}
    assert [request.connection for request in server.requests] == [1, 2]


def test_a_connection_that_was_closed_while_idle_costs_no_attempt(store: Callable[..., Opened]) -> None:
    closes = answer(200, b'{"Responses":{},"UnprocessedKeys":{}}')
    table, server = store(closes, Cut(), get_all, patience=QUICK._replace(attempts=1))
    table.get(["red"])
    assert table.get(["red"]) == {"red": {"word": "red"}}
    assert [request.connection for request in server.requests] == [1, 1, 2]


def test_a_connection_that_the_store_ends(store: Callable[..., Opened]) -> None:
    table, server = store(answer(200, b'{"Responses":{},"UnprocessedKeys":{}}', "Connection: close\r\n"))
    table.get(["red"])
    table.get(["red"])
    assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize(
    ("reply", "kind", "message", "hint"),
    [
        (
            answer(200, b'{"status": "ok"}'),
            TableError,
            "PutItem on the table 'words': what answered is not DynamoDB: the answer has no ConsumedCapacity",
            "is DynamoDB reached from here, and is AWS_ENDPOINT_URL_DYNAMODB right, if it is set?",
        ),
        (
            error("ResourceNotFoundException", "Requested resource not found"),
            TableNotFound,
            "PutItem on the table 'words': there is none in us-east-1",
            "create it: aws dynamodb create-table --table-name words --billing-mode PAY_PER_REQUEST "
            "--attribute-definitions AttributeName=word,AttributeType=S --key-schema AttributeName=word,KeyType=HASH",
        ),
        (
            error("AccessDeniedException", "User: x is not authorized"),
            TableRefused,
            "PutItem on the table 'words': DynamoDB answered AccessDeniedException: User: x is not authorized",
            "the role or user needs dynamodb:PutItem on this table",
        ),
        (
            error("ValidationException", "The provided key element does not match the schema"),
            TableError,
            "PutItem on the table 'words': DynamoDB answered ValidationException: The provided key element does "
            "not match the schema",
            "`key` in the settings must be the table's partition key, of type S, and the table have no sort key",
        ),
    ],
)
def test_what_is_final(
    store: Callable[..., Opened], reply: bytes, kind: type[TableError], message: str, hint: str
) -> None:
    table, server = store(reply, DONE)
    with pytest.raises(TableError) as refused:
        table.put([{"word": "red"}])
    assert (type(refused.value), str(refused.value), refused.value.hint) == (kind, message, hint)
    assert len(server.requests) == 1
    table.put([{"word": "red"}])  # what was under way is not taken for another answer


def test_expired_credentials_are_renewed(store: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter(("old", "new"))

    def credentials(request: Request) -> bytes:
        return answer(200, json.dumps({"AccessKeyId": next(given), "SecretAccessKey": "s", "Token": "t"}).encode())

    table, server = store(error("ExpiredTokenException", "The security token is expired"), get_all)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with serving(credentials) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{container.port}/role")
        assert table.get(["red"]) == {"red": {"word": "red"}}
    used = [request.headers["authorization"].split("=")[1].split("/")[0] for request in server.requests]
    assert used == ["old", "new"]
    assert {request.headers["x-amz-security-token"] for request in server.requests} == {"t"}


def test_all_pages_are_scanned(store: Callable[..., Opened]) -> None:
    pages = [
        {"Items": [{"word": {"S": "red"}}], "LastEvaluatedKey": {"word": {"S": "red"}}},
        {"Items": [], "LastEvaluatedKey": {"word": {"S": "green"}}},
        {"Items": [{"word": {"S": "blue"}, "sets": {"SS": ["a"]}, "n": {"NS": ["1", "0.5"]}, "b": {"BS": ["/w=="]}}]},
    ]
    table, server = store(*(answer(200, json.dumps(page).encode()) for page in pages))
    assert list(table.scan()) == [{"word": "red"}, {"word": "blue", "sets": ["a"], "n": [1, 0.5], "b": [b"\xff"]}]
    assert [json.loads(request.body) for request in server.requests] == [
        {"TableName": "words"},
        {"TableName": "words", "ExclusiveStartKey": {"word": {"S": "red"}}},
        {"TableName": "words", "ExclusiveStartKey": {"word": {"S": "green"}}},
    ]


def test_checksums_that_are_right(store: Callable[..., Opened]) -> None:
    body = b'{"Responses":{"words":[{"word":{"S":"red"}}]},"UnprocessedKeys":{}}'
    table, server = store(answer(200, body, f"x-amz-crc32: {crc32(body)}\r\n"))
    assert table.get(["red"]) == {"red": {"word": "red"}}
    assert len(server.requests) == 1


def test_chunked_answers(store: Callable[..., Opened]) -> None:
    body = b'{"Responses":{"words":[]},"UnprocessedKeys":{}}'
    chunks = b"%x\r\n%b\r\n%x;note=1\r\n%b\r\n0\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:])
    table, server = store(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert [table.get(["red"]), table.get(["red"])] == [{}, {}]
    assert [request.connection for request in server.requests] == [1, 1]


@pytest.fixture
def no_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "_contexts", [])


@pytest.mark.usefixtures("no_tls_context")
def test_tls(store: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    table, server = store(get_all, secure=True)
    assert table.get(["red"]) == {"red": {"word": "red"}}
    assert server.requests[0].headers["host"] == f"localhost:{server.port}"


@pytest.mark.usefixtures("no_tls_context")
def test_a_certificate_of_nobody_is_refused(store: Callable[..., Opened]) -> None:
    table, server = store(get_all, secure=True)
    with pytest.raises(TableUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        table.get(["red"])
    assert server.requests == []


@pytest.mark.parametrize(
    ("environ", "message", "hint"),
    [
        (
            {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""},
            "connecting to DynamoDB: no region is set",
            "set AWS_REGION, such as AWS_REGION=eu-central-1",
        ),
        (
            {"AWS_ENDPOINT_URL": "localhost:8000"},
            "connecting to DynamoDB: 'localhost:8000' is not a URL of the form http[s]://host[:port][/path]",
            "correct AWS_ENDPOINT_URL_DYNAMODB, or unset it",
        ),
    ],
)
def test_places_that_are_none(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], message: str, hint: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB", raising=False)
    for name, value in {**ENVIRON, **environ}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TableError) as refused:
        DynamoTable(Address("dynamodb", "words", "word"))
    assert (str(refused.value), refused.value.hint) == (message, hint)


def test_a_store_that_is_not_there(monkeypatch: pytest.MonkeyPatch, store: Callable[..., Opened]) -> None:
    table, server = store(DONE)
    server.close()
    with pytest.raises(TableUnreachable, match=r"BatchGetItem on the table 'words': .*Connection refused"):
        table.get(["red"])
    server.close = lambda: None  # type: ignore[method-assign]  # the fixture closes it too


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the server has threads
def test_connections_do_not_go_through_a_fork(store: Callable[..., Opened]) -> None:
    """As after a snapshot: the other process uses connections of its own."""
    table, server = store(get_all)
    table.get(["red"])
    child = os.fork()
    if child == 0:
        is_right = table.get(["green"]) == {"green": {"word": "green"}}
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert table.get(["blue"]) == {"blue": {"word": "blue"}}
    assert [(keys(request), request.connection) for request in server.requests] == [
        (["red"], 1),
        (["green"], 2),
        (["blue"], 1),
    ]
