"""The training of a recipe and the model that is kept of it: the best on dev, or that of the last step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from genlink.config import Recipe
from genlink.training.dev import DevScorer
from genlink.training.loop import Run, train
from genlink.training.task import Task

__all__ = ["train_and_save"]


def train_and_save(
    config: Recipe,
    model: torch.nn.Module,
    task: Task[Any],
    accelerator: Accelerator,
    *,
    steps: int,
    score: DevScorer | None,
    save: Callable[[Path], None],
    resume: bool,
) -> Run:
    """Train by ``train`` as the recipe says, and save the model that its ``dev.keep`` names in ``<output>/model``.

    Without ``dev`` that is the model of the last step. ``save`` is called by the main process alone.
    """
    output, dev = Path(config.output), config.dev
    keeps_best = dev is not None and dev.keep == "best"

    def save_model() -> None:
        save(output / "model")

    run = train(
        model,
        task,
        config.optimiser,
        accelerator,
        steps=steps,
        seed=config.seed,
        output=output,
        checkpoint_every=config.checkpoint_every,
        resume=resume,
        score=score,
        score_every=dev.every if dev else 0,
        patience=dev.patience if dev else None,
        save_best=save_model if keeps_best else None,
    )
    if accelerator.is_main_process and not keeps_best:
        save_model()
    return run
