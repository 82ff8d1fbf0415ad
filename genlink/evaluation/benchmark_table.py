"""The tables of the result files of ``genlink benchmark``, scores beside costs, and of ``genlink union``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genlink.evaluation.cells import cell, number, per_cent, with_interval

__all__ = ["benchmark_rows", "fusion_rows"]

_COSTS = {
    "index_mb": "index MB",
    "resident_mb": "resident MB",
    "peak_mb": "peak MB",
    "ms_single": "ms, one at a time",
    "ms_batch": "ms, in batch",
    "training_minutes": "training minutes",
}


def benchmark_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The header and the rows, by dictionary and then by linker.

    Acc@1 and Acc@5 are by the first preset, with their intervals, and so is the difference in Acc@1 to the linker that
    all are compared with. A dash stands for what was not measured, and for that linker's own difference.
    """
    settings = record["settings"]
    first, *others = settings["presets"]
    header = (
        *("system", "dictionary", f"Acc@1 {first} [95% interval]", "Acc@5 [95% interval]"),
        *(f"Acc@1 {preset}" for preset in others),
        *(f"difference to {settings['against']} [95% interval]", "p", *_COSTS.values(), "n"),
    )
    rows = [
        (
            cell(name),
            dictionary,
            with_interval(measures["acc@1"]),
            with_interval(measures["acc@5"]),
            *(per_cent(measures[f"acc@1 {preset}"]) for preset in others),
            with_interval(measures.get("difference")),
            _p(measures.get("difference")),
            *(number(measures.get(cost)) for cost in _COSTS),
            str(measures["acc@1"]["n"]),
        )
        for dictionary in settings["dictionaries"]
        for name in settings["rows"]
        if (measures := record["metrics"].get(f"{dictionary}: {name}")) is not None
    ]
    return [header, *rows]


def fusion_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The header and the rows: all candidates by the generator alone, and by a weighted sum of two scores."""
    header = ("", "Acc@1 [95% interval]", "Acc@5", "difference to weight 0 [95% interval]", "p", "n")
    rows = [
        (
            row,
            with_interval(measures["acc@1"]),
            per_cent(measures["acc@5"]),
            with_interval(measures.get("difference")),
            _p(measures.get("difference")),
            str(measures["acc@1"]["n"]),
        )
        for row, measures in record["metrics"].items()
    ]
    return [header, *rows]


def _p(difference: Mapping[str, Any] | None) -> str:
    return "–" if difference is None or difference["p"] is None else f"{difference['p']:.3f}"
