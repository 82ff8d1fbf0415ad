"""How long a model was trained is the sum over all runs that led to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genlink.errors import DataError
from genlink.evaluation.training_time import training_minutes

KEYS = ("command", "commit", "created", "versions", "hardware", "data", "seed", "n", "metrics")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(
    output: str,
    seconds: float,
    checkpoint: str | None = None,
    processes: int = 1,
    path: str | None = None,
    **recipe: Any,
) -> str:
    """Write the record of a run to where runs leave it, or elsewhere; its path."""
    place = Path(path or f"{output}/run.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    values = {"stage": "finetune", "output": output, "model": {"checkpoint": checkpoint}, **recipe}
    settings = {"run": {"seconds": seconds}, "processes": processes, "recipe": values}
    place.write_text(json.dumps({**dict.fromkeys(KEYS, ""), "settings": settings}), encoding="utf-8")
    return place.as_posix()


def test_stages_are_found_beside_their_models_and_count_once_for_each_process() -> None:
    record("runs/pretrain", 600, processes=2)
    assert training_minutes([record("runs/finetune", 60, "runs/pretrain/model")]) == (600 * 2 + 60) / 60


def test_weights_from_elsewhere_take_no_time_and_neither_does_what_is_not_trained() -> None:
    assert training_minutes([record("runs/a", 60, "minilm")]) == 1
    assert training_minutes([record("runs/a", 60, "cambridgeltl/SapBERT-from-PubMedBERT-fulltext")]) == 1
    assert training_minutes([]) == 0


def test_a_record_that_is_listed_is_taken_instead_of_the_one_beside_the_model() -> None:
    record("runs/pretrain", 600)
    kept = record("runs/pretrain", 120, path="results/training/pretrain.json")
    assert training_minutes([record("runs/finetune", 60, "runs/pretrain/model"), kept]) == (120 + 60) / 60


def test_the_models_of_folds_count_and_what_they_share_with_the_model_counts_once() -> None:
    record("runs/pretrain", 600)
    record("runs/finetune", 60, "runs/pretrain/model")
    for fold in range(2):
        record(f"runs/folds/{fold}-of-2", 30, "runs/pretrain/model")
    harvest = {"source": "crossfit", "folds": 2, "fold_models": "runs/folds"}
    last = record("runs/preference", 15, "runs/finetune/model", stage="preference", harvest=harvest)
    assert training_minutes([last]) == (600 + 60 + 2 * 30 + 15) / 60


@pytest.mark.parametrize(
    ("seconds", "checkpoint", "said"),
    [(60, "runs/gone/model", "runs/gone/run.json"), (0, None, "the run has not ended")],
)
def test_what_is_not_known_is_not_guessed(seconds: float, checkpoint: str | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        training_minutes([record("runs/a", seconds, checkpoint)])


def test_another_result_file_is_no_record_of_a_training_run() -> None:
    Path("result.json").write_text(json.dumps({**dict.fromkeys(KEYS, ""), "settings": {}}), encoding="utf-8")
    with pytest.raises(DataError, match="no record of a training run"):
        training_minutes(["result.json"])
