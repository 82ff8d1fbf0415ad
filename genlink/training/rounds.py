"""The preference stage: harvest right and wrong names, learn from them, score the model, and again.

ANGEL (arXiv 2408.16493) with its parts named: where the lists come from (genlink.training.harvest), what is learnt from
them (genlink.training.preferences), which model is the reference, and how many rounds there are. Everything of a round
lies in ``<output>/round-N``: the lists for review, the reference's log-probabilities, metrics, the model it ends with.
Round 0 is the model that the stage begins with.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import load_model
from transformers import BartForConditionalGeneration
from transformers.utils import SAFE_WEIGHTS_NAME

from genlink.config import PreferenceConfig, TrainConfig
from genlink.data.answers import count_answers
from genlink.data.preference_batches import PreferenceBatches, collate_preferences
from genlink.data.preferences import PreferenceExample, preference_examples
from genlink.data_paths import locate
from genlink.errors import UsageError
from genlink.files import atomic_file, read_json, write_json
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import load_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.training.lists import HarvestReview, check_learnable, learnable, review_harvest
from genlink.training.loop import Run, announce, train
from genlink.training.preferences import PreferenceLoss
from genlink.training.reference import check_kin, digest_of_examples, with_reference
from genlink.training.sources import Harvest, prepare_source
from genlink.training.task import Task

__all__ = ["PreferenceStage", "carry_out_rounds", "harvest_first", "prepare_rounds", "round_records"]

DEFAULT_BETA = {"dpo": 0.1, "simpo": 2.0}


@dataclass(frozen=True, slots=True)
class PreferenceStage:
    """What the rounds share.

    ``linker`` is scored and saved, ``searched`` has the same model over the names that are asked for and answered.
    ``reference`` is the model that all rounds are compared with; None where there is none, or a new one each round.
    """

    config: TrainConfig
    preference: PreferenceConfig
    linker: GenerativeLinker
    searched: GenerativeLinker
    harvest: Harvest
    reference: BartForConditionalGeneration | None
    accelerator: Accelerator
    max_steps: int | None

    @property
    def gold_names(self) -> KnowledgeBase:
        """Where lists without a right name get one from: not training names, of which the mention's own is nearest."""
        return self.linker.kb if self.searched.kb.is_overlay_of(self.linker.kb) else self.searched.kb

    def to_device(self) -> None:
        """Move the models to the device: not before models of folds were trained there."""
        for model in filter(None, (self.linker.model, self.reference)):
            model.to(self.accelerator.device)

    def folder(self, number: int) -> Path:
        """Where everything of a round lies."""
        return Path(self.config.output) / f"round-{number}"


def prepare_rounds(
    config: TrainConfig,
    linker: GenerativeLinker,
    names: KnowledgeBase,
    accelerator: Accelerator,
    *,
    fold_weights: Sequence[str] = (),
    max_steps: int | None = None,
) -> PreferenceStage:
    """Everything that the stage needs; nothing is written.

    ``names`` and ``fold_weights`` are those of ``prepare_source``. Raises ModelError where the reference is not of the
    model's kin.
    """
    preference = config.preference or PreferenceConfig()
    searched, harvest = prepare_source(config, linker, names, accelerator, fold_weights)
    reference = None
    if preference.reference is not None:
        directory = locate(preference.reference)
        check_kin(GenerativeLinker.load(directory), linker, preference.reference)
        reference, _ = load_bart(str(directory), download=False)  # which has a forward pass, as learning needs it
    elif preference.loss == "dpo" and not preference.refresh_reference:
        reference = copy.deepcopy(linker.model)
    return PreferenceStage(config, preference, linker, searched, harvest, reference, accelerator, max_steps)


def harvest_first(stage: PreferenceStage) -> HarvestReview:
    """Carry out the harvest of the first round alone, for review; one that is there is only read."""
    stage.to_device()
    lists = stage.harvest(1, _answers(stage.folder(1)))
    encoding, target_tokens = stage.searched.encoding, stage.config.target_tokens
    return review_harvest(lists, stage.gold_names, encoding, target_tokens, stage.preference)


