"""Chromium with the extension of the translation example in it, as `Load unpacked` would put it there.

The DevTools protocol runs the extension's action as a click on its icon does: the popup is the real one, and the page
is open to it by `activeTab`. Playwright does not see popups, so that one is driven by the protocol itself.

What nobody presses here, without a screen, is the button of Chrome's question whether a host may be reached. So the
profile is that of a user who has pressed it before for some hosts: Chrome asks only once, and then
`chrome.permissions.request` gives again what was given back.
"""

import contextlib
import hashlib
import json
import shutil
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

EXTENSION = Path(__file__).parents[2] / "examples" / "translation" / "extension"
# as Chromium names what is loaded from a folder
ID = "".join(chr(ord("a") + int(digit, 16)) for digit in hashlib.sha256(str(EXTENSION).encode()).hexdigest()[:32])
ORIGIN = f"chrome-extension://{ID}"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--enable-unsafe-extension-debugging"]  # fmt: skip
LIMIT = 60  # seconds, on a machine that does other work too
USUAL = ("Failed to load resource: ", "Access to fetch at ")  # how Chromium begins lines about answers that are errors


class ExtensionBrowser:
    """`said` is what the pages of the extension wrote to their consoles, and errors that nothing caught."""

    def __init__(self, context: BrowserContext) -> None:
        assert context.browser
        self.context = context
        self.root = context.browser.new_browser_cdp_session()
        self.said: list[str] = []
        self._home = context.pages[0]
        assert self.root.send("Extensions.loadUnpacked", {"path": str(EXTENSION)})["id"] == ID

    def open(self, name: str) -> Page:
        """A page of the extension in a tab."""
        page = self.context.new_page()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.goto(f"{ORIGIN}/{name}")
        return page

    def popup(self, page: Page) -> "Popup":
        """What a click on the extension's icon opens over that page."""
        page.bring_to_front()
        [tab] = [each for each in self._targets("tab") if each["url"] == page.url and each["embedderData"]["tabActive"]]
        self.root.send("Extensions.triggerAction", {"id": ID, "targetId": tab["targetId"]})
        return self.opened_popup()

    def opened_popup(self) -> "Popup":
        self.wait_until(self._popups, "no popup opens")
        popup = Popup(self, self._popups()[0])
        popup.wait_for("document.querySelector('#text')?.value || document.querySelector('#hint')?.textContent")
        return popup

    def _popups(self) -> list[str]:
        return [each["targetId"] for each in self._targets("page") if each["url"] == f"{ORIGIN}/popup.html"]

    def _targets(self, kind: str) -> list[dict[str, Any]]:
        found = self.root.send("Target.getTargets", {"filter": [{}]})["targetInfos"]
        return [target for target in found if target["type"] == kind]

    def wait_until(self, is_so: Callable[[], object], otherwise: str) -> None:
        end = time.monotonic() + LIMIT
        while not is_so():
            assert time.monotonic() < end, otherwise
            self._home.wait_for_timeout(10)  # ms, in which events come in

    def close_pages(self) -> None:
        """All but the one that keeps the browser open, and its popups."""
        for page in self.context.pages[1:]:
            page.close()
        for target in self._popups():
            self.root.send("Target.closeTarget", {"targetId": target})
        self.wait_until(lambda: not self._popups(), "a popup stays open")


class Popup:
    """The popup of the extension's action, by the DevTools protocol."""

    def __init__(self, browser: ExtensionBrowser, target: str) -> None:
        self._browser = browser
        self._answers: dict[int, dict[str, Any]] = {}
        self._numbers = count(1)
        browser.root.on("Target.receivedMessageFromTarget", self._receive)
        attached = browser.root.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        self._session = attached["sessionId"]
        self.send("Runtime.enable")

    def _receive(self, event: dict[str, Any]) -> None:
        if event["sessionId"] != self._session:
            return
        message = json.loads(event["message"])
        if "id" in message:
            self._answers[message["id"]] = message
        elif message["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self._browser.said.append(event["message"])

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        message = json.dumps({"id": number, "method": method, "params": parameters})
        self._browser.root.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": message})
        self._browser.wait_until(lambda: number in self._answers, f"{method}: no answer")
        return dict(self._answers.pop(number)["result"])

    def evaluate(self, expression: str) -> Any:
        done = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def text(self, selector: str) -> str:
        """What is written in an element, or typed in a field."""
        return str(self.evaluate(f"(e => e.value ?? e.innerText)(document.querySelector({selector!r}))"))

    def wait_for(self, expression: str) -> None:
        """Until that is true in the popup."""
        self._browser.wait_until(lambda: self.evaluate(expression), f"never true: {expression}")

    def press_enter(self) -> None:
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self.send("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(b64decode(self.send("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def launched(profile: Path, allowed: Sequence[str]) -> Iterator[ExtensionBrowser]:
    """A browser whose user has already allowed the extension to reach those origins, and given that back."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "Chromium is not installed: apt-get install chromium"
    hosts = {"api": [], "explicit_host": [f"{origin}/*" for origin in allowed], "manifest_permissions": [],
             "scriptable_host": []}  # fmt: skip
    preferences = profile / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text(json.dumps({"extensions": {"settings": {ID: {"runtime_granted_permissions": hosts}}}}))
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=FLAGS, ignore_default_args=["--disable-extensions"]
        )
        context.set_default_timeout(LIMIT * 1000)
        yield ExtensionBrowser(context)
        context.close()
