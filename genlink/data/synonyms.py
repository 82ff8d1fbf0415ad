"""Pre-training examples from a knowledge base alone (GenBioEL, arXiv 2204.05164).

Each example asks for one name of a concept, given another way to write it:

    synonym    a name -> one of the concept's names that are spelled most like it
    noise      a disturbed name -> the name
    identity   a name -> itself
    clause     a name in a clause made of the concept's definition or further synonyms -> another name
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlink.data.encoding import Prompt
from genlink.data.noise import add_noise
from genlink.data.similarity import NameSimilarity
from genlink.errors import KnowledgeBaseError
from genlink.kb import KnowledgeBase
from genlink.text import normalise

__all__ = ["SynonymMix", "SynonymPair", "SynonymPairs"]

# How many names of a concept are compared when the nearest is sought; a few concepts have hundreds.
MAX_COMPARED = 24
# The nearest synonym is the target this often, else one of the next two.
NEAREST_SHARE = 0.6
MAX_CLAUSE_SYNONYMS = 3

# {d} is a definition or a list of synonyms; the mention stands before or after the clause.
DEFINITION_AFTER = ("is defined as {d}", "is described as {d}")
DEFINITION_BEFORE = ("{d} is the definition of", "{d} describes")
SYNONYMS_AFTER = ("has synonyms such as {d}", "refers to the same concept as {d}")
SYNONYMS_BEFORE = ("{d} are synonyms of", "{d} mean the same as")


@dataclass(frozen=True, slots=True)
class SynonymMix:
    """The shares of the four kinds of example; they need not sum to one."""

    synonym: float = 0.5
    noise: float = 0.35
    identity: float = 0.15
    clause: float = 0.0


@dataclass(frozen=True, slots=True)
class SynonymPair:
    """A drawn example: what the encoder reads, the key of the name that it was made of, and the key to generate.

    The two are one where the name is to be generated from a disturbed copy, or from itself.
    """

    prompt: Prompt
    name: int
    target: int


class SynonymPairs:
    """Draws pre-training examples from a knowledge base, every (concept, name) pair equally often.

    Names of more than ``max_name_length`` characters are left out; KnowledgeBaseError if that leaves none.
    """

    def __init__(self, kb: KnowledgeBase, mix: SynonymMix, max_name_length: int) -> None:
        texts = [kb.key(i) for i in range(kb.n_keys)]
        fits = [len(text) <= max_name_length for text in texts]
        keys = [[key for key in kb.concept_keys(i) if fits[key]] for i in range(len(kb))]
        self._kb = kb
        self._shares = np.array([mix.synonym, mix.noise, mix.identity, mix.clause])
        if self._shares.min() < 0 or self._shares.sum() <= 0:
            raise ValueError(f"the shares of {mix} must not be negative nor all zero")
        self._shares = self._shares / self._shares.sum()
        self._indptr = np.concatenate([[0], np.cumsum([len(k) for k in keys])])
        self._keys = np.array([key for concept in keys for key in concept], dtype=np.int64)
        if not len(self._keys):
            raise KnowledgeBaseError(f"no name has at most {max_name_length} characters. Raise max_name_length.")
        self._concept = np.repeat(np.arange(len(keys)), np.diff(self._indptr))
        self._similarity = NameSimilarity(texts) if mix.synonym or mix.clause else None

    def __len__(self) -> int:
        """The number of (concept, name) pairs."""
        return len(self._keys)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[list[Prompt], list[str]]:
        """Draw ``n`` examples: what the encoder reads and the key to generate."""
        pairs = self.draw_pairs(n, rng)
        return [pair.prompt for pair in pairs], [self._kb.key(pair.target) for pair in pairs]

    def draw_pairs(self, n: int, rng: np.random.Generator) -> list[SynonymPair]:
        """Draw ``n`` examples and what is behind them."""
        items = rng.integers(len(self._keys), size=n)
        kinds = rng.choice(4, size=n, p=self._shares)
        related = self._nearest_synonyms(items, rng)
        pairs = []
        for item, kind, other in zip(items.tolist(), kinds.tolist(), related.tolist(), strict=True):
            name = int(self._keys[item])
            target = other if kind in (0, 3) and other >= 0 else name
            if kind == 3:
                prompt = self._clause(item, rng)
            elif kind == 2 or target != name:
                prompt = Prompt(self._kb.key(name))
            else:  # noise, and a synonym asked of a concept that has one name only
                prompt = Prompt(add_noise(self._kb.key(name), rng))
            pairs.append(SynonymPair(prompt, name, target))
        return pairs

    def _nearest_synonyms(self, items: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """For each item the key of a synonym among the three most alike, or -1 where the concept has no other name."""
        chosen = np.full(len(items), -1, dtype=np.int64)
        if self._similarity is None:
            return chosen
        rows, others = [], []
        for row, item in enumerate(items.tolist()):
            concept = self._concept[item]
            siblings = self._keys[self._indptr[concept] : self._indptr[concept + 1]]
            siblings = siblings[siblings != self._keys[item]]
            if len(siblings) > MAX_COMPARED:
                siblings = rng.choice(siblings, MAX_COMPARED, replace=False)
            rows.append(np.full(len(siblings), row))
            others.append(siblings)
        row_of, other_of = np.concatenate(rows), np.concatenate(others)
        likeness = self._similarity.between(self._keys[items[row_of]], other_of)
        order = np.lexsort((other_of, -likeness, row_of))
        ends = np.cumsum([len(r) for r in rows])
        for row, end in enumerate(ends.tolist()):
            near = other_of[order[end - len(rows[row]) : end]][:3]
            if len(near):
                chosen[row] = near[0 if rng.random() < NEAREST_SHARE else int(rng.integers(len(near)))]
        return chosen

    def _clause(self, item: int, rng: np.random.Generator) -> Prompt:
        """A name within a clause about its concept."""
        concept = self._kb.concept_at(int(self._concept[item]))
        key = int(self._keys[item])
        surface = self._kb.key(key)
        if concept.definition:
            text, before, after = concept.definition, DEFINITION_BEFORE, DEFINITION_AFTER
        else:
            others = [n for n in concept.names if normalise(n, self._kb.normalisation) != surface]
            if not others:
                return Prompt(surface)
            picked = rng.choice(len(others), min(MAX_CLAUSE_SYNONYMS, len(others)), replace=False)
            text, before, after = ", ".join(others[i] for i in picked), SYNONYMS_BEFORE, SYNONYMS_AFTER
        templates = after if rng.random() < 0.5 else before
        clause = templates[int(rng.integers(len(templates)))].replace("{d}", text)
        return Prompt(surface, right=" " + clause) if templates is after else Prompt(surface, left=clause + " ")
