"""A million mentions linked as a file: killed at half and gone on with, by one process and by two.

    python scripts/bench_bulk.py results/bulk/mentions.json runs/ncbi_disease/finetune/model --work runs/bulk \\
        --corpus data/ncbi-disease/NCBItrainset_corpus.txt --names 'data/ontologies/*.jsonl.gz'

The mentions are drawn by the seed from those of the corpora, each with the text around it, and from names, alone or in
a short sentence; half of them from each. `--distinct` different ones are drawn, and all others repeat one of them,
some much more often than others. A document has one mention, so that none is the context of another.

`genlink link` links the file without a disturbance; again, killed when half of its parts are there, and on with
`--resume`; and in several processes. One thread a process. Lines that differ are counted, and of these the ones whose
answers do: a probability or a score may differ by 0.0001, since its last digits depend on which mentions are linked
together. `peak_mb` is what the processes of a command have in memory together, looked at twice a second; what they
share is counted for each.

What is finished lies in the folder `--work` and is not done again, so the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from command import run_command

from genlink.bulk.answers import question_of
from genlink.bulk.linking import CHUNK, Job
from genlink.bulk.parts import parts_of
from genlink.bulk.sources import corpus_source
from genlink.corpora import read_corpus
from genlink.data_paths import display, expanded, locate
from genlink.errors import DataError, UsageError
from genlink.evaluation.process import MB, in_fresh_process, require_proc, resident_of
from genlink.evaluation.results import write_result
from genlink.files import atomic_file, read_json, write_json
from genlink.kb import load_kb, read_concepts
from genlink.linkers.opening import open_linker, place_of

WINDOW = 120  # characters on each side of a corpus's mention
SENTENCES = (
    ("", ""),
    ("History of ", "."),
    ("No sign of ", ", nor of anything else."),
    ("The patient was treated for ", " at another hospital last year."),
    ("Risk factors of ", " are not well understood."),
)
COUNTS = ("lines_different", "answers_different")
COLUMNS = ("mentions", "seconds", "mentions_per_second", "peak_mb", *COUNTS)
TOLERANCE = 1e-4  # of probabilities and scores that count as the same
LOOK_SECONDS = 0.5
MOMENTS = 20  # of the memory of a linking

Piece = tuple[str, str, str]
"""What stands before a mention, the mention, and what stands behind it."""


def drawn(windows: Iterable[Piece], names: Sequence[str], distinct: int, draw: random.Random) -> list[Piece]:
    """So many different mentions, half of them from corpora if there are enough, or fewer if there are no more."""
    pieces = list(dict.fromkeys(windows))
    draw.shuffle(pieces)
    pieces = pieces[: distinct // 2 if names else distinct]
    chosen = draw.sample(range(len(names)), min(len(names), distinct - len(pieces)))
    for i in chosen:
        left, right = draw.choice(SENTENCES)
        pieces.append((left, names[i], right))
    draw.shuffle(pieces)
    return pieces


def repeated(pieces: Sequence[Piece], n: int, draw: random.Random) -> Iterator[Piece]:
    """``n`` of the pieces in any order: each once while there is room, and then those at the front the most often."""
    places = list(range(min(n, len(pieces))))
    places += [int(len(pieces) * draw.random() ** 2) for _ in range(n - len(places))]
    draw.shuffle(places)
    return (pieces[i] for i in places)


def windows_of(corpora: Iterable[Path]) -> Iterator[Piece]:
    """The mentions of corpora with the text around them; those with gaps are left out."""
    for corpus in corpora:
        for document in read_corpus(corpus):
            for mention in document.mentions:
                start, end = mention.start, mention.end
                if not mention.is_discontinuous and document.text[start:end] == mention.text.strip() != "":
                    text = document.text
                    yield text[max(0, start - WINDOW) : start], text[start:end], text[end : end + WINDOW]


def write_mentions(path: Path, pieces: Iterable[Piece]) -> int:
    """A document a line, each with one mention; how many."""
    number = 0
    with atomic_file(path) as file:
        for number, (left, text, right) in enumerate(pieces, start=1):
            mention = {"spans": [[len(left), len(left) + len(text)]], "text": text}
            record = {"id": str(number), "text": left + text + right, "mentions": [mention]}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return number


def distinct_questions(model: str, kb: Path | None, path: Path) -> int:
    """How many of the mentions the linker tells apart."""
    linker = open_linker(place_of(model), load_kb(kb) if kb else None)
    job = Job(corpus_source(path, "jsonl"), linker)
    mentions = (mention for chunk in job.chunks() for mention in job.prepared(chunk))
    return len({question_of(m, linker.context_characters, linker.kb.normalisation) for m in mentions})


def lines_different(a: Path, b: Path) -> int:
    """How many lines of two files differ, those that one of them lacks among them."""
    with a.open("rb") as first, b.open("rb") as second:
        return sum(x != y for x, y in zip_longest(first, second))


def answers_different(a: Path, b: Path) -> int:
    """How many lines of two files differ in more than the last digits of numbers.

    What is no JSON is compared as it stands.
    """
    with a.open("rb") as first, b.open("rb") as second:
        return sum(
            x != y and not _is_same(_parsed(x), _parsed(y)) for x, y in zip_longest(first, second, fillvalue=b"")
        )


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_is_same(value, b[key]) for key, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_is_same, a, b))
    if isinstance(a, float) and isinstance(b, float):  # offsets and ranks are whole numbers, and have to be equal
        return abs(a - b) <= TOLERANCE
    return type(a) is type(b) and bool(a == b)


# Commands that are watched


def family(pid: int) -> Iterator[int]:
    """A process and all that came from it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from family(int(child))


