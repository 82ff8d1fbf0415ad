"""Experiments: what is done is collected with its statistics, and shown as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_experiment import (
    PLAN,
    Run,
    calls,
)

from genlink.evaluation import PRESETS, read_predictions, read_result
from genlink.evaluation.seeds import compare_seeds, pool_differences, score_run
from genlink.evaluation.tables import render_table


def test_the_collected_statistics_are_those_of_the_comparisons(work: Path, run: Run) -> None:
    rows = [dict(row, corpora=[]) for row in PLAN["rows"]]
    assert run(plan={**PLAN, "rows": rows}) == 0

    def runs(corpus: str, row: str, dictionary: str) -> list[Any]:
        paths = sorted((work / "runs" / corpus).glob(f"{row}/**/{dictionary}.jsonl"))
        return [score_run(read_predictions(path), PRESETS["angel"]) for path in paths]

    result = read_result("results/toy/two.json")
    names = {"exact match": "exact-match", "a model": "a-model", "+ more": "more"}
    before = {"a model": "exact match", "+ more": "a model"}
    for dictionary in ("kb", "kb+train"):
        systems = {row: runs("two", folder, dictionary) for row, folder in names.items()}
        assert [len(found) for found in systems.values()] == [1, 2, 2]
        for row, measures in compare_seeds(systems, before=before).items():
            collected = result["metrics"][f"{dictionary}: {row}"]
            assert collected.pop("acc@1 strict") == collected["acc@1"]  # no name is ambiguous
            assert collected == {measure: estimate.to_dict() for measure, estimate in measures.items()}
    # Right by seed: 3 and 5 of 12 mentions by the model, 5 and 7 by the next row, and one more under kb+train.
    assert result["metrics"]["kb: a model"]["acc@1"]["value"] == 4 / 12
    assert result["metrics"]["kb+train: + more"]["difference"]["value"] == pytest.approx(2 / 12)
    facts = result["settings"]["rows"]["+ more"]
    assert facts["seeds"] == [0, 1]
    assert facts["command"] == "python scripts/run_experiment.py plan.yaml --corpus two --row '+ more'"
    assert [entry["path"] for entry in result["data"]][:2] == ["plan.yaml", "runs/two/exact-match/kb.jsonl"]

    pooled = read_result("results/toy/pooled.json")
    pairs = [
        [(runs(corpus, "more", dictionary), runs(corpus, "a-model", dictionary)) for dictionary in ("kb", "kb+train")]
        for corpus in ("one", "two")
    ]
    assert pooled["metrics"]["+ more"]["difference"] == pool_differences(pairs).to_dict()
    assert pooled["settings"]["rows"]["+ more"] == {"before": "a model", "corpora": ["one", "two"]}


def test_collecting_runs_nothing_and_a_row_that_cannot_be_read_hides_no_other(work: Path, run: Run) -> None:
    assert run("--row", "exact match") == 0
    calls(work)
    (work / "recipe.yaml").unlink()
    for path in (work / "results/toy").iterdir():
        path.unlink()
    assert run("--collect", "--corpus", "two") == 0
    assert calls(work) == []
    assert [path.name for path in (work / "results/toy").iterdir()] == ["two.json"]
    assert run("--collect") == 0
    settings = read_result("results/toy/one.json")["settings"]
    assert list(settings["rows"]) == ["exact match"]
    assert [line.split(" (")[0] for line in settings["not_run"]] == ["a model", "+ more"]
    assert "recipe.yaml: no such file" in settings["not_run"][0]


def test_the_tables_of_an_experiment(work: Path, run: Run) -> None:
    assert run() == 0
    table = render_table(work / "results/toy/one").splitlines()
    assert table[0] == (
        "| system | dictionary | Acc@1 angel [95% interval] | Acc@1 strict | Acc@5 angel | seeds | n "
        "| difference [95% interval] | p | compared with |"
    )
    assert table[2].startswith("| exact match | kb | 8.3 [0.0, 25.0] | 8.3 | 8.3 | – | 12 | – | – | – |")
    measures = read_result("results/toy/one.json")["metrics"]["kb+train: + more"]["difference"]
    low, high, p = 100 * measures["low"], 100 * measures["high"], measures["p"]
    assert table[-1].startswith("| + more | kb+train | 58.3 [")
    assert table[-1].endswith(f" | 58.3 | 58.3 | 2 | 12 | 16.7 [{low:.1f}, {high:.1f}] | {p:.3f} | a model |")
    assert len(table) == 2 + 2 * 3
    pooled = render_table(work / "results/toy/pooled").splitlines()
    assert pooled[0] == "| system | corpora | difference [95% interval] | p | compared with |"
    assert [line.split(" | ")[:2] for line in pooled[2:]] == [["| a model", "one"], ["| + more", "one"]]
