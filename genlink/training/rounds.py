"""The preference stage: harvest right and wrong names, learn from them, score the model, and again.

ANGEL (arXiv 2408.16493) with its parts named: where the lists come from (genlink.training.harvest), what is learnt from
them (genlink.training.preferences), which model is the reference, and how many rounds there are. Everything of a round
lies in ``<output>/round-N``: the lists for review, the reference's log-probabilities, metrics, the model it ends with.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from accelerate import Accelerator
from safetensors.torch import load_model
from transformers import BartForConditionalGeneration

from genlink.config import PreferenceConfig, TrainConfig
from genlink.data.answers import AnswerList, count_answers, with_nearest
from genlink.data.preference_batches import PreferenceBatches, collate_preferences
from genlink.data.preferences import PreferenceExample, preference_examples
from genlink.data_paths import locate
from genlink.errors import CorpusError
from genlink.files import atomic_file, read_json, write_json
from genlink.kb import KnowledgeBase
from genlink.linkers.generative import GenerativeLinker
from genlink.training.loop import Run, announce, train
from genlink.training.preferences import PreferenceLoss
from genlink.training.reference import check_kin, with_reference
from genlink.training.sources import Harvest, prepare_source
from genlink.training.task import Task

__all__ = ["learnable", "prepare_rounds"]

DEFAULT_BETA = {"dpo": 0.1, "simpo": 2.0}


@dataclass(frozen=True, slots=True)
class _Stage:
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

    def folder(self, number: int) -> Path:
        return Path(self.config.output) / f"round-{number}"


def prepare_rounds(
    config: TrainConfig,
    linker: GenerativeLinker,
    names: KnowledgeBase,
    accelerator: Accelerator,
    *,
    score: Callable[[], float] | None,
    max_steps: int | None,
) -> Callable[[bool], Run]:
    """Everything that the stage needs; its rounds are carried out when called with whether to resume.

    ``names``: the knowledge bases of pairs, merged. ``score`` is the dev score, the same in every process. Raises
    ModelError where the reference is not of the model's kin.
    """
    preference = config.preference or PreferenceConfig()
    searched, harvest = prepare_source(config, linker, names, accelerator)
    linker.model.to(accelerator.device)
    reference = None
    if preference.reference is not None:
        other = GenerativeLinker.load(locate(preference.reference))
        check_kin(other, linker, preference.reference)
        reference = other.model.to(accelerator.device)
    elif preference.loss == "dpo" and not preference.refresh_reference:
        reference = copy.deepcopy(linker.model)
    stage = _Stage(config, preference, linker, searched, harvest, reference, accelerator, max_steps)
    return partial(_carry_out, stage, score)


def _carry_out(stage: _Stage, score: Callable[[], float] | None, resume: bool) -> Run:
    dev, output, accelerator = stage.config.dev, Path(stage.config.output), stage.accelerator
    keeps_best = dev is not None and dev.keep == "best"
    total = Run()
    records: list[dict[str, object]] = []

    def judge(number: int, value: float | None) -> None:
        """Note a score, and keep the model if it is the best so far."""
        records.append({"round": number, "step": total.step, "dev_accuracy": value})
        if accelerator.is_main_process:
            with atomic_file(output / "metrics.jsonl") as f:
                f.writelines(json.dumps(record) + "\n" for record in records)
        if value is None:
            return
        announce(accelerator, f"round {number}: dev Acc@1 {value:.4f}" + ("" if number else ", before any"))
        if total.best is None or value > total.best:
            total.best, total.best_step, total.without_gain = value, total.step, 0
            if keeps_best and accelerator.is_main_process:
                stage.linker.save(output / "model")
        else:
            total.without_gain += 1

    judge(0, score() if score else None)
    for number in range(1, stage.preference.rounds + 1):
        folder = stage.folder(number)
        if resume and (folder / "round.json").exists():
            done = read_json(folder / "round.json")
            if (folder / "model").is_dir():  # that of an earlier round is not needed any more
                load_model(stage.linker.model, folder / "model" / "model.safetensors", device=str(accelerator.device))
        else:
            run = _round(stage, number, resume)
            done = {"dev_accuracy": score() if score else None, "run": dataclasses.asdict(run)}
            if accelerator.is_main_process:
                stage.linker.save(folder / "model")
                write_json(folder / "round.json", done)
                shutil.rmtree(stage.folder(number - 1) / "model", ignore_errors=True)
            accelerator.wait_for_everyone()
        for field in ("step", "seconds", "cpu_seconds", "examples"):
            setattr(total, field, getattr(total, field) + done["run"][field])
        judge(number, done["dev_accuracy"])
        if dev is not None and dev.patience is not None and total.without_gain >= dev.patience:
            announce(accelerator, f"round {number}: no better dev score in {dev.patience} rounds, stopped")
            break
    if keeps_best and total.best_step == 0:
        announce(accelerator, "no round scored better than the model it all began with, which is kept")
    elif not keeps_best and accelerator.is_main_process:
        stage.linker.save(output / "model")
    return total


def _round(stage: _Stage, number: int, resume: bool) -> Run:
    """Harvest, and train on what was harvested."""
    config, preference, accelerator = stage.config, stage.preference, stage.accelerator
    folder, encoding = stage.folder(number), stage.searched.encoding
    trie = stage.searched.trie if config.objective == "trie" else None
    path = folder / "answers.jsonl"
    harvested = stage.harvest(number, path)
    lists = learnable(harvested, stage.searched.kb, preference, str(path))
    examples = preference_examples(lists, encoding, config.target_tokens, preference.pairs)
    _report(accelerator, number, harvested, examples)
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
        settings={"objective": config.objective, "lists": len(lists), **preference.model_dump(exclude={"rounds"})},
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
    return run


def _pairs(examples: Sequence[PreferenceExample]) -> int:
    return sum(len(example.pairs) for example in examples)


def learnable(
    lists: Sequence[AnswerList], kb: KnowledgeBase, preference: PreferenceConfig, path: str
) -> list[AnswerList]:
    """The lists that a loss can learn from: with a right name, and but for the control with a wrong one.

    Those without a right name are dealt with by ``preference.no_answer``. Raises CorpusError, which names the file
    ``path``, where none is left.
    """
    if not lists:
        raise CorpusError(f"{path}: the harvest is empty. Check the corpus, its types and the dictionary.")
    if preference.no_answer == "nearest":
        lists = with_nearest(lists, kb)
    kept = [item for item in lists if item.has_right and (item.has_wrong or preference.loss == "likelihood")]
    if not kept:
        lacking = "wrong" if any(item.has_right for item in lists) else "right"
        advice = (
            "Harvest where the model was not fitted (harvest.source crossfit or kb), or raise harvest.k."
            if lacking == "wrong"
            else "Train longer before this stage, or choose preference.no_answer nearest."
        )
        raise CorpusError(f"{path}: no list with a {lacking} name among {len(lists)}, nothing to learn from. {advice}")
    return kept


def _report(
    accelerator: Accelerator, number: int, lists: Sequence[AnswerList], examples: Sequence[PreferenceExample]
) -> None:
    counts = count_answers(lists)
    announce(
        accelerator,
        f"round {number}: {counts.lists:,} lists for {counts.mentions:,} questions; the first name is right in "
        f"{counts.first_right:,}, none in {counts.none_right:,}, none wrong in {counts.none_wrong:,}; learning from "
        f"{len(examples):,} lists with {_pairs(examples):,} pairs",
    )
