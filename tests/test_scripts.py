"""The scripts that make result files, run as a user runs them."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import bench_changes
import bench_floor
import bench_growth
import bench_linker_memory
import make_plots
import numpy as np
import planted
import pytest

from genlink.errors import UsageError
from genlink.evaluation import read_result
from genlink.trie import NameTrie

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


def test_bench_negatives_finds_what_a_plain_product_finds(dictionaries: Path, tmp_path: Path) -> None:
    path = tmp_path / "negatives.json"
    names = "".join(f"E{i}||{word} {other}\n" for i, word in enumerate(WORDS) for other in WORDS)
    (dictionaries / "c.txt").write_text(names, encoding="utf-8")
    options = ("--union", dictionaries / "a.txt", dictionaries / "b.txt", "--asked", 20)
    done = run("bench_negatives.py", path, dictionaries / "c.txt", *options)
    if sys.platform != "linux":  # memory is read from /proc
        assert done.returncode == 2 and "Use Linux" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    result = read_result(path)
    rows = {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in result["metrics"].items()}
    assert [(row, cells["names"], cells["asked"], cells["same"]) for row, cells in rows.items()] == [
        ("c.txt", len(WORDS) ** 2, 20, 1),
        ("union of 2", 3, 3, 1),
    ]
    assert all(tuple(cells) == tuple(result["settings"]["columns"]) for cells in rows.values())


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


def test_bench_kb_wants_every_pattern_to_fit_a_file(dictionaries: Path, tmp_path: Path) -> None:
    done = run("bench_kb.py", tmp_path / "build.json", dictionaries / "*.txt", "--union", dictionaries / "*.obo")
    assert done.returncode == 1 and "*.obo: no such file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_search_by_blocks_finds_the_nearest_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors, queries = rng.normal(size=(50, 6)).astype(np.float32), rng.normal(size=(20, 6)).astype(np.float32)
    monkeypatch.setattr(bench_linker_memory, "BLOCK", 8)
    expected = [max(range(50), key=lambda i: float(vectors[i] @ query)) for query in queries]
    assert bench_linker_memory.nearest(queries, vectors) == expected


@pytest.mark.slow
def test_every_linker_is_a_process_of_its_own(
    dictionaries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = bench_linker_memory.Shape(16, 1, 1, 2, 600, 192)
    monkeypatch.setattr(bench_linker_memory, "SHAPES", {"generator": shape})
    encoder = {"hidden_size": 768, "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 400}
    monkeypatch.setattr(bench_linker_memory, "ENCODER", encoder)
    path = tmp_path / "processes.json"
    if sys.platform != "linux":  # memory is read from /proc
        with pytest.raises(UsageError, match="Use Linux"):
            bench_linker_memory.main([str(dictionaries / "*.txt")], path)
        return
    bench_linker_memory.main([str(dictionaries / "*.txt")], path)
    result = read_result(path)
    rows = {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in result["metrics"].items()}
    # heart attack, myocardial infarction and croup
    floor, generator, dense = rows.values()
    assert list(rows)[1:] == ["generator, 3 names", f"{bench_linker_memory.DENSE}, 3 names"]
    assert set(result["settings"]["columns"]) == generator.keys() == dense.keys()
    assert [cells["names"] for cells in (generator, dense)] == [3, 3]
    # Embeddings of 600 tokens, of a width of 16, and more; of 400 tokens, of a width of 768.
    assert 600 * 16 < generator["parameters"] < 400 * 768 < dense["parameters"]
    for cells in (floor, generator, dense):
        assert cells["private_mb"] > 0 and cells["shared_mb"] > 0
        assert cells["resident_mb"] == pytest.approx(cells["private_mb"] + cells["shared_mb"], abs=0.02)
        assert cells["above_the_floor_mb"] == pytest.approx(cells["resident_mb"] - floor["resident_mb"], abs=0.02)
    assert generator["above_the_floor_mb"] > 0
    assert [entry["path"] for entry in result["data"]] == ["a.txt", "b.txt"]
    assert {"torch", "transformers"} <= result["versions"].keys()


def memory_result(root: Path, resident: float) -> None:
    names = {f"{index}, 10 names": 10 for index in ("trie", "trie and the leaf of each name", "nested dicts")}
    names |= {"dense, 768 x fp32, 10 names": 10, "dense, 768 x fp32 (computed), 1,000 names": 1000}
    metrics = {row: {"names": {"value": n}, "resident_mb": {"value": resident * n}} for row, n in names.items()}
    keys = ("command", "commit", "created", "versions", "hardware", "data", "seed", "n", "settings")
    path = root / "results" / "memory" / "index.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**dict.fromkeys(keys, ""), "metrics": metrics}), encoding="utf-8")


def search_result(root: Path) -> None:
    ratios = {"generate, fp32": None, "search, fp32": 5.0, "search, fp32, trie": 9.0, "search, bf16": 2.0}
    cells = {way: {} if ratio is None else {"ratio": {"value": ratio}} for way, ratio in ratios.items()}
    keys = ("command", "commit", "created", "versions", "hardware", "data", "seed", "n", "settings")
    metrics = {f"{shape}: {way}": cell for shape in ("large", "small") for way, cell in cells.items()}
    path = root / "results" / "search" / "shapes.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**dict.fromkeys(keys, ""), "metrics": metrics}), encoding="utf-8")


def test_a_plot_of_a_benchmark_is_there_when_its_result_file_is(tmp_path: Path) -> None:
    memory_result(tmp_path, 0.5)
    search_result(tmp_path)
    scores = {"value": 0.75, "low": 0.5, "high": 0.875}
    costs = {"resident_mb": {"value": 100.0}, "ms_single": {"value": 2.5}}
    rows = {f"{d}: {name}": {"acc@1": scores, **costs} for d in ("kb", "kb+train") for name in ("exact: a", "SapBERT")}
    rows["kb: timeless"] = {"acc@1": {**scores, "low": None, "high": None}, **costs, "ms_single": {"value": 0.0}}
    path = tmp_path / "results" / "benchmark" / "dev.json"
    path.parent.mkdir(parents=True)
    keys = ("command", "commit", "created", "versions", "hardware", "data", "seed", "n", "settings")
    path.write_text(json.dumps({**dict.fromkeys(keys, ""), "metrics": rows}), encoding="utf-8")
    assert make_plots.main(["--root", str(tmp_path)]) == 0
    drawn = (tmp_path / "docs" / "images" / "benchmark_dev.svg").read_text(encoding="utf-8")
    assert re.findall(r">(\d [^<]+)<", drawn) == ["1 exact: a", "2 SapBERT", "3 timeless"]
    assert "Acc@1, kb<" in drawn and "resident MB" in drawn


def test_a_plot_is_drawn_from_its_result_file_and_known_to_be(tmp_path: Path) -> None:
    memory_result(tmp_path, 0.5)
    search_result(tmp_path)
    check = ("--check", "--root", str(tmp_path))
    assert make_plots.main(check) == 1  # not drawn yet
    assert make_plots.main(check[1:]) == make_plots.main(check) == 0
    drawn = (tmp_path / "docs" / "images" / "memory.svg").read_text(encoding="utf-8")
    assert re.findall(r">(dense[^<]*|nested dicts|trie[^<]*)<", drawn) == ["dense, 768 x fp32", "nested dicts", "trie"]
    drawn = (tmp_path / "docs" / "images" / "search.svg").read_text(encoding="utf-8")
    assert re.findall(r">(search,[^<]*|large|small)<", drawn) == [
        "large",
        "small",
        "search, fp32",
        "search, fp32, trie",
    ]
    memory_result(tmp_path, 0.25)
    assert make_plots.main(check) == 1  # of other numbers


def many_names(folder: Path) -> Path:
    """A dictionary of all threes of words."""
    path = folder / "many.txt"
    threes = itertools.product(*[[*WORDS, "blue", "gout", "moth"]] * 3)
    path.write_text("".join(f"M{i}||{' '.join(three)}\n" for i, three in enumerate(threes)), encoding="utf-8")
    return path


def cells_of(path: Path) -> dict[str, dict[str, float]]:
    metrics = read_result(path)["metrics"]
    return {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in metrics.items()}


def test_bench_changes_measures_each_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_changes, "CHANGED", 50)
    path = tmp_path / "changes.json"
    bench_changes.main([str(path), str(many_names(tmp_path)), "--names", "100", "--names", "300"])
    rows = cells_of(path)
    assert [cells["names"] for cells in rows.values()] == [100, 300]
    for cells in rows.values():
        assert cells.keys() == set(read_result(path)["settings"]["columns"])
        assert all(value > 0 for value in cells.values())


def test_bench_floor_counts_the_path_of_a_name(tmp_path: Path) -> None:
    # 5-6-END, 5-7-END, 8-9-9-END: two names part at their second token, the third at its first.
    trie = NameTrie.build([5, 6, 5, 7, 8, 9, 9], [0, 2, 4, 7], 2)
    assert bench_floor.path_lengths(trie, [0]) == (2, 1)
    assert bench_floor.path_lengths(trie, [2]) == (3, 0)
    assert bench_floor.path_lengths(trie, [0, 2]) == (2.5, 0.5)
    path = tmp_path / "floor.json"
    done = run("bench_floor.py", path, "--dictionary", many_names(tmp_path), "--mentions", 20)
    assert done.returncode == 0, done.stderr
    rows = cells_of(path)
    assert len(rows) == 6
    for shape in {row.rsplit(", ", 1)[0] for row in rows}:
        assert rows[f"{shape}, trie"]["gigaflop"] < rows[f"{shape}, full"]["gigaflop"]
        assert rows[f"{shape}, full"]["milliseconds_fp32"] > 0


def test_bench_growth_changes_one_thing_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "VOCABULARY", 900)
    monkeypatch.setattr(bench_growth, "SPELLING", 500)
    monkeypatch.setattr(bench_growth, "SHAPES", {bench_growth.SMALLEST: planted.Shape(32, 1, 1, 2)})
    for name, value in {"MENTIONS": 4, "PEER_MENTIONS": 2, "BATCH": 4, "LENGTHS": (8, 16)}.items():
        monkeypatch.setattr(bench_growth, name, value)
    for name in ("BEAM_SIZES", "BATCHES"):
        monkeypatch.setattr(bench_growth, name, (1, 2))
    path = tmp_path / "growth.json"
    bench_growth.main([str(path), str(many_names(tmp_path)), "--names", "100", "--names", "300"])
    rows = cells_of(path)
    assert {row.rsplit(", ", 1)[0] for row in rows} == {
        *("1 beams, 1 names", "2 beams", "2 beams, 1 names", "2 beams, 2 names", "1 at once", "2 at once"),
        *("8 source tokens", "16 source tokens", "100 names", "300 names"),
    }
    assert rows["2 beams, 1 names, full"]["rows"] >= rows["2 beams, 1 names, trie"]["rows"] > 0
    assert rows["2 beams, 1 names, full"]["ratio"] > 0


def test_errors_are_drawn_to_be_read_and_their_classes_counted(tmp_path: Path) -> None:
    lines = []
    for mention, answers in enumerate((["C1"], ["C2", "C1"], ["C2"], [])):  # right, right at rank 2, wrong, no answer
        candidates = [
            {"concept_id": c, "concept_name": c, "name": c.lower(), "score": -1.0, "rank": rank, "ambiguous": False}
            for rank, c in enumerate(answers, start=1)
        ]
        gold = {"gold": [["C1"]], "gold_concepts": [["C1"]], "candidates": candidates, "part": None, "type": None}
        lines.append(
            {"document_id": "d", "mention_id": str(mention), "text": "croup", "surface": "croup", "spans": [], **gold}
        )
    predictions, table, result = tmp_path / "p.jsonl", tmp_path / "errors.tsv", tmp_path / "errors.json"
    predictions.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert run("count_errors.py", "draw", predictions, table, "--n", 9).returncode == 0
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    assert header.split("\t")[:3] == ["class", "document", "mention"]
    assert [row.split("\t")[:3] for row in rows] == [["", "d", "1"], ["", "d", "2"], ["", "d", "3"]]

    def count() -> subprocess.CompletedProcess[str]:
        return run("count_errors.py", "count", table, "--predictions", predictions, "--result", result)

    unread = count()
    assert unread.returncode == 1 and "line 2: has no class" in unread.stderr and not result.exists()
    table.write_text("class\tdocument\tmention\nbroader\td\t1\nbroader\td\t3\nother\td\t2\n", encoding="utf-8")
    assert count().returncode == 0
    counted = read_result(result)
    assert (counted["n"], counted["settings"]["errors"], counted["settings"]["mentions"]) == (3, 3, 4)
    assert {name: {k: v["value"] for k, v in row.items()} for name, row in counted["metrics"].items()} == {
        "broader": {"errors": 2, "right_name_among_five": 1},
        "other": {"errors": 1, "right_name_among_five": 0},
    }
    table.write_text("class\tdocument\tmention\nbroader\td\t0\n", encoding="utf-8")
    right = count()
    assert right.returncode == 1 and "is no error" in right.stderr
    table.write_text("class\tdocument\tmention\nbroader\td\t1\nother\td\t1\n", encoding="utf-8")
    assert "line 3: d, 1 stands in an earlier line" in count().stderr
    table.write_bytes("class\tdocument\tmention\nbröder\td\t1\n".encode("latin-1"))
    assert "is not UTF-8" in count().stderr
    again = run("count_errors.py", "draw", predictions, table)
    assert again.returncode == 1 and "is there already" in again.stderr


def test_a_server_is_soaked_by_a_few_clients_for_a_moment(dictionaries: Path, tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    done = run(*("soak_server.py", path, "exact", "--kb", dictionaries / "a.txt"), *("--clients", 4, "--seconds", 2))
    assert done.returncode == 0, done.stderr
    result = read_result(path)
    assert result["settings"]["errors"] == {}
    rows = {row: {name: cell["value"] for name, cell in cells.items()} for row, cells in result["metrics"].items()}
    kinds = [row for row in rows if row not in ("all", "memory")]
    past = rows.pop("past its limits")
    kinds.remove("past its limits")
    assert rows["all"]["requests"] == sum(rows[kind]["requests"] for kind in kinds) > 0
    assert result["n"] == rows["all"]["requests"] + past["requests"]
    assert past["requests"] == result["settings"]["clients_past_its_limits"]
    assert past.get("status_200", 0) + past.get("status_503", 0) + past.get("status_504", 0) == past["requests"]
    assert rows["marked"]["status_200"] == rows["marked"]["requests"] > 0
    assert 0 < rows["all"]["median_ms"] <= rows["all"]["p99_ms"] <= rows["all"]["longest_ms"]
    assert 0 < rows["memory"]["first_mb"] <= rows["memory"]["most_mb"]
