"""The stages of encoders, sapbert and biosyn: from a recipe to a model directory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from genlink.config import BiosynConfig, EncoderConfig, SapbertConfig
from genlink.data.name_pairs import NamePairs
from genlink.encoders.encoder import TextEncoder
from genlink.errors import CorpusError, UsageError
from genlink.evaluation import training_names
from genlink.kb import KnowledgeBase
from genlink.kb.load import load_merged
from genlink.linkers.base import Linkable
from genlink.linkers.dense import DenseLinker, Keys
from genlink.linkers.ngrams import Ngrams
from genlink.preprocessing import Preprocessing
from genlink.schema import Prediction
from genlink.training.biosyn import BiosynLoss, biosyn_task
from genlink.training.candidates import CandidateBatches, learnable_queries
from genlink.training.dev import DevScorer
from genlink.training.encoders import open_encoder
from genlink.training.loop import Run, announce, shares
from genlink.training.materials import precision_word, training_mentions
from genlink.training.name_vectors import CurrentVectors, DenseCandidates
from genlink.training.outputs import check_recipe, claim, refuse_to_mix, run_recorded
from genlink.training.sapbert import sapbert_task
from genlink.training.saving import train_and_save
from genlink.training.task import Task

__all__ = ["run_encoder_stage"]


def run_encoder_stage(
    config: EncoderConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    max_steps: int | None = None,
    result: Path | None = None,
) -> Run:
    """Carry out one training stage of an encoder; as ``genlink.training.stages.run_stage``, which is for generators."""
    accelerator = Accelerator(mixed_precision=precision_word(config.precision), cpu=not torch.cuda.is_available())
    if accelerator.distributed_type == DistributedType.FSDP:
        raise UsageError(
            f"stage {config.stage} is not sharded, for an encoder fits on a device: use "
            "configs/accelerate/several_gpus.yaml."
        )
    output, dev = Path(config.output), config.dev
    if resume:
        check_recipe(output, config)
    elif not overwrite:
        refuse_to_mix(output)
    stage = _prepare_sapbert(config, accelerator) if config.stage == "sapbert" else _prepare_biosyn(config, accelerator)
    score = DevScorer(dev, stage.linker, accelerator) if dev else None
    steps = config.optimiser.steps or math.ceil(stage.epochs * stage.epoch_steps)
    shares(range(stage.step_size), accelerator.num_processes, 0, config.optimiser.micro_batch_size)  # or an error
    claim(output, config, overwrite, accelerator)
    carry_out = partial(
        train_and_save,
        config,
        stage.task.loss,
        stage.task,
        accelerator,
        steps=min(max_steps or steps, steps),
        score=score,
        save=lambda directory: stage.linker.as_it_stands().save(directory),
        resume=resume,
    )
    return run_recorded(
        config,
        stage.linker.as_it_stands().describe(),
        accelerator,
        carry_out,
        resume=resume,
        result=result,
    )


class _Trained:
    """The linker of an encoder, and of a sparse weight, that are being trained."""

    def __init__(
        self,
        config: EncoderConfig,
        encoder: TextEncoder,
        kb: KnowledgeBase,
        vectors: CurrentVectors,
        *,
        ngrams: Ngrams | None = None,
        sparse_weight: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.kb = kb
        self._encoder, self._vectors, self._ngrams, self._sparse_weight = encoder, vectors, ngrams, sparse_weight
        # Patterns split too much where no gold tells how many parts there are: unlabelled mentions stay whole.
        self._preprocessing = Preprocessing(abbreviations=config.corpus is None or config.corpus.abbreviations)

    def link(self, mentions: Linkable, k: int = 5) -> list[Prediction]:
        """See ``Linker.link``; every process calls it at the same step."""
        linker = self.as_it_stands()
        linker.use(self._vectors())
        return linker.link(mentions, k)

    def as_it_stands(self) -> DenseLinker:
        """The linker with the weights of now and without vectors."""
        weight = self._sparse_weight()
        linker = DenseLinker(self._encoder, self.kb, sparse_weight=weight, preprocessing=self._preprocessing)
        if self._ngrams is not None:
            linker.ngrams = self._ngrams
        return linker


@dataclass(frozen=True, slots=True)
class _Stage:
    """What a stage gives to the loop."""

    task: Task[Any]
    linker: _Trained
    epoch_steps: int
    epochs: float
    step_size: int
    """Examples of the smallest step."""


def _prepare_sapbert(config: EncoderConfig, accelerator: Accelerator) -> _Stage:
    settings = config.sapbert or SapbertConfig()
    dictionary = load_merged(config.knowledge_base)
    sources = load_merged(config.pairs.sources) if config.pairs.sources else dictionary
    if config.corpus is not None:
        sources = sources.overlay(training_names(training_mentions(config.corpus), sources))
    limit, longest = config.pairs.limit, config.pairs.max_name_length
    pairs = NamePairs(sources, limit=limit, max_name_length=longest, seed=config.seed)
    encoder = open_encoder(config.model, sources, config.seed)
    size = config.optimiser.batch_size
    return _Stage(
        sapbert_task(encoder, pairs, settings, batch_size=size, seed=config.seed),
        _Trained(config, encoder, dictionary, CurrentVectors(encoder, dictionary, accelerator)),
        math.ceil(len(pairs) / size),
        settings.epochs,
        size,
    )


def _prepare_biosyn(config: EncoderConfig, accelerator: Accelerator) -> _Stage:
    settings = config.biosyn or BiosynConfig()
    kb = load_merged(config.knowledge_base)
    assert config.corpus is not None  # recipes of this stage have it
    queries = learnable_queries(training_mentions(config.corpus), kb)
    if not queries:
        raise CorpusError(
            f"{', '.join(config.corpus.train)}: no mention has a gold concept in {', '.join(config.knowledge_base)}."
        )
    encoder = open_encoder(config.model, kb, config.seed)
    loss, ngrams, vectors = (
        BiosynLoss(encoder, settings.sparse_weight),
        Ngrams(Keys(kb)),
        CurrentVectors(encoder, kb, accelerator),
    )
    texts, k = [query.text for query in queries], min(settings.candidates, kb.n_keys)
    folder = Path(config.output) / "candidates"
    batches = CandidateBatches(
        queries,
        kb,
        ngrams,
        DenseCandidates(encoder, vectors, texts, k, accelerator, folder, renew=settings.renew),
        k=k,
        dense_ratio=settings.dense_ratio,
        marginalise=settings.marginalise,
        batch_size=config.optimiser.batch_size,
        seed=config.seed,
    )
    return _Stage(
        biosyn_task(loss, batches, kb, settings, partial(announce, accelerator)),
        _Trained(config, encoder, kb, vectors, ngrams=ngrams, sparse_weight=lambda: loss.sparse_weight),
        batches.epoch_steps,
        settings.epochs,
        len(batches) // batches.epoch_steps,
    )
