"""Many clients ask a server on this computer for a while, well and badly: what it answers, how soon, and its memory.

    python scripts/soak_server.py results/serving/soak.json runs/ncbi_disease/finetune/model --seconds 600

Each client asks again and again, each time one of: a text with marked mentions (most often) or spans, one that marks
none, one that is too long (as a text or as a body), something that is no request, a body that comes in pieces, one that
ends in the middle with its connection. What is right for each is known; any other status, or none, is an error, but 503
with the time to come again, which says that too much is waiting, and is counted apart. Milliseconds are from the first
byte sent to the last one read. Memory is what the server holds of physical memory (RSS), looked at sixty times.

Then more come at once than the server takes: each has to be answered (200), put off (503) or given up (504), and who
comes afterwards has to be answered as before. This is the row `past its limits`.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
from command import run_command

from genlink.data_paths import display, locate
from genlink.errors import UsageError
from genlink.evaluation.process import MB, require_proc, resident_of
from genlink.evaluation.results import write_result
from genlink.kb import KnowledgeBase, load_kb
from genlink.linkers.opening import place_of

KINDS = {"marked": 8, "spans": 4, "unmarked": 1, "too long": 1, "malformed": 1, "slow": 1, "disconnecting": 1}
RIGHT = {"marked": 200, "spans": 200, "unmarked": 200, "too long": 413, "malformed": 422, "slow": 200}
BUSY, LATE = 503, 504
CROWD = 400
PIECES = 5
COLUMNS = (
    *(
        "requests",
        "per_second",
        "median_ms",
        "p99_ms",
        "longest_ms",
        "errors",
        "status_200",
        "status_503",
        "status_504",
    ),
    *("first_mb", "middle_mb", "last_mb", "after_its_limits_mb"),
)
LOOKS = 60


@dataclass
class Tally:
    """What the clients have met: (kind, status) with its milliseconds, and errors by what they are."""

    answers: list[tuple[str, int, float]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


def body_of(kind: str, names: Sequence[str], draw: random.Random) -> bytes:
    """A request of one kind, about some names."""
    chosen = [draw.choice(names) for _ in range(draw.randint(1, 4))]
    if kind == "spans":
        text = "; ".join(chosen)
        starts = [sum(len(name) + 2 for name in chosen[:i]) for i in range(len(chosen))]
        spans = [(start, start + len(name)) for start, name in zip(starts, chosen, strict=True)]
        return json.dumps({"text": text, "spans": spans, "k": draw.randint(1, 10)}).encode()
    if kind == "unmarked":
        return json.dumps({"text": "; ".join(chosen)}).encode()
    if kind == "too long":
        return json.dumps({"text": "[[" + "x" * draw.choice([60_000, 2_000_000]) + "]]"}).encode()
    if kind == "malformed":
        return draw.choice([b"", b"[", b'{"text": 1}', b'{"txt": "[[x]]"}', b'{"text": "[[x]]", "k": 0}', b"\xff\x00"])
    return marked(chosen)


def marked(names: Sequence[str]) -> bytes:
    return json.dumps({"text": "History of " + " and ".join(f"[[{name}]]" for name in names) + "."}).encode()


def ask(host: str, port: int, kind: str, body: bytes, pause: float) -> int | None:
    """The status of an answer; None where the client goes before there is one."""
    if kind == "disconnecting":
        head = f"POST /link HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, port), timeout=60) as gone:
            gone.sendall(head.encode() + body[: len(body) // 2])
        return None
    connection = HTTPConnection(host, port, timeout=120)
    try:
        connection.putrequest("POST", "/link")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        step = -(-len(body) // PIECES) if kind == "slow" else max(1, len(body))
        for start in range(0, len(body), step):
            if start:
                time.sleep(pause)
            connection.send(body[start : start + step])
        answer = connection.getresponse()
        answer.read()
        if answer.status == BUSY and not answer.getheader("Retry-After"):
            raise HTTPException("it does not say when to come again")
        return answer.status
    finally:
        connection.close()


def be_a_client(address: tuple[str, int], names: Sequence[str], seed: int, until: float, tally: Tally) -> None:
    """Ask until the time has come."""
    draw = random.Random(seed)
    while time.monotonic() < until:
        [kind] = draw.choices(list(KINDS), list(KINDS.values()))
        body = body_of(kind, names, draw)
        started = time.monotonic()
        try:
            status = ask(*address, kind, body, pause=0.2)
        except (OSError, HTTPException) as error:
            tally.errors[f"{kind}: {type(error).__name__}"] += 1
            time.sleep(0.1)
            continue
        if status is None:
            continue
        tally.answers.append((kind, status, 1000 * (time.monotonic() - started)))
        if status not in (RIGHT[kind], BUSY):
            tally.errors[f"{kind}: {status}"] += 1
        if status == BUSY:
            time.sleep(0.5 + draw.random())


def come_at_once(address: tuple[str, int], names: Sequence[str], seed: int, tally: Tally) -> None:
    """Many clients at the same moment, and one when all of them have gone."""
    draw = random.Random(seed)
    ready = threading.Barrier(CROWD)
    answers: list[tuple[str, int, float]] = []

    def come(body: bytes) -> None:
        ready.wait()
        started = time.monotonic()
        try:
            status = ask(*address, "marked", body, pause=0)
        except (OSError, HTTPException) as error:
            tally.errors[f"past its limits: {type(error).__name__}"] += 1
            return
        assert status is not None
        answers.append(("past its limits", status, 1000 * (time.monotonic() - started)))
        if status not in (RIGHT["marked"], BUSY, LATE):
            tally.errors[f"past its limits: {status}"] += 1

    bodies = [marked([draw.choice(names) for _ in range(20)]) for _ in range(CROWD)]
    crowd = [threading.Thread(target=come, args=(body,), daemon=True) for body in bodies]
    for client in crowd:
        client.start()
    for client in crowd:
        client.join(180)
    if ask(*address, "marked", bodies[0], pause=0) != RIGHT["marked"]:
        tally.errors["after its limits: no answer"] += 1
    tally.answers += answers


@contextmanager
def server(model: str, kb: Path | None) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """A server of its own process, and its host and port."""
    command = [sys.executable, "-m", "genlink", "serve", model, "--port", "0"]
    process = subprocess.Popen([*command, *(["--kb", str(kb)] if kb else [])], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        while said and "http://" not in said:
            said = process.stderr.readline()
        if not said:
            raise UsageError(f"{model}: the server has not started. `genlink serve` says why.")
        host, _, port = said.split("http://")[1].split("/")[0].rpartition(":")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would hold it up
        yield process, (host, int(port))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def names_of(model: str, kb: Path | None) -> list[str]:
    """A thousand names of the dictionary, without brackets."""
    dictionary = load_kb(locate(kb)) if kb else KnowledgeBase.open(place_of(model) / "kb")
    keys = range(0, dictionary.n_keys, max(1, dictionary.n_keys // 1000))
    found = (dictionary.key_name(i, dictionary.key_concepts(i)[0]) for i in keys)
    return [name for name in found if not set("[]") & set(name)] or ["x"]


def measures(answers: Sequence[tuple[str, int, float]], seconds: float | None = None) -> dict[str, float]:
    """Requests, their rate over so many seconds, quantiles of their milliseconds and their statuses."""
    taken = [milliseconds for _, _, milliseconds in answers]
    quantiles = np.quantile(taken, [0.5, 0.95, 0.99]) if taken else [0.0] * 3
    found: dict[str, float] = {"requests": len(answers)} | ({"per_second": len(answers) / seconds} if seconds else {})
    found |= {name: float(q) for name, q in zip(("median_ms", "p95_ms", "p99_ms"), quantiles, strict=True)}
    found["longest_ms"] = max(taken, default=0.0)
    return found | {f"status_{s}": n for s, n in sorted(Counter(s for _, s, _ in answers).items())}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("model", help="as for genlink serve")
    parser.add_argument("--kb", type=Path, help="knowledge base, for a linker that has none of its own")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    require_proc()
    tally = Tally()
    memory: list[tuple[float, float]] = []
    names = names_of(options.model, options.kb)
    with server(options.model, options.kb) as (process, address):
        started = time.monotonic()
        until = started + options.seconds
        clients = [
            threading.Thread(target=be_a_client, args=(address, names, options.seed + i, until, tally), daemon=True)
            for i in range(options.clients)
        ]
        for client in clients:
            client.start()
        while (now := time.monotonic()) < until:
            memory.append((round(now - started, 1), resident_of(process.pid) / MB))
            time.sleep(min(options.seconds / LOOKS, until - now))
        for client in clients:
            client.join(180)
        tally.errors["a client that never ended"] += sum(client.is_alive() for client in clients)
        took = time.monotonic() - started
        memory.append((round(took, 1), resident_of(process.pid) / MB))
        come_at_once(address, names, options.seed, tally)
        after_mb = resident_of(process.pid) / MB
        if process.poll() is not None:
            raise UsageError(f"{options.model}: the server ended with {process.returncode} under its requests.")
    errors = {name: n for name, n in tally.errors.items() if n}
    middle = len(memory) // 2
    write_result(
        options.result,
        command=sys.argv,
        data=[path for path in (options.kb, place_of(options.model)) if isinstance(path, Path)],
        seed=options.seed,
        n=len(tally.answers),
        settings={
            "name": display(options.model),
            "columns": COLUMNS,
            "clients": options.clients,
            "clients_past_its_limits": CROWD,
            "seconds": options.seconds,
            "kinds": KINDS,
            "errors": errors,
            "memory_mb": memory,
        },
        metrics={
            "all": measures([a for a in tally.answers if a[0] in RIGHT], took) | {"errors": sum(errors.values())},
            **{kind: measures([a for a in tally.answers if a[0] == kind], took) for kind in RIGHT},
            "past its limits": measures([a for a in tally.answers if a[0] not in RIGHT]),
            "memory": {
                "first_mb": memory[0][1],
                "middle_mb": memory[middle][1],
                "last_mb": memory[-1][1],
                "most_mb": max(mb for _, mb in memory),
                "after_its_limits_mb": after_mb,
            },
        },
    )
    print(f"{len(tally.answers)} answers, {sum(errors.values())} errors: {options.result}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
