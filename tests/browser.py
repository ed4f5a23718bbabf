"""A real browser for tests: headless Chromium, driven through two pipes by its DevTools protocol.

`with chromium(folder) as browser` starts it or skips the test; `browser.open(path)` gives what a reader of the page
would see, and what went wrong. Host names lead nowhere, so that nothing but local files can be loaded.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # it does not start as root otherwise
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--password-store=basic",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
SECONDS = 60.0  # for one answer, on a busy machine
SETTLED = "Promise.allSettled([document.fonts.ready, ...Array.from(document.images, image => image.decode())])"
TABLES = """
Array.from(document.querySelectorAll("table"),
    table => Array.from(table.rows, row => Array.from(row.cells, cell => cell.innerText)))
"""
PICTURES = "Array.from(document.images, image => [image.alt, image.naturalWidth])"


@dataclass(frozen=True)
class Seen:
    """A page as the browser shows it.

    `tables` holds the text of the cells, row by row; `pictures` is a pair of alt text and natural width each, 0 where
    the picture is broken; `problems` are warnings and errors of console, scripts and loading; `requests` are the
    addresses that were asked for, but for the page's own and what stands in the page itself; `overflow` is by how many
    pixels the page is wider than the window; `screenshot` is a PNG of the whole page.
    """

    html: str
    tables: list[list[list[str]]]
    pictures: list[tuple[str, int]]
    problems: list[str]
    requests: list[str]
    overflow: int
    screenshot: bytes


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator["Browser"]:
    """A browser with its profile in `folder`; the test is skipped where there is none on the machine."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium: none of {', '.join(NAMES)} is installed")
    # It reads from descriptor 3 and writes to 4; ours are kept out of the way of these two.
    pipes = [os.pipe(), os.pipe()]
    (its_input, our_output), (our_input, its_output) = [
        tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipe) for pipe in pipes
    ]
    for end in (*pipes[0], *pipes[1]):
        os.close(end)
    script = f'exec "$@" 3</dev/fd/{its_input} 4>/dev/fd/{its_output}'
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", program, *OPTIONS, f"--user-data-dir={folder}"],
        pass_fds=(its_input, its_output),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(its_input)
    os.close(its_output)
    try:
        yield Browser(our_input, our_output)
    finally:
        os.close(our_output)
        os.close(our_input)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Browser:
    """The protocol: numbered calls and their answers, and events in between, as JSON that ends in a zero byte."""

    def __init__(self, input_: int, output: int):
        self._input, self._output = input_, output
        self._num_calls = 0
        self._unread = b""
        self._events: list[dict[str, Any]] = []

    def open(self, path: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> Seen:
        """What the page in the file `path` is in a window of this size, in CSS pixels."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", session)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", session, **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", session, features=[scheme])
        address = path.resolve().as_uri()
        self._call("Page.navigate", session, url=address)
        self._wait_for("Page.loadEventFired")
        self._evaluate(session, f"{SETTLED}.then(() => 0)")
        screenshot = self._call("Page.captureScreenshot", session, captureBeyondViewport=True)
        seen = Seen(
            html=self._evaluate(session, "document.documentElement.outerHTML"),
            tables=self._evaluate(session, TABLES),
            pictures=[(alt, pixels) for alt, pixels in self._evaluate(session, PICTURES)],
            overflow=self._evaluate(session, "document.documentElement.scrollWidth - window.innerWidth"),
            problems=[text for event in self._events if (text := _problem(event))],
            requests=[url for event in self._events if (url := _requested(event)) and url != address],
            screenshot=base64.b64decode(screenshot["data"]),
        )
        self._call("Target.closeTarget", targetId=target)
        return seen

    def _evaluate(self, session: str, expression: str) -> Any:
        options = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._call("Runtime.evaluate", session, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._num_calls += 1
        message = {"id": self._num_calls, "method": method, "params": params}
        message |= {} if session is None else {"sessionId": session}
        os.write(self._output, json.dumps(message).encode() + b"\0")  # shorter than a pipe holds
        deadline = time.monotonic() + SECONDS
        while (answer := self._message(deadline)).get("id") != self._num_calls:
            self._events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _wait_for(self, method: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not any(event["method"] == method for event in self._events):
            self._events.append(self._message(deadline))

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not select.select([self._input], [], [], max(deadline - time.monotonic(), 0.0))[0]:
                raise TimeoutError(f"Chromium has not answered within {SECONDS:g} seconds")
            received = os.read(self._input, 1 << 16)
            if not received:
                raise ConnectionError("Chromium has ended")
            self._unread += received
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


def _problem(event: dict[str, Any]) -> str | None:
    match event:
        case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
            return details.get("exception", {}).get("description") or details["text"]
        case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning" | "assert", "args": args}}:
            return " ".join(str(arg.get("value", arg.get("description"))) for arg in args)
        case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning", "text": text, **rest}}}:
            return f"{text} {rest.get('url', '')}".rstrip()
        case {"method": "Network.loadingFailed", "params": {"errorText": text}}:
            return text
    return None


def _requested(event: dict[str, Any]) -> str | None:
    if event["method"] != "Network.requestWillBeSent":
        return None
    url = event["params"]["request"]["url"]
    return None if url.startswith("data:") else url