def memory_of(pid: int) -> float:
    """MB that a process and all that came from it have in memory; what ends meanwhile has none."""
    total = 0
    try:
        for member in family(pid):
            total += resident_of(member)
    except (OSError, StopIteration):
        pass
    return total / MB


def watched(command: Sequence[str], until: Callable[[], bool] = lambda: False) -> tuple[float, list[float], bool]:
    """Carry out a command: its seconds, its MB at each look, and whether it was killed because ``until`` came true.

    Raises DataError where it fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    looks = []
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        while process.poll() is None:
            looks.append(memory_of(process.pid))
            if until():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return time.monotonic() - started, looks, True
            try:
                process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)  # which a launcher passes on
        process.wait()
        raise
    if process.returncode:
        raise DataError(f"{' '.join(command[2:5])} ended with exit code {process.returncode}; it says why above.")
    return time.monotonic() - started, looks, False


def measures(n: int, seconds: float, looks: Sequence[float]) -> dict[str, Any]:
    """The cells of a linking, and its memory at some moments."""
    step = max(1, len(looks) // MOMENTS)
    return {
        "mentions": n,
        "seconds": round(seconds, 1),
        "mentions_per_second": round(n / seconds, 1),
        "peak_mb": round(max(looks), 1),
        "memory_mb": [round(mb, 1) for mb in looks[::step]],
    }


class Bench:
    """A folder in which each step leaves its facts when it is done."""

    def __init__(self, work: Path, plan: dict[str, Any]) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work, self.plan = work, plan
        if (work / "plan.json").exists():
            if read_json(work / "plan.json") != plan:
                raise UsageError(f"{work}: was begun with other arguments. Give the same ones, or another --work.")
        else:
            write_json(work / "plan.json", plan)

    def step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The facts of a step, which is carried out if it has left none."""
        path = self.work / f"{name}.json"
        if not path.exists():
            print(f"{name} ...", file=sys.stderr, flush=True)
            write_json(path, work())
        facts: dict[str, Any] = read_json(path)
        return facts

    def command(self, output: str, *more: str) -> list[str]:
        """``genlink link`` of the mentions."""
        plan = self.plan
        named = [plan["model"], str(self.work / "mentions.jsonl"), *(["--kb", plan["kb"]] if plan["kb"] else [])]
        return ["-m", "genlink", "link", *named, "--to", plan["to"], "--output", str(self.work / output), *more]


def sample(bench: Bench, corpora: Sequence[Path], names: Sequence[Path]) -> dict[str, Any]:
    draw = random.Random(bench.plan["seed"])
    known = [name for path in names for concept in read_concepts(path) for name in concept.names]
    pieces = drawn(windows_of(corpora), known, bench.plan["distinct"], draw)
    if not pieces:
        raise UsageError("there is nothing to draw mentions from: give --corpus or --names.")
    path = bench.work / "mentions.jsonl"
    n = write_mentions(path, repeated(pieces, bench.plan["mentions"], draw))
    kb = Path(bench.plan["kb"]) if bench.plan["kb"] else None
    return {"mentions": n, "distinct": in_fresh_process(distinct_questions, bench.plan["model"], kb, path)}


