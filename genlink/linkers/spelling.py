"""How alike a mention and a name are spelled, as a part of a name's score.

BioSyn (arXiv 2005.00239) adds a lexical similarity to the dense one; here it is added to a log-probability. What a
small model has not learnt is often written in the name. Nothing is kept of the dictionary: two texts are all it takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from genlink.decoding import Hypothesis
from genlink.kb import KnowledgeBase
from genlink.text import normalise

__all__ = ["score_spelling", "spelling_similarity"]

_LENGTH = 3  # characters


def spelling_similarity(a: str, b: str) -> float:
    """The cosine of the sets of character trigrams of two keys, in [0, 1]; 1 for equal keys.

    Words are padded by a space on each side, so that their order does not matter and their ends do. This is the
    coefficient of Ochiai (1957), the ``cosine`` of SimString (Okazaki and Tsujii 2010).
    """
    if a == b:
        return 1.0
    first, second = _trigrams(a), _trigrams(b)
    if not first or not second:
        return 0.0
    return len(first & second) / sqrt(len(first) * len(second))


def score_spelling(
    kb: KnowledgeBase, surface: str, names: Iterable[Hypothesis], weight: float
) -> list[tuple[int, float]]:
    """Names as (key index, score), best first: the log-probability less ``weight`` times what is unlike the mention.

    Equal scores stay in the order given.
    """
    key = normalise(surface, kb.normalisation)
    scored = ((h.name, h.score - weight * (1 - spelling_similarity(key, kb.key(h.name)))) for h in names)
    return sorted(scored, key=lambda pair: -pair[1])


def _trigrams(key: str) -> set[str]:
    return {
        padded[start : start + _LENGTH]
        for padded in (f" {word} " for word in key.split())
        for start in range(len(padded) - _LENGTH + 1)
    }
