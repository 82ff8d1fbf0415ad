"""How long a model was trained, from the records that its runs left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genlink.data_paths import locate
from genlink.errors import DataError
from genlink.evaluation.results import read_result

__all__ = ["training_minutes"]

# What a run leaves in its directory: the model, and its record.
_MODEL, _RECORD = "model", "run.json"


def training_minutes(paths: Iterable[str | Path]) -> float:
    """Minutes of all stages that led to a model, each as often as it had processes: the sum over processes.

    ``paths`` are records of ``genlink train``. The stages that these started from, and the models of folds that
    answered in a harvest, are found beside their models unless they are among ``paths``; weights from elsewhere count
    nothing, and neither do harvests. Raises DataError where a record is none, or that of an earlier stage is missing.
    """
    listed = {_output(record): record for record in (_read(locate(path)) for path in paths)}
    counted: dict[str, float] = {}
    waiting = list(listed.values())
    while waiting:
        record = waiting.pop()
        if (output := _output(record)) in counted:
            continue
        counted[output] = record["settings"]["run"]["seconds"] * record["settings"]["processes"]
        for earlier in _needed(record["settings"]["recipe"]):
            if str(earlier) in listed:
                continue
            if not (locate(earlier) / _RECORD).exists():
                raise DataError(
                    f"{output}: was trained with {earlier / _MODEL}, and {earlier / _RECORD}, which says how long that "
                    "took, is not there. Name its record under training."
                )
            waiting.append(_read(locate(earlier) / _RECORD))
    return sum(counted.values()) / 60


def _needed(recipe: Mapping[str, Any]) -> Iterator[Path]:
    """The directories of the runs whose models a run started from or asked."""
    checkpoint = (recipe.get("model") or {}).get("checkpoint")
    if checkpoint and Path(checkpoint).name == _MODEL:
        yield Path(checkpoint).parent
    harvest = recipe.get("harvest") or {}
    if recipe.get("stage") == "preference" and harvest.get("source") == "crossfit":
        folder = Path(harvest.get("fold_models") or Path(recipe["output"]) / "folds")
        yield from (folder / f"{fold}-of-{harvest['folds']}" for fold in range(harvest["folds"]))


def _read(path: Path) -> dict[str, Any]:
    record = read_result(path)
    run = record["settings"].get("run")
    if run is None or "recipe" not in record["settings"]:
        raise DataError(f"{path}: is no record of a training run. `genlink train` writes one as run.json.")
    if not run["seconds"]:
        raise DataError(f"{path}: the run has not ended, so nobody knows how long it takes. Go on with --resume.")
    return record


def _output(record: Mapping[str, Any]) -> str:
    return str(record["settings"]["recipe"]["output"])
