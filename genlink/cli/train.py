"""``genlink train`` and ``genlink demo``: making linkers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from genlink.cli.options import Changes, Output, Overwrite, Recipe, Resume, read_recipe

__all__ = ["demo", "train"]


def train(
    recipe: Recipe,
    resume: Resume = False,
    overwrite: Overwrite = False,
    output: Output = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Shorten the run to so many steps, for a dry run.")
    ] = None,
    changes: Changes = None,
    result: Annotated[Path | None, typer.Option(help="Also write what was measured to this result file.")] = None,
) -> None:
    """Carry out one training stage. The model lands in OUTPUT/model, metrics and checkpoint beside it.

    The stage is that of the recipe: pretrain, finetune and preference train a generator of names, sapbert and biosyn an
    encoder. On several GPUs or machines, start the same command with accelerate.

    \b
    Examples:
      genlink train configs/small/ncbi_disease/pretrain.yaml
      genlink train configs/small/ncbi_disease/finetune.yaml --resume
      genlink train configs/small/ncbi_disease/sapbert.yaml
      genlink train configs/small/ncbi_disease/finetune.yaml --max-steps 2 --output runs/dry
      genlink train configs/small/ncbi_disease/finetune.yaml --set seed=1 --set objective=trie --output runs/trie-1
      accelerate launch -m genlink train configs/small/ncbi_disease/pretrain.yaml
    """
    from accelerate import PartialState

    from genlink.config import EncoderConfig

    config = read_recipe(recipe, changes, output, resume=resume, overwrite=overwrite)
    if isinstance(config, EncoderConfig):
        from genlink.training.encoder_stages import run_encoder_stage

        run = run_encoder_stage(config, resume=resume, overwrite=overwrite, max_steps=max_steps, result=result)
    else:
        from genlink.training.stages import run_stage

        run = run_stage(config, resume=resume, overwrite=overwrite, max_steps=max_steps, result=result)
    best = "" if run.best is None else f", best dev Acc@1 {run.best:.4f} at step {run.best_step}"
    if best and config.dev and config.dev.keep == "last":
        best += ", but the last step is kept"
    if PartialState().is_main_process:
        print(f"{config.output}/model: {run.step} steps in {run.seconds / 60:.1f} minutes{best}", file=sys.stderr)


def demo(
    output: Annotated[Path, typer.Option(help="Where the trained model is kept.")] = Path("runs/demo"),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the training.")] = 1500,
    result: Annotated[Path | None, typer.Option(help="Write scores and output to this result file.")] = None,
) -> None:
    """Train a small linker from scratch on a bundled toy corpus, and set it beside the trivial baselines.

    Needs no download and a few minutes on two processor cores.

    \b
    Examples:
      genlink demo
      genlink demo --output /tmp/demo --steps 300
    """
    from genlink.demo.run import run_demo

    run_demo(output, steps, result)
