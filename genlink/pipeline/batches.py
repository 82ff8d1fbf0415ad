"""Linking as a function over the batches of a data set (the library ``datasets``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from genlink.errors import UsageError
from genlink.pipeline.cells import ADDED, answer_cells, row_document
from genlink.pipeline.linked import Linked

if TYPE_CHECKING:
    from genlink.pipeline.pipeline import Opening, Pipeline

__all__ = ["BatchLinker"]

_KINDS = {"score": "float64", "probability": "float64", "nil": "bool"}
_ADDED = {name: _KINDS.get(name.rpartition("_")[2], "string") for name in ADDED}
MENTIONS = "linked_mentions"


class BatchLinker:
    """A function for ``dataset.map(linked, batched=True, features=linked.features(dataset.features))``.

    With ``column``, of mentions, each row gets the columns of a linked table, ``linked_id`` to ``linked_nil``. With
    ``text_column`` it gets ``linked_mentions``: for each mention that is marked or found in the text (without its
    brackets) where it starts and ends, what it reads, and these columns.

    It is pickled as the settings of its pipeline with the hashes of what they name, so the same model gives the same
    fingerprint and another one does not. A worker process opens the model when its first batch comes; weights are its
    own, names and trie are mapped from their files and shared.

    Raises UsageError unless it is given one of the two columns.
    """

    def __init__(
        self,
        opening: Opening,
        *,
        column: str | None = None,
        context_column: str | None = None,
        text_column: str | None = None,
        pipeline: Pipeline | None = None,
    ) -> None:
        if (column is None) == (text_column is None):
            raise UsageError(
                "give a column of mentions (column=...) or one of texts (text_column=...), one of the two."
            )
        if text_column is not None and context_column is not None:
            raise UsageError("context_column is the text around the mentions of a column: give column too.")
        self._opening = opening
        self._facts = opening.facts()
        self._columns = (column, context_column, text_column)
        self._pipeline = pipeline

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The new columns of a batch. Raises UsageError for a column that it does not have."""
        for name in self._columns:
            if name is not None and name not in batch:
                raise UsageError(f"the data set has no column {name}. Its columns: {', '.join(batch)}.")
        column, context, text = self._columns
        if text is not None:
            linked = self.pipeline.link_documents([cell or "" for cell in batch[text]], k=1)
            return {MENTIONS: [_mentions(item) for item in linked]}
        assert column is not None
        contexts = batch[context] if context is not None else [None] * len(batch[column])
        pairs = enumerate(zip(batch[column], contexts, strict=True))
        documents = [row_document("data set", i, mention, around, None) for i, (mention, around) in pairs]
        rows = [answer_cells(item.predictions) for item in self.pipeline.link_documents(documents, k=1)]
        return {name: [row[i] for row in rows] for i, name in enumerate(ADDED)}

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, opened when it is first needed."""
        if self._pipeline is None:
            self._pipeline = self._opening.open()
        return self._pipeline

    def features(self, known: Mapping[str, Any]) -> Any:
        """The features of a data set with the new columns: a batch without answers does not tell their types.

        Raises UsageError where the data set has a column of such a name.
        """
        from datasets import Features, List, Value

        added: dict[str, Any] = {name: Value(kind) for name, kind in _ADDED.items()}
        if self._columns[2] is not None:
            added = {MENTIONS: List({"start": Value("int64"), "end": Value("int64"), "text": Value("string"), **added})}
        if taken := [name for name in added if name in known]:
            raise UsageError(f"the data set has a column {taken[0]} already, which the answers would take. Rename it.")
        return Features({**known, **added})

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pipeline": None}


def _mentions(item: Linked) -> list[dict[str, Any]]:
    """A record for each mention; a composite that was split is one."""
    found: dict[str, list[Any]] = {}
    for prediction in item.predictions:
        found.setdefault(prediction.mention.mention_id, []).append(prediction)
    return [
        {
            "start": predictions[0].mention.start,
            "end": predictions[0].mention.end,
            "text": predictions[0].mention.text,
            **dict(zip(ADDED, answer_cells(predictions), strict=True)),
        }
        for predictions in found.values()
    ]
