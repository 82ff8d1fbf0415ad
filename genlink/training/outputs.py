"""The output directory of a run: whose it is, who may go on with it, and the record of what was done."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from genlink.config import Recipe
from genlink.errors import UsageError
from genlink.evaluation.results import result_record
from genlink.files import read_json, write_json
from genlink.training.loop import Run

__all__ = ["check_recipe", "claim", "recipe_change", "refuse_to_mix", "run_recorded"]


def refuse_to_mix(output: Path) -> None:
    if any((output / name).exists() for name in ("metrics.jsonl", "checkpoint", "model", "round-1", "candidates")):
        raise UsageError(
            f"{output}: holds an earlier run. Add --resume to go on with it, or --overwrite to start anew."
        )


def check_recipe(output: Path, config: Recipe) -> None:
    """Refuse to go on with a run of another recipe."""
    if change := recipe_change(output, config):
        raise UsageError(f"{output}: was begun with {change}. Go back to that, or start anew with --overwrite.")


def recipe_change(output: Path, config: Recipe) -> str | None:
    """What a run was begun with that the recipe says otherwise; None if nothing is, or no run was begun there."""
    if not (output / "config.json").exists():
        return None
    try:  # as a recipe: one written before a key was there had its default
        begun = type(config).model_validate(read_json(output / "config.json"))
    except ValueError:
        return "a recipe that this version cannot read"
    if difference := begun.first_difference(config):
        key, then, now = difference
        return f"{key} {then}, the recipe now has {now}"
    return None


def claim(output: Path, config: Recipe, overwrite: bool, accelerator: Accelerator) -> None:
    """Make the output directory ours."""
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if overwrite:
            _remove_run(output)
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / "config.json", config.model_dump())
    accelerator.wait_for_everyone()


def _remove_run(output: Path) -> None:
    """Delete what an earlier run of this recipe left, and nothing else."""
    for name in ("metrics.jsonl", "run.json", "config.json"):
        (output / name).unlink(missing_ok=True)
    # Not the models of folds: runs of their own, used again where their recipe is the same.
    for path in (output / "checkpoint", output / "model", output / "candidates", *output.glob("round-*")):
        shutil.rmtree(path, ignore_errors=True)


def run_recorded(
    config: Recipe,
    linker: Mapping[str, Any],
    accelerator: Accelerator,
    carry_out: Callable[[], Run],
    *,
    resume: bool,
    result: Path | None = None,
    found: Callable[[], dict[str, Any]] = dict,
) -> Run:
    """Carry out a run and keep what was done and measured as ``<output>/run.json``, and as ``result`` if given.

    ``linker``: what it says of itself as the run begins. ``found``: further settings, asked for when it has ended.
    """
    record, path = _record(config, linker, accelerator.num_processes), Path(config.output) / "run.json"
    if resume and path.exists():  # what began the run stands for all of it
        begun = read_json(path)
        record.update({key: begun[key] for key in ("command", "commit", "dirty", "created") if key in begun})
    if accelerator.is_main_process:
        write_json(path, record)
    run = carry_out()
    if accelerator.is_main_process:
        record["n"] = run.examples
        record["settings"].update(run=dataclasses.asdict(run), **found())
        for written in (path, result):
            if written is not None:
                write_json(written, record)
    accelerator.wait_for_everyone()
    return run


def _record(config: Recipe, linker: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """A result file of a run as it begins: recipe, data, code. Its dev score steers it, and so is no result."""
    return result_record(
        command=sys.argv,
        data=config.files,
        seed=config.seed,
        n=0,
        settings={
            "name": config.output,
            "recipe": config.model_dump(),
            "processes": processes,
            "linker": dict(linker),
            "run": dataclasses.asdict(Run()),
        },
        metrics={},
    )
