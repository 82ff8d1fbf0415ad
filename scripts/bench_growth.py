"""How the cost of a search grows with names, beams, the length of the source and the batch; write a result file.

    python scripts/bench_growth.py results/search/growth.json 'data/ontologies/*.jsonl.gz'

From one middle, 75,000 names, 5 beams, 64 source tokens and 32 mentions at once, one thing is changed at a time. The
names are real as far as they reach, then synthetic (scripts/bench_memory.py). One core, CPU time of the process, and a
random 4+2 model with a planted preference (scripts/planted.py): no accuracy is measured here. The peer is `generate` of
transformers in the middle and for each number of beams, at 16 mentions at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from bench_memory import SIZES, read_names, synthetic_names
from command import run_command
from planted import (
    BEAMS,
    SHAPES,
    SMALLEST,
    SOURCE_TOKENS,
    SPELLING,
    Answer,
    Question,
    by_generate,
    by_search,
    planted_bart,
    question_of,
)

from genlink.data.tokenizer import train_tokenizer
from genlink.data_paths import expanded
from genlink.evaluation.results import write_result

if TYPE_CHECKING:
    from genlink.decoding import Normaliser

MENTIONS, PEER_MENTIONS, BATCH = 64, 16, 32
BEAM_SIZES, LENGTHS, BATCHES = (1, 5, 10, 20), (16, 32, 64, 128), (1, 2, 8, 32, 64)
COLUMNS = ("milliseconds", "rows", "passes", "encoder", "decoder", "head", "search", "ratio")

Cells = dict[str, float]


def cells_of(answer: Answer) -> Cells:
    return {
        "milliseconds": answer.milliseconds,
        "rows": answer.rows,
        "passes": answer.passes,
        **(answer.stages or {}),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("sources", type=Path, nargs="+", help="knowledge base files, or patterns")
    parser.add_argument(
        "--names", type=int, action="append", help=f"numbers of names; repeatable (default {SIZES} and all real ones)"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    files = expanded(options.sources)
    real = read_names(files, seed=0)
    sizes = sorted(options.names or {*SIZES, len(real)})
    middle = sizes[0]
    tokenizer = train_tokenizer(real[:middle], SPELLING)
    model = planted_bart(SHAPES[SMALLEST], start=int(tokenizer.eos_token_id), pad=1)
    rows: dict[str, Cells] = {}

    def question(names: int) -> Question:
        more = synthetic_names(real, max(0, names - len(real)), seed=0)
        return question_of(chain(real[:names], more), tokenizer, real[:middle][:MENTIONS], max(SOURCE_TOKENS, *LENGTHS))

    def add(row: str, search: Callable[[Normaliser], Answer], peer: Cells | None = None) -> None:
        for normaliser in ("full", "trie"):
            cells = rows[f"{row}, {normaliser}"] = cells_of(search(normaliser))
            if peer is not None:
                cells["ratio"] = peer["milliseconds"] / cells["milliseconds"]
            print(f"{row}, {normaliser}: {cells['milliseconds']:.1f} ms", file=sys.stderr)

    longest = question(middle)
    asked = Question(longest.sources[:, :SOURCE_TOKENS], longest.trie)
    for beams in BEAM_SIZES:
        peer = None
        if beams > 1:  # with one, `generate` is another search, which gives no scores
            peer = {"milliseconds": by_generate(model, asked.first(PEER_MENTIONS), PEER_MENTIONS, beams).milliseconds}
            rows[f"{beams} beams, generate"] = peer
        for k in sorted({1, beams}):
            add(
                f"{beams} beams, {k} names",
                lambda n, b=beams, k=k: by_search(model, asked, BATCH, normaliser=n, beams=b, k=k),
                peer,
            )
    for batch in BATCHES:
        add(f"{batch} at once", lambda n, b=batch: by_search(model, asked.first(max(b, 32)), b, normaliser=n))
    for length in LENGTHS:
        cut = Question(longest.sources[:, :length], longest.trie)
        add(f"{length} source tokens", lambda n, q=cut: by_search(model, q, BATCH, normaliser=n))
    for names in sizes:
        more = question(names)
        cut = Question(more.sources[:, :SOURCE_TOKENS], more.trie)
        add(f"{names:,} names", lambda n, q=cut: by_search(model, q, BATCH, normaliser=n))
    write_result(
        options.result,
        command=sys.argv,
        data=files,
        seed=0,
        n=MENTIONS,
        settings={
            "name": "growth of the cost of a search",
            "columns": COLUMNS,
            "shape": SMALLEST,
            "real_names": len(real),
            "names": middle,
            "beams": BEAMS,
            "source_tokens": SOURCE_TOKENS,
            "batch": BATCH,
            "threads": 1,
        },
        metrics=rows,
    )


if __name__ == "__main__":
    run_command(main)
