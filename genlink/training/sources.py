"""Where the lists of a preference stage come from: one function that harvests those of a round, for each source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from transformers.utils import SAFE_WEIGHTS_NAME

from genlink.config import FoldConfig, HarvestConfig, TrainConfig, read_train_config
from genlink.data.answers import AnswerList
from genlink.data.neighbours import OtherNames
from genlink.data_paths import locate
from genlink.errors import UsageError
from genlink.evaluation import training_names
from genlink.files import sha256
from genlink.kb import KnowledgeBase
from genlink.linkers.generative import GenerativeLinker
from genlink.schema import Mention
from genlink.training.harvest import (
    Query,
    answer_queries,
    harvest,
    mention_queries,
    name_queries,
    tfidf_answers,
)
from genlink.training.materials import folds, synonym_pairs, training_mentions
from genlink.training.reference import check_kin

__all__ = ["fold_directory", "fold_recipe", "prepare_source"]

# Harvests the lists of a round, counted from one, into a file.
Harvest = Callable[[int, Path], list[AnswerList]]


def prepare_source(
    config: TrainConfig,
    linker: GenerativeLinker,
    names: KnowledgeBase,
    accelerator: Accelerator,
    fold_weights: Sequence[str] = (),
) -> tuple[GenerativeLinker, Harvest]:
    """The linker over the names that are asked for and answered, and the function that harvests a round's lists.

    ``names``: the knowledge bases of pairs, merged, for the sources that ask for names. ``fold_weights``: the SHA-256
    of the weights of each fold's model, which may be filled in until the first harvest; that raises UsageError where
    another model has taken a place. Everything that can be missing is read here. Raises CorpusError where no mention
    has a gold concept.
    """
    settings = config.harvest or HarvestConfig()
    from_names = settings.source in ("kb", "tfidf")
    searched = linker.with_kb(names) if from_names and names is not linker.kb else linker

    def with_beams(answering: GenerativeLinker) -> GenerativeLinker:
        return answering.with_search(replace(answering.search, beams=max(answering.search.beams, settings.k)))

    if from_names:
        # Asked for by itself, a name would be no question.
        pairs = synonym_pairs(config.pairs.model_copy(update={"identity": 0.0}), names)

        @cache
        def others() -> OtherNames:  # takes long to make, and a finished harvest does not need it
            return OtherNames(names, config.pairs.max_name_length)

        def from_knowledge_base(number: int, path: Path) -> list[AnswerList]:
            def answer(_: int, queries: Sequence[Query]) -> list[AnswerList]:
                if settings.source == "tfidf":
                    return tfidf_answers(names, others(), queries, settings.k)
                return answer_queries(with_beams(searched), queries, settings.k)

            rng = np.random.default_rng([config.seed, 3, number])
            return harvest(path, [name_queries(pairs, names, settings.queries, rng)], answer, names, accelerator)

        return searched, from_knowledge_base

    assert config.corpus is not None  # recipes with these sources have it
    corpus = ", ".join(config.corpus.train)
    mentions = training_mentions(config.corpus)
    if settings.source == "corpus":
        questions = mention_queries(mentions, linker, corpus)

        def from_corpus(_: int, path: Path) -> list[AnswerList]:
            return harvest(
                path,
                [questions],
                lambda _, queries: answer_queries(with_beams(searched), queries, settings.k),
                linker.kb,
                accelerator,
            )

        return searched, from_corpus

    fold_of = folds(mentions, settings.folds)
    dealt = [[m for m, f in zip(mentions, fold_of, strict=True) if f == fold] for fold in range(settings.folds)]
    parts = [mention_queries(part, linker, f"{corpus}, fold {fold}") for fold, part in enumerate(dealt)]

    def over_names(answering: GenerativeLinker, of: Sequence[Mention]) -> GenerativeLinker:
        if not settings.training_names:
            return answering
        return answering.with_kb(linker.kb.overlay(training_names(of, linker.kb)))

    searched = over_names(linker, mentions)

    def from_folds(_: int, path: Path) -> list[AnswerList]:
        opened: dict[int, GenerativeLinker] = {}

        def answer(fold: int, queries: Sequence[Query]) -> list[AnswerList]:
            if fold not in opened:
                opened.clear()  # one at a time: such a model may be large
                directory = fold_directory(config, fold) / "model"
                other = GenerativeLinker.load(directory)
                if sha256(directory / SAFE_WEIGHTS_NAME) != fold_weights[fold]:
                    raise UsageError(
                        f"{directory}: another command trained this fold anew meanwhile. Give the recipes "
                        "harvest.fold_models of their own, and start anew with --overwrite."
                    )
                check_kin(other, linker, str(directory))
                # No name of the fold itself: asked for, a mention would find its own text.
                seen = [m for number, part in enumerate(dealt) if number != fold for m in part]
                opened[fold] = with_beams(over_names(linker.with_model(other.model.to(accelerator.device)), seen))
            return answer_queries(opened[fold], queries, settings.k)

        return harvest(path, parts, answer, searched.kb, accelerator)

    return searched, from_folds


def fold_directory(config: TrainConfig, fold: int) -> Path:
    """Where the model is kept that was fine-tuned without a fold."""
    settings = config.harvest or HarvestConfig()
    kept = locate(settings.fold_models) if settings.fold_models else Path(config.output) / "folds"
    return kept / f"{fold}-of-{settings.folds}"


def fold_recipe(config: TrainConfig, fold: int) -> TrainConfig:
    """The recipe of that model: the fine-tuning that ``harvest.finetune`` names, of the mentions of the stage.

    Raises UsageError for a recipe whose model could not answer for that of the stage.
    """
    settings = config.harvest
    assert settings is not None and settings.finetune is not None and config.corpus is not None  # of source crossfit
    recipe = read_train_config(settings.finetune)
    for key, wanted in (("stage", "finetune"), ("objective", config.objective)):
        if (found := getattr(recipe, key)) != wanted:
            raise UsageError(f"{settings.finetune}: has {key} {found}, harvest.finetune needs {wanted}.")
    optimiser = recipe.optimiser
    if settings.fold_steps is not None:
        optimiser = optimiser.model_copy(update={"steps": settings.fold_steps})
    return recipe.model_copy(
        update={
            "output": str(fold_directory(config, fold)),
            "corpus": config.corpus.model_copy(update={"leave_out": FoldConfig(fold=fold, of=settings.folds)}),
            "optimiser": optimiser,
            "dev": None,  # nothing is chosen: the mentions left out are for the harvest
            "precision": config.precision,
        }
    )
