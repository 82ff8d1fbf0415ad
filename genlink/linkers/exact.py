"""The baseline that every other linker has to beat: a mention is linked where it is a name of the dictionary."""

from __future__ import annotations

from typing import Any

from genlink.kb import KnowledgeBase
from genlink.linkers.base import Linkable, as_mentions, rank_names
from genlink.schema import Prediction

__all__ = ["ExactLinker"]


class ExactLinker:
    """Looks up the normalised surface of a mention. All concepts of an ambiguous name share rank one, score 1.0."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.kb = kb

    def link(self, mentions: Linkable, k: int = 5, *, progress: bool = False) -> list[Prediction]:
        """One prediction for each mention: at most one rank, and empty where the surface is no name.

        It takes no time, so ``progress`` shows nothing.
        """
        predictions = []
        for mention in as_mentions(mentions):
            key = self.kb.key_index(mention.surface)
            found = [] if key is None else [(key, 1.0)]
            predictions.append(Prediction(mention, rank_names(self.kb, found, k)))
        return predictions

    def with_kb(self, kb: KnowledgeBase) -> ExactLinker:
        """The same over another dictionary."""
        return ExactLinker(kb)

    @property
    def context_characters(self) -> int:
        """It reads the surface alone."""
        return 0

    @property
    def index_bytes(self) -> int:
        """It looks names up in the knowledge base, and has nothing beside that."""
        return 0

    def describe(self) -> dict[str, Any]:
        """Facts for a result file."""
        return {"kind": "exact"}
