"""Time the search against `generate` of transformers on the same weights, names and mentions; write a result file.

    python scripts/bench_search.py results/search/shapes.json             every shape, every variant
    python scripts/bench_search.py --quick                                one shape, under a minute, ratios only

One core, process CPU time, each side at the best of several batch sizes. Models are random but for a planted preference
(scripts/planted.py); no accuracy is measured here. Names are those of a dictionary, spelled by a byte-level BPE of
8,192 tokens within a vocabulary of 50,265, the size of BART's own.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from command import run_command
from planted import (
    BEAMS,
    SHAPES,
    SMALLEST,
    SOURCE_TOKENS,
    SPELLING,
    Answer,
    Question,
    Shape,
    best_of,
    by_generate,
    by_search,
    planted_bart,
    question_of,
)
from transformers import BartForConditionalGeneration

from genlink.data.tokenizer import train_tokenizer
from genlink.data_paths import locate
from genlink.decoding import Normaliser, Precision, apply_precision
from genlink.evaluation.results import write_result
from genlink.kb.load import load_kb

MEASURES = ("milliseconds", "ratio", "same", "difference", "rows", "passes", "batch")
STAGES = ("encoder", "decoder", "head", "search")


@dataclass(frozen=True)
class Peer:
    """`generate` as it is compared with."""

    name: str
    precision: Precision
    batches: tuple[int, ...]
    mentions: int | None = None


@dataclass(frozen=True)
class Variant:
    """A row of the table: one way to search, and the peer's row that it is compared with."""

    name: str
    peer: str
    precision: Precision = "fp32"
    normaliser: Normaliser = "full"
    normaliser_dtype: torch.dtype | None = None
    k: int = 1
    alone: bool = False


FP32, BF16, ALONE = "generate, fp32", "generate, bf16", "generate, fp32, one at a time"
ROUGH = "search, fp32, normaliser's product in bf16"
PEERS = (Peer(FP32, "fp32", (16, 32)), Peer(ALONE, "fp32", (1,), 8), Peer(BF16, "bf16", (16, 32)))
VARIANTS = (
    Variant("search, fp32", FP32),
    Variant(ROUGH, FP32, normaliser_dtype=torch.bfloat16),
    Variant("search, fp32, five names", FP32, k=5),
    Variant("search, fp32, trie", FP32, normaliser="trie"),
    Variant("search, fp32, one at a time", ALONE, alone=True),
    Variant("search, fp32, trie, one at a time", ALONE, normaliser="trie", alone=True),
    Variant("search, bf16", BF16, "bf16"),
    Variant("search, fp32, active tokens", FP32, normaliser="active"),
    Variant("search, bf16, trie", FP32, "bf16", "trie"),
    Variant("search, int8", FP32, "int8"),
    Variant("search, int8, trie", FP32, "int8", "trie"),
    Variant("search, int8, trie, one at a time", ALONE, "int8", "trie", alone=True),
)
# Nothing that needs minutes for a figure that the other rows bear out.
QUICK = (FP32, ALONE, "search, fp32", ROUGH, "search, fp32, trie", "search, int8, trie", "search, fp32, one at a time")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8")


def bench_shape(shape: Shape, question: Question, peer_mentions: int, wanted: set[str]) -> dict[str, dict[str, float]]:
    """The rows of one shape: milliseconds a mention, rows, passes, and the comparison with the peer's row."""
    answers: dict[str, Answer] = {}
    rows: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        model = apply_precision(planted_bart(shape, start=question.trie.end_token, pad=1), precision)
        for peer in PEERS:
            if peer.precision == precision and peer.name in wanted:
                asked = question.first(peer.mentions or peer_mentions)
                batch, answer = best_of(lambda size, m=model, q=asked: by_generate(m, q, size), peer.batches)
                answers[peer.name] = answer
                rows[peer.name] = {"milliseconds": answer.milliseconds, "batch": batch}
                print(f"  {peer.name}: {answer.milliseconds:.1f} ms", file=sys.stderr)
        for variant in VARIANTS:
            if variant.precision == precision and variant.name in wanted:
                batch, answer = searched(model, question, variant)
                rows[variant.name] = measures(answer, answers[variant.peer], variant) | {"batch": batch}
                print(f"  {variant.name}: {answer.milliseconds:.1f} ms", file=sys.stderr)
    return rows


