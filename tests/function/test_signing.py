"""Our signature against the one that botocore makes of the same request."""

import datetime
from unittest import mock
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.function.credentials import Credentials
from pilotlight.function.signing import sign

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing
WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=1, max_size=20)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
FIELDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(str.strip)
PATHS = st.lists(WORDS, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts) or "/")
TIMES = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2100, 1, 1)).map(
    lambda at: at.replace(microsecond=0)
)


@given(
    key=WORDS,
    secret=SECRETS,
    token=st.just("") | SECRETS,
    region=WORDS.map(str.lower),
    path=PATHS,
    fields=st.dictionaries(WORDS.map(lambda name: f"X-{name}"), FIELDS, max_size=3),
    body=st.binary(max_size=300),
    at=TIMES,
)
def test_it_is_the_one_of_botocore(
    key: str,
    secret: str,
    token: str,
    region: str,
    path: str,
    fields: dict[str, str],
    body: bytes,
    at: datetime.datetime,
) -> None:
    unique = {name.lower(): (name, value) for name, value in fields.items() if name.lower() != "x-amzn-trace-id"}
    headers = {"Host": "dynamodb.example.com:8000", **dict(unique.values())}
    request = botocore.awsrequest.AWSRequest("POST", f"http://dynamodb.example.com:8000{path}", headers, body)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=at):
        signer = botocore.auth.SigV4Auth(
            botocore.credentials.Credentials(key, secret, token or None), "dynamodb", region
        )
        signer.add_auth(request)
    seconds = at.replace(tzinfo=datetime.UTC).timestamp()
    assert sign(Credentials(key, secret, token), region, "dynamodb", path, headers, body, seconds) == dict(
        request.headers
    )


@given(
    st.dictionaries(st.sampled_from(["continuation-token", "list-type", "max-keys", "prefix"]), FIELDS, max_size=4),
    PATHS,
)
def test_a_query_is_signed_as_botocore_signs_it(fields: dict[str, str], path: str) -> None:
    query = "&".join(f"{name}={quote(value, safe='-._~')}" for name, value in sorted(fields.items()))
    at, host = datetime.datetime(2026, 11, 28, 12), "bucket.s3.eu-west-1.amazonaws.com"
    url = f"https://{host}{path}{'?' if query else ''}{query}"
    request = botocore.awsrequest.AWSRequest("GET", url, {"Host": host, "X-Amz-Content-SHA256": EMPTY})
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=at):
        botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("key", "secret"), "s3", "eu-west-1").add_auth(
            request
        )
    seconds, headers = at.replace(tzinfo=datetime.UTC).timestamp(), {"Host": host, "X-Amz-Content-SHA256": EMPTY}
    own = sign(Credentials("key", "secret"), "eu-west-1", "s3", path, headers, b"", seconds, method="GET", query=query)
    assert own["Authorization"] == request.headers["Authorization"]


def test_an_example() -> None:
    """A whole one, so that a change of botocore is told from one of ours."""
    signed = sign(
        Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        "us-east-1",
        "service",
        "/",
        {"Host": "example.amazonaws.com"},
        b"",
        1440938160,
    )
    assert signed == {
        "Host": "example.amazonaws.com",
        "X-Amz-Date": "20150830T123600Z",
        # post-vanilla of AWS's test suite for Signature Version 4
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    }
