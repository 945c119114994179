"""Who we are on AWS, and where: credentials and region checked once, clients, and AWS's errors in words.

The only module that imports boto3, which is in the extra `deploy` and is loaded when a command needs AWS.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pilotlight.errors import AwsRefused, AwsUnreachable, CredentialsError, DeployError, UsageError
from pilotlight.settings_file import nearest

MULTIPART = 16 * 1024 * 1024
"""Bytes from which an object goes up in parts, and the size of one."""

# Codes that several services share: docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html and its like
_INVALID = {
    *("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException"),
    *("InvalidAccessKeyId", "AuthFailure", "MissingAuthenticationToken", "IncompleteSignature"),
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_DENIED = {
    *("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "AuthorizationError"),
    *("AllAccessDisabled", "OptInRequired", "403"),
}
_BUSY = {
    *("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"),
    *("ServiceUnavailable", "ServiceUnavailableException", "InternalFailure", "InternalError", "RequestTimeout"),
    *("InternalServerError", "ServerException", "500", "502", "503", "504"),
}
_ACTION = re.compile(r"not authorized to perform: (\S+)")
_AGAIN = "the same command again goes on from here"
_RENEW = "sign in again (`aws sso login`, or new keys), then run the same command: it goes on from here"
_PAGE = "a page of HTML came in place of AWS's answer"
_PROXY = (
    "a proxy or a portal for signing in stands before AWS: see HTTPS_PROXY, NO_PROXY and AWS_ENDPOINT_URL; " + _AGAIN
)
_CONFIGURE = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure` or `aws sso login` and name the profile "
    "by --profile"
)


class Session:
    """An account and a region. `client("s3")` is boto3's, one for each service, safe for threads."""

    def __init__(self, account: str, region: str, partition: str = "aws", profile: str = "", boto: Any = None) -> None:
        self.account, self.region, self.partition, self.profile = account, region, partition, profile
        self._boto = boto
        self._clients: dict[str, Any] = {}
        self._given: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service in self._given:
            return self._given[service]
        if service not in self._clients:
            self._clients[service] = _client(self._boto, service, _config())
        return self._clients[service]

    def once(self, service: str, seconds: float, at_once: int) -> Any:
        """A client of its own that waits so long for an answer, and never asks again."""
        from botocore.config import Config

        retries = {"total_max_attempts": 1}
        config = Config(retries=retries, read_timeout=seconds, max_pool_connections=at_once, tcp_keepalive=True)
        return self._given.get(service) or _client(self._boto, service, config)

    def use(self, service: str, client: Any) -> None:
        """Ask this client for that service from now on."""
        self._given[service] = client

    def variables(self) -> dict[str, str]:
        """What the environment of a process has that signs as this session does, without boto3. Temporary credentials
        are those of now. Raises `CredentialsError`."""
        with asking("reading the credentials"):
            found = self._boto.get_credentials().get_frozen_credentials()
        token = {"AWS_SESSION_TOKEN": found.token} if found.token else {}
        keys = {"AWS_ACCESS_KEY_ID": found.access_key, "AWS_SECRET_ACCESS_KEY": found.secret_key}
        return {**keys, **token, "AWS_REGION": self.region}

    @property
    def options(self) -> str:
        """What names this session on the command line, as hints have it: " --region eu-west-1"."""
        return f" --region {self.region}" + (f" --profile {self.profile}" if self.profile else "")


def open(profile: str = "", region: str = "") -> Session:
    """The session of a profile ("" is the environment's own) in a region ("" is the profile's).

    Raises `UsageError` when boto3, the profile or the region is missing or wrong, `CredentialsError` when AWS does not
    take the credentials, `AwsUnreachable` when it cannot be asked.
    """
    boto = _boto(profile, region)
    if not boto.region_name:
        raise UsageError("there is no region", "name it: --region eu-west-1, AWS_REGION, or `region` in [deploy]")
    _check_region(boto)
    with asking("asking AWS who these credentials belong to"):
        found = _client(boto, "sts", _config()).get_caller_identity()
    return Session(found["Account"], boto.region_name, found["Arn"].split(":")[1], profile, boto)


def _boto(profile: str, region: str) -> Any:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ProfileNotFound
    except ModuleNotFoundError as error:
        raise UsageError(f"reaching AWS: {error.name} is not installed", "pip install 'pilotlight[deploy]'") from None
    try:  # boto3 itself heeds AWS_DEFAULT_REGION alone, all other SDKs and Lambda AWS_REGION
        return boto3.Session(profile_name=profile or None, region_name=region or os.environ.get("AWS_REGION") or None)
    except ProfileNotFound:
        known = boto3.Session().available_profiles if "AWS_PROFILE" not in os.environ else []
        name = profile or os.environ.get("AWS_PROFILE", "")
        raise UsageError(f"there is no profile {name!r} of AWS", _meant(name, known)) from None
    except BotoCoreError as error:
        raise UsageError(f"reading the configuration of AWS: {error}", "correct ~/.aws/config") from None


def _meant(name: str, known: list[str]) -> str:
    guess = nearest(name, known)
    return (f"did you mean {guess!r}? " if guess else "") + f"~/.aws/config has {', '.join(known) or 'none'}"


def _check_region(boto: Any) -> None:
    """A misspelt region has no host, which would read as a lost network."""
    known = [name for part in boto.get_available_partitions() for name in boto.get_available_regions("lambda", part)]
    if boto.region_name not in known:
        guess = nearest(boto.region_name, known)
        hint = (f"did you mean {guess!r}? " if guess else "") + "a region newer than boto3 needs `pip install -U boto3`"
        raise UsageError(f"there is no region {boto.region_name!r} with Lambda", hint)