def searched(model: BartForConditionalGeneration, question: Question, variant: Variant) -> tuple[int, Answer]:
    """The best batch size of a variant, and its answer there."""
    if variant.alone:
        question = question.first(16)
    return best_of(
        lambda batch: by_search(
            model,
            question,
            batch,
            normaliser=variant.normaliser,
            normaliser_dtype=variant.normaliser_dtype,
            k=variant.k,
        ),
        (1,) if variant.alone else (32, 64, 128),
    )


def measures(answer: Answer, peer: Answer, variant: Variant) -> dict[str, float]:
    """The cells of a row."""
    cells = {
        "milliseconds": answer.milliseconds,
        "ratio": peer.milliseconds / answer.milliseconds,
        "rows": answer.rows,
        "passes": answer.passes,
        **(answer.stages or {}),
    }
    if variant.normaliser == "full":  # the peer's own score
        same = [a == b for a, b in zip(answer.names, peer.names, strict=False)]
        off = [abs(a - b) for a, b, s in zip(answer.scores, peer.scores, same, strict=False) if s]
        cells |= {"same": sum(same) / len(same), "difference": max(off, default=0.0)}
    return cells


def medic_question(dictionary: Path, mentions: int) -> Question:
    """The names of a dictionary, of which some are asked about."""
    kb = load_kb(dictionary)
    keys = [kb.key(i) for i in range(kb.n_keys)]
    step = max(1, len(keys) // mentions)
    return question_of(keys, train_tokenizer(keys, SPELLING), keys[step // 2 :: step][:mentions])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, nargs="?", help="the result file to write")
    parser.add_argument("--dictionary", type=Path, default=Path("data/dictionaries/medic2012.txt"))
    parser.add_argument("--mentions", type=int, default=128, help="mentions that are searched")
    parser.add_argument("--peer-mentions", type=int, default=32, help="mentions that the peer is timed on")
    parser.add_argument("--quick", action="store_true", help="the smallest shape; the ratios as one line of JSON, last")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    question = medic_question(locate(arguments.dictionary), arguments.mentions)
    everything = {row.name for row in (*PEERS, *VARIANTS)}
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for name, shape in SHAPES.items():
        if arguments.quick and name != SMALLEST:
            continue
        print(name, file=sys.stderr)
        wanted = set(QUICK) if arguments.quick else everything
        metrics[name] = bench_shape(shape, question, arguments.peer_mentions, wanted)
    if arguments.result is not None:
        trie = question.trie
        write_result(
            arguments.result,
            command=sys.argv,
            data=[arguments.dictionary],
            seed=0,
            n=arguments.mentions,
            settings={
                "name": "search",
                "columns": MEASURES + STAGES,
                "tokens_per_name": round(len(trie.sequences()[0]) / trie.n_names, 2),
                "names": trie.n_names,
                "nodes": trie.n_nodes,
                "source_tokens": SOURCE_TOKENS,
                "beams": BEAMS,
                "peer_mentions": arguments.peer_mentions,
                "threads": 1,
            },
            metrics={f"{shape}: {row}": cells for shape, rows in metrics.items() for row, cells in rows.items()},
        )
    ratios = {
        shape: {
            row: {key: round(cells[key], 4) for key in ("ratio", "same", "difference") if key in cells}
            for row, cells in rows.items()
            if "ratio" in cells
        }
        for shape, rows in metrics.items()
    }
    print(json.dumps(ratios))


if __name__ == "__main__":
    run_command(main)
