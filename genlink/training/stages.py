"""The training stages: from a recipe to a model directory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers.utils import SAFE_WEIGHTS_NAME

from genlink.config import FinetuneConfig, TrainConfig
from genlink.data.batches import BatchSource, FinetuneBatches, PretrainBatches
from genlink.data.targets import MentionTargets, nearest_gold_names, nearest_in_each
from genlink.data_paths import locate
from genlink.errors import CorpusError, DataError, UsageError
from genlink.evaluation import training_names
from genlink.files import has_manifest, read_json, sha256, write_json
from genlink.kb import KnowledgeBase
from genlink.kb.load import load_kb, load_merged
from genlink.linkers.bart import set_dropout, set_gradient_checkpointing
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.model_directory import KIND
from genlink.training.dev import DevScorer
from genlink.training.lists import HarvestReview
from genlink.training.loop import Run, shares
from genlink.training.materials import (
    compare_objectives,
    load_or_make,
    make_linker,
    pair_source,
    precision_word,
    synonym_pairs,
    training_mentions,
    trie_of_targets,
    wanted_template,
)
from genlink.training.outputs import (
    alone,
    begin_record,
    check_recipe,
    claim,
    recipe_change,
    refuse_to_mix,
    run_recorded,
)
from genlink.training.rounds import PreferenceStage, carry_out_rounds, harvest_first, prepare_rounds, round_records
from genlink.training.saving import train_and_save
from genlink.training.sharding import check_sharding
from genlink.training.sources import fold_recipe
from genlink.training.task import target_task

__all__ = ["harvest_stage", "run_stage"]

logger = logging.getLogger(__name__)


def run_stage(
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    max_steps: int | None = None,
    result: Path | None = None,
) -> Run:
    """Carry out one training stage; the model lands in ``<output>/model``, metrics and checkpoint beside it.

    What was done and measured is kept as a result file, ``<output>/run.json``, and as ``result`` if given.
    ``max_steps`` shortens the recipe (its schedule too), for a dry run. Raises UsageError when the output holds another
    run and neither ``resume`` nor ``overwrite`` was asked for.
    """
    ready = _ready(config, resume=resume, overwrite=overwrite)
    output, accelerator = Path(config.output), ready.accelerator
    if config.stage == "preference":
        stage = _prepare_preference(config, ready, overwrite=overwrite, max_steps=max_steps)
        carry_out: Callable[[bool], Run] = partial(carry_out_rounds, stage, ready.score)
    else:
        carry_out = _prepare_likelihood(config, ready, max_steps)
    # An earlier run is deleted only now that all that this one reads was found.
    claim(output, config, overwrite, accelerator)
    return run_recorded(
        config,
        ready.linker.describe(),
        accelerator,
        partial(carry_out, resume),
        resume=resume,
        result=result,
        found=(lambda: {"rounds": round_records(output)}) if config.stage == "preference" else dict,
    )


def harvest_stage(config: TrainConfig, *, resume: bool = False, overwrite: bool = False) -> HarvestReview:
    """Carry out the first harvest of a preference stage alone, into ``<output>/round-1/answers.jsonl``.

    ``run_stage`` goes on with it under ``resume``. Raises UsageError for a recipe of another stage, and as that does.
    """
    if config.stage != "preference":
        raise UsageError(f"stage {config.stage} harvests nothing: give the recipe of a preference stage.")
    ready = _ready(config, resume=resume, overwrite=overwrite)
    stage = _prepare_preference(config, ready, overwrite=overwrite)
    output, accelerator = Path(config.output), ready.accelerator
    claim(output, config, overwrite, accelerator)
    if accelerator.is_main_process and not (resume and (output / "run.json").exists()):
        write_json(output / "run.json", begin_record(config, ready.linker.describe(), accelerator.num_processes))
    return harvest_first(stage)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What every stage reads: the knowledge base of its pairs, its model as a linker, the dev set."""

    accelerator: Accelerator
    sources: KnowledgeBase
    linker: GenerativeLinker
    score: DevScorer | None


def _ready(config: TrainConfig, *, resume: bool, overwrite: bool) -> _Ready:
    accelerator = Accelerator(mixed_precision=precision_word(config.precision), cpu=not torch.cuda.is_available())
    check_sharding(accelerator)
    optimiser = config.optimiser
    shares(range(optimiser.batch_size), accelerator.num_processes, 0, optimiser.micro_batch_size)  # or an error
    if resume:
        check_recipe(Path(config.output), config)
    elif not overwrite:
        refuse_to_mix(Path(config.output))
    dictionary = load_merged(config.knowledge_base)
    sources = pair_source(config.pairs, dictionary)
    template = wanted_template(config)
    compare_objectives(config)
    model, tokenizer = load_or_make(config, template, sources)
    set_dropout(model, config.model.dropout)
    if config.model.gradient_checkpointing:
        set_gradient_checkpointing(model)
    linker = make_linker(config, model, tokenizer, dictionary, template)
    return _Ready(accelerator, sources, linker, DevScorer(config.dev, linker, accelerator) if config.dev else None)


