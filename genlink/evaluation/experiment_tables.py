"""The tables of an experiment's result files (scripts/run_experiment.py): one of a corpus, and what is pooled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genlink.evaluation.cells import cell, markdown, per_cent, with_interval

__all__ = ["experiment_table"]

_CORPUS = (
    *("system", "dictionary", "Acc@1 angel [95% interval]", "Acc@1 strict", "Acc@5 angel", "seeds", "n"),
    *("difference [95% interval]", "p", "compared with"),
)
_POOLED = ("system", "corpora", "difference [95% interval]", "p", "compared with")


def experiment_table(record: Mapping[str, Any]) -> str:
    """A Markdown table of a corpus, by dictionary and then by row, or of what is pooled over corpora.

    A difference is to the row under "compared with", in Acc@1 by the preset angel; a dash stands for a system that has
    no seeds, and for a row that is compared with none, or with one that was not run.
    """
    return _corpus_table(record) if "dictionaries" in record["settings"] else _pooled_table(record)


def _corpus_table(record: Mapping[str, Any]) -> str:
    rows = [
        (
            cell(row),
            dictionary,
            with_interval(measures["acc@1"]),
            per_cent(measures["acc@1 strict"]),
            per_cent(measures["acc@5"]),
            str(len(facts["seeds"]) or "–"),
            str(measures["acc@1"]["n"]),
            *_difference(measures, facts["before"]),
        )
        for dictionary in record["settings"]["dictionaries"]
        for row, facts in record["settings"]["rows"].items()
        for measures in [record["metrics"][f"{dictionary}: {row}"]]
    ]
    return markdown([_CORPUS, ("---", "---", *["---:"] * 7, "---"), *rows])


def _pooled_table(record: Mapping[str, Any]) -> str:
    rows = [
        (cell(row), ", ".join(facts["corpora"]), *_difference(record["metrics"][row], facts["before"]))
        for row, facts in record["settings"]["rows"].items()
    ]
    return markdown([_POOLED, ("---", "---", "---:", "---:", "---"), *rows])


def _difference(measures: Mapping[str, Any], before: str) -> tuple[str, str, str]:
    difference = measures.get("difference")
    if difference is None:
        return ("–",) * 3
    p = "–" if difference["p"] is None else f"{difference['p']:.3f}"
    return with_interval(difference), p, cell(before)
