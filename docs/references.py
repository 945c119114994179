"""The pages of the reference that come from modules: limits, errors, events and the Python API. See generate.py."""

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pilotlight
from pilotlight import errors, fronts, limits
from pilotlight.events import Request

DOCS = Path(__file__).parent

_MARK = "<!-- Written by docs/references.py from {source}: change it there, then run `make docs`. -->\n"


def pages() -> dict[Path, str]:
    folder = DOCS / "reference"
    texts = {
        "limits.md": limits_page(),
        "errors.md": errors_page(),
        "events.md": events_page(),
        "python.md": python_page(),
    }
    return {
        **{folder / name: text for name, text in texts.items()},
        DOCS / "decisions" / "README.md": decisions_page(),
    }


# Limits: `NAME = value  # [source]: remark`, below the sources of the module's docstring.

_LIMITS_HEAD = """\
# Limits

What the code holds requests, functions and deployments to, on this machine as on AWS. "ours" is a limit that is not of
AWS but of Pilotlight. Names are those of `pilotlight.limits`.

| name | value | where it is from |
|---|---|---|
"""


def limits_page() -> str:
    source = inspect.getsource(limits)
    about, _, code = source.removeprefix('"""').partition('"""')
    links = dict(_sources(about.partition("Sources, as read in November 2026:")[2]))
    rows = "".join(_limit(line, links) for line in code.splitlines() if line.strip())
    unit = 'Sizes are in bytes, times in seconds, memory in MB; "ibid." is the source of the row above.'
    return _MARK.format(source="src/pilotlight/limits.py") + _LIMITS_HEAD + rows + f"\n{unit}\n"


def _sources(text: str) -> Iterator[tuple[str, str]]:
    """`[name] host/path`; a path that begins with `.../` is below the one before it, up to the same folder."""
    before = ""
    for name, path in re.findall(r"\[(\w+)\]\s+([\w./-]+(?:\s[\w-]+\.html)?)[,.]?(?=\s|$)", text):
        address = re.sub(r"\s", "", path).rstrip(".")
        if address.startswith(".../"):
            folder = address[4:].partition("/")[0]
            address = before[: before.index(f"/{folder}/") + 1] + address[4:]
        before = address
        yield name, f"https://{address}"


def _limit(line: str, links: dict[str, str]) -> str:
    match = re.fullmatch(r"([A-Z_, ]+) = ([^#]+?)  # (.+)", line)
    assert match, f"limits.py: {line!r} is not NAME = value  # source"
    names, values, remark = match.groups()
    remark = re.sub(r"\[(\w+)\]", lambda each: _link(each[1], links), remark)
    pairs = zip(names.split(", "), values.split(", "), strict=True)
    return "".join(f"| `{name}` | {_number(value)} | {_linked(remark)} |\n" for name, value in pairs)


def _link(name: str, links: dict[str, str]) -> str:
    return f"[{name}]({links[name]})" if name in links else name


def _linked(text: str) -> str:
    """An address in full becomes a link with the name of its page."""
    address = r"(?<![/\w.])((?:docs\.aws\.amazon|github)\.com/[\w./-]*/([\w-]+)\.\w+)"
    return re.sub(address, r"[\2](https://\1)", text)


def _number(value: str) -> str:
    return f"{float(value):,.1f}".removesuffix(".0")


# Errors: each class with what it is, below its base, and the exit code of the command line.

_ERRORS_HEAD = """\
# Errors

Every error that Pilotlight raises on purpose is one of `pilotlight.errors`. `str(error)` is a sentence; `error.hint`,
when not empty, says what to do. The command line prints both and ends with the exit code.

In a handler, raise `InputError(("field", "reason"))` for a request that cannot be answered: 400 behind HTTP. Any other
exception is 500 with the id of the request alone; its traceback is in the function's log.
"""


