"""What it costs to restrict a trie to some names, and to add or remove names, beside building it; write a result file.

    python scripts/bench_changes.py results/search/changes.json 'data/ontologies/*.jsonl.gz'

Names are real as far as they reach, then synthetic (scripts/bench_memory.py). CPU time of the process, opened tries,
the best of five repetitions.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from bench_memory import SIZES, read_names, synthetic_names
from command import run_command
from planted import SPELLING, spelled

from genlink.data.tokenizer import train_tokenizer
from genlink.data_paths import expanded
from genlink.evaluation.results import write_result
from genlink.trie import NameTrie, packed

CHANGED = 1_000  # names
COLUMNS = (
    *("names", "nodes", "build_seconds", "open_ms", "restrict_to_10_ms", "restrict_to_1000_ms"),
    *("add_1000_seconds", "remove_1000_seconds"),
)


def seconds(work: Callable[[], object], repetitions: int = 5) -> float:
    """CPU time of the fastest repetition."""
    times = []
    for _ in range(repetitions):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def measure(tokens: np.ndarray, offsets: np.ndarray, end_token: int) -> dict[str, float]:
    """The row of a trie of all names but the last thousand, which are added."""
    n = len(offsets) - 1 - CHANGED
    held, more = tokens[: offsets[n]], tokens[offsets[n] :]
    rng = np.random.default_rng(0)
    chosen = rng.choice(n, CHANGED, replace=False)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.process_time()
        built = NameTrie.build(held, offsets[: n + 1], end_token)
        build = time.process_time() - started
        built.save(scratch)
        nodes = built.n_nodes
        del built
        trie = NameTrie.open(scratch)
        return {
            "names": n,
            "nodes": nodes,
            "build_seconds": build,
            "open_ms": 1000 * seconds(lambda: NameTrie.open(scratch)),
            "restrict_to_10_ms": 1000 * seconds(lambda: trie.restricted_to(chosen[:10])),
            "restrict_to_1000_ms": 1000 * seconds(lambda: trie.restricted_to(chosen)),
            "add_1000_seconds": seconds(
                lambda: trie.updated(more, offsets[n:] - offsets[n], np.arange(n, n + CHANGED)), 2
            ),
            "remove_1000_seconds": seconds(lambda: trie.updated(removed=chosen), 2),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("sources", type=Path, nargs="+", help="knowledge base files, or patterns")
    parser.add_argument(
        "--names", type=int, action="append", help=f"numbers of names; repeatable (default {SIZES} and all real ones)"
    )
    options = parser.parse_args(arguments)
    files = expanded(options.sources)
    real = read_names(files, seed=0)
    sizes = sorted(options.names or {*SIZES, len(real)})
    tokenizer = train_tokenizer(real[: sizes[0]], SPELLING)
    wanted = sizes[-1] + CHANGED
    more = synthetic_names(real, max(0, wanted - len(real)), seed=0)
    tokens, offsets = packed(spelled(chain(real[:wanted], more), tokenizer))
    rows = {}
    for size in sizes:
        # A few names were too long and are left out, so the last size has a few less.
        kept = min(size + CHANGED, len(offsets) - 1)
        rows[f"{size:,} names"] = row = measure(tokens[: offsets[kept]], offsets[: kept + 1], tokenizer.eos_token_id)
        print(f"{size:,} names: " + ", ".join(f"{key} {value:,.4g}" for key, value in row.items()), file=sys.stderr)
    write_result(
        options.result,
        command=sys.argv,
        data=files,
        seed=0,
        n=sizes[-1],
        settings={"name": "changing a trie", "columns": COLUMNS, "changed": CHANGED, "real_names": len(real)},
        metrics=rows,
    )


if __name__ == "__main__":
    run_command(main)