def undisturbed(bench: Bench, n: int) -> dict[str, Any]:
    seconds, looks, _ = watched([sys.executable, *bench.command("undisturbed", "--overwrite")])
    return measures(n, seconds, looks)


def killed(bench: Bench, n: int) -> dict[str, Any]:
    parts = parts_of(bench.work / "resumed")
    all_parts = -(-n // CHUNK)

    def left() -> int:
        return len(list(parts.glob("[0-9]*.jsonl")))

    command = [sys.executable, *bench.command("resumed", "--overwrite")]
    seconds, looks, is_killed = watched(command, until=lambda: 2 * left() >= all_parts)
    if not is_killed:
        raise DataError(
            "the linking was done before it could be killed. Give more --mentions, or more --distinct ones."
        )
    return {"parts": all_parts, "parts_left": left(), **measures(n, seconds, looks)}


def resumed(bench: Bench, n: int, before: dict[str, Any]) -> dict[str, Any]:
    seconds, looks, _ = watched([sys.executable, *bench.command("resumed", "--resume")])
    facts = measures(n, before["seconds"] + seconds, looks)
    facts["peak_mb"] = max(before["peak_mb"], facts["peak_mb"])
    return facts | compared(bench, "resumed")


def shared(bench: Bench, n: int) -> dict[str, Any]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(bench.plan["processes"])]
    seconds, looks, _ = watched([sys.executable, *launcher, *bench.command("shared", "--overwrite")])
    return measures(n, seconds, looks) | compared(bench, "shared")


def compared(bench: Bench, output: str) -> dict[str, Any]:
    before, after = bench.work / "undisturbed", bench.work / output
    return {"lines_different": lines_different(before, after), "answers_different": answers_different(before, after)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("model", help="as for genlink link")
    parser.add_argument("--kb", type=Path, help="knowledge base, for a linker that has none of its own")
    parser.add_argument("--corpus", action="append", default=[], help="file or pattern to take mentions from")
    parser.add_argument("--names", action="append", default=[], help="knowledge base or pattern to take names from")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is finished")
    parser.add_argument("--mentions", type=int, default=1_000_000)
    parser.add_argument("--distinct", type=int, default=50_000)
    parser.add_argument("--to", default="jsonl", help="form of the output, as for genlink link")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    require_proc()
    corpora, names = (expanded(given) if given else [] for given in (options.corpus, options.names))
    model = str(place_of(options.model))
    kb = None if options.kb is None else str(locate(options.kb))
    plan = {key: getattr(options, key) for key in ("mentions", "distinct", "to", "processes", "seed")}
    plan |= {"model": model, "kb": kb, "corpora": list(map(str, corpora)), "names": list(map(str, names))}
    bench = Bench(locate(options.work), plan)
    drawn_mentions = bench.step("sample", lambda: sample(bench, corpora, names))
    n = drawn_mentions["mentions"]
    one = bench.step("one process", lambda: undisturbed(bench, n))
    half = bench.step("killed", lambda: killed(bench, n))
    again = bench.step("killed and resumed", lambda: resumed(bench, n, half))
    several = bench.step(f"{options.processes} processes", lambda: shared(bench, n))
    rows = {"one process": one, "killed and resumed": again, f"{options.processes} processes": several}
    data = [*corpora, *names, *([options.kb] if options.kb else [])]
    write_result(
        options.result,
        command=sys.argv,
        data=[*data, *([model] if Path(model).exists() else [])],
        seed=options.seed,
        n=n,
        settings={
            "name": display(options.model),
            "columns": COLUMNS,
            "threads_of_a_process": 1,
            "distinct_questions": drawn_mentions["distinct"],
            "parts": half["parts"],
            "parts_left_by_the_kill": half["parts_left"],
            "memory_mb": {row: facts["memory_mb"] for row, facts in rows.items()},
        },
        metrics={row: {key: facts[key] for key in COLUMNS if key in facts} for row, facts in rows.items()},
        packages=("torch", "transformers"),
    )
    for row, facts in rows.items():
        said = [f"{facts['mentions_per_second']} mentions a second", f"{facts['peak_mb']} MB at most"]
        said += [f"{facts[key]} {key.replace('_', ' ')}" for key in COUNTS if key in facts]
        print(f"{row}: {', '.join(said)}")


if __name__ == "__main__":
    run_command(main)
