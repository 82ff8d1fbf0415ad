"""The units of work of an experiment: what each one needs, whether it is done, and how it is begun.

Nothing is remembered beside the outputs. A unit is done when its output is whole, was made by the command of the plan,
and from the model that is there now; so a plan that was broken off, or changed, goes on where it has to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from experiment_plan import Plan, Row, Stage
from transformers.utils import SAFE_WEIGHTS_NAME

from genlink.config import EncoderConfig, TrainConfig, read_recipe
from genlink.data_paths import display, locate
from genlink.errors import DataError
from genlink.evaluation.results import command_line, read_result
from genlink.files import read_json, sha256

__all__ = ["DICTIONARIES", "Evaluation", "Experiment", "State", "Training", "Unit", "with_needs"]

DICTIONARIES = ("kb", "kb+train")
State = Literal["done", "waits", "resume", "run"]


@dataclass(frozen=True, eq=False)
class Training:
    """A stage of a row, for the corpora and seeds that share it."""

    label: str
    output: Path
    words: tuple[str, ...]
    config: TrainConfig | EncoderConfig
    needs: Training | None
    of_corpus: bool

    @property
    def result(self) -> Path:
        return self.output / "run.json"

    @property
    def log(self) -> Path:
        return self.output.with_name(f"{self.output.name}.log")

    def command(self) -> list[str]:
        """The arguments of ``genlink``; a run that this recipe has begun is gone on with."""
        how = "--resume" if self.state() == "resume" else "--overwrite"
        return [*self.words, "--output", str(self.output), how]

    def state(self) -> State:
        if self.needs and self.needs.state() != "done":
            return "waits"
        begun = _record(self.result)
        checkpoint = self.config.model.checkpoint
        weights = Path(checkpoint) / SAFE_WEIGHTS_NAME if checkpoint else None
        if begun is None or _is_of_another(weights, begun) or self._has_other_recipe():
            return "run"
        return "done" if begun["n"] else "resume"  # the examples are counted at the end, when the model is there

    def _has_other_recipe(self) -> bool:
        try:
            begun = type(self.config).model_validate(read_json(self.output / "config.json"))
        except (DataError, ValueError):
            return True
        return self.config.first_difference(begun) is not None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The predictions of a system for a corpus under a dictionary: a predictions file, and a result file with it."""

    label: str
    predictions: Path
    words: tuple[str, ...]
    needs: Training | None

    @property
    def result(self) -> Path:
        return self.predictions.with_suffix(".json")

    @property
    def log(self) -> Path:
        return self.predictions.with_suffix(".log")

    def command(self) -> list[str]:
        """The arguments of ``genlink``."""
        return [*self.words, "--predictions", str(self.predictions), "--result", str(self.result)]

    def state(self) -> State:
        if self.needs and self.needs.state() != "done":
            return "waits"
        made = _record(self.result)  # which is written last
        if made is None or made["command"] != command_line(["genlink", *self.command()]):
            return "run"
        if _is_of_another(Path(self.words[1]), made) or not self.predictions.exists():
            return "run"
        return "done"


Unit = Training | Evaluation


class Experiment:
    """The units of a plan; each exists once, whatever needs it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._made: dict[Path, Any] = {}

    def evaluations(self, row: Row, corpus: str, seed: int | None) -> list[Evaluation]:
        """One for each of ``DICTIONARIES``; ``seed`` is None where the row has none.

        Raises UsageError and DataError for a recipe that cannot be read.
        """
        needs = self._model(row, corpus, seed) if row.train else None
        facts = self.plan.corpora[corpus]
        system = str(needs.output / "model") if needs else _fill(str(row.system), corpus, seed)
        options = [("--kb", path) for path in facts.kb if row.system]
        options += [("--train", path) for path in facts.train] + [("--type", name) for name in facts.types]
        flat = [word for option in options for word in option]
        presets = ("--preset", "angel", "--preset", "strict")
        made = []
        for dictionary in DICTIONARIES:
            path = self._folder(row, corpus, seed) / f"{dictionary}.jsonl"
            options = [_fill(word, corpus, seed) for word in row.options]
            given = (*flat, *options, "--dictionary", dictionary, *presets)
            words = ("evaluate", system, facts.corpus, *given)
            made.append(
                self._made.setdefault(path, Evaluation(_label(corpus, row, seed, dictionary), path, words, needs))
            )
        return made

    def _model(self, row: Row, corpus: str, seed: int | None) -> Training:
        last = self._model(self.plan.row(row.starts_from), corpus, seed) if row.starts_from else None
        for number, stage in enumerate(row.train, start=1):
            last = self._stage(row, number, stage, corpus, None if stage.once else seed, last)
        assert last is not None  # a row that makes a model has stages
        return last

    def _stage(
        self, row: Row, number: int, stage: Stage, corpus: str, seed: int | None, last: Training | None
    ) -> Training:
        of_corpus = any("{corpus}" in text for text in (stage.recipe, *stage.set)) or bool(last and last.of_corpus)
        output = self._folder(row, corpus if of_corpus else "shared", seed) / str(number)
        if output not in self._made:
            changes = [_fill(change, corpus, seed) for change in stage.set]
            changes += [f"model.checkpoint={last.output / 'model'}"] if last else []
            changes.append(f"seed={seed or 0}")
            recipe = _fill(stage.recipe, corpus, seed)
            self._made[output] = Training(
                label=_label(corpus if of_corpus else "all corpora", row, seed, f"stage {number}"),
                output=output,
                words=("train", recipe, *(word for change in changes for word in ("--set", change))),
                config=read_recipe(recipe, changes),
                needs=last,
                of_corpus=of_corpus,
            )
        made: Training = self._made[output]
        return made

    def _folder(self, row: Row, corpus: str, seed: int | None) -> Path:
        folder = Path(self.plan.runs) / corpus / row.folder
        return folder / f"seed-{seed}" if seed is not None else folder


def with_needs(units: Iterable[Unit]) -> list[Unit]:
    """Units in an order that they can be made in, each once."""
    ordered: dict[Unit, None] = {}
    for unit in units:
        chain: list[Unit] = [unit]
        while needs := chain[-1].needs:
            chain.append(needs)
        ordered.update(dict.fromkeys(reversed(chain)))
    return list(ordered)


def _fill(text: str, corpus: str, seed: int | None) -> str:
    # Not str.format: a change may set a template, which has braces of its own.
    return text.replace("{corpus}", corpus).replace("{seed}", str(seed or 0))


def _label(corpus: str, row: Row, seed: int | None, what: str) -> str:
    return ", ".join([corpus, row.name, *([] if seed is None else [f"seed {seed}"]), what])


def _record(path: Path) -> dict[str, Any] | None:
    try:
        return read_result(path)
    except DataError:
        return None


def _is_of_another(model: Path | None, made: dict[str, Any]) -> bool:
    """Whether a result was made from a model, or its weights, that is another by now.

    Of one that does not say what it was made from, the date decides: the model may not have been begun after it.
    """
    if model is None or not locate(model).exists():
        return False
    digests = [entry["sha256"] for entry in made["data"] if entry["path"] == display(model)]
    if digests:
        return _digest(locate(model)) not in digests
    directory = locate(model) if locate(model).is_dir() else locate(model).parent
    trained = _record(directory.parent / "run.json")
    return trained is not None and str(made["created"]) < str(trained["created"])


def _digest(path: Path) -> str:
    """The SHA-256 of a file or directory, computed anew only when something about it has changed."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return _digest_of(path, tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files))


@cache
def _digest_of(path: Path, state: tuple[tuple[Path, int, int], ...]) -> str:
    return sha256(path)
