"""Names of images: what they mean, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bundle.reference import Reference, parse
from pilotlight.errors import UsageError

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("python", Reference("docker.io", "library/python", "latest")),
        ("python:3.13", Reference("docker.io", "library/python", "3.13")),
        ("docker.io/python", Reference("docker.io", "library/python", "latest")),
        ("index.docker.io/library/python", Reference("docker.io", "library/python", "latest")),
        ("ada/qa", Reference("docker.io", "ada/qa", "latest")),
        ("public.ecr.aws/lambda/python:3.13", Reference("public.ecr.aws", "lambda/python", "3.13")),
        ("localhost/qa", Reference("localhost", "qa", "latest")),
        ("localhost:5000/qa:1", Reference("localhost:5000", "qa", "1")),
        ("127.0.0.1:5000/a/b_c/d.e/f--g", Reference("127.0.0.1:5000", "a/b_c/d.e/f--g", "latest")),
        ("[::1]:5000/qa", Reference("[::1]:5000", "qa", "latest")),
        ("HOST/qa", Reference("HOST", "qa", "latest")),
        (f"ghcr.io/ada/qa@{DIGEST}", Reference("ghcr.io", "ada/qa", "", DIGEST)),
        (f"ghcr.io/ada/qa:v1.2@{DIGEST}", Reference("ghcr.io", "ada/qa", "v1.2", DIGEST)),
        ("a:80/b:_x", Reference("a:80", "b", "_x")),
    ],
)
def test_what_a_name_means(text: str, reference: Reference) -> None:
    assert parse(text) == reference


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is no image: '' is no repository"),
        ("Python", "'Python' is no image: 'library/Python' is no repository"),
        ("https://ghcr.io/ada/qa", "'https://ghcr.io/ada/qa' is no image: it begins with a scheme"),
        ("ghcr.io/ada//qa", "'ghcr.io/ada//qa' is no image: 'ada//qa' is no repository"),
        ("ghcr.io/", "'ghcr.io/' is no image: '' is no repository"),
        ("ghcr.io/../qa", "'ghcr.io/../qa' is no image: '../qa' is no repository"),
        ("qa:", "'qa:' is no image: '' is no tag"),
        ("qa:a b", "'qa:a b' is no image: 'a b' is no tag"),
        ("qa:" + "x" * 129, f"'qa:{'x' * 129}' is no image: '{'x' * 129}' is no tag"),
        ("qa@sha256:12", "'qa@sha256:12' is no image: 'sha256:12' is no sha256 digest"),
        ("qa@", "'qa@' is no image: '' is no sha256 digest"),
        ("host:99999/qa", "'host:99999/qa' is no image: 'host:99999' is no registry"),
        ("ho_st.io/qa", "'ho_st.io/qa' is no image: 'ho_st.io' is no registry"),
        ("a.io/qa\n", "'a.io/qa\\n' is no image: 'qa\\n' is no repository"),
        ("a.io/" + "x" * 255, f"'a.io/{'x' * 255}' is no image: '{'x' * 255}' is no repository"),
    ],
)
def test_what_is_no_name(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert str(refused.value) == reason
    assert refused.value.hint


def test_where_a_registry_is() -> None:
    assert parse("python").host == "registry-1.docker.io"
    assert parse("ghcr.io/ada/qa").host == "ghcr.io"
    loopback = ["localhost/a", "localhost:80/a", "127.0.0.1:5000/a", "127.9.9.9/a", "[::1]:5000/a"]
    assert all(parse(text).is_loopback for text in loopback)
    assert not any(parse(text).is_loopback for text in ["a", "localhost.a/b", "10.0.0.1:80/a", "[::2]:1/a"])


def test_a_digest_is_asked_for_before_a_tag() -> None:
    assert parse(f"a.io/b:1@{DIGEST}").version == DIGEST
    assert parse("a.io/b:1").version == "1"


part = st.from_regex(r"\A[a-z0-9]+((\.|_|__|-+)[a-z0-9]+){0,2}\Z").filter(lambda text: len(text) < 40)
registries = st.sampled_from(["docker.io", "ghcr.io", "localhost:5000", "127.0.0.1:1", "[::1]:65535", "public.ecr.aws"])
tags = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
digests = st.binary(min_size=32, max_size=32).map(lambda data: f"sha256:{data.hex()}")


@given(registries, st.lists(part, min_size=2, max_size=4).map("/".join), tags | st.just(""), digests | st.just(""))
def test_what_is_written_is_read_again(registry: str, repository: str, tag: str, digest: str) -> None:
    reference = Reference(registry, repository, tag, digest)
    if not tag and not digest:
        assert parse(str(reference)) == reference._replace(tag="latest")
    else:
        assert parse(str(reference)) == reference


@given(st.text(alphabet="aA0.:/@_-[]é\n ", max_size=30))
def test_whatever_is_read_can_be_written(text: str) -> None:
    try:
        reference = parse(text)
    except UsageError:
        return
    assert parse(str(reference)) == reference
