"""Who we are on AWS, and what is said when that is not clear."""

import http.server
import os
import socket
import threading
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions
import pytest

from pilotlight.deploy import session
from pilotlight.deploy.session import Session
from pilotlight.errors import (
    AwsRefused,
    AwsUnreachable,
    CredentialsError,
    DeployError,
    PilotlightError,
    UsageError,
)


def test_the_account_is_asked_for(environ: None) -> None:
    found = session.open()
    assert (found.account, found.region, found.partition) == ("123456789012", "eu-west-1", "aws")
    assert session.open(region="us-east-1").region == "us-east-1"


def test_no_region(environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(UsageError, match="there is no region") as caught:
        session.open()
    assert "--region eu-west-1" in caught.value.hint


def test_a_region_misspelt(environ: None) -> None:
    with pytest.raises(UsageError, match="there is no region 'eu-wset-1' with Lambda") as caught:
        session.open(region="eu-wset-1")
    assert "did you mean 'eu-west-1'?" in caught.value.hint


def test_no_credentials(no_aws: None) -> None:
    with pytest.raises(CredentialsError, match="unable to locate credentials") as caught:
        session.open(region="eu-west-1")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert "aws sso login" in caught.value.hint


def test_half_credentials(no_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    with pytest.raises(CredentialsError, match="partial credentials"):
        session.open(region="eu-west-1")


def test_a_profile_misspelt(environ: None) -> None:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text("[profile work]\nregion = eu-west-1\n")
    with pytest.raises(UsageError, match="there is no profile 'wrok'") as caught:
        session.open("wrok")
    assert caught.value.hint == "did you mean 'work'? ~/.aws/config has work"


def test_a_profile_in_the_environment_that_is_not_there(environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with pytest.raises(UsageError, match="there is no profile 'gone'"):
        session.open()


def test_a_network_that_is_not_there(environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(session, "_config", lambda: botocore.config.Config(retries={"total_max_attempts": 1}))
    with pytest.raises(AwsUnreachable, match="asking AWS who these credentials belong to: Could not connect") as caught:
        session.open()
    assert "the same command again goes on from here" in caught.value.hint


@pytest.mark.parametrize("url", ["foo", "127.0.0.1:4566"])
def test_an_address_that_is_none(environ: None, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    found = session.open()
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    for asked in (session.open, lambda: found.client("s3"), lambda: found.once("lambda", 1, 1)):
        with pytest.raises(UsageError, match=f"Invalid endpoint: {url}") as caught:
            asked()
        assert "AWS_ENDPOINT_URL" in caught.value.hint


@pytest.mark.parametrize("status", [200, 403, 502])
def test_a_page_of_a_proxy(environ: None, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """In one line, whatever the protocol of the service: XML, JSON, and S3's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Page,), {"status": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(session, "_config", lambda: botocore.config.Config(retries={"total_max_attempts": 1}))
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        aws = Session("123456789012", "eu-west-1", boto=boto3.Session(region_name="eu-west-1"))
        for service, asked in (
            ("sts", "get_caller_identity"),
            ("ecr", "describe_repositories"),
            ("s3", "list_buckets"),
        ):
            with pytest.raises(AwsUnreachable) as caught, session.asking("asking"):
                getattr(aws.client(service), asked)()
            assert "\n" not in str(caught.value)
            assert "<" not in str(caught.value)
            assert ("a proxy" if status < 500 else "AWS asks to wait") in caught.value.hint
    finally:
        server.shutdown()
        server.server_close()


class Page(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<!DOCTYPE html>\n<html>\n<h1>Access\n denied</h1>\n</html>\n"
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("text", [None, "none"])
def test_certificates_that_are_not_there(
    environ: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    if text:
        (tmp_path / "ca.pem").write_text(text)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(session, "_config", lambda: botocore.config.Config(retries={"total_max_attempts": 1}))
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(AwsUnreachable) as caught:
            session.open()
    assert caught.value.hint.startswith("correct AWS_CA_BUNDLE")
    assert f"{tmp_path}/ca.pem is no file of certificates" in caught.value.hint


def test_keys_with_a_line_break(environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature, which is what botocore would show, is not."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID\nEXAMPLE")
    with pytest.raises(CredentialsError, match="there is a line break in the keys"):
        session.open()


def refused(code: str, message: str = "no") -> PilotlightError:
    error = botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "Operation")
    with pytest.raises(DeployError) as caught, session.asking("asking"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("ExpiredToken", CredentialsError, "asking: the credentials have expired"),
        ("ExpiredTokenException", CredentialsError, "asking: the credentials have expired"),
        ("RequestExpired", CredentialsError, "asking: the credentials have expired"),
        ("InvalidClientTokenId", CredentialsError, "asking: AWS does not take the credentials: no"),
        ("UnrecognizedClientException", CredentialsError, "asking: AWS does not take the credentials: no"),
        ("SignatureDoesNotMatch", CredentialsError, "asking: AWS does not take the credentials: no"),
        ("AccessDenied", AwsRefused, "asking: no (AccessDenied)"),
        ("AccessDeniedException", AwsRefused, "asking: no (AccessDeniedException)"),
        ("Throttling", AwsUnreachable, "asking: no (Throttling)"),
        ("ValidationError", DeployError, "asking: no (ValidationError)"),
    ],
)
def test_what_aws_refuses(code: str, kind: type[PilotlightError], message: str) -> None:
    error = refused(code)
    assert (type(error), str(error)) == (kind, message)
    assert error.hint


def test_the_right_that_is_missing_is_named() -> None:
    message = "User: arn:aws:iam::1:user/a is not authorized to perform: ecr:CreateRepository on resource: x"
    assert refused("AccessDeniedException", message).hint == (
        "these credentials need ecr:CreateRepository: ask who gave them"
    )


FAILURES = [
    (botocore.exceptions.NoCredentialsError(), CredentialsError),
    (botocore.exceptions.CredentialRetrievalError(provider="p", error_msg="e"), CredentialsError),
    (botocore.exceptions.UnauthorizedSSOTokenError(), CredentialsError),
    (botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="e"), CredentialsError),
    (botocore.exceptions.SSOTokenLoadError(error_msg="e"), CredentialsError),
    (botocore.exceptions.LoginRefreshRequired(), CredentialsError),
    (botocore.exceptions.EndpointConnectionError(endpoint_url="u"), AwsUnreachable),
    (botocore.exceptions.ConnectTimeoutError(endpoint_url="u"), AwsUnreachable),
    (botocore.exceptions.ReadTimeoutError(endpoint_url="u"), AwsUnreachable),
    (botocore.exceptions.ConnectionClosedError(endpoint_url="u"), AwsUnreachable),
    (botocore.exceptions.ProxyConnectionError(proxy_url="u"), AwsUnreachable),
    (botocore.exceptions.SSLError(endpoint_url="u", error="e"), AwsUnreachable),
    (botocore.exceptions.ParamValidationError(report="r"), DeployError),
]


@pytest.mark.parametrize(("error", "kind"), FAILURES, ids=[type(error).__name__ for error, _ in FAILURES])
def test_what_never_reached_aws(error: Exception, kind: type[PilotlightError]) -> None:
    with pytest.raises(DeployError, match="asking: ") as caught, session.asking("asking"):
        raise error
    assert type(caught.value) is kind
    assert caught.value.hint


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, no_aws: None) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(UsageError, match="reaching AWS: boto3 is not installed") as caught:
        session.open()
    assert caught.value.hint == "pip install 'pilotlight[deploy]'"
