"""A server as a process: it says where it is, answers what is open when it is told to end, and fails in one line."""

from __future__ import annotations

import builtins
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from genlink.errors import UsageError
from genlink.serving.run import bind

# A linker that says what it is asked, and answers when it is given a line.
GATED = """
import sys
from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker
from genlink.schema import Concept
from genlink.serving.app import create_app
from genlink.serving.run import bind, serve_until_told

class Gated(ExactLinker):
    def link(self, mentions, k=5, *, progress=False):
        print("begun:", *(mention.surface for mention in mentions), flush=True)
        sys.stdin.readline()
        return super().link(mentions, k)

app = create_app(Gated(KnowledgeBase.from_concepts([Concept("C1", ("gout",))])))
serve_until_told(app, bind("127.0.0.1", 0), timeout_s=30, started=lambda address: print(address, flush=True))
"""


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answers(address: str, name: str = "gout") -> list[str]:
    """The concepts of a name, from a server that may need a moment yet."""
    body = json.dumps({"text": f"[[{name}]]"}).encode()
    for _ in range(100):
        try:
            with urlopen(Request(address + "link", body, {"Content-Type": "application/json"}), timeout=30) as answer:
                return [c["concept_id"] for c in json.load(answer)["predictions"][0]["candidates"]]
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError


@pytest.fixture
def fails(genlink):
    """Run `genlink serve`; its exit code and the one line that it says."""

    def call(*arguments: object) -> tuple[int, str]:
        code, _, said = genlink("serve", *arguments)
        [line] = said.splitlines()
        return code, line

    return call


def test_a_server_says_where_it_is_answers_there_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    dictionary = tmp_path / "names.txt"
    dictionary.write_text("C1||gout\n", encoding="utf-8")
    command = (sys.executable, "-m", "genlink", "serve", "exact", "--kb", str(dictionary), "--port", "0")
    with running(*command) as process:
        said = process.stdout.readline()
        assert said.startswith("Serving 1 concepts at http://127.0.0.1:")
        assert answers(said.split()[4]) == ["C1"]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == ""
        assert process.returncode == 0


def test_what_is_open_when_a_server_is_told_to_end_is_answered_and_nothing_more_is_taken() -> None:
    with running(sys.executable, "-c", GATED) as process, ThreadPoolExecutor(1) as callers:
        address = process.stdout.readline().strip()
        asked = callers.submit(answers, address)
        assert process.stdout.readline() == "begun: gout\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(OSError):
            while True:  # until it is not listening any more
                socket.create_connection(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))).close()
                time.sleep(0.01)
        assert not asked.done()
        process.stdin.write("\n")
        assert asked.result(30) == ["C1"]
        assert process.communicate(timeout=30)[0] == ""


def test_what_its_caller_no_longer_waits_for_is_not_linked() -> None:
    with running(sys.executable, "-c", GATED) as process, ThreadPoolExecutor(2) as callers:
        address = process.stdout.readline().strip()
        first = callers.submit(answers, address)
        assert process.stdout.readline() == "begun: gout\n"

        def wait_for(waiting: int) -> None:
            while json.load(urlopen(address + "health", timeout=30))["waiting"] != waiting:
                time.sleep(0.01)

        host, port = "127.0.0.1", int(address.rstrip("/").rpartition(":")[2])
        body = json.dumps({"text": "[[plague]]"}).encode()
        head = f"POST /link HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        with socket.create_connection((host, port)) as gone:
            gone.sendall(f"{head}\r\n\r\n".encode() + body)
            wait_for(1)
        last = callers.submit(answers, address, "ague")
        wait_for(2)
        time.sleep(0.2)  # time enough to notice who has gone
        process.stdin.write("\n\n")
        assert (first.result(30), last.result(30)) == (["C1"], [])
        assert process.stdout.readline() == "begun: ague\n"


def test_a_port_that_is_taken_is_one_line(fails, tmp_path) -> None:
    dictionary = tmp_path / "names.txt"
    dictionary.write_text("C1||gout\n", encoding="utf-8")
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        code, line = fails("exact", "--kb", dictionary, "--port", port)
    assert code == 2
    assert line == (
        f"error: cannot listen at 127.0.0.1, port {port} ({os.strerror(errno.EADDRINUSE)}). Choose another --port, or "
        "0 for any that is free."
    )


def test_an_address_of_another_computer_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"cannot listen at 192\.0\.2\.1, port 0"):
        bind("192.0.2.1", 0)


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, fails) -> None:
    imported = builtins.__import__

    def without_uvicorn(name: str, *arguments: object, **more: object) -> object:
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return imported(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without_uvicorn)
    code, line = fails("exact")
    assert code == 2
    assert "needs uvicorn" in line and "pip install 'genlink[serve]'" in line


def test_a_model_that_is_not_there_is_one_line_and_leaves_the_port_free(fails, tmp_path) -> None:
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    code, line = fails(tmp_path / "none", "--port", port)
    assert (code, "no such model" in line) == (2, True)
    with socket.create_server(("127.0.0.1", port)):
        pass
