"""Objects of S3, read without boto3: `get("s3://bucket/key", most)`.

GetObject: docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html. Names of buckets: .../userguide/
bucketnamingrules.html. Which host a bucket has: .../userguide/VirtualHosting.html; one with a dot in its name, whose
certificate no host of S3 has, and one behind AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL is the first segment of the path.
"""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import contextmanager

from pilotlight.errors import InputError, InputTooLarge, ObjectError, ObjectRefused, ObjectUnreachable, TableRefused
from pilotlight.function import credentials, http1
from pilotlight.function.download import Deadline, Download, Place
from pilotlight.function.http1 import Endpoint, tls
from pilotlight.function.signing import sign
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


VARIABLE = "PILOTLIGHT_BUCKETS"  # those that requests may name, with commas between them

_SECONDS = 10.0  # for an object, all attempts together
_ATTEMPTS = 4
_PAUSE = 0.1  # seconds before the second attempt; twice as long before each one after it
_LONGEST_ERROR = 65_536  # bytes of an answer that says what went wrong
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of no body
_ELSEWHERE = (301, 307, 400)  # 400 is AuthorizationHeaderMalformed: signed for another region
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = 1_024  # bytes of UTF-8
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
_REGION = re.compile("[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_ANY_STORE = "is S3 reached from here, and is AWS_ENDPOINT_URL_S3 right, if it is set?"
_ALLOW = (
    "the role or user needs s3:GetObject on arn:aws:s3:::{0}/*; a missing object is told from a forbidden one only "
    "with s3:ListBucket on arn:aws:s3:::{0}"
)
_WHO = "are the credentials those of the account, and is the clock right?"
_SIGN_IN = "those of AWS_ACCESS_KEY_ID are for a time: sign in again, and start anew with what that gives"
_FORM = "must be of the form s3://bucket/key"

_regions: dict[str, str] = {}  # of buckets that turned out to be in another region than the function


class Object(NamedTuple):
    """Where an object is."""

    bucket: str
    key: str


def parse(uri: str) -> Object:
    """The object that `uri` names; its key is taken as it stands, as the AWS CLI does. Raises `errors.InputError`."""
    bucket, slash, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not slash or not key:
        raise InputError(_FORM)
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f"{_FORM}, and this is no name of a bucket")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InputError("names a key that is not text") from None
    if size > _KEY or {".", ".."} & set(key.split("/")):  # what stands before a store may take these for folders
        raise InputError("names a key that no object may have, or that has a segment . or ..")
    return Object(bucket, key)


def get(uri: str, most: int) -> bytes:
    """The object, which has `most` bytes at most; a larger one is not read.

    Raises `errors.InputError` when there is no such object, `errors.InputTooLarge`, and `errors.ObjectError`.
    """
    place, deadline, attempt = parse(uri), Deadline(_SECONDS), 0
    while True:
        try:
            return _attempt(place, most, deadline)
        except Again as again:
            pause = _PAUSE * 2.0**attempt
            attempt += 1
            if attempt == _ATTEMPTS or deadline.remaining <= pause:
                raise again.problem from None
        time.sleep(pause)


def get_for_request(uri: str, most: int) -> bytes:
    """As `get`, of what a request names: raises `errors.InputError` too where the settings do not open the bucket."""
    if parse(uri).bucket not in os.environ.get(VARIABLE, "").split(","):
        raise InputError("names a bucket that is not open to requests")
    return get(uri, most)


class Again(Exception):
    """It may be tried again; `problem` is the error when that does not help, `answered` whether S3 said so itself."""

    def __init__(self, problem: ObjectError, answered: bool = True) -> None:
        self.problem = problem
        self.answered = answered


class Changed(Exception):
    """The object is no longer the one of the `If-Match` that was asked for."""


def _attempt(place: Object, most: int, deadline: Deadline) -> bytes:
    with opened(place, deadline) as download, reading(place):
        return download.read(most)


def opened(
    place: Object,
    deadline: Deadline,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    connecting: Deadline | None = None,
) -> Download:
    """The answer to one GET, with status 200, or 206 where `headers` ask for a range. `query` is as `sign` takes it.

    Raises `Again`, `Changed`, and what `get` does.
    """
    doing = f"reading s3://{place.bucket}/{place.key}"
    region = _regions.get(place.bucket) or _own_region(doing)
    endpoint = endpoint_of(place, region)
    with reading(place):
        signed, context = _signed(doing, endpoint, region, headers or {}, query), tls() if endpoint.is_secure else None
        target = endpoint._replace(path=f"{endpoint.path}?{query}") if query else endpoint
        download = Download(target, [address(endpoint)], signed, deadline, context, connecting)
        if download.status in (200, 206):
            return download
        with download:
            said = _said(download)
    raise _error(doing, place, region, download, said)