def _client(boto: Any, service: str, config: Any) -> Any:
    """Raises `UsageError` for an address that is none, of which botocore says so by a ValueError."""
    try:
        client = boto.client(service, config=config)
        client.meta.events.register("before-parse", _refuse_page)
        return client
    except ValueError as error:
        hint = "correct AWS_ENDPOINT_URL, or endpoint_url in ~/.aws/config: http://127.0.0.1:4566"
        raise UsageError(f"reaching {service}: {error}", hint) from None


def _refuse_page(response_dict: Mapping[str, Any], **_: Any) -> None:
    """No service of AWS answers with a page for people: what does is between us and it. botocore would take one with
    status 200 for an answer. Those from 500 on it asks for again itself."""
    body, status = response_dict["body"], response_dict["status_code"]
    if (
        status < 500
        and isinstance(body, bytes)
        and body[:100].lstrip().lower().startswith((b"<html", b"<!doctype html"))
    ):
        from botocore.exceptions import HTTPClientError

        raise HTTPClientError(error=f"{_PAGE}, with status {status}")


def _config() -> Any:
    from botocore.config import Config

    return Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 6})


def transfer_config() -> Any:
    """Of uploads: parts from `MULTIPART` bytes on, some at a time."""
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=MULTIPART, multipart_chunksize=MULTIPART, max_concurrency=4)


@contextmanager
def asking(doing: str, known: Mapping[str, DeployError] | None = None) -> Iterator[None]:
    """What AWS refuses in this block is raised as a `DeployError` that begins with `doing`; `known` are errors of the
    caller's own for codes that mean something there."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        own = (known or {}).get(code(error))
        raise own or _refusal(doing, error) from error
    except (BotoCoreError, Boto3Error) as error:
        if last := getattr(error, "last_response", {}).get("Error"):  # what a waiter was answered
            raise _refusal(doing, ClientError({"Error": last}, doing)) from error
        raise _failure(doing, error) from error


def code(error: Any) -> str:
    """AWS's code of a ClientError: a HEAD and a proxy's page have the status alone, a lost connection none."""
    response = error.response or {}
    return str(response.get("Error", {}).get("Code") or response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))


def message(error: Any) -> str:
    """In one line, and nothing of a page's HTML."""
    text = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())
    return _PAGE if "<html" in text.lower() else text or code(error)


@contextmanager
def absent(*codes: str) -> Iterator[None]:
    """The block is left when AWS answers with one of those codes: what it asks for is not there."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if code(error) not in codes:
            raise


def says(error: Exception, code_: str, text: str) -> bool:
    """Whether it is AWS's error of that code with that text in its message."""
    cause = error.__cause__ if isinstance(error, DeployError) else error
    return hasattr(cause, "response") and code(cause) == code_ and text in message(cause)


def _refusal(doing: str, error: Any) -> DeployError:
    kind, said = code(error), f"{doing}: {message(error)}"
    if kind in _EXPIRED:
        return CredentialsError(f"{doing}: the credentials have expired", _RENEW)
    if kind in _INVALID:
        hint = f"{_CONFIGURE}; a region that is not enabled in the account, and a wrong clock, read the same"
        return CredentialsError(f"{doing}: AWS does not take the credentials: {message(error)}", hint)
    if kind in _DENIED:
        action = _ACTION.search(message(error))
        needs = f"these credentials need {action[1]}" if action else "these credentials need more rights"
        return AwsRefused(f"{said} ({kind})", f"{needs}: ask who gave them")
    if kind in _BUSY:
        return AwsUnreachable(f"{said} ({kind})", f"AWS asks to wait: {_AGAIN}")
    return DeployError(f"{said} ({kind})", "see what AWS says")


def _failure(doing: str, error: Exception) -> DeployError:
    """Of errors that botocore raises itself, by their names: it has dozens, of three kinds."""
    name, text = type(error).__name__, " ".join(str(error).split())
    if name == "UnauthorizedSSOTokenError" or "Token" in name:
        return CredentialsError(f"{doing}: {text}", _RENEW)
    if _PAGE in text:
        return AwsUnreachable(f"{doing}: {text[text.index(_PAGE) :]}", _PROXY)
    if "Invalid header value" in text:  # it has the key in it
        return CredentialsError(f"{doing}: there is a line break in the keys", _CONFIGURE)
    if "Credential" in name or "Login" in name or name == "ConfigNotFound":
        return CredentialsError(f"{doing}: {text[:1].lower()}{text[1:]}", _CONFIGURE)
    if name == "SSLError":
        return AwsUnreachable(f"{doing}: {text}", f"{_certificates(text)}; {_AGAIN}")
    if any(
        word in name for word in ("Connect", "Timeout", "HTTPClient", "Proxy", "Retries", "Incomplete", "Streaming")
    ):
        return AwsUnreachable(f"{doing}: {text}", f"see whether the network is there; {_AGAIN}")
    return DeployError(f"{doing}: {text}", "see what boto3 says")


def _certificates(text: str) -> str:
    """What mends an error of TLS: a file of certificates that is none, one that is wanting, or the way there."""
    if "Errno" in text or "NO_CERTIFICATE_OR_CRL" in text or "PEM" in text:
        named = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
        return f"correct AWS_CA_BUNDLE, or ca_bundle in ~/.aws/config: {named or 'it'} is no file of certificates"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "a proxy that reads along has a certificate of its own: name its authority's file by AWS_CA_BUNDLE"
    return "see whether the network, or a proxy, is there"
