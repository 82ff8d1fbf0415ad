"""Tables of the documents, made from result files: no number in a document is typed by hand.

A document says where a table goes, and for which folder of ``results/``::

    <!-- table:ncbi-disease -->
    <!-- /table -->

What stands between the two lines is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genlink.errors import DataError, FormatError
from genlink.evaluation.results import read_result

__all__ = ["fill_tables", "render_table"]

_MARKED = re.compile(
    r"(?P<open><!-- table:(?P<topic>[\w./-]+) -->\n)(?P<body>.*?)(?P<close><!-- /table -->)", re.DOTALL
)
_OPENING = "<!-- table:"
_HEADER = ("system", "dictionary", "Acc@1 angel [95% interval]", "Acc@5 angel", "Acc@1 strict", "n")


def fill_tables(text: str, document: str | Path, results: Path) -> str:
    """``text`` with every marked table made anew from the files below ``results``.

    ``document`` is named in errors. Raises FormatError for a mark without its end, DataError for a topic without files.
    """
    filled = _MARKED.sub(lambda match: match["open"] + render_table(results / match["topic"]) + match["close"], text)
    if len(_MARKED.findall(text)) != text.count(_OPENING):
        raise FormatError(document, "a `<!-- table:TOPIC -->` line has no `<!-- /table -->` after it.")
    return filled


def render_table(topic: Path) -> str:
    """A Markdown table of a folder's result files, a row each, by ``order`` and then by ``name`` in their settings.

    Shares become per cent here and nowhere before.
    """
    paths = sorted(topic.glob("*.json"))
    if not paths:
        raise DataError(
            f"{topic}: no result files (*.json) for this table. Write one with `genlink evaluate --result`."
        )
    records = sorted(map(_named, paths), key=lambda record: (record["settings"].get("order", 0), record["name"]))
    rows = [_HEADER, ("---", "---", "---:", "---:", "---:", "---:"), *map(_row, records)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _named(path: Path) -> dict[str, Any]:
    record = read_result(path)
    return {**record, "name": record["settings"].get("name") or path.stem}


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    angel, strict = (record["metrics"].get(preset, {}) for preset in ("angel", "strict"))
    dictionaries = {policy["dictionary"] for policy in record["settings"].get("policies", {}).values()}
    return (
        str(record["name"]).replace("|", "\\|"),
        ", ".join(sorted(dictionaries)) or "–",
        _with_interval(angel.get("acc@1")),
        _per_cent(angel.get("acc@5")),
        _per_cent(strict.get("acc@1")),
        str(record["n"]),
    )


def _per_cent(estimate: Mapping[str, Any] | None) -> str:
    return f"{100 * estimate['value']:.1f}" if estimate else "–"


def _with_interval(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None or estimate["low"] is None:
        return _per_cent(estimate)
    return f"{_per_cent(estimate)} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"
