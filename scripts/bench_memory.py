"""Memory that an index of names takes: the trie, nested dictionaries (as GENRE keeps its trie), and a dense index.

Resident memory is what a fresh process grows by when it opens an index and touches every page of it: `private_mb` is
the process's own, `shared_mb` is mapped from files and shared by all processes that open them. MB are 10**6 bytes.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from genlink.data_paths import locate
from genlink.errors import DataError, GenLinkError, UsageError
from genlink.trie import NameTrie, packed

MB = 1_000_000
SOURCE = Path("data/dictionaries/medic2012.txt")
SIZES = (75_000, 400_000, 1_370_000, 4_000_000)
WIDTH = 768  # of a dense vector: BERT's
BYTES_OF_A_DICT_NODE = 230  # rounded up; only to see beforehand whether there is room
LONGEST_SYNTHETIC_NAME = 20  # words
BLOCK = 50_000
COLUMNS = ("names", "resident_mb", "private_mb", "shared_mb", "load_seconds", "times_the_trie")

Cells = dict[str, float]


# In a fresh process each


def build_trie(directory: Path, n: int, end_token: int) -> Cells:
    """Build and save the trie of the first n names; the peak is that of the whole process, input arrays included."""
    offsets = np.load(directory / "offsets.npy")[: n + 1]
    tokens = np.load(directory / "tokens.npy")[: offsets[-1]]
    started = time.perf_counter()
    trie = NameTrie.build(tokens, offsets, end_token)
    seconds = time.perf_counter() - started
    peak = _proc("status", "VmHWM")
    trie.save(directory / "trie")
    return {
        "nodes": trie.n_nodes,
        "tokens_per_name": round(len(tokens) / n, 2),
        "build_seconds": round(seconds, 2),
        "build_peak_mb": round(peak / MB, 1),
    }


def measure_trie(directory: Path, name_index: bool) -> Cells:
    """Open the trie and touch all that a search reads; with ``name_index``, also what finds the leaf of a name."""
    before = _resident()
    started = time.perf_counter()
    trie = NameTrie.open(directory / "trie")
    seconds = time.perf_counter() - started
    for array in (trie.token, trie.shape.blocks, trie.shape.extra_children, trie.leaf_name):
        _touch(array)
    if name_index:
        _touch(trie.name_leaf)
    return _growth(before, seconds)


def measure_dict(directory: Path, n: int, end_token: int) -> Cells:
    """Nested dictionaries, token -> what follows: built anew, since there is nothing to map them from."""
    offsets = np.load(directory / "offsets.npy", mmap_mode="r")
    tokens = np.load(directory / "tokens.npy", mmap_mode="r")
    before = _resident()
    started = time.perf_counter()
    root: dict[int, Any] = {}
    for i in range(n):
        node = root
        for token in tokens[offsets[i] : offsets[i + 1]].tolist():
            node = node.setdefault(token, {})
        node[end_token] = {}
    seconds = time.perf_counter() - started
    del tokens, offsets  # and with them the pages of their files
    gc.collect()
    return _growth(before, seconds)


def write_dense(directory: Path, n: int, filled: bool) -> None:
    """A file of random vectors, since pages of zeros might take no memory; or a file with nothing but its size."""
    rng = np.random.default_rng(0)
    vectors = np.lib.format.open_memmap(directory / "dense.npy", mode="w+", dtype=np.float32, shape=(n, WIDTH))
    for start in range(0, n if filled else 0, BLOCK):
        vectors[start : start + BLOCK] = rng.random((min(BLOCK, n - start), WIDTH), dtype=np.float32)
    vectors.flush()


def measure_dense(directory: Path, filled: bool) -> Cells:
    """Map the vectors and touch all of them; those of an empty file are counted instead, for what they would take."""
    before = _resident()
    started = time.perf_counter()
    vectors = np.load(directory / "dense.npy", mmap_mode="r")
    seconds = time.perf_counter() - started
    if filled:
        _touch(vectors)
        return _growth(before, seconds)
    computed = round(vectors.nbytes / MB, 2)
    return _growth(before, seconds) | {"resident_mb": computed, "private_mb": 0.0, "shared_mb": computed}


def _resident() -> tuple[int, int]:
    """The bytes of this process that are in memory, and how many of them are its own."""
    gc.collect()
    return _proc("smaps_rollup", "Rss"), _proc("smaps_rollup", "Anonymous")


def _proc(file: str, field: str) -> int:
    """A field of a file of /proc/self, in bytes."""
    lines = Path(f"/proc/self/{file}").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) << 10


def _touch(array: np.ndarray[Any, Any]) -> None:
    pages = array.reshape(-1).view(np.uint8)
    int(pages[::4096].sum()), int(pages[-1])


def _growth(before: tuple[int, int], seconds: float) -> Cells:
    resident, private = (now - then for now, then in zip(_resident(), before, strict=True))
    return {
        "resident_mb": round(resident / MB, 2),
        "private_mb": round(private / MB, 2),
        "shared_mb": round((resident - private) / MB, 2),
        "load_seconds": round(seconds, 4),
    }


# In the process that asks


def in_fresh_process(work: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a process of its own, started anew, so that nothing of this one is in its memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def read_names(sources: Iterable[Path], seed: int) -> list[str]:
    """The different normalised names of knowledge base files, in random order."""
    from genlink.kb.readers import read_concepts
    from genlink.text import normalise

    names = {normalise(name) for path in sources for concept in read_concepts(path) for name in concept.names}
    shuffled = sorted(names - {""})
    random.Random(seed).shuffle(shuffled)
    return shuffled


def synthetic_names(real: Sequence[str], n: int, seed: int) -> Iterator[str]:
    """n more names, different from the real ones and from each other, from a chain over the real ones' word bigrams."""
    followers: dict[str, list[str]] = {}  # the empty word stands before the first and after the last
    for name in real:
        words = ["", *name.split(), ""]
        for word, following in pairwise(words):
            followers.setdefault(word, []).append(following)
    rng, seen, failures = random.Random(seed), set(real), 0
    wanted = len(seen) + n
    while len(seen) < wanted:
        words, word = [], ""
        while (word := rng.choice(followers[word])) and len(words) <= LONGEST_SYNTHETIC_NAME:
            words.append(word)
        name = " ".join(words)
        if len(words) > LONGEST_SYNTHETIC_NAME or name in seen:
            failures += 1
            if failures > 100 * wanted:
                raise DataError(f"{len(real)} names do not make {n} more. Ask for smaller --sizes.")
            continue
        seen.add(name)
        yield name


