"""Linkers: mentions in, ranked concepts out. Those with a model are imported only when asked for (torch)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genlink.linkers.base import Linker, rank_names
from genlink.linkers.exact import ExactLinker
from genlink.linkers.opening import open_linker
from genlink.linkers.tfidf import TfidfLinker

if TYPE_CHECKING:
    from genlink.linkers.dense import DenseLinker
    from genlink.linkers.generative import GenerativeLinker

__all__ = ["DenseLinker", "ExactLinker", "GenerativeLinker", "Linker", "TfidfLinker", "open_linker", "rank_names"]


def __getattr__(name: str) -> Any:
    if name == "DenseLinker":
        from genlink.linkers.dense import DenseLinker

        return DenseLinker
    if name == "GenerativeLinker":
        from genlink.linkers.generative import GenerativeLinker

        return GenerativeLinker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
