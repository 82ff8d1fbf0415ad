"""A real Chromium without a window, driven over its DevTools pipe; nothing has to be installed beside the browser."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The key codes of Windows, by which Chromium knows keys.
_CODES = {"Tab": 9, "Enter": 13, "ArrowDown": 40}


class BrowserError(Exception):
    """The browser does not answer, or says that it cannot."""


class Tab:
    """One page of a browser. ``events`` are what it has told without being asked, oldest first."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = to_browser, from_browser
        self._read, self._asked = b"", 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """What a method of the DevTools protocol returns."""
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            answer = self._next(deadline)
            if answer.get("id") != self._asked:
                self.events.append(answer)
            elif "error" in answer:
                raise BrowserError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of its promise."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise BrowserError(f"{expression}: {done['exceptionDetails'].get('exception', {}).get('description')}")
        return done["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 60) -> bool:
        """Whether a JavaScript expression becomes true in time."""
        deadline = time.monotonic() + seconds
        while not (is_so := bool(self.evaluate(condition))) and time.monotonic() < deadline:
            time.sleep(0.05)
        return is_so

    def open(self, address: str) -> None:
        """Load a page anew; the events of the one before are forgotten."""
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=address)
        if not self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'"):
            raise BrowserError(f"{address}: does not load.")

    def press(self, key: str, *, alt: bool = False) -> None:
        """Press a key: one of those with a code here, or a letter."""
        is_letter = key not in _CODES
        named = {"key": key, "code": f"Key{key.upper()}" if is_letter else key}
        code = ord(key.upper()) if is_letter else _CODES[key]
        text = {"text": "\r"} if key == "Enter" else {}
        more = {"windowsVirtualKeyCode": code, "modifiers": int(alt), **named}
        self.call("Input.dispatchKeyEvent", type="keyDown", **more, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **more)

    def screenshot(self, path: Path, width: int, height: int) -> None:
        """Write a picture of the top of the page."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise BrowserError("the browser does not answer.")
            if not (more := os.read(self._in, 1 << 20)):
                raise BrowserError("the browser has ended.")
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browser(chromium: str) -> Iterator[Tab]:
    """A page of a browser that ends with the block."""
    # The browser reads from 3 and writes to 4, so that ours must lie elsewhere before they are put there.
    theirs_in, ours_out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in os.pipe())
    ours_in, theirs_out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in os.pipe())

    def place() -> None:
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        own = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        command = [chromium, *own, f"--user-data-dir={profile}", "--window-size=1000,900"]
        try:
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=place, pass_fds=(3, 4))
        except FileNotFoundError:
            raise BrowserError(f"{chromium}: no such browser. Install Chromium, or name it with --chromium.") from None
        try:
            yield Tab(ours_out, ours_in)
        finally:
            process.terminate()
            process.wait(30)
