"""Secrets and pickles are found by names and by what they hold."""

import pickle
from pathlib import Path

import pytest

from pilotlight.bundle import secrets
from pilotlight.bundle.files import Entry, part

KEY = b"-----BEGIN " + b"RSA PRIVATE KEY-----\n" + b"MIIEowIBAAKCAQEA" * 4 + b"\n"


@pytest.mark.parametrize(
    ("path", "data", "reason"),
    [
        ("config/.env", b"", "a file for secrets by its name"),
        (".env.prod", b"", "a file for secrets by its name"),
        ("id_ed25519", b"", "a file for secrets by its name"),
        ("certs/tls.pem", KEY, "it holds a private key"),
        ("settings.py", b"KEY = '" + b"AKIA" + b"IOSFODNN7EXAMPLE'", "it holds the id of an AWS access key"),
        ("a.txt", b"token: ghp_" + b"a" * 36, "it holds a token of GitHub"),
        ("a.txt", b"hf_" + b"B" * 34, "it holds a token of Hugging Face"),
    ],
)
def test_secrets(path: str, data: bytes, reason: str) -> None:
    assert list(secrets.find(part("code", [Entry(path, data)]))) == [(path, reason)]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("environment.py", b""),
        ("ca.pem", b"-----BEGIN CERTIFICATE-----\nMIIE"),
        ("check.py", b'if text.startswith("-----BEGIN PRIVATE KEY-----"): pass'),
        ("model.onnx", bytes(1000)),
    ],
)
def test_what_is_no_secret(path: str, data: bytes) -> None:
    assert list(secrets.find(part("code", [Entry(path, data)]))) == []


def test_pickles(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.bin").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "random.bin").write_bytes(b"\x80\x04 no pickle")
    (tmp_path / "model.pkl").write_bytes(b"")
    (tmp_path / "empty").write_bytes(b"")
    entries = [Entry(path.name, path) for path in tmp_path.iterdir()]
    assert list(secrets.pickles(part("code", [*entries, Entry("bytes.bin", pickle.dumps([1]))]))) == [
        ("bytes.bin", "a pickle by its first and last byte"),
        ("model.pkl", "a pickle by its name"),
        ("vocabulary.bin", "a pickle by its first and last byte"),
    ]
