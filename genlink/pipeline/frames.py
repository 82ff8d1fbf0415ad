"""A data frame of pandas with a column of mentions: the same frame with answers comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas

from genlink.errors import UsageError
from genlink.pipeline.cells import ADDED, answer_cells, row_document

if TYPE_CHECKING:
    from genlink.pipeline.pipeline import Pipeline

__all__ = ["link_frame"]

_KINDS = {"score": "float64", "probability": "float64", "nil": "boolean"}


def link_frame(
    pipeline: Pipeline, frame: pandas.DataFrame, column: str, context_column: str | None, offset_column: str | None
) -> pandas.DataFrame:
    """See ``Pipeline.link_frame``."""
    if offset_column is not None and context_column is None:
        raise UsageError("offset_column says where a mention starts in its context: give context_column too.")
    wanted = [column, context_column, offset_column]
    for name in wanted:
        if name is not None and list(frame.columns).count(name) != 1:
            known = ", ".join(map(str, frame.columns))
            raise UsageError(
                f"the frame has {list(frame.columns).count(name)} columns {name}, expected one of: {known}."
            )
    if taken := [name for name in ADDED if name in frame.columns]:
        raise UsageError(f"the frame has a column {taken[0]} already, which the answers would take. Rename it.")
    cells = [[None] * len(frame) if name is None else [_plain(cell) for cell in frame[name]] for name in wanted]
    documents = [row_document("frame", i, *row) for i, row in enumerate(zip(*cells, strict=True))]
    answers = [answer_cells(item.predictions) for item in pipeline.link_documents(documents, k=1)]
    added = {
        name: pandas.array([row[i] for row in answers], dtype=_KINDS.get(name.rpartition("_")[2], "string"))
        for i, name in enumerate(ADDED)
    }
    return frame.assign(**added)


def _plain(cell: Any) -> Any:
    """A cell without what pandas makes of it: missing values of any kind are None, and so are whole numbers whole."""
    if pandas.api.types.is_scalar(cell) and pandas.isna(cell):
        return None
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
