"""Tables of the documents, made from result files: no number in a document is typed by hand.

A document says where a table goes, and for which folder of ``results/``::

    <!-- table:ncbi-disease -->
    <!-- /table -->

What stands between the two lines is replaced. A result file that holds what a command printed is shown so::

    <!-- output:demo/demo.json -->
    <!-- /output -->
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genlink.errors import DataError, FormatError
from genlink.evaluation.benchmark_table import benchmark_rows, fusion_rows
from genlink.evaluation.cells import cell, decimals, markdown, number, per_cent, with_interval
from genlink.evaluation.experiment_tables import experiment_table
from genlink.evaluation.policy import PRESETS
from genlink.evaluation.results import read_result

__all__ = ["fill_tables", "render_output", "render_table"]

_MARKED = re.compile(
    r"(?P<open><!-- table:(?P<topic>[\w./-]+) -->\n)(?P<body>.*?)(?P<close><!-- /table -->)", re.DOTALL
)
_PRINTED = re.compile(
    r"(?P<open><!-- output:(?P<file>[\w./-]+) -->\n)(?P<body>.*?)(?P<close><!-- /output -->)", re.DOTALL
)
_TRAINING = ("run", "stage", "parameters", "steps", "examples", "processes", "minutes", "best dev Acc@1")
_SEEDS = (
    *("", "system", "seeds", "preset", "Acc@1 [95% interval]", "lowest to highest", "Acc@5"),
    *("difference [95% interval]", "n"),
)
_CALIBRATION = (
    *("system", "probability", "ECE [95% interval]", "Brier", "NLL", "accuracy"),
    *("NIL precision", "NIL recall", "NIL F1 [95% interval]", "n", "NIL"),
)
_HEADER = ("system", "dictionary", "Acc@1 angel [95% interval]", "Acc@5 angel", "Acc@1 strict", "n")


def fill_tables(text: str, document: str | Path, results: Path) -> str:
    """``text`` with every marked table made anew from the files below ``results``.

    ``document`` is named in errors. Raises FormatError for a mark without its end, DataError for a topic without files.
    """
    for pattern, kind in ((_MARKED, "table"), (_PRINTED, "output")):
        if len(pattern.findall(text)) != text.count(f"<!-- {kind}:"):
            raise FormatError(document, f"a `<!-- {kind}:... -->` line has no `<!-- /{kind} -->` after it.")
    text = _MARKED.sub(lambda match: match["open"] + render_table(results / match["topic"]) + match["close"], text)
    return _PRINTED.sub(lambda match: match["open"] + render_output(results / match["file"]) + match["close"], text)


def render_output(path: Path) -> str:
    """What the command of a result file printed, as a Markdown block."""
    output = read_result(path)["settings"].get("output")
    if not isinstance(output, str):
        raise DataError(f"{path}: its settings hold no output to show.")
    return f"```text\n{output.rstrip()}\n```\n"


def render_table(topic: Path) -> str:
    """A Markdown table of a folder's result files, by ``order`` and then by ``name`` in their settings.

    A topic may also be a single file, without its ending. A file is a row; one of ``genlink calibrate`` or of
    ``scripts/compare_seeds.py`` has several. Scores become per cent here and nowhere before; measures of probabilities
    do not. Raises DataError for a topic without files, and for a score that a preset was overridden for: its column
    would promise another policy.
    """
    one = topic.with_name(f"{topic.name}.json")
    paths = [one] if one.exists() else sorted(topic.glob("*.json"))
    if not paths:
        raise DataError(
            f"{topic}: no result files (*.json) for this table. Write one with `genlink evaluate --result`."
        )
    records = sorted(map(_named, paths), key=lambda record: (record["settings"].get("order", 0), record["name"]))
    settings = records[0]["settings"]
    whole = {
        "columns": _plain_table,
        "experiment": experiment_table,
        "benchmark": _benchmark_table,
        "union": _fusion_table,
    }
    if kinds := [kind for kind in whole if kind in settings]:
        if len(records) > 1:
            raise DataError(
                f"{topic}: {len(records)} result files, but one of plain numbers, an experiment, a benchmark or a "
                f"union is a table by itself. Name the file in the mark: table:{topic.name}/{paths[0].stem}."
            )
        return whole[kinds[0]](records[0])
    header: tuple[str, ...]
    if all("calibration" in record["settings"] for record in records):
        header, rows = _CALIBRATION, [row for record in records for row in _calibration_rows(record)]
    elif all("runs" in record["settings"] for record in records):
        header, rows = _SEEDS, [row for record in records for row in _seed_rows(record)]
    elif all("run" in record["settings"] for record in records):
        header, rows = _TRAINING, [_training_row(record) for record in records]
    else:
        header, rows = _HEADER, [_row(record) for record in records]
    return markdown([header, ("---", "---", *["---:"] * (len(header) - 2)), *rows])


def _named(path: Path) -> dict[str, Any]:
    record = read_result(path)
    return {**record, "name": record["settings"].get("name") or path.stem}


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    angel, strict = (record["metrics"].get(preset, {}) for preset in ("angel", "strict"))
    policies = record["settings"].get("policies", {})
    for preset, policy in policies.items():
        _check_preset(record["name"], preset, policy)
    dictionaries = {policy["dictionary"] for policy in policies.values()}
    return (
        cell(record["name"]),
        ", ".join(sorted(dictionaries)) or "–",
        with_interval(angel.get("acc@1")),
        per_cent(angel.get("acc@5")),
        per_cent(strict.get("acc@1")),
        str(record["n"]),
    )


def _check_preset(name: str, preset: str, policy: Mapping[str, Any]) -> None:
    """The dictionary has a column of its own; in all else a row has to keep to the preset that it is filed under."""
    if preset not in PRESETS:
        return
    rules = asdict(PRESETS[preset])
    if changed := [rule for rule in rules if rule != "dictionary" and policy.get(rule) != rules[rule]]:
        found = ", ".join(f"{rule} is {policy.get(rule)}, not {rules[rule]}" for rule in changed)
        raise DataError(
            f"result `{name}`: its scores under `{preset}` are not by that preset ({found}). Evaluate it again without "
            "overriding the preset, or keep it out of the tables."
        )


def _plain_table(record: Mapping[str, Any]) -> str:
    """The rows of one result file as they are, in the columns that it names; estimates become per cent."""
    columns = record["settings"]["columns"]
    header = ("", *(column.replace("_", " ") for column in columns))
    rows = [
        (row, *(_plain_cell(measures.get(column)) for column in columns)) for row, measures in record["metrics"].items()
    ]
    return markdown([header, ("---", *["---:"] * len(columns)), *rows])


def _plain_cell(measured: Mapping[str, Any] | None) -> str:
    return with_interval(measured) if measured and "low" in measured else number(measured)


def _benchmark_table(record: Mapping[str, Any]) -> str:
    header, *rows = benchmark_rows(record)
    return markdown([tuple(map(cell, header)), ("---", "---", *["---:"] * (len(header) - 2)), *rows])


def _fusion_table(record: Mapping[str, Any]) -> str:
    header, *rows = fusion_rows(record)
    return markdown([header, ("---", *["---:"] * (len(header) - 1)), *rows])


def _training_row(record: Mapping[str, Any]) -> tuple[str, ...]:
    settings, run = record["settings"], record["settings"]["run"]
    return (
        str(record["name"]),
        settings["recipe"]["stage"],
        f"{settings['linker']['parameters']:,}",
        f"{run['step']:,}",
        f"{run['examples']:,}",
        str(settings["processes"]),
        f"{run['seconds'] / 60:.0f}",
        "–" if run["best"] is None else f"{100 * run['best']:.1f}",
    )


def _seed_rows(record: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    """The rows of a comparison over seeds (scripts/compare_seeds.py)."""
    for system, measures in record["metrics"].items():
        yield (
            cell(record["name"]),
            cell(system),
            str(record["settings"]["runs"][system]),
            record["settings"]["preset"],
            with_interval(measures["acc@1"]),
            f"{per_cent(measures['lowest'])} to {per_cent(measures['highest'])}",
            per_cent(measures["acc@5"]),
            with_interval(measures.get("difference")),
            str(measures["acc@1"]["n"]),
        )


def _calibration_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    fitted_on = record["settings"]["calibration"]["fitted_on"]
    return [
        (
            cell(record["name"]),
            row,
            with_interval(measures["ece"], decimals),
            *(decimals(measures.get(m)) for m in ("brier", "nll", "accuracy", "nil_precision", "nil_recall")),
            with_interval(measures.get("nil_f1"), decimals),
            str(record["n"]),
            str(fitted_on["n_nil"]),
        )
        for row, measures in record["metrics"].items()
    ]
