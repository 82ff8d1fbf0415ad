"""Search for names: a scorer that runs the decoder, and searches over the trie that know no model."""

from __future__ import annotations

from genlink.decoding.beam import Hypothesis, Session, beam_search
from genlink.decoding.scorer import BartScorer, BartSession

__all__ = ["BartScorer", "BartSession", "Hypothesis", "Session", "beam_search"]
