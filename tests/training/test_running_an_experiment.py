"""A plan that is really carried out: training, evaluation and the result file, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from genlink.evaluation import PRESETS, read_predictions, read_result
from genlink.evaluation.seeds import compare_seeds, score_run

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_experiment.py"


@pytest.mark.slow
def test_an_experiment_trains_links_and_compares(recipe, dictionary, write_corpus, tmp_path):
    corpus = write_corpus("dev", ("argentine fever", "D1"), ("tidal colic", "D4"), ("gout, blue", "D6"))
    training = write_corpus("train", ("podagra", "D6"))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe("runs/not here")))
    facts = {"corpus": str(corpus), "train": [str(training)], "types": ["Disease"], "kb": [str(dictionary)]}
    plan = {
        "results": "results",
        "runs": "runs",
        "seeds": [3],
        "corpora": {"toy": facts},
        "rows": [
            {"name": "exact match", "system": "exact"},
            {"name": "model", "before": "exact match", "train": [{"recipe": "recipe.yaml"}]},
        ],
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "plan.yaml", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 0, done.stderr
    assert [line.partition(" ")[0] for line in run("--dry-run").stdout.splitlines()] == ["done"] * 5
    assert read_result(tmp_path / "runs/shared/model/seed-3/1/run.json")["settings"]["recipe"]["seed"] == 3
    assert (tmp_path / "runs/shared/model/seed-3/1.log").read_text().startswith("$ genlink train recipe.yaml --set")
    result = read_result(tmp_path / "results/toy.json")
    for name in ("kb", "kb+train"):
        paths = {"exact match": "exact-match", "model": "model/seed-3"}
        systems = {
            row: [score_run(read_predictions(tmp_path / f"runs/toy/{path}/{name}.jsonl"), PRESETS["angel"])]
            for row, path in paths.items()
        }
        for row, measures in compare_seeds(systems).items():
            for measure, estimate in measures.items():
                assert result["metrics"][f"{name}: {row}"][measure] == estimate.to_dict()
    assert result["metrics"]["kb: exact match"]["acc@1"]["value"] == 1
    assert not result["settings"]["not_run"]
    assert "torch" not in result["versions"]