def spell(names: Iterable[str], sample: Sequence[str], vocabulary: int, directory: Path) -> tuple[int, int]:
    """Write the tokens of all names by a tokenizer trained on a sample; its end token, and how many tokens it has."""
    from genlink.data.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(sample, vocabulary)

    def blocks() -> Iterator[list[list[int]]]:
        block: list[str] = []
        for name in chain(names, [None]):
            if name is not None:
                block.append(f" {name}")
            if block and (name is None or len(block) == BLOCK):
                yield tokenizer(block, add_special_tokens=False)["input_ids"]
                block = []

    tokens, offsets = packed(blocks())
    np.save(directory / "tokens.npy", tokens)
    np.save(directory / "offsets.npy", offsets)
    return int(tokenizer.eos_token_id), len(tokenizer)


def measure(directory: Path, n: int, end_token: int, dense_limit: int) -> dict[str, Cells]:
    """The cost of each index of the first n names; one that this machine has no room for is left out or computed."""
    rows: dict[str, Cells] = {}
    built = in_fresh_process(build_trie, directory, n, end_token)
    rows["trie"] = built | in_fresh_process(measure_trie, directory, False)
    rows["trie and the leaf of each name"] = in_fresh_process(measure_trie, directory, True)
    available = int(Path("/proc/meminfo").read_text(encoding="utf-8").split("MemAvailable:")[1].split()[0]) << 10
    if built["nodes"] * BYTES_OF_A_DICT_NODE < 0.9 * available:
        try:
            rows["nested dicts"] = in_fresh_process(measure_dict, directory, n, end_token)
        except BrokenProcessPool:  # killed, most likely for its memory
            print(f"{n:,} names: the process of the nested dicts was killed; left out", file=sys.stderr)
    else:
        print(f"{n:,} names: not enough memory for nested dicts; left out", file=sys.stderr)
    filled = 4 * WIDTH * n <= min(dense_limit, 0.9 * available)
    in_fresh_process(write_dense, directory, n, filled)
    dense = f"dense, {WIDTH} x fp32" if filled else f"dense, {WIDTH} x fp32 (computed)"
    rows[dense] = in_fresh_process(measure_dense, directory, filled)
    (directory / "dense.npy").unlink()
    for cells in rows.values():
        cells["names"] = n
        cells["times_the_trie"] = round(cells["resident_mb"] / rows["trie"]["resident_mb"], 1)
    return rows