def errors_page() -> str:
    classes = [each for each in vars(errors).values() if inspect.isclass(each) and each.__module__ == errors.__name__]
    lines = [line for each in classes for line in _error(each)]
    return _MARK.format(source="src/pilotlight/errors.py") + _ERRORS_HEAD + "\n".join(lines) + "\n"


def _error(each: type[BaseException]) -> Iterator[str]:
    yield from ("", f"## `{each.__name__}`", "", _plain(inspect.getdoc(each) or ""), "")
    base = each.__bases__[0]
    yield f"- is a [`{base.__name__}`](#{base.__name__.lower()})" if base is not Exception else "- is an `Exception`"
    if issubclass(each, errors.PilotlightError):
        yield f"- exit code {each.exit_code}"


# Events: one request, as each front makes it an event, and what comes back of an answer.

_EVENTS_HEAD = """\
# Events

What a plain `handler(event, context)` is given, and what it gives back. `@endpoint` reads and writes these; a handler
with it need not know them. Locally and on AWS they are the same; what differs is in the
[README](../../README.md#where-this-machine-differs-from-lambda).

All three below are the event of one request, in a service with `stage = "v1"` and `route = "POST /users/{id}"`:

```text
POST /v1/users/7?top=2&top=3 HTTP/1.1
host: api.example.com
content-type: application/json
cookie: theme=dark

{"text": "Grüße"}
```
"""

_FRONTS = (
    ("REST API", "rest", '`front = "rest"`: payload format 1.0.', fronts.to_v1),
    ("HTTP API", "http", '`front = "http"`, the default: payload format 2.0.', fronts.to_v2),
    (
        "Function URL",
        "url",
        '`front = "url"`: payload format 2.0 without stages, routes and path parameters.',
        fronts.to_url,
    ),
)

_ANSWERS = """
## Answers

A handler behind any of them may give the object of a proxy response:

```json
{
  "statusCode": 201,
  "headers": {"content-type": "text/plain"},
  "body": "done",
  "isBase64Encoded": false
}
```

Bytes are base64 in `body`, with `isBase64Encoded` true. `multiValueHeaders` is of format 1.0, `cookies` of 2.0.
What each front makes of other answers:

| answer | REST API | HTTP API | function URL |
|---|---|---|---|
"""


def _request() -> Request:
    return Request(
        method="POST",
        path="/users/7",
        query="top=2&top=3",
        headers=(("host", "api.example.com"), ("content-type", "application/json"), ("cookie", "theme=dark")),
        body='{"text": "Grüße"}'.encode(),
        route="POST /users/{id}",
        path_parameters={"id": "7"},
        stage="v1",
        request_id="5d2f8f0a-5f61-4d51-8d0e-0c1d4a5f8c11",
        source_ip="203.0.113.7",
        time=1_795_860_000.0,
        domain="api.example.com",
        extended_id="JKJaXmPLvHcESHA=",
    )


def events_page() -> str:
    lines = []
    for title, _, about, make in _FRONTS:
        event = json.dumps(make(_request()), indent=2, ensure_ascii=False)
        lines += ["", f"## {title}", "", about, "", "```json", event, "```"]
    rows = "".join(_answer(answer) for answer in ({"text": "hi"}, "hi", {"statusCode": 204}, None, {"statusCode": "x"}))
    return _MARK.format(source="src/pilotlight/fronts.py") + _EVENTS_HEAD + "\n".join(lines) + "\n" + _ANSWERS + rows


def _answer(answer: object) -> str:
    cells = [_response(answer, front) for _, front, _, _ in _FRONTS]
    return f"| `{json.dumps(answer)}` | {' | '.join(cells)} |\n"


def _response(answer: object, front: str) -> str:
    try:
        response = fronts.from_result(json.dumps(answer).encode(), front)
    except fronts.MalformedResult:
        return "an error, " + ("500" if front == "http" else "502")
    body = f", `{response.body.decode()}`" if response.body else ", no body"
    return f"{response.status}{body}"


# Python: public names with their signatures and docstrings.

