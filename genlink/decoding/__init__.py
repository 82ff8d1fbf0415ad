"""Search for names: a scorer that runs the decoder, and searches over the trie that know no model."""

from __future__ import annotations

from genlink.decoding.bart import AnyBart, Bart, BartShape
from genlink.decoding.beam import Beam
from genlink.decoding.best_first import Exact, LazyBeam
from genlink.decoding.driver import Session, run_searches
from genlink.decoding.normaliser import Normaliser
from genlink.decoding.precision import Precision, apply_precision, precision_of
from genlink.decoding.scorer import BartScorer, BartSession
from genlink.decoding.search import Hypothesis, Search, SearchResult

__all__ = [
    "AnyBart",
    "Bart",
    "BartScorer",
    "BartSession",
    "BartShape",
    "Beam",
    "Exact",
    "Hypothesis",
    "LazyBeam",
    "Normaliser",
    "Precision",
    "Search",
    "SearchResult",
    "Session",
    "apply_precision",
    "precision_of",
    "run_searches",
]