def expanded(patterns: Iterable[Path]) -> list[Path]:
    """The files that patterns stand for, in order. Raises DataError for a pattern without any."""
    files = []
    for pattern in map(locate, patterns):
        found = sorted(pattern.parent.glob(pattern.name))
        if not found:
            raise DataError(f"{pattern}: no such file. Check the path, or see docs/data.md for where to get it.")
        files.extend(found)
    return files


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Knowledge base files, or patterns.", show_default=str(SOURCE)),
    ] = None,
    result: Annotated[Path | None, typer.Option(help="The result file to write.", show_default=False)] = None,
    sizes: Annotated[
        list[int] | None,
        typer.Option(
            help="A number of names, repeatable; synthetic above the real ones.", show_default=" ".join(map(str, SIZES))
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help=f"{SIZES[0]:,} names only.")] = False,
    vocabulary: Annotated[int, typer.Option(help="Tokens of the tokenizer; BART has 50,265.")] = 50_265,
    sample: Annotated[
        int, typer.Option(help="Real names that the tokenizer is trained on: few, as BART's has seen few.")
    ] = 20_000,
    dense_gb: Annotated[float, typer.Option(help="Compute larger dense indices instead of measuring them.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the choice of names and of the synthetic ones.")] = 0,
) -> None:
    """Measure the resident memory of the trie, of nested dictionaries and of a dense index of the same names.

    Of the trie it is all that a search reads, and then also what restricting a search to some names reads.
    Every measurement is a fresh process. The last line that is printed is JSON: for each number of names, how many
    times the trie's memory the others take.

    Examples:

      python scripts/bench_memory.py --quick

      python scripts/bench_memory.py 'data/ontologies/*.jsonl.gz' --result results/memory/index.json

      python scripts/bench_memory.py my.obo --sizes 10000 --sizes 100000
    """
    if not Path("/proc/self/smaps_rollup").exists():
        raise UsageError("resident memory is read from /proc/self/smaps_rollup, which this system lacks. Use Linux.")
    numbers = [SIZES[0]] if quick else sorted(set(sizes or SIZES))
    if numbers[0] < 1:
        raise UsageError(f"--sizes {numbers[0]}: expected at least one name.")
    files = expanded(sources or [SOURCE])
    real = read_names(files, seed)
    if not real:
        raise DataError(f"{files[0]}: no names. Give other knowledge base files.")
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    ratios: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        synthetic = synthetic_names(real, max(0, numbers[-1] - len(real)), seed)
        end_token, tokens = spell(chain(real[: numbers[-1]], synthetic), real[:sample], vocabulary, directory)
        for n in numbers:
            rows = measure(directory, n, end_token, int(dense_gb * 1e9))
            for row, cells in rows.items():
                metrics[f"{row}, {n:,} names"] = {key: {"value": value} for key, value in cells.items()}
                print(f"{n:>9,} names  {row:<34}{cells['resident_mb']:>12,.2f} MB", file=sys.stderr)
            ratios[str(n)] = {row: cells["times_the_trie"] for row, cells in rows.items() if row != "trie"}
    if result is not None:
        facts = {"real_names": len(real), "vocabulary": tokens, "sample": min(sample, len(real))}
        write(result, metrics, files, numbers, seed, facts)
    print(json.dumps({"times_the_trie": ratios}))


def write(
    path: Path, metrics: dict[str, Any], files: list[Path], numbers: list[int], seed: int, facts: dict[str, int]
) -> None:
    """Write the result file."""
    from genlink.evaluation.results import result_record
    from genlink.files import write_json

    settings = {"name": "resident memory of an index of names", "columns": COLUMNS, **facts}
    record = result_record(command=sys.argv, data=files, seed=seed, n=numbers[-1], settings=settings, metrics={})
    write_json(path, record | {"metrics": metrics})


if __name__ == "__main__":
    try:
        app()
    except GenLinkError as error:
        sys.exit(f"error: {error}")
