"""What the tests of the preference stage read of a run."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

DPO = {"loss": "dpo", "rounds": 2}


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def record(output: Path, number: int) -> dict:
    """The record of a round, without its times."""
    done = json.loads((output / f"round-{number}" / "round.json").read_text())
    return {**done, "run": {key: value for key, value in done["run"].items() if "seconds" not in key}}


def scored(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def files(output: Path) -> list[str]:
    return sorted(path.name for path in output.iterdir())


# What a run leaves


def dies(monkeypatch, owner: object, name: str, at: int):
    """Let a function be interrupted when it is called for the ``at``-th time."""
    original, calls = getattr(owner, name), []

    def wrapped(*arguments, **keywords):
        calls.append(None)
        if len(calls) == at:
            raise KeyboardInterrupt
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, name, wrapped)