@contextmanager
def reading(place: Object) -> Iterator[None]:
    """A connection that fails, as `Again`; one that takes too long, as `errors.ObjectUnreachable`."""
    try:
        yield
    except OSError as error:
        doing = f"reading s3://{place.bucket}/{place.key}"
        problem = ObjectUnreachable(f"{doing}: {error or 'there was no answer in time'}", _ANY_STORE)
        raise (problem if isinstance(error, TimeoutError) else Again(problem, answered=False)) from None


def _own_region(doing: str) -> str:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ObjectError(f"{doing}: no region is set", "set AWS_REGION, such as AWS_REGION=eu-central-1")
    return region


def endpoint_of(place: Object, region: str) -> Endpoint:
    """The host to ask, and the path as it is sent and signed: encoded once, and never normalised.

    Raises `errors.ObjectError`.
    """
    key = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in place.key.encode())
    if url := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        try:
            base = http1.parse(url.rstrip("/"))
        except ValueError as error:
            raise ObjectError(f"connecting to S3: {error}", "correct AWS_ENDPOINT_URL_S3, or unset it") from None
        return base._replace(path=f"{base.path}/{place.bucket}/{key}")
    host = f"s3.{region}.{'amazonaws.com.cn' if region.startswith('cn-') else 'amazonaws.com'}"
    if "." in place.bucket:
        return Endpoint(host, 443, f"/{place.bucket}/{key}", True)
    return Endpoint(f"{place.bucket}.{host}", 443, f"/{key}", True)


def address(endpoint: Endpoint) -> Place:
    return Place(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, (endpoint.host, endpoint.port))


def _signed(doing: str, endpoint: Endpoint, region: str, more: Mapping[str, str], query: str) -> dict[str, str]:
    try:
        found = credentials.current()
    except TableRefused as error:
        raise ObjectRefused(f"{doing}: {error}", error.hint) from None
    headers = {"Host": endpoint.authority, "X-Amz-Content-SHA256": _EMPTY, **more}
    return sign(found, region, "s3", endpoint.path, headers, b"", method="GET", query=query)


class _Said(NamedTuple):
    """What S3 says of a request that it did not do: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""

    code: str
    message: str
    region: str  # of the bucket


def _said(download: Download) -> _Said:
    try:
        text = download.read(_LONGEST_ERROR).decode("utf-8", "replace")
    except InputTooLarge:  # then it is not S3 that answers
        text = ""
    code, message, region = (_element(name, text) for name in ("Code", "Message", "Region"))
    return _Said(code or str(download.status), message, download.headers.get("x-amz-bucket-region") or region)


def _element(name: str, text: str) -> str:
    """The text of the first `<name>`: these documents are flat, and an XML parser costs an import."""
    return text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]


def _error(doing: str, place: Object, region: str, download: Download, said: _Said) -> Exception:
    """The error that an answer other than 200 is."""
    text = f"{doing}: S3 answered {said.code}{': ' if said.message else ''}{said.message}"
    if download.status in _ELSEWHERE and said.region != region and _REGION.fullmatch(said.region):
        _regions[place.bucket] = said.region
        return Again(ObjectError(text, f"the bucket is in {said.region}"))
    if said.code in _EXPIRED and credentials.forget():
        return Again(ObjectRefused(text, "new credentials were asked for, and have expired as well"))
    if said.code in _EXPIRED:
        return ObjectRefused(text, _SIGN_IN)
    if download.status in (429, 500, 502, 503, 504) or said.code == "RequestTimeout":
        return Again(ObjectUnreachable(text, "S3 asks for fewer requests, or is in trouble: try again later"))
    if download.status in (412, 416):
        return Changed()
    if said.code == "InvalidObjectState":
        return InputError("names an object that is archived: it has to be restored first")
    if download.status == 404:
        return InputError("names an object that does not exist")
    if said.code == "AccessDenied":
        return ObjectRefused(text, _ALLOW.format(place.bucket))
    return ObjectRefused(text, _WHO) if download.status in (401, 403) else ObjectError(text)
