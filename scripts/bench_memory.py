"""Memory that an index of names takes: the trie, nested dictionaries (as GENRE keeps its trie), and a dense index.

Resident memory is what a fresh process grows by when it opens an index and touches every page of it: `private_mb` is
the process's own, `shared_mb` is mapped from files and shared by all processes that open them. MB are 10**6 bytes.

Seconds are of process CPU, so that a busy machine does not change them; the result file has those of the clock too. To
load is to open: to map files that the system still has in its cache, or, for nested dictionaries, to fill them.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from footprint import BLOCK, WIDTH, touch, write_vectors
from tqdm.auto import tqdm

from genlink.data_paths import expanded
from genlink.errors import DataError, GenLinkError, UsageError
from genlink.evaluation.process import MB, Cells, available, growth, in_fresh_process, peak, require_proc, resident
from genlink.evaluation.results import write_result
from genlink.trie import NameTrie, packed

SOURCE = Path("data/dictionaries/medic2012.txt")
SIZES = (75_000, 400_000, 4_000_000)
BYTES_OF_A_DICT_NODE = 230  # rounded up; only to see beforehand whether there is room
LONGEST_SYNTHETIC_NAME = 20  # words
COLUMNS = (
    "resident_mb",
    "private_mb",
    "shared_mb",
    "times_the_trie",
    "load_cpu_seconds",
    "build_cpu_seconds",
    "build_peak_mb",
)

T = TypeVar("T")
IntArray = np.ndarray[Any, Any]


# In a fresh process each


def build_trie(directory: Path, n: int, end_token: int) -> Cells:
    """Build and save the trie of the first n names; the peak is that of the whole process, input arrays included."""
    offsets = np.load(directory / "offsets.npy", mmap_mode="r")[: n + 1].copy()
    tokens = np.load(directory / "tokens.npy", mmap_mode="r")[: offsets[-1]].copy()
    trie, cells = timed("build", NameTrie.build, tokens, offsets, end_token)
    cells["build_peak_mb"] = round(peak() / MB, 1)
    trie.save(directory / "trie")
    return {"nodes": trie.n_nodes, "tokens_per_name": round(len(tokens) / n, 2), **cells}


def measure_trie(directory: Path, name_index: bool) -> Cells:
    """Open the trie and touch all that a search reads; with ``name_index``, also what finds the leaf of a name."""
    before = resident()
    trie, cells = timed("load", NameTrie.open, directory / "trie")
    for array in (trie.token, trie.shape.blocks, trie.shape.extra_children, trie.leaf_name):
        touch(array)
    if name_index:
        touch(trie.name_leaf)
    return growth(before) | cells


def measure_dict(directory: Path, n: int, end_token: int) -> Cells:
    """Nested dictionaries, token -> what follows: built anew, since there is nothing to map them from."""
    offsets = np.load(directory / "offsets.npy", mmap_mode="r")
    tokens = np.load(directory / "tokens.npy", mmap_mode="r")
    before = resident()
    root, cells = timed("load", nested_dicts, tokens, offsets, n, end_token)
    del tokens, offsets  # and with them the pages of their files
    taken = growth(before)
    assert root  # in memory until here
    return taken | cells


def nested_dicts(tokens: IntArray, offsets: IntArray, n: int, end_token: int) -> dict[int, Any]:
    """The first n names as a trie of dictionaries."""
    root: dict[int, Any] = {}
    for i in range(n):
        node = root
        for token in tokens[offsets[i] : offsets[i + 1]].tolist():
            node = node.setdefault(token, {})
        node[end_token] = {}
    return root


def measure_dense(directory: Path, filled: bool) -> Cells:
    """Map the vectors and touch all of them; those of an empty file are counted instead, for what they would take."""
    before = resident()
    vectors, cells = timed("load", np.load, directory / "dense.npy", "r")
    if filled:
        touch(vectors)
        return growth(before) | cells
    computed = round(vectors.nbytes / MB, 2)
    return {"resident_mb": computed, "private_mb": 0.0, "shared_mb": computed, **cells}


def timed(name: str, work: Callable[..., T], *arguments: object) -> tuple[T, Cells]:
    """What a function returns, and the seconds that it took, of process CPU and of the clock."""
    started, cpu = time.perf_counter(), time.process_time()
    value = work(*arguments)
    seconds = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - started}
    return value, {f"{name}_{kind}": round(spent, 4) for kind, spent in seconds.items()}


# In the process that asks


def read_names(sources: Iterable[Path], seed: int) -> list[str]:
    """The different normalised names of knowledge base files, in random order."""
    from genlink.kb.readers import read_concepts
    from genlink.text import normalise

    concepts = (concept for path in sources for concept in read_concepts(path))
    reading = tqdm(concepts, desc="reading", unit=" concepts")
    names = {normalise(name) for concept in reading for name in concept.names}
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


def spell(names: Sequence[str], sample: Sequence[str], vocabulary: int, directory: Path) -> tuple[int, int]:
    """Write the tokens of all names by a tokenizer trained on a sample; its end token, and how many tokens it has."""
    from genlink.data.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(sample, vocabulary)

    def spelled(block: Sequence[str]) -> list[list[int]]:
        spaced = [f" {name}" for name in block]
        return tokenizer(spaced, add_special_tokens=False, return_attention_mask=False)["input_ids"]

    starts = tqdm(range(0, len(names), BLOCK), desc="spelling", unit=f" x {BLOCK:,} names")
    tokens, offsets = packed(spelled(names[start : start + BLOCK]) for start in starts)
    np.save(directory / "tokens.npy", tokens)
    np.save(directory / "offsets.npy", offsets)
    return int(tokenizer.eos_token_id), len(tokenizer)


def measure(directory: Path, n: int, end_token: int, dense_limit: int) -> dict[str, Cells]:
    """The cost of each index of the first n names; one that this machine has no room for is left out or computed."""
    rows: dict[str, Cells] = {}
    with tqdm(total=4, desc=f"{n:,} names", unit=" indices") as bar:
        built = in_fresh_process(build_trie, directory, n, end_token)
        rows["trie"] = in_fresh_process(measure_trie, directory, False) | built
        bar.update()
        rows["trie and the leaf of each name"] = in_fresh_process(measure_trie, directory, True)
        bar.update()
        if built["nodes"] * BYTES_OF_A_DICT_NODE < 0.9 * available():
            try:
                rows["nested dicts"] = in_fresh_process(measure_dict, directory, n, end_token)
            except BrokenProcessPool:  # killed, most likely for its memory
                bar.write("the process of the nested dicts was killed; left out", file=sys.stderr)
        else:
            bar.write("not enough memory for nested dicts; left out", file=sys.stderr)
        bar.update()
        filled = 4 * WIDTH * n <= min(dense_limit, 0.9 * available())
        in_fresh_process(write_vectors, directory / "dense.npy", n, filled)
        dense = f"dense, {WIDTH} x fp32" if filled else f"dense, {WIDTH} x fp32 (computed)"
        rows[dense] = in_fresh_process(measure_dense, directory, filled)
        (directory / "dense.npy").unlink()
        bar.update()
    for row, cells in rows.items():
        cells["names"] = n
        cells["times_the_trie"] = round(cells["resident_mb"] / rows["trie"]["resident_mb"], 1)
        print(f"{n:>9,} names  {row:<34}{cells['resident_mb']:>12,.2f} MB", file=sys.stderr)
    return rows


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
            help="A number of names, repeatable; synthetic above the real ones.",
            show_default=f"{' '.join(map(str, SIZES))}, and all real ones",
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
    require_proc()
    if sizes and min(sizes) < 1:
        raise UsageError(f"--sizes {min(sizes)}: expected at least one name.")
    files = expanded(sources or [SOURCE])
    real = read_names(files, seed)
    if not real:
        raise DataError(f"{files[0]}: no names. Give other knowledge base files.")
    numbers = [SIZES[0]] if quick else sorted({*(sizes or [*SIZES, len(real)])})
    metrics: dict[str, Cells] = {}
    ratios: dict[str, dict[str, float]] = {}
    facts = {"real_names": len(real), "sample": min(sample, len(real))}
    with tempfile.TemporaryDirectory() as scratch:
        directory, names = Path(scratch), real[: numbers[-1]]
        if missing := numbers[-1] - len(names):
            synthetic = tqdm(synthetic_names(real, missing, seed), "synthetic names", missing, unit=" names")
            names += synthetic
        end_token, facts["vocabulary"] = spell(names, real[:sample], vocabulary, directory)
        del names, real
        for n in numbers:
            rows = measure(directory, n, end_token, int(dense_gb * 1e9))
            metrics |= {f"{row}, {n:,} names": cells for row, cells in rows.items()}
            ratios[str(n)] = {row: cells["times_the_trie"] for row, cells in rows.items() if row != "trie"}
    if result is not None:
        settings = {"name": "resident memory of an index of names", "columns": COLUMNS, **facts}
        write_result(result, command=sys.argv, data=files, seed=seed, n=numbers[-1], settings=settings, metrics=metrics)
    print(json.dumps({"times_the_trie": ratios}))


if __name__ == "__main__":
    try:
        app()
    except GenLinkError as error:
        sys.exit(f"error: {error}")
