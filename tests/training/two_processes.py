"""Run by accelerate, see test_two_processes: stages, those called resumed... interrupted after three steps and resumed.

Arguments: recipes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from training_runs import PulledPlugError

from genlink.config import EncoderConfig, read_recipe
from genlink.training import encoder_stages, harvest, loop, rounds, saving, stages
from genlink.training.loop import train


def begin(*arguments: object, **options: object) -> None:
    train(*arguments, **options, stop_at=3)
    raise PulledPlugError


def shard_on_the_processor() -> None:
    """Let accelerate prepare models as it does on GPUs under this configuration: of a processor it never asks."""
    Accelerator(cpu=True, mixed_precision="no")
    for state in (AcceleratorState, PartialState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    AcceleratorState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin()
    gather = loop.gather_weights

    def gather_parts(optimiser: torch.optim.Optimizer, model: torch.nn.Module) -> None:
        held = sum(p.to_local().numel() for group in optimiser.param_groups for p in group["params"])
        assert held < 0.6 * sum(p.numel() for p in model.parameters())
        gather(optimiser, model)

    loop.gather_weights = gather_parts


harvest.CHUNK = 2
if os.environ.get("ACCELERATE_USE_FSDP") == "true":
    shard_on_the_processor()
for path in map(Path, sys.argv[1:]):
    recipe = read_recipe(path)
    run = encoder_stages.run_encoder_stage if isinstance(recipe, EncoderConfig) else stages.run_stage
    is_interrupted = path.name.startswith("resumed")
    if is_interrupted:
        saving.train = rounds.train = begin
        try:
            run(recipe)
        except PulledPlugError:
            saving.train = rounds.train = train
    run(recipe, resume=is_interrupted)
