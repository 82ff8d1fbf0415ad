"""What it costs to harvest a model's own wrong names for the names of its dictionary; write a result file.

    python scripts/bench_harvest.py results/negatives/harvest.json runs/ncbi_disease/pretrain/model

Drawn names are asked by the search that `genlink train` harvests with, and by `generate` of transformers over the same
trie, one at a time as published code does; beside them the nearest names of other concepts by TF-IDF. CPU seconds on
one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from command import run_command
from planted import Question, by_generate

from genlink.config import PairsConfig
from genlink.data.neighbours import OtherNames
from genlink.data_paths import locate
from genlink.evaluation.results import write_result
from genlink.linkers.bart import load_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.training.harvest import Query, answer_queries, name_queries, tfidf_answers
from genlink.training.materials import synonym_pairs

COLUMNS = ("asked", "seconds_per_1000", "ratio")


def seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def generated(linker: GenerativeLinker, queries: list[Query], k: int) -> float:
    """Seconds that `generate` takes for the questions, one at a time; the model is one of transformers."""
    prompts = [query.prompt for query in queries]
    asked = zip(linker.encoding.sources(prompts), linker.encoding.prefixes(prompts), strict=True)
    return sum(
        by_generate(linker.model, Question(torch.tensor([source]), linker.trie), 1, k, prefix).milliseconds / 1000
        for source, prefix in asked
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("model", type=Path, help="a model directory of genlink train")
    parser.add_argument("--asked", type=int, default=1000, help="names asked by the search and by TF-IDF")
    parser.add_argument("--generated", type=int, default=16, help="names asked by generate")
    parser.add_argument("--k", type=int, default=5, help="names of a list")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    linker = GenerativeLinker.load(locate(arguments.model))
    linker = linker.with_search(replace(linker.search, beams=max(linker.search.beams, arguments.k)))
    pairs = synonym_pairs(PairsConfig(synonym=0.5, noise=0.5, identity=0.0), linker.kb)
    queries = name_queries(pairs, linker.kb, arguments.asked, np.random.default_rng(0))
    others = OtherNames(linker.kb)
    answer_queries(linker, queries[:4], arguments.k)  # to warm up, as generate is
    own = seconds(lambda: answer_queries(linker, queries, arguments.k)) / len(queries)
    near = seconds(lambda: tfidf_answers(linker.kb, others, queries, arguments.k)) / len(queries)
    generator, _ = load_bart(str(locate(arguments.model)), download=False)
    peer = generated(linker.with_model(generator), queries[: arguments.generated], arguments.k) / arguments.generated
    measured = {
        "generate, one at a time": (arguments.generated, peer),
        "the search": (len(queries), own),
        "TF-IDF, without the model": (len(queries), near),
    }
    write_result(
        arguments.result,
        command=sys.argv,
        data=[arguments.model / "model.safetensors"],
        seed=0,
        n=len(queries),
        settings={"name": "harvest", "columns": COLUMNS, "k": arguments.k, "names": linker.kb.n_keys},
        metrics={
            name: {"asked": asked, "seconds_per_1000": round(1000 * cost, 2), "ratio": round(peer / cost, 1)}
            for name, (asked, cost) in measured.items()
        },
    )
    for name, (_, cost) in measured.items():
        print(f"{name}: {1000 * cost:.2f} s per 1,000 names", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
