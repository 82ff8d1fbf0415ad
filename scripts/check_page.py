"""Use the page of `genlink serve` in a real browser, without a window, as one who has only a keyboard would.

    python scripts/check_page.py runs/demo/model                                    check it in Chromium
    python scripts/check_page.py runs/demo/model --screenshot docs/images/page.png  and take its picture

Other options (--kb, --calibration) are for `genlink serve` and `genlink explain`. Exits with 1 and says what is not so.
Needs Chromium and a generative model; the server answers on this computer alone.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from browser import BrowserError, Tab, browser

TEXT = "History of [[acute inflammation of the pancreas]] and [[type C hepatitis]]."
STATUS, PROBLEM = "document.getElementById('status').textContent", "document.getElementById('problem').textContent"
FOCUS = "document.activeElement.id || document.activeElement.tagName.toLowerCase()"
IS_LINKED = f"/linked\\.$/.test({STATUS}) && !document.getElementById('result').hidden"
# What a screen reader lets one stop at: it has to have a name.
_NAMED = {
    "button",
    "textbox",
    "link",
    "spinbutton",
    "listbox",
    "option",
    "heading",
    "table",
    "region",
    "alert",
    "status",
}
_NAMED -= {"alert", "status"}  # which are read out by what they hold


@contextmanager
def served(arguments: Sequence[str]) -> Iterator[str]:
    """The address of a server of a model, which ends with the block."""
    command = [sys.executable, "-m", "genlink", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        try:
            if not (address := re.search(r"http://\S+", said)):
                raise SystemExit(said.strip() or "the server ended at once")
            yield address[0]
        finally:
            process.terminate()


def complaints(tab: Tab, address: str) -> list[str]:
    """What the browser says of the page itself, and whom else than its server it asked."""
    said = []
    for event in tab.events:
        method, about = event["method"], event["params"]
        if method == "Runtime.exceptionThrown":
            said.append(about["exceptionDetails"]["text"])
        elif (
            method == "Log.entryAdded" and about["entry"]["level"] == "error" and about["entry"]["source"] != "network"
        ):
            said.append(about["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not about["request"]["url"].startswith(address):
            said.append(f"asks {about['request']['url']}")
        elif method == "Page.javascriptDialogOpening":
            said.append("runs what it is given to show")
    return said


def ask(tab: Tab, text: str) -> None:
    """Put a text into the page and have it linked."""
    tab.evaluate(f"document.getElementById('text').value = {json.dumps(text)}; link()")


def unnamed(tab: Tab) -> list[str]:
    """The roles of what a screen reader would have no name for."""
    nodes: list[dict[str, Any]] = tab.call("Accessibility.getFullAXTree")["nodes"]
    seen = [node for node in nodes if not node.get("ignored")]
    return [
        role for node in seen if (role := node["role"]["value"]) in _NAMED and not node.get("name", {}).get("value")
    ]


def answer_problems(tab: Tab, address: str) -> Iterator[tuple[str, bool]]:
    """What should be so when a text is linked by the page's address."""
    tab.open(f"{address}#explain&text={quote(TEXT)}")
    is_shown = tab.wait_for(f"{STATUS} === 'The search is shown below the button.'")
    yield "what was done is announced", is_shown
    html = tab.evaluate("document.body.innerHTML")
    yield "two mentions are marked", html.count("<mark>") == 2
    yield "two searches are shown", html.count('class="tree"') == html.count('aria-expanded="true"') == 2
    yield "each has a first candidate", html.count("<strong>rank 1</strong>") >= 2
    yield "there is no problem", tab.evaluate(PROBLEM) == ""
    yield f"everything has a name: {unnamed(tab)}", not unnamed(tab)
    tab.call("Emulation.setDeviceMetricsOverride", width=320, height=800, deviceScaleFactor=1, mobile=False)
    yield "it fits a narrow screen", tab.evaluate("document.documentElement.scrollWidth") <= 320
    tab.call("Emulation.clearDeviceMetricsOverride")
    yield f"nothing is refused or fetched: {complaints(tab, address)}", not complaints(tab, address)