def carry_out_rounds(stage: PreferenceStage, score: Callable[[], float] | None, resume: bool) -> Run:
    """Carry out all rounds; the model that is kept lands in ``<output>/model``.

    ``score`` is the dev score, the same in every process. With ``resume``, finished rounds are only read, and one that
    was begun goes on. Raises UsageError where one was finished under another ``max_steps``.
    """
    dev, output, accelerator = stage.config.dev, Path(stage.config.output), stage.accelerator
    keeps_last = dev is None or dev.keep == "last"
    total = Run()
    scores: list[dict[str, object]] = []
    stage.to_device()
    for number in range(stage.preference.rounds + 1):
        folder = stage.folder(number)
        is_finished = resume and (folder / "round.json").exists()
        if is_finished:
            done = read_json(folder / "round.json")
            max_steps = done.get("max_steps", stage.max_steps)  # which earlier versions did not record
            if number and max_steps != stage.max_steps:  # a dry run's rounds are those of another schedule
                raise UsageError(
                    f"{folder}: was carried out with --max-steps {max_steps}, this run has {stage.max_steps}. "
                    "Go back to that, or start anew with --overwrite."
                )
            if (folder / "model").is_dir():  # that of an earlier round is not needed any more
                load_model(stage.linker.model, folder / "model" / SAFE_WEIGHTS_NAME, device=str(accelerator.device))
        else:
            done = _round(stage, number, resume) if number else {"run": dataclasses.asdict(Run())}
            done["dev_accuracy"] = score() if score else None
        for field in ("step", "seconds", "cpu_seconds", "examples"):
            setattr(total, field, getattr(total, field) + done["run"][field])
        value = done["dev_accuracy"]
        scores.append({"round": number, "step": total.step, "dev_accuracy": value})
        is_best = value is not None and (total.best is None or value > total.best)
        if is_best:
            total.best, total.best_step, total.without_gain = value, total.step, 0
        else:
            total.without_gain += value is not None
        if accelerator.is_main_process:
            with atomic_file(output / "metrics.jsonl") as f:
                f.writelines(json.dumps(line) + "\n" for line in scores)
            if not is_finished:
                # Its record comes last: what is to be kept of a round that has one was kept.
                _keep(stage, number, done, is_best and not keeps_last)
        accelerator.wait_for_everyone()
        if value is not None:
            announce(accelerator, f"round {number}: dev Acc@1 {value:.4f}" + ("" if number else ", before any"))
        if dev is not None and dev.patience is not None and total.without_gain >= dev.patience:
            announce(accelerator, f"round {number}: no better dev score in {dev.patience} rounds, stopped")
            break
    if keeps_last:
        if accelerator.is_main_process:
            stage.linker.save(output / "model")
    elif total.best_step == 0:
        announce(accelerator, "no round scored better than the model it all began with, which is kept")
    return total


def _keep(stage: PreferenceStage, number: int, done: dict[str, Any], is_chosen: bool) -> None:
    """Write what a round leaves, and delete what it took to go on with it and with the one before."""
    folder = stage.folder(number)
    if is_chosen:
        stage.linker.save(Path(stage.config.output) / "model")
    if number:
        stage.linker.save(folder / "model")
    write_json(folder / "round.json", done)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    shutil.rmtree(stage.folder(number - 1) / "model", ignore_errors=True)


def round_records(output: Path) -> list[dict[str, Any]]:
    """The records of finished rounds: dev score, the run, counts of the harvest and of what was learnt from."""
    paths = (output / f"round-{number}" / "round.json" for number in itertools.count())
    return [read_json(path) for path in itertools.takewhile(Path.exists, paths)]


def _answers(folder: Path) -> Path:
    return folder / "answers.jsonl"


def _round(stage: PreferenceStage, number: int, resume: bool) -> dict[str, Any]:
    """Harvest, and train on what was harvested; a record of both."""
    config, preference, accelerator = stage.config, stage.preference, stage.accelerator
    folder, encoding = stage.folder(number), stage.searched.encoding
    trie = stage.searched.trie if config.objective == "trie" else None
    harvested = stage.harvest(number, _answers(folder))
    lists, learnt = learnable(harvested, stage.gold_names, encoding, config.target_tokens, preference)
    check_learnable(harvested, lists, str(_answers(folder)))
    counts = count_answers(harvested)
    announce(
        accelerator,
        f"round {number}: {counts.lists:,} lists for {counts.mentions:,} questions; the first name is right in "
        f"{counts.first_right:,}, none in {counts.none_right:,}, none wrong in {counts.none_wrong:,}; learning from "
        f"{learnt.lists:,} lists with {learnt.pairs:,} pairs"
        + (f", without {learnt.too_long:,} names of more than target_tokens tokens" if learnt.too_long else ""),
    )
    examples = preference_examples(lists, encoding, preference.pairs)
    if preference.loss == "dpo":
        reference = stage.reference if stage.reference is not None else stage.linker.model
        kept = folder / "reference.safetensors"
        examples = with_reference(examples, reference, kept, accelerator, pad=encoding.pad, trie=trie)
    batches = PreferenceBatches(
        examples,
        [max(1, round(item.count**preference.repetition)) for item in lists],
        batch_size=config.optimiser.batch_size,
        seed=config.seed,
    )
    steps = config.optimiser.steps or math.ceil(preference.epochs * len(batches) / config.optimiser.batch_size)
    beta = preference.beta or DEFAULT_BETA.get(preference.loss, 1.0)
    of_pairs = preference.loss in ("dpo", "simpo")
    task = Task(
        batch=batches.batch,
        collate=partial(collate_preferences, pad=encoding.pad, trie=trie),
        loss=PreferenceLoss(
            stage.linker.model, preference.loss, nll=preference.nll, beta=beta, margin=preference.margin
        ),
        size=_pairs if of_pairs else len,
        settings={
            "objective": config.objective,
            "examples": digest_of_examples(examples, judged=True),
            **preference.model_dump(),
        },
    )
    run = train(
        stage.linker.model,
        task,
        config.optimiser,
        accelerator,
        steps=min(stage.max_steps or steps, steps),
        seed=config.seed,
        output=folder,
        checkpoint_every=config.checkpoint_every,
        resume=resume,
    )
    accelerator.free_memory()
    return {
        "max_steps": stage.max_steps,
        "run": dataclasses.asdict(run),
        "harvest": dataclasses.asdict(counts),
        "learnt": dataclasses.asdict(learnt),
    }


def _pairs(examples: Sequence[PreferenceExample]) -> int:
    return sum(len(example.pairs) for example in examples)
