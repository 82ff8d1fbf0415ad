"""The scripts that make result files, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from genlink.evaluation import read_result

SCRIPTS = Path(__file__).parent.parent / "scripts"
COUNTS = ("concepts", "names", "keys", "ambiguous_keys", "names_dropped", "definitions", "longest_name")
WORDS = ("acute", "renal", "failure", "chronic", "fever", "anaemia", "lung", "croup")
COSTS = ("build_seconds", "peak_mb", "disk_mb", "open_seconds")


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_record_output_keeps_the_last_lines_and_shows_all(tmp_path: Path) -> None:
    path = tmp_path / "count.json"
    done = run("record_output.py", path, "--lines", 2, "--", sys.executable, "-c", "print('one\\ntwo\\nthree\\n')")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\nthree\n\n")
    result = read_result(path)
    assert result["settings"]["output"] == "two\nthree"
    assert (result["n"], result["metrics"], result["data"]) == (2, {}, [])
    assert result["command"].startswith("python scripts/record_output.py count.json --lines 2")
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_record_output_passes_a_failure_on_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "failed.json"
    done = run("record_output.py", path, "--", sys.executable, "-c", "print('so far'); raise SystemExit(7)")
    assert (done.returncode, done.stdout) == (7, "so far\n")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def dictionaries(tmp_path: Path) -> Path:
    """Two dictionaries; `croup` is a name in both, for different concepts."""
    folder = tmp_path / "dictionaries"
    folder.mkdir()
    (folder / "a.txt").write_text("C1||heart attack\nC1||myocardial infarction\nC2||croup\n", encoding="utf-8")
    (folder / "b.txt").write_text("D1||croup\n", encoding="utf-8")
    return folder


def test_bench_kb_measures_each_source_and_their_union(dictionaries: Path, tmp_path: Path) -> None:
    path, pattern = tmp_path / "build.json", dictionaries / "*.txt"
    done = run("bench_kb.py", path, pattern, "--union", pattern)
    assert done.returncode == 0, done.stderr
    result = read_result(path)
    assert result["settings"]["columns"] == [*COUNTS, *COSTS]
    rows = {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in result["metrics"].items()}
    assert list(rows) == ["a.txt", "b.txt", "union of 2"]
    assert all(tuple(cells) == (*COUNTS, *COSTS) for cells in rows.values())
    shown = ("concepts", "names", "keys", "ambiguous_keys", "longest_name")
    assert [tuple(cells[key] for key in shown) for cells in rows.values()] == [
        (2, 3, 3, 0, len("myocardial infarction")),
        (1, 1, 1, 0, len("croup")),
        (3, 4, 3, 1, len("myocardial infarction")),
    ]
    assert all(cells["build_seconds"] > 0 and cells["peak_mb"] > 0 for cells in rows.values())
    assert [entry["path"] for entry in result["data"]] == ["a.txt", "b.txt"]
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_bench_kb_leaves_files_out_of_the_union_and_needs_no_union(dictionaries: Path, tmp_path: Path) -> None:
    path, pattern = tmp_path / "build.json", dictionaries / "*.txt"
    assert run("bench_kb.py", path, dictionaries / "a.txt", "--union", pattern, "--without", "b.").returncode == 0
    assert list(read_result(path)["metrics"]) == ["a.txt", "union of 1"]
    assert run("bench_kb.py", path, dictionaries / "a.txt").returncode == 0
    assert list(read_result(path)["metrics"]) == ["a.txt"]


def test_bench_kb_stops_at_a_source_that_cannot_be_built(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("", encoding="utf-8")
    done = run("bench_kb.py", tmp_path / "build.json", tmp_path / "empty.txt")
    assert done.returncode == 1 and "failed" in done.stderr
    assert not (tmp_path / "build.json").exists()


def test_bench_search_finds_what_generate_finds(dictionaries: Path, tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    names = "".join(f"E{i}||{word} {other}\n" for i, word in enumerate(WORDS) for other in WORDS)
    (dictionaries / "c.txt").write_text(names, encoding="utf-8")
    options = ("--dictionary", dictionaries / "c.txt", "--mentions", 4, "--peer-mentions", 2)
    done = run("bench_search.py", path, "--quick", *options)
    assert done.returncode == 0, done.stderr
    ratios = json.loads(done.stdout.splitlines()[-1])["4+2 d256"]
    for row in ("search, fp32", "search, fp32, one at a time"):
        assert ratios[row]["same"] == 1
        assert ratios[row]["difference"] < 1e-3
        assert ratios[row]["ratio"] > 0
    result = read_result(path)
    assert result["settings"]["names"] == len(WORDS) ** 2
    for cells in result["metrics"].values():
        stages = [cells[stage]["value"] for stage in ("encoder", "decoder", "head", "search") if stage in cells]
        assert sum(stages) == pytest.approx(cells["milliseconds"]["value"]) or not stages
