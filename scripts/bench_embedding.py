"""Vectors of very many names: embedded, killed on the way and gone on with; then searched, beside a generator's index.

    python scripts/bench_embedding.py results/dense/names.json runs/ncbi_disease/sapbert/model \\
        runs/ncbi_disease/finetune/model 'data/ontologies/*.jsonl.gz'

The dense linker embeds all names in a process that is killed when half of them are done, and again in another, which
has to go on from there; some blocks are made once more and compared. Then each linker is opened in a process of its
own, over the same dictionary, and links names drawn from it. `search mb` is what linking a batch takes at its peak,
beyond all that linking one mention has left in memory; `matrix mb` is what the scores of that batch with all names
would take at once.
One thread, CPU time; MB are 10**6 bytes. No accuracy is measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from command import run_command
from torch import Tensor
from tqdm.auto import tqdm

from genlink.data_paths import expanded, locate
from genlink.errors import DataError
from genlink.evaluation.measure import cpu_milliseconds
from genlink.evaluation.process import MB, Cells, forget_peak, growth, in_fresh_process, peak, require_proc
from genlink.evaluation.results import write_result
from genlink.kb import KnowledgeBase, read_concepts
from genlink.linkers.dense import DenseLinker, Keys
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.opening import OpenedLinker
from genlink.linkers.vector_cache import BLOCK, JOINED
from genlink.linkers.vectors import rows_from_vectors
from genlink.schema import Mention

PRECISIONS = ("fp32", "fp16", "int8")
COLUMNS = (
    "names",
    "index_mb",
    "resident_mb",
    "private_mb",
    "peak_mb",
    "search_mb",
    "matrix_mb",
    "ms_single",
    "ms_batch",
)
BATCH, SINGLE, REPEATS = 256, 16, 2
POLL_SECONDS = 0.2


# In a fresh process each


def embed(model: Path, kb: Path, cache: Path, precision: str = "fp32") -> tuple[float, int]:
    """Put the vectors of all names into the cache; CPU seconds, and how many names were embedded for it."""
    torch.set_num_threads(1)
    started, asked = time.process_time(), 0
    linker = dense(model, kb, cache, precision)
    embed_texts = linker.encoder.embed

    def counting(texts: Sequence[str], batch_size: int) -> Tensor:
        nonlocal asked
        asked += len(texts)
        return embed_texts(texts, batch_size)

    linker.encoder.embed = counting  # type: ignore[method-assign,assignment]
    linker.vectors(progress=sys.stderr.isatty())
    return time.process_time() - started, asked


def save_generator(model: Path, kb: Path, directory: Path) -> None:
    """The generator over the dictionary, as a model directory."""
    GenerativeLinker.load(model).with_kb(KnowledgeBase.open(kb)).save(directory)


def measure_dense(model: Path, kb: Path, cache: Path, precision: str) -> Cells:
    """Open the dense linker over vectors that are there, and link by it."""
    linker = dense(model, kb, cache, precision)
    linker.vectors()
    return costs(linker)


def measure_generator(directory: Path) -> Cells:
    """Open the generator, and link by it."""
    return costs(GenerativeLinker.load(directory))


def dense(model: Path, kb: Path, cache: Path, precision: str) -> DenseLinker:
    return DenseLinker.load(model, kb=KnowledgeBase.open(kb), cache=cache, precision=precision)


def costs(linker: OpenedLinker) -> Cells:
    torch.set_num_threads(1)
    n = linker.kb.n_keys
    drawn = np.random.default_rng(0).choice(n, min(BATCH, n), replace=False)
    mentions = [Mention.in_context("", linker.kb.key(int(i))) for i in np.sort(drawn)]
    linker.link(mentions[:1])  # to warm up
    forget_peak()
    before = peak()
    batch = cpu_milliseconds(lambda some: linker.link(some), [mentions], REPEATS)
    search, taken = peak() - before, growth()
    single = cpu_milliseconds(lambda some: linker.link(some), [[mention] for mention in mentions[:SINGLE]], REPEATS)
    return {
        "names": n,
        "index_mb": round(linker.index_bytes / MB, 2),
        "resident_mb": taken["resident_mb"],
        "private_mb": taken["private_mb"],
        "peak_mb": round(peak() / MB, 2),
        "search_mb": round(search / MB, 2),
        "matrix_mb": round(4 * len(mentions) * n / MB, 2),
        "ms_single": single,
        "ms_batch": batch,
    }


# In the process that asks


def killed(model: Path, kb: Path, cache: Path, blocks: int) -> int:
    """Embed until so many blocks are there, then kill the process; how many it has left."""
    process = get_context("spawn").Process(target=embed, args=(model, kb, cache))
    process.start()
    with tqdm(total=blocks, unit="block", desc="Embedding until the kill", disable=not sys.stderr.isatty()) as bar:
        while (done := made(cache)) < blocks:
            if not process.is_alive():
                raise DataError(f"the process that embeds has ended by itself, with exit code {process.exitcode}.")
            bar.update(done - bar.n)
            time.sleep(POLL_SECONDS)
    process.kill()
    process.join()
    return made(cache)


def made(cache: Path) -> int:
    """How many blocks a cache holds, joined or not."""
    for path in cache.rglob(JOINED):
        return -(-len(np.load(path, mmap_mode="r")) // BLOCK)
    return len(list(cache.rglob("*.npy")))


def differing(model: Path, kb: Path, cache: Path, blocks: list[int]) -> int:
    """How many of these blocks have other bytes in the cache than when they are made by themselves."""
    torch.set_num_threads(1)
    linker = DenseLinker.load(model, kb=KnowledgeBase.open(kb))
    names, [path] = Keys(linker.kb), cache.rglob(JOINED)
    joined = np.load(path, mmap_mode="r")
    different = 0
    for start in (block * BLOCK for block in blocks):
        vectors = linker.encoder.embed(names[start : start + BLOCK], linker.batch_size)
        different += not np.array_equal(rows_from_vectors(vectors, "fp32"), joined[start : start + BLOCK])
    return different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("encoder", type=Path, help="a model directory of stage sapbert or biosyn")
    parser.add_argument("generator", type=Path, help="a model directory of a generator")
    parser.add_argument("names", nargs="+", help="knowledge base files or patterns: one dictionary")
    arguments = parser.parse_args()
    require_proc()
    files = expanded(arguments.names)
    encoder, generator = locate(arguments.encoder), locate(arguments.generator)
    with tempfile.TemporaryDirectory() as scratch:
        kb, cache, directory = Path(scratch) / "kb", Path(scratch) / "cache", Path(scratch) / "generator"
        names = KnowledgeBase.from_concepts(chain.from_iterable(map(read_concepts, files)), on_duplicate="merge")
        names.save(kb)
        blocks = -(-names.n_keys // BLOCK)
        left = killed(encoder, kb, cache, -(-blocks // 2))
        seconds, embedded = in_fresh_process(embed, encoder, kb, cache)
        again = embedded - max(0, names.n_keys - left * BLOCK)
        compared = [left - 1, min(left, blocks - 1), blocks - 1]
        different = in_fresh_process(differing, encoder, kb, cache, compared)
        rows: dict[str, Cells] = {}
        for precision in PRECISIONS:
            in_fresh_process(embed, encoder, kb, cache, precision)
            rows[f"dense, {precision}"] = in_fresh_process(measure_dense, encoder, kb, cache, precision)
        in_fresh_process(save_generator, generator, kb, directory)
        rows["generator"] = in_fresh_process(measure_generator, directory)
    embedding = {
        "blocks": blocks,
        "names of a block": BLOCK,
        "blocks left by the kill": left,
        "of these made again": -(-again // BLOCK),
        "blocks compared": len(compared),
        "of these different": different,
        "names a second": round(embedded / seconds),
    }
    write_result(
        arguments.result,
        command=sys.argv,
        data=[arguments.encoder, arguments.generator, *files],
        seed=0,
        n=names.n_keys,
        settings={"name": "many names", "columns": COLUMNS, "batch": BATCH, "embedding": embedding},
        metrics=rows,
    )
    for fact, value in embedding.items():
        print(f"{fact}: {value:,}")
    for row, cells in rows.items():
        print(f"{row}: index {cells['index_mb']:,} MB, {cells['ms_batch']} ms a mention in batch")


if __name__ == "__main__":
    run_command(main)