_PYTHON_HEAD = """\
# Python

What a function imports. The names of `pilotlight` itself are loaded when they are first touched; the others are
imported from their modules, so that a function loads what it uses.
"""

# Modules beside `pilotlight` itself, and what of them is for functions.
_MODULES = {
    "pilotlight.function.text": ("Reader", "Answer"),
    "pilotlight.function.classify": ("Classifier", "Embedder"),
    "pilotlight.function.generate": ("Generator",),
    "pilotlight.function.translate": ("Translator", "Translation"),
    "pilotlight.function.image": ("ImageClassifier",),
    "pilotlight.function.labels": ("Label",),
    "pilotlight.function.vectors": ("Vectors",),
    "pilotlight.function.table": ("Table", "connect"),
    "pilotlight.function.cache": ("fetch",),
}


def python_page() -> str:
    names = [name for name in pilotlight.__all__ if not name.startswith("_")]
    lines = list(_module("pilotlight", names))
    for module, of_it in _MODULES.items():
        lines += _module(module, of_it)
    return _MARK.format(source="the docstrings") + _PYTHON_HEAD + "\n".join(lines) + "\n"


def _module(name: str, names: Any) -> Iterator[str]:
    module = import_module(name)
    yield from ("", f"## `{name}`")
    for each in names:
        yield from _object(each, getattr(module, each), "###")


def _object(name: str, value: Any, level: str) -> Iterator[str]:
    yield from ("", f"{level} `{name}`", "", "```python", _signature(name, value), "```")
    if text := inspect.getdoc(value):
        yield from ("", _plain(text))
    if inspect.isclass(value):
        for each, method in vars(value).items():
            if inspect.isfunction(method) and not each.startswith("_") and method.__doc__:
                yield from _object(f"{name}.{each}", method, "####")


def _signature(name: str, value: Any) -> str:
    """As it is written, on one line or one parameter a line."""
    if getattr(value, "_is_protocol", False):
        return name
    signature = inspect.signature(value)
    given = [each for each in signature.parameters.values() if each.name != "self"]
    returned = f" -> {_annotation(signature.return_annotation)}" if inspect.isfunction(value) else ""
    shown = list(_parameters(given))
    line = f"{name}({', '.join(shown)}){returned}"
    return line if len(line) <= 88 else f"{name}(\n" + "".join(f"    {each},\n" for each in shown) + f"){returned}"


def _parameters(given: list[inspect.Parameter]) -> Iterator[str]:
    """Each parameter, with the star before those that are given by name only."""
    before = None
    for each in given:
        if each.kind is each.KEYWORD_ONLY and before not in (each.KEYWORD_ONLY, each.VAR_POSITIONAL):
            yield "*"
        before = each.kind
        text = re.sub(r"ForwardRef\('(.*?)'\)", r"'\1'", str(each))
        yield re.sub(r": '(.*?)'(?= =|$)", r": \1", text).replace("collections.abc.", "").replace("~", "")


def _annotation(given: Any) -> str:
    text = given if isinstance(given, str) else inspect.formatannotation(given)
    return re.sub(r"['\"~]|\b(collections\.abc|pilotlight\.function\.endpoint)\.", "", text)


def _plain(docstring: str) -> str:
    """A docstring as Markdown: code that is set off by four blanks is a block of Python."""
    return re.sub(r"(?m)^((?: {4}.*\n?)+)", lambda code: f"```python\n{inspect.cleandoc(code[0])}\n```\n", docstring)


# Decisions: the first heading of each page.


def decisions_page() -> str:
    rows = []
    for path in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        rows.append(f"- [{title}]({path.name})\n")
    about = (
        "Each page has one decision that is worth arguing about: what there was to choose from, what was measured,\n"
        "what follows. Figures in them are of that time; what is measured now is in the\n"
        "[results of the benchmarks](../../benchmarks/results/README.md).\n"
    )
    return _MARK.format(source="the pages beside it") + f"# Decisions\n\n{about}\n" + "".join(rows)
