"""An experiment whose processes end at once: what a unit is known by is written in their place."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import run_experiment
from experiment_units import Unit

from genlink.config import read_recipe
from genlink.evaluation import PredictionRecord, write_predictions, write_result
from genlink.files import write_json
from genlink.schema import Candidate

SCRIPT = Path(run_experiment.__file__)
RECIPE = """\
stage: pretrain
output: runs/toy
knowledge_base: [data/toy.txt]
model: {shape: {width: 16, heads: 2, max_positions: 128}}
optimiser: {steps: 3}
"""
ENCODER_RECIPE = """\
stage: sapbert
output: runs/encoder
knowledge_base: [data/toy.txt]
model: {shape: {width: 16, heads: 2}}
optimiser: {steps: 3, learning_rate: 1.0e-3, batch_size: 4}
"""
START = {"recipe": "recipe.yaml"}
FURTHER = {"recipe": "recipe.yaml", "set": ["model.shape=null", "optimiser.steps=5"]}
CORPUS = {"corpus": "dev.txt", "train": ["train.txt"], "kb": ["kb.txt"]}
PLAN: dict[str, Any] = {
    "results": "results/toy",
    "runs": "runs",
    "seeds": [0, 1],
    "corpora": {"one": CORPUS, "two": {**CORPUS, "types": ["Disease"], "kb": ["a.txt", "b.txt"]}},
    "rows": [
        {"name": "exact match", "system": "exact"},
        {"name": "a model", "before": "exact match", "train": [START], "corpora": ["one"]},
        {"name": "+ more", "before": "a model", "start": "before", "train": [FURTHER], "corpora": ["one"]},
    ],
}

Run = Callable[..., int]


class Ended(NamedTuple):
    """A process that has ended."""

    returncode: int

    def poll(self) -> int:
        return self.returncode


def begin(unit: Unit, environment: dict[str, str], lock: int) -> Ended:
    """In place of a process: write what a unit is known by, in no time; a file `broken` holds the outputs that fail.

    The answer to mention i is right where i is below a number that stages, seed and dictionary make.
    """
    words = unit.command()
    with Path("calls").open("a") as written:
        written.write(json.dumps(words) + "\n")
    output = value(words, "--output" if words[0] == "train" else "--predictions")
    unit.log.parent.mkdir(parents=True, exist_ok=True)
    if Path("broken").exists() and output in Path("broken").read_text().split():
        unit.log.write_text("at work\n 10%\r 20%\rerror: the disk is full\n\n")
        return Ended(1)
    facts: dict[str, Any] = {"command": ["genlink", *words], "settings": {}, "metrics": {}}
    if words[0] == "train":
        config = read_recipe(words[1], [b for a, b in itertools.pairwise(words) if a == "--set"])
        start = Path(config.model.checkpoint) / "model.safetensors" if config.model.checkpoint else None
        weights = f"{start.read_text() if start else 'fresh'}, {config.seed}, {config.optimiser.steps}"
        (Path(output) / "model").mkdir(parents=True, exist_ok=True)
        (Path(output) / "model" / "model.safetensors").write_text(weights)
        write_json(Path(output) / "config.json", config.model_dump())
        write_json(Path(output) / "skill.json", 2 * config.seed + config.optimiser.steps)
        write_result(Path(output) / "run.json", seed=config.seed, n=1, data=[start] if start else [], **facts)
    else:
        skill = Path(words[1]).parent / "skill.json"
        right = (json.loads(skill.read_text()) if skill.exists() else 1) + (value(words, "--dictionary") == "kb+train")
        gold = (frozenset(["A"]),)
        answers = [Candidate("A" if i < right else "B", "a", "a", -1.0, 1) for i in range(12)]
        records = [
            PredictionRecord(str(i // 2), str(i), "a", "a", gold, gold, (answer,)) for i, answer in enumerate(answers)
        ]
        write_predictions(output, records)
        models = [words[1]] if Path(words[1]).exists() else []
        write_result(value(words, "--result"), seed=0, n=12, data=models, **facts)
    return Ended(0)


def value(words: Sequence[str], option: str) -> str:
    return words[words.index(option) + 1]


def calls(work: Path) -> list[list[str]]:
    """What was called since this was last asked for."""
    path = work / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def outputs(called: Sequence[Sequence[str]]) -> list[str]:
    """The outputs of calls, without what is the same in all."""
    places = [value(words, "--output" if words[0] == "train" else "--predictions") for words in called]
    return [place.removeprefix("runs/").removesuffix(".jsonl") for place in places]


def of_row(row: str, **keys: Any) -> dict[str, Any]:
    """The plan with other keys in a row."""
    return {**PLAN, "rows": [{**r, **keys} if r["name"] == row else r for r in PLAN["rows"]]}


def seed_outputs(seed: int, row: str) -> list[str]:
    return [f"shared/{row}/seed-{seed}/1", f"one/{row}/seed-{seed}/kb", f"one/{row}/seed-{seed}/kb+train"]
