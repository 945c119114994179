"""The page with a passage, a question and a box for a sentence: `GET /qa`, beside `POST /qa` which it asks."""

import os
from binascii import b2a_base64
from hashlib import sha256
from html import escape
from os.path import dirname, join

from pilotlight import Response, endpoint

TEXTGEN = os.environ.get("TEXTGEN_URL", "textgen")  # relative: beside this page


def _page() -> str:
    with open(join(dirname(dirname(__file__)), "page.html"), encoding="utf-8") as file:
        return file.read().replace('data-url="textgen"', f'data-url="{escape(TEXTGEN)}"')


def _policy(page: str) -> str:
    """Only the page's own script and style run, and it may call this origin and the generator's."""
    origins = ["'self'", *(["/".join(TEXTGEN.split("/")[:3])] if "://" in TEXTGEN else [])]
    return (
        f"default-src 'none'; script-src {_hash(page, 'script')}; style-src {_hash(page, 'style')}; img-src data:; "
        f"connect-src {' '.join(origins)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(page: str, tag: str) -> str:
    text = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return f"'sha256-{b2a_base64(sha256(text.encode()).digest(), newline=False).decode()}'"


page = _page()
response = Response(
    200,
    (
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", _policy(page)),
        ("x-content-type-options", "nosniff"),
    ),
    page.encode(),
)


@endpoint
def handler() -> Response:
    """A page to ask questions about a passage, and to see a sentence being written."""
    return response
