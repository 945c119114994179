"""Which endpoint a URL means. What is said over the connection, the tests of its users say."""

import pytest

from pilotlight.function.http1 import Endpoint, parse


@pytest.mark.parametrize(
    ("url", "endpoint", "authority"),
    [
        ("http://127.0.0.1:8000", Endpoint("127.0.0.1", 8000), "127.0.0.1:8000"),
        ("https://dynamodb.eu-west-1.amazonaws.com", Endpoint("dynamodb.eu-west-1.amazonaws.com", 443, "", True), None),
        ("http://store:80/a/b/", Endpoint("store", 80, "/a/b/"), "store"),
        ("https://store:80", Endpoint("store", 80, "", True), "store:80"),
        ("http://[fd00:ec2::23]/v1/credentials", Endpoint("fd00:ec2::23", 80, "/v1/credentials"), "[fd00:ec2::23]"),
        ("http://[::1]:99", Endpoint("::1", 99), "[::1]:99"),
    ],
)
def test_a_url(url: str, endpoint: Endpoint, authority: str | None) -> None:
    assert parse(url) == endpoint
    assert endpoint.authority == (authority or endpoint.host)


NO_URLS = (
    *("", "store", "store:80", "//store", "ftp://store", "http://", "http://:80", "http:///path", "http://[::1"),
    *("http://a:b", "http://a:-1", "http://a:65536", "http://a:99999999", "http://a b", "http://user@store"),
    *("http://store/?a=b", "http://store/#a", "http://store/\r\nHost: other"),
)


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not a URL of the form http\[s\]://host\[:port\]\[/path\]"):
        parse(url)
