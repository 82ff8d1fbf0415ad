"""What it costs to find the negatives of names (genlink kb negatives); write a result file.

    python scripts/bench_negatives.py results/negatives/build.json data/dictionaries/medic2012.txt \\
        --union 'data/ontologies/*.jsonl.gz'

Where a knowledge base has more names than --asked, so many are drawn and asked, among all. CPU seconds of one process.
Some of them are asked by a plain product of all vectors as well, which says what the bound saves, and whether the
answers are the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from command import run_command

from genlink.data.neighbours import OtherNames
from genlink.data.similarity import NameSimilarity
from genlink.data_paths import display, expanded
from genlink.evaluation.process import MB, Cells, in_fresh_process, peak, require_proc
from genlink.evaluation.results import write_result
from genlink.kb import KnowledgeBase
from genlink.kb.readers import read_concepts

TOP = 5
CELLS = 1 << 23  # queries x names in a plain product
COLUMNS = (
    *("names", "asked", "index_seconds", "seconds_per_1000", "peak_mb", "fewer_than_top"),
    *("first_cosine", "last_cosine", "plain_seconds_per_1000", "checked", "same"),
)


def drawn(n: int, most: int) -> np.ndarray:
    """Some of n keys, ascending."""
    return np.sort(np.random.default_rng(0).choice(n, min(n, most), replace=False))


def measure(directory: Path, most: int) -> tuple[Cells, np.ndarray]:
    """The cost, and the cosines of the neighbours, -1 where there is none: shape (asked, TOP)."""
    kb = KnowledgeBase.open(directory)
    keys = drawn(kb.n_keys, most)
    started = time.process_time()
    index = OtherNames(kb)
    indexed = time.process_time()
    found = index.nearest(keys, TOP)
    ended, memory = time.process_time(), peak()
    row, column = np.nonzero(found >= 0)
    cosines = np.full(found.shape, -1.0)
    cosines[row, column] = index.cosines(keys[row], found[row, column].astype(np.int64))
    whole = cosines[cosines[:, -1] >= 0]
    cells = {
        "names": kb.n_keys,
        "asked": len(keys),
        "index_seconds": round(indexed - started, 1),
        "seconds_per_1000": round(1000 * (ended - indexed) / len(keys), 2),
        "peak_mb": round(memory / MB),
        "fewer_than_top": len(keys) - len(whole),
        "first_cosine": round(float(whole[:, 0].mean()), 3) if len(whole) else 0.0,
        "last_cosine": round(float(whole[:, -1].mean()), 3) if len(whole) else 0.0,
    }
    return cells, cosines


def check(directory: Path, most: int, cosines: np.ndarray, most_checked: int) -> Cells:
    """The cost of the plain product, and the share of keys for which it finds neighbours of the same cosines."""
    kb = KnowledgeBase.open(directory)
    keys = drawn(kb.n_keys, most)
    checked = drawn(len(keys), most_checked)
    vectors = NameSimilarity(kb.key(i) for i in range(kb.n_keys)).vectors
    names = vectors.T.tocsr()
    same, seconds = 0, 0.0
    block = max(1, CELLS // kb.n_keys)
    for start in range(0, len(checked), block):
        rows = checked[start : start + block]
        started = time.process_time()
        product = vectors[keys[rows]] @ names
        seconds += time.process_time() - started
        for i, row in zip(rows.tolist(), product.toarray(), strict=True):
            row[[key for concept in kb.key_concepts(int(keys[i])) for key in kb.concept_keys(concept)]] = 0
            best = np.zeros(TOP)
            best[: min(TOP, len(row))] = np.sort(row)[::-1][:TOP]
            same += np.allclose(np.where(best > 0, best, -1), cosines[i], atol=1e-5)
    return {
        "plain_seconds_per_1000": round(1000 * seconds / len(checked), 2),
        "checked": len(checked),
        "same": same / len(checked),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="the result file to write")
    parser.add_argument("sources", nargs="+", help="knowledge base files, or patterns")
    parser.add_argument("--union", nargs="*", default=[], help="files or patterns of one knowledge base more")
    parser.add_argument("--asked", type=int, default=20_000, help="names asked, at the most (default 20,000)")
    parser.add_argument("--checked", type=int, default=500, help="names checked, at the most (default 500)")
    options = parser.parse_args(arguments)
    require_proc()
    sources, union = expanded(options.sources), expanded(options.union)
    jobs = {display(source): [source] for source in sources}
    if union:
        jobs[f"union of {len(union)}"] = union
    metrics = {}
    for name, files in jobs.items():
        with tempfile.TemporaryDirectory() as scratch:
            concepts = (concept for file in files for concept in read_concepts(file))
            KnowledgeBase.from_concepts(concepts, on_duplicate="merge").save(Path(scratch) / "kb")
            cells, cosines = in_fresh_process(measure, Path(scratch) / "kb", options.asked)
            cells |= in_fresh_process(check, Path(scratch) / "kb", options.asked, cosines, options.checked)
        metrics[name] = {column: cells[column] for column in COLUMNS}
        print(f"{name}: " + ", ".join(f"{key} {value:,.4g}" for key, value in cells.items()), file=sys.stderr)
    write_result(
        options.result,
        command=sys.argv,
        data=dict.fromkeys([*sources, *union]),
        seed=0,
        n=len(jobs),
        settings={"name": "negatives", "columns": COLUMNS, "top": TOP},
        metrics=metrics,
    )


if __name__ == "__main__":
    run_command(main)
