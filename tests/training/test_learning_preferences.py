"""The stage does what it is for: a model that prefers wrong names prefers the right ones afterwards."""

from __future__ import annotations

import json

import pytest

from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Mention
from genlink.training.stages import run_stage

pytestmark = pytest.mark.usefixtures("accelerator")

SETTINGS = {
    "dpo": {"beta": 0.5},
    "simpo": {"beta": 2.0},
    "marginal": {"nll": 0.2},
    "likelihood": {},
}


def first_right(directory, asked: dict[str, str]) -> int:
    """Of how many mentions the first name is right."""
    predictions = GenerativeLinker.load(directory).link([Mention.in_context("", text) for text in asked], 1)
    return sum(p.best.concept_id == gold for p, gold in zip(predictions, asked.values(), strict=True))


@pytest.mark.parametrize("objective", ["full", "trie"])
@pytest.mark.parametrize("loss", SETTINGS)
def test_training_mentions_are_linked_right_afterwards(preference, start, asked, tmp_path, loss, objective):
    config = preference(
        tmp_path,
        model={"checkpoint": str(start), "dropout": 0.0},
        optimiser={"batch_size": 5, "learning_rate": 0.01, "warmup_steps": 5, "steps": 100},
        preference={"loss": loss, "pairs": "all", "repetition": 0, **SETTINGS[loss]},
        objective=objective,
        harvest={"k": 13},  # all names: one that no list has may rise while those of the lists are set apart
    )
    run_stage(config)
    before, after = first_right(start, asked), first_right(tmp_path / "model", asked)
    # The control learns to write a right name, not that it is better than others.
    assert before <= 2 and after >= (3 if loss == "likelihood" else 4), (before, after)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "round-1" / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 4 and losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
