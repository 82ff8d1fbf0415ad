"""The time that no search can go below on this processor, for each shape of bench_search.py; write a result file.

    python scripts/bench_floor.py results/search/floor.json

A mention costs at least the multiplications of its encoder, of the keys and values of its cross-attention, and of one
path through the decoder: that of its own name. Over the whole vocabulary each token of the path, the end included,
needs a product with the head; over the trie the path ends at the last node with several children. The floor is the sum
of these multiplications at the rate of a large matrix product, one core, CPU time of the process.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from bench_search import medic_question
from command import run_command
from planted import SHAPES, SOURCE_TOKENS, VOCABULARY, Shape

from genlink.data_paths import locate
from genlink.decoding import Precision
from genlink.evaluation.results import write_result
from genlink.trie import NameTrie

SIZE = 1_536  # rows and columns of the products that are timed
PRECISIONS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
COLUMNS = ("gigaflop", "milliseconds_fp32", "milliseconds_bf16", "milliseconds_int8")


def rate(dtype: torch.dtype, seconds: float = 2.0) -> float:
    """Multiplications and additions a second of a large product."""
    if dtype == torch.int8:
        left, right = (torch.randint(-127, 128, (SIZE, SIZE), dtype=dtype) for _ in range(2))
        multiply = torch._int_mm
    else:
        left, right = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
        multiply = torch.mm
    multiply(left, right.t())
    done, started = 0, time.process_time()
    while (elapsed := time.process_time() - started) < seconds:
        multiply(left, right.t())
        done += 1
    return 2 * SIZE**3 * done / elapsed


def flop(shape: Shape, fed: float, headed: float) -> float:
    """Multiplications and additions of one mention: of the matrices, and of attention over the source."""
    d, tokens = shape.width, SOURCE_TOKENS
    encoder = shape.encoder_layers * (24 * tokens * d**2 + 4 * tokens**2 * d)
    cross = shape.decoder_layers * 4 * tokens * d**2
    rows = fed * shape.decoder_layers * (28 * d**2 + 4 * tokens * d)
    return encoder + cross + rows + headed * 2 * VOCABULARY * d


def path_lengths(trie: NameTrie, names: list[int]) -> tuple[float, float]:
    """The tokens of a name, the end left out, and those before its last node with several children; means."""
    whole, open_part = [], []
    for name in names:
        node, depth, last = 0, 0, 0
        for token in trie.path(trie.leaf_of(name)):
            children = trie.children(node)
            if children.stop - children.start > 1:
                last = depth
            node = children.start + int(np.searchsorted(trie.token[children], token))
            depth += 1
        whole.append(depth - 1)
        open_part.append(last)
    return float(np.mean(whole)), float(np.mean(open_part))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("--dictionary", type=Path, default=Path("data/dictionaries/medic2012.txt"))
    parser.add_argument("--mentions", type=int, default=128, help="names that paths are measured on, evenly spread")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trie = medic_question(locate(arguments.dictionary), arguments.mentions).trie
    names = np.sort(trie.leaf_name)
    asked = names[:: max(1, len(names) // arguments.mentions)][: arguments.mentions].tolist()
    whole, open_part = path_lengths(trie, asked)
    rates = {precision: rate(dtype) for precision, dtype in PRECISIONS.items()}
    rows: dict[str, dict[str, float]] = {}
    for name, shape in SHAPES.items():
        # The prefix is fed too: one token. Its state and that of each token of the name ask for the next.
        for objective, needed in (("full", flop(shape, whole + 1, whole + 1)), ("trie", flop(shape, open_part + 1, 0))):
            rows[f"{name}, {objective}"] = {
                "gigaflop": needed / 1e9,
                **{f"milliseconds_{precision}": 1000 * needed / speed for precision, speed in rates.items()},
            }
    write_result(
        arguments.result,
        command=sys.argv,
        data=[arguments.dictionary],
        seed=0,
        n=len(asked),
        settings={
            "name": "floor of a search",
            "columns": COLUMNS,
            "gigaflop_a_second": {precision: speed / 1e9 for precision, speed in rates.items()},
            "tokens_of_a_name": whole,
            "tokens_before_its_last_choice": open_part,
            "source_tokens": SOURCE_TOKENS,
            "threads": 1,
        },
        metrics=rows,
    )


if __name__ == "__main__":
    run_command(main)
