"""`pilotlight records --ui`: the view Records alone, over one table."""

import contextlib
from urllib.parse import urlencode

import uvloop

from pilotlight.cli import output
from pilotlight.cli.record_filters import Filter
from pilotlight.cli.records_page import RecordsPages
from pilotlight.local import pages, server
from pilotlight.local.http_protocol import App
from pilotlight.local.pages import Pages
from pilotlight.local.playground import shell
from pilotlight.local.web import Web
from pilotlight.measure.records_rows import milliseconds

HOST = "127.0.0.1"


def show(uri: str, name: str, port: int, wanted: Filter) -> None:
    """Serve the view until Ctrl-C. Raises `PortError`."""
    listener = server.listen(HOST, port)
    records = RecordsPages({name: uri}, reads_at_once=True)
    with contextlib.closing(listener), contextlib.closing(records):
        answer = Pages([*shell(("records",)), *records.pages()]).answer
        app = App(answer, lambda request: pages.fail(413, "the request is too large"), lambda *_: None)
        here = f"http://{HOST}:{listener.getsockname()[1]}/{fragment(wanted)}"

        async def run() -> None:
            await Web(app).serve(listener, lambda: output.line(f"Records of {name} at {here} (Ctrl-C stops)"))

        uvloop.run(run())
    output.line("Stopped.")


def fragment(wanted: Filter) -> str:
    """The part of the page's address that says which records."""
    flags = {"failed": wanted.errors, "cold": wanted.cold}
    times = {name: milliseconds(text) for name, text in (("since", wanted.since), ("until", wanted.until)) if text}
    texts = {"function": wanted.function, "contains": wanted.contains}
    query = {
        **{name: text for name, text in texts.items() if text},
        **times,
        **{name: 1 for name in flags if flags[name]},
    }
    return f"#/records?{urlencode(query)}" if query else ""
