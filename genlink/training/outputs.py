"""The output directory of a run: whose it is, who may go on with it, and the record of what was done."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from filelock import FileLock, Timeout
from transformers.utils import SAFE_WEIGHTS_NAME

from genlink.config import DevConfig, Recipe, TrainConfig
from genlink.data_paths import display, locate
from genlink.errors import UsageError
from genlink.evaluation.results import result_record
from genlink.files import read_json, sha256, write_json
from genlink.training.loop import Run, announce
from genlink.training.sources import fold_directory

__all__ = ["alone", "begin_record", "check_recipe", "claim", "recipe_change", "refuse_to_mix", "run_recorded"]

POLL_SECONDS = 2.0


@contextmanager
def alone(output: Path, accelerator: Accelerator) -> Iterator[None]:
    """Let no other command work at an output meanwhile; one that does is waited for. Every process calls this."""
    main, is_waiting = accelerator.is_main_process, False
    if main:
        output.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output.with_name(f".{output.name}.lock"))
    # Not a wait of the main process alone: the others would give it up for dead.
    while not any(gather_object([main and _is_taken(lock)])):
        if not is_waiting:
            announce(accelerator, f"{output}: another command is at work there, waiting for it")
        is_waiting = True
        sleep(POLL_SECONDS)
    try:
        yield
        accelerator.wait_for_everyone()  # a slower process may still read what was made
    finally:
        if main:
            lock.release()


def _is_taken(lock: FileLock) -> bool:
    """Take a lock, if nobody has it."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def refuse_to_mix(output: Path) -> None:
    if any((output / name).exists() for name in ("metrics.jsonl", "checkpoint", "model", "round-1", "candidates")):
        raise UsageError(
            f"{output}: holds an earlier run. Add --resume to go on with it, or --overwrite to start anew."
        )


def check_recipe(output: Path, config: Recipe) -> None:
    """Refuse to go on with a run of another recipe, or of files that have changed since."""
    if change := recipe_change(output, config):
        raise UsageError(f"{output}: was begun with {change}. Go back to that, or start anew with --overwrite.")


def recipe_change(output: Path, config: Recipe) -> str | None:
    """What a run was begun with that is otherwise now; None if nothing is, or no run was begun there.

    That is a key of the recipe, or the contents of a file that the run records to have read.
    """
    if not (output / "config.json").exists():
        return None
    try:  # as a recipe: one written before a key was there had its default
        begun = type(config).model_validate(read_json(output / "config.json"))
    except ValueError:
        return "a recipe that this version cannot read"
    difference = begun.first_difference(config)
    has_scores = (output / "round-0" / "round.json").exists()  # which those of further rounds are compared with
    if difference is None and has_scores:
        difference = _dev_difference(begun.dev, config.dev)
    if difference is not None:
        key, then, now = difference
        return f"{key} {then}, the recipe now has {now}"
    is_same_dev = begun.dev and config.dev and begun.dev.corpus == config.dev.corpus
    if not is_same_dev or (config.stage == "preference" and not has_scores):  # another one may be taken
        config = config.model_copy(update={"dev": None})
    return _data_change(output, config)


def _dev_difference(one: DevConfig | None, two: DevConfig | None) -> tuple[str, Any, Any] | None:
    """The first key by which scores could not be compared, or the best model not be kept, with the values of both."""
    for key in ("corpus", "types", "limit"):
        then, now = getattr(one, key, None), getattr(two, key, None)
        if then != now:
            return f"dev.{key}", then, now
    if one and two and (one.keep, two.keep) == ("last", "best"):  # the best so far was not saved
        return "dev.keep", one.keep, two.keep
    return None


def _data_change(output: Path, config: Recipe) -> str | None:
    if not (output / "run.json").exists():
        return None
    recorded: dict[str, set[str]] = {}  # of paths elsewhere only the last part is recorded, which several may share
    for entry in read_json(output / "run.json")["data"]:
        recorded.setdefault(entry["path"], set()).add(entry["sha256"])
    for path in _files_read(config):
        digests = recorded.get(display(path))
        if digests and locate(path).exists() and sha256(locate(path)) not in digests:
            return f"other contents of {path}"
    return None


def _files_read(config: Recipe) -> list[str]:
    """Everything that a run reads, of models the weights: names that lead to no file are downloaded, and left out."""
    models = list(config.models)
    if isinstance(config, TrainConfig) and config.harvest is not None and config.harvest.source == "crossfit":
        models += [str(fold_directory(config, fold) / "model") for fold in range(config.harvest.folds)]
    weights = [Path(model) / SAFE_WEIGHTS_NAME for model in models]
    return list(dict.fromkeys([*config.files, *(str(path) for path in weights if locate(path).exists())]))


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
    record = begin_record(config, linker, accelerator.num_processes, resume=resume)
    path = Path(config.output) / "run.json"
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


def begin_record(config: Recipe, linker: Mapping[str, Any], processes: int, *, resume: bool = False) -> dict[str, Any]:
    """A result file of a run as it begins: recipe, data, code. Its dev score steers it, and so is no result."""
    record = result_record(
        command=sys.argv,
        data=_files_read(config),
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
    path = Path(config.output) / "run.json"
    if resume and path.exists():  # what began the run stands for all of it
        begun = read_json(path)
        record.update({key: begun[key] for key in ("command", "commit", "dirty", "created") if key in begun})
        # Of a file that it does not record nobody knows what it was then. But another dev set may be taken.
        dev = display(config.dev.corpus) if config.dev else None
        kept = [entry for entry in begun["data"] if entry["path"] != dev]
        record["data"] = kept + [entry for entry in record["data"] if entry["path"] == dev]
    return record