def _prepare_preference(
    config: TrainConfig, ready: _Ready, *, overwrite: bool, max_steps: int | None = None
) -> PreferenceStage:
    """Everything that a preference stage needs; models of folds are trained when all else was found."""
    recipes = []
    if config.harvest is not None and config.harvest.source == "crossfit":
        recipes = [fold_recipe(config, fold) for fold in range(config.harvest.folds)]
    fold_weights: list[str] = []
    stage = prepare_rounds(
        config, ready.linker, ready.sources, ready.accelerator, fold_weights=fold_weights, max_steps=max_steps
    )
    for recipe in recipes:
        # Asked without the lock first, which cannot be had where nothing may be written. All processes have to agree.
        found = gather_object([_trained_weights(recipe, max_steps)])
        if not all(found):
            with alone(Path(recipe.output), ready.accelerator):
                _train_fold(recipe, overwrite=overwrite, max_steps=max_steps)
                found = [sha256(Path(recipe.output) / "model" / SAFE_WEIGHTS_NAME)]
        fold_weights.append(found[0])
    return stage


def _trained_weights(recipe: TrainConfig, max_steps: int | None) -> str | None:
    """The SHA-256 of the weights of a fold's model, None if that is not finished or not of this recipe."""
    output = Path(recipe.output)
    try:
        weights = sha256(output / "model" / SAFE_WEIGHTS_NAME)  # first: what is of the recipe afterwards was so before
        is_ours = recipe_change(output, recipe) is None and _steps_done(output) >= _steps_wanted(recipe, max_steps)
    except (DataError, OSError):  # there is none, or another command is deleting it
        return None
    return weights if is_ours else None


def _train_fold(recipe: TrainConfig, *, overwrite: bool, max_steps: int | None) -> None:
    """Fine-tune a model of a cross-fitted harvest; a finished one of the same recipe is used again."""
    output = Path(recipe.output)
    change = recipe_change(output, recipe)
    if change is None and (done := _steps_done(output)):
        if done >= _steps_wanted(recipe, max_steps):
            return
        change = f"no more than {done} steps"
    if change is not None and not overwrite:
        raise UsageError(f"{output}: was begun with {change}. Go back to that, or start anew with --overwrite.")
    begun = change is None and (output / "config.json").exists()
    run_stage(recipe, resume=begun, overwrite=not begun and overwrite, max_steps=max_steps)


def _steps_wanted(recipe: TrainConfig, max_steps: int | None) -> int:
    return min(filter(None, (max_steps, recipe.optimiser.steps)))


def _steps_done(output: Path) -> int:
    """How many steps a finished run took, 0 for one that is not finished: it may have been a dry one."""
    if not has_manifest(output / "model", KIND):
        return 0
    steps: int = read_json(output / "run.json")["settings"]["run"]["step"]
    return steps


def _prepare_likelihood(config: TrainConfig, ready: _Ready, max_steps: int | None) -> Callable[[bool], Run]:
    """Everything that stages pretrain and finetune need; the rest, when called with whether to resume."""
    linker, accelerator = ready.linker, ready.accelerator
    steps = config.optimiser.steps
    assert steps is not None  # recipes of these stages have it
    batches, sources = _batches(config, ready.sources, linker)
    trie = trie_of_targets(linker, sources) if config.objective == "trie" else None
    task = target_task(
        linker.model,
        batches,
        linker.encoding.pad,
        trie=trie,
        full_weight=config.full_weight if trie is not None else 1.0,
        label_smoothing=config.optimiser.label_smoothing,
    )
    return lambda resume: train_and_save(
        config,
        linker.model,
        task,
        accelerator,
        steps=min(max_steps or steps, steps),
        score=ready.score,
        save=linker.save,
        resume=resume,
    )


def _batches(
    config: TrainConfig, sources: KnowledgeBase, linker: GenerativeLinker
) -> tuple[BatchSource, KnowledgeBase]:
    """The batches of a stage, and the knowledge base that their pairs are drawn from."""
    size, encoding = config.optimiser.batch_size, linker.encoding
    if config.stage == "pretrain":
        batches = PretrainBatches(
            synonym_pairs(config.pairs, sources),
            encoding,
            batch_size=size,
            target_tokens=config.target_tokens,
            seed=config.seed,
        )
        return batches, sources
    assert config.corpus is not None  # the recipe of this stage has it
    settings = config.finetune or FinetuneConfig()
    mentions = training_mentions(config.corpus)
    if settings.dictionaries == "each":
        dictionaries = [load_kb(locate(path)) for path in config.knowledge_base]
        labelled = nearest_in_each(mentions, dictionaries, linker.kb, settings.targets)
    else:
        labelled = nearest_gold_names(mentions, linker.kb, settings.targets)
    if not labelled:
        raise CorpusError(
            f"{', '.join(config.corpus.train)}: no mention has a gold concept in {', '.join(config.knowledge_base)}."
        )
    if (known := len({id(item.mention) for item in labelled})) < len(mentions):
        logger.warning(
            "%d of %d training mentions have no gold concept in the dictionary and are left out",
            len(mentions) - known,
            len(mentions),
        )
    if config.pairs.training_names:
        sources = sources.overlay(training_names(mentions, sources))
    finetune_batches = FinetuneBatches(
        MentionTargets(labelled, linker.kb, encoding, repetition=settings.repetition, noise=settings.noise),
        synonym_pairs(config.pairs, sources) if settings.replay else None,
        encoding,
        batch_size=size,
        target_tokens=config.target_tokens,
        replay=settings.replay,
        seed=config.seed,
    )
    return finetune_batches, sources
