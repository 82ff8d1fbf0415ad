"""Checkpoints to resume from: safetensors and JSON, no pickle, written as one directory or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from genlink.errors import ModelError
from genlink.files import atomic_directory, read_manifest, write_manifest
from genlink.training.sharding import part, scatter_weights, whole

__all__ = ["load_checkpoint", "read_progress", "save_checkpoint"]

KIND, FORMAT_VERSION = "training checkpoint", 1


def _names(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> list[tuple[str, torch.nn.Parameter]]:
    """The optimiser's parameters, which are those of the model or sharded ones in their order."""
    trained = (p for group in optimiser.param_groups for p in group["params"])
    return [(name, p) for (name, _), p in zip(model.named_parameters(), trained, strict=True)]


def save_checkpoint(
    directory: str | Path,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    rng_states: list[torch.Tensor],
    progress: dict[str, Any],
    *,
    writes: bool = True,
) -> None:
    """Write weights, optimiser moments, the random state of each process and ``progress`` (plain JSON values).

    One process ``writes``; all call this, since each may hold a part of the moments.
    """
    moments = {}
    for name, p in _names(model, optimiser):
        for field, value in optimiser.state[p].items():
            gathered = whole(value)
            if writes:
                moments[f"{name}/{field}"] = gathered.detach().cpu().contiguous()
    if not writes:
        return
    # Tied weights are one parameter with one name, so each tensor is written once.
    weights = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    with atomic_directory(directory) as target:
        save_file(weights, target / "weights.safetensors")
        save_file(moments, target / "optimiser.safetensors")
        save_file({str(i): state.cpu() for i, state in enumerate(rng_states)}, target / "random.safetensors")
        write_manifest(target, KIND, FORMAT_VERSION, {"processes": len(rng_states), "progress": progress})


def read_progress(directory: str | Path) -> dict[str, Any]:
    """The progress of a checkpoint, without its tensors."""
    progress: dict[str, Any] = read_manifest(directory, KIND, FORMAT_VERSION)["progress"]
    return progress


def load_checkpoint(
    directory: str | Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, process: int, processes: int
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Restore model and optimiser in place; the random state of this process and the saved progress.

    Raises ModelError when the checkpoint is of another model or another number of processes.
    """
    directory = Path(directory)
    manifest = read_manifest(directory, KIND, FORMAT_VERSION)
    if manifest["processes"] != processes:
        begun = manifest["processes"]
        raise ModelError(
            f"{directory}: was written by {begun} process{'es' * (begun > 1)}, this run has {processes}. Go on with "
            f"{begun} (accelerate launch --num_processes {begun}), or start anew: another --output, or --overwrite."
        )
    parameters = dict(model.named_parameters())
    weights = load_file(directory / "weights.safetensors")
    if {n: p.shape for n, p in parameters.items()} != {n: t.shape for n, t in weights.items()}:
        raise ModelError(f"{directory}: holds another model than the recipe asks for. Remove it, or mend the recipe.")
    moments = load_file(directory / "optimiser.safetensors")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    scatter_weights(model, optimiser)
    for name, p in _names(model, optimiser):
        prefix = f"{name}/"
        state = {key.removeprefix(prefix): value for key, value in moments.items() if key.startswith(prefix)}
        # The step count too: a fused optimiser keeps it beside the parameter.
        optimiser.state[p] = {field: part(value, p) for field, value in state.items()}
    return load_file(directory / "random.safetensors")[str(process)], manifest["progress"]
