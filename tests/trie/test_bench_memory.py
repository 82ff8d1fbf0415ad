"""The script that measures the memory of indices: the names that it makes, and a small run of all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import pytest
from bench_memory import LONGEST_SYNTHETIC_NAME, synthetic_names

from genlink.errors import DataError
from genlink.evaluation import read_result

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_memory.py"
# Every first word is before both second words, every second before both last ones: 8 names, of which 5 are real.
REAL = [
    "acute renal failure",
    "acute renal cyst",
    "acute hepatic cyst",
    "chronic renal cyst",
    "chronic hepatic failure",
]


def test_synthetic_names_are_new_and_made_of_the_bigrams_of_real_ones() -> None:
    made = list(synthetic_names(REAL, 3, seed=1))
    assert len({*made, *REAL}) == 8
    bigrams = {pair for name in REAL for pair in pairwise(["", *name.split(), ""])}
    assert {pair for name in made for pair in pairwise(["", *name.split(), ""])} <= bigrams
    assert made == list(synthetic_names(REAL, 3, seed=1))


def test_more_names_than_the_bigrams_can_make_are_refused() -> None:
    with pytest.raises(DataError, match="5 names do not make 4 more"):
        list(synthetic_names(REAL, 4, seed=1))


def test_a_chain_that_could_run_for_ever_gives_names_of_bounded_length() -> None:
    made = list(islice(synthetic_names(["very very very good"], 5, seed=1), 5))
    assert len(set(made)) == 5
    assert max(len(name.split()) for name in made) <= LONGEST_SYNTHETIC_NAME


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_every_index_is_measured_for_every_number_of_names(tmp_path: Path) -> None:
    dictionary, path = tmp_path / "names.txt", tmp_path / "memory.json"
    dictionary.write_text("".join(f"C{i}||{name}\n" for i, name in enumerate(REAL)), encoding="utf-8")
    options = ("--vocabulary", 300, "--dense-gb", 2e-5, "--result", path)
    done = run(dictionary, "--sizes", 8, "--sizes", 5, *options)
    if sys.platform != "linux":  # memory is read from /proc
        assert (done.returncode, "Use Linux" in done.stderr) == (2, True)
        return
    assert done.returncode == 0, done.stderr
    ratios = json.loads(done.stdout.splitlines()[-1])["times_the_trie"]
    index, dense = "trie and the leaf of each name", "dense, 768 x fp32"
    # 5 vectors of 768 * 4 bytes are 15,360 bytes and below the limit; 8 are 24,576 bytes and computed.
    assert {n: list(row) for n, row in ratios.items()} == {
        "5": [index, "nested dicts", dense],
        "8": [index, "nested dicts", f"{dense} (computed)"],
    }
    result = read_result(path)
    metrics = result["metrics"]
    assert [row.partition(", ")[0] for row in metrics] == ["trie", index, "nested dicts", "dense"] * 2
    assert set(result["settings"]["columns"]) <= metrics["trie, 8 names"].keys()
    assert metrics["trie, 8 names"]["build_peak_mb"]["value"] > metrics["trie, 8 names"]["resident_mb"]["value"]
    assert metrics[f"{dense} (computed), 8 names"]["shared_mb"]["value"] == 0.02
    assert metrics["trie, 8 names"]["names"]["value"] == result["n"] == 8
    assert result["settings"]["real_names"] == 5
    # 2 + 4 + 8 prefixes of words at least, 8 ends and the root.
    assert metrics["trie, 8 names"]["nodes"]["value"] >= 23
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_files_that_are_not_there_are_an_error_of_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "none*.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "no such file" in done.stderr
    assert len(done.stderr.splitlines()) == 1
