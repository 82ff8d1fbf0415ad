"""A knowledge base from whatever the user has: a saved one, or a file in one of the formats read."""

from __future__ import annotations

from pathlib import Path

from genlink.kb.knowledge_base import KnowledgeBase
from genlink.kb.readers import read_concepts
from genlink.kb.readers.umls import find_mrconso
from genlink.kb.store import is_saved

__all__ = ["load_kb"]


def load_kb(path: str | Path, format: str = "auto") -> KnowledgeBase:
    """Open a saved knowledge base, or compile one from a source that ``read_concepts`` reads.

    With ``auto``, a directory is taken for a saved knowledge base unless it is a UMLS release.

    Raises DataError (and its kinds) where it is neither, and KnowledgeBaseError for an id given twice with different
    names.
    """
    path = Path(path)
    if format == "auto" and path.is_dir() and (is_saved(path) or find_mrconso(path) is None):
        return KnowledgeBase.open(path)
    return KnowledgeBase.from_concepts(read_concepts(path, format), on_duplicate="error")