def keyboard_problems(tab: Tab, address: str) -> Iterator[tuple[str, bool]]:
    """What should be so for one who writes a text, marks a mention and links it, with keys alone."""
    tab.open(address)
    tab.evaluate("fill()")
    hidden = tab.evaluate("['types', 'prefixes'].filter((id) => document.getElementById(id + '-part').hidden)")
    expected = [id for id in ("text", "mark", "k", "types", "prefixes", "button") if id not in hidden]
    order = []
    for _ in expected:
        tab.press("Tab")
        order.append(tab.evaluate(FOCUS))
    yield f"the focus goes in the order of the page: {order}", order == expected
    ring = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    yield "what has the focus is seen", ring == "solid"
    if "types" not in hidden:
        ask(tab, "[[asthma]]")
        tab.wait_for(IS_LINKED)
        tab.evaluate("document.getElementById('types').focus()")
        tab.press("ArrowDown")
        chosen = tab.evaluate("document.getElementById('types').selectedOptions[0]?.value")
        tab.evaluate("link()")
        ids = tab.evaluate("[...document.querySelectorAll('tbody th code')].map((code) => code.textContent)")
        held = [tab.evaluate(f"fetch('concept/{id}').then((a) => a.json()).then((c) => c.types)") for id in ids]
        yield f"only concepts of the type chosen by keys are answered: {chosen}", all(chosen in types for types in held)
        yield "and there are some", bool(chosen and ids)
        tab.evaluate("document.getElementById('types').selectedIndex = -1")
    tab.evaluate("{ const text = document.getElementById('text'); text.focus(); text.select(); }")
    tab.call("Input.insertText", text="kidney cancer")
    tab.evaluate("document.getElementById('text').select()")
    tab.press("m", alt=True)
    yield "Alt+M marks", tab.evaluate("document.getElementById('text').value") == "[[kidney cancer]]"
    for _ in expected[1:]:
        tab.press("Tab")
    tab.press("Enter")
    yield "Enter on the button links", tab.wait_for(IS_LINKED)
    yield "the focus goes to the answer", tab.evaluate(FOCUS) == "answer"
    for _ in range(40):
        tab.press("Tab")
        if tab.evaluate("document.activeElement.matches('button[data-mention]')"):
            break
    tab.press("Enter")
    yield "the search is reached and opened", tab.wait_for("document.querySelectorAll('.tree').length === 1")
    tab.press("Tab")
    tab.press("Enter")
    yield (
        "a branch is reached and closed",
        tab.wait_for("document.querySelectorAll('.tree details:not([open])').length"),
    )
    yield f"nothing is refused or fetched: {complaints(tab, address)}", not complaints(tab, address)


def other_problems(tab: Tab, address: str) -> Iterator[tuple[str, bool]]:
    """What should be so with plain text, mistakes, hostile text, two questions at once, and without the server."""
    tab.open(address)
    ask(tab, "A man with asthma and malaria.")
    yield "names in plain text are found", tab.wait_for("document.querySelectorAll('mark').length === 2")
    ask(tab, "nothing of it")
    yield "where there are none, it is said", tab.wait_for("/No name of the/.test(document.body.textContent)")
    ask(tab, "[[x]] " * 1000)
    yield "what is too much is said", tab.wait_for(f"/mentions, at most/.test({PROBLEM})")
    yield (
        "and the text is invalid, and has the focus",
        tab.evaluate(
            "document.activeElement.id === 'text' && document.activeElement.getAttribute('aria-invalid') === 'true'"
        ),
    )
    ask(tab, "[[<img src=x onerror=alert(1)> <script>alert(2)</script>]]")
    yield (
        "what is not text to a browser is text",
        tab.wait_for(f"{IS_LINKED} && !document.querySelector('#content img')"),
    )
    yield f"nothing is refused or fetched: {complaints(tab, address)}", not complaints(tab, address)
    tab.evaluate(
        "{ const ask = fetch; let n = 0; window.fetch = async (...of) => {"
        " const answer = await ask(...of); if (n++ === 0) await new Promise((done) => setTimeout(done, 1500));"
        " return answer; }; }"
    )
    tab.evaluate("document.getElementById('text').value = '[[first]]'; link(); 0")
    ask(tab, "[[second]]")
    tab.evaluate("new Promise((done) => setTimeout(done, 2000))")
    yield (
        "of two questions the later is answered",
        tab.evaluate("document.querySelector('mark').textContent") == "second",
    )
    tab.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    ask(tab, TEXT)
    yield "that there is no server is said", tab.wait_for(f"{PROBLEM} === 'The server does not answer.'")


def file_problems(tab: Tab, linker: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """What should be so of the file that `genlink explain` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "search.html"
        command = [sys.executable, "-m", "genlink", "explain", *linker, "--text", TEXT, "--output", str(path)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        tab.open(path.as_uri())
        yield "a file shows both searches", tab.evaluate("document.querySelectorAll('.tree').length") == 2
        yield f"everything in it has a name: {unnamed(tab)}", not unnamed(tab)
        yield f"it asks for nothing: {complaints(tab, path.as_uri())}", not complaints(tab, path.as_uri())


def take_picture(tab: Tab, address: str, path: Path) -> None:
    """A picture of the page with the first candidate and the first search opened."""
    tab.call("Network.disable")
    tab.open(f"{address}#text={quote(TEXT)}")
    tab.wait_for(IS_LINKED)
    tab.evaluate("document.querySelector('#content details').open = true")
    tab.evaluate("document.querySelector('button[data-mention]').click()")
    tab.wait_for("document.querySelector('.tree')")
    tab.screenshot(path, 1000, 1700)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code. ``arguments`` are those of the command line if left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a generative model, such as runs/demo/model")
    parser.add_argument("--chromium", default="chromium", help="the browser")
    parser.add_argument("--screenshot", type=Path, help="PNG file to write")
    options, others = parser.parse_known_args(arguments)
    wrong = []
    linker = [options.model, *others]
    try:
        with served(linker) as address, browser(options.chromium) as tab:
            checks = [file_problems(tab, linker)]
            checks += [check(tab, address) for check in (answer_problems, keyboard_problems, other_problems)]
            wrong += [f"not so: {what}" for what, is_so in chain.from_iterable(checks) if not is_so]
            if options.screenshot:
                take_picture(tab, address, options.screenshot)
    except BrowserError as error:
        wrong.append(f"error: {error}")
    print("\n".join(wrong) or "The page does what it should.")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
