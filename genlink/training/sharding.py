"""Fully sharded data parallelism (FSDP2): of each weight, gradient and moment a process keeps a part.

Only training steps can work with parts. Scoring, saving, harvesting and the reference read a whole model, each process
at its own pace. So what is sharded and trained is a copy of the linker's model, and its weights are gathered into that
before it is read. Without FSDP the two are one, and nothing here does anything.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor, distribute_tensor

from genlink.errors import UsageError

__all__ = ["check_sharding", "gather_weights", "part", "scatter_weights", "to_train", "whole"]

M = TypeVar("M", bound=torch.nn.Module)


def check_sharding(accelerator: Accelerator) -> None:
    """Raise UsageError for ways of FSDP that would train another model; to be called before anything is loaded."""
    if not _is_sharded(accelerator):
        return
    plugin = accelerator.state.fsdp_plugin
    problem = None
    if plugin.fsdp_version != 2:
        problem = f"fsdp_version is {plugin.fsdp_version}: set it to 2"
    elif plugin.cpu_ram_efficient_loading:
        problem = "fsdp_cpu_ram_efficient_loading leaves processes without a model to score: set it to false"
    elif plugin.activation_checkpointing:
        problem = "fsdp_activation_checkpointing is not exact with dropout: set model.gradient_checkpointing instead"
    if problem is not None:
        raise UsageError(f"accelerate: {problem}, as in configs/accelerate/fsdp.yaml.")
    # The loop computes in bfloat16 by autocast, as without FSDP; cast weights would be another model.
    plugin.mixed_precision_policy = None


def to_train(loss: M, accelerator: Accelerator) -> M:
    """The module to optimise and to prepare: a loss and its model or, where it will be sharded, a copy of both."""
    if not _is_sharded(accelerator):
        return loss
    copied = copy.deepcopy(loss)
    loss.to(accelerator.device)
    return copied


def gather_weights(optimiser: torch.optim.Optimizer, model: torch.nn.Module) -> None:
    """Bring the whole model up to date; every process calls this.

    The optimiser's parameters are those of what is trained, in the order of the model's.
    """
    with torch.no_grad():
        for trained, parameter in zip(_parameters(optimiser), model.parameters(), strict=True):
            if trained is not parameter:
                parameter.copy_(whole(trained))


def scatter_weights(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """The inverse of ``gather_weights``."""
    with torch.no_grad():
        for parameter, trained in zip(model.parameters(), _parameters(optimiser), strict=True):
            if trained is not parameter:
                trained.copy_(part(parameter, trained))


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, put together from the parts of all processes if it is sharded; then every process calls this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The tensor, on the device of another and, if this is sharded and of its shape, sharded in the same way.

    Every process has the whole tensor, and takes its part of it.
    """
    tensor = tensor.to(like.device)
    if isinstance(like, DTensor) and tensor.shape == like.shape:
        return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)
    return tensor


def _parameters(optimiser: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [p for group in optimiser.param_groups for p in group["params"]]


def _is_sharded(accelerator: Accelerator) -> bool:
    return bool(accelerator.distributed_type == DistributedType.FSDP)
