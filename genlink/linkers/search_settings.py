"""How names are searched, as a setting that is saved with a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Literal, get_args

from genlink.decoding import Beam, Exact, LazyBeam, Search
from genlink.decoding.search import NameConcepts
from genlink.errors import UsageError
from genlink.trie import NameTrie

__all__ = ["ConceptScore", "SearchKind", "SearchSettings", "passes_cost_most"]

SearchKind = Literal["beam", "exact"]
ConceptScore = Literal["best", "sum"]

_ONE_BY_ONE = 2  # mentions
_SPELLED = 2  # times as many names as beams are compared in their spelling
_WIDTH_FOR_FEW_PASSES, _WIDTH_FOR_FEW_ROWS = 5, 2
_AHEAD_OF_ONE_NAME, _AHEAD_OF_SEVERAL = 8, 24


def passes_cost_most(mentions: int, device: str) -> bool:
    """Whether a search of so many mentions together should rather save passes of the decoder than rows.

    On a processor the rows of a batch are what costs, so little is fed that may be in vain. A mention that comes alone
    waits for the weights of the model to be read at each pass, and a GPU (``device`` is the type of a torch device)
    waits for the search between two passes: then what may be needed next is fed along.
    """
    return mentions <= _ONE_BY_ONE or device != "cpu"


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How names are searched, and how names make the score of a concept.

    ``search``: ``beam``; or ``exact``, which finds the best names of all and proves it, or gives up after ``cap``
    prefixes and goes on as a beam. ``beams``: prefixes kept at each
    step. ``batch_size``: mentions searched together. ``name_tokens``: names of more tokens, the end token included, are
    left out of the trie and reported. ``concept_score``: of the ``best`` name, or the ``sum`` of the probabilities of
    the concept's names that were found. ``spelling``: so many nats are taken off the log-probability of a name that has
    no trigram of the mention, and fewer the more alike the two are spelled (see ``spelling_similarity``); this orders
    the names that a beam has found, and does not change which are found.

    Raises UsageError for a number below 1 (``spelling``: below 0) or an unknown word.
    """

    beams: int = 5
    batch_size: int = 32
    name_tokens: int = 64
    search: SearchKind = "beam"
    cap: int = 600
    concept_score: ConceptScore = "best"
    spelling: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            choices = {"search": get_args(SearchKind), "concept_score": get_args(ConceptScore)}.get(name)
            if choices is None and name != "spelling" and value < 1:
                raise UsageError(f"{name} is {value}, expected at least 1.")
            if choices is not None and value not in choices:
                raise UsageError(f"{name} is {value!r}, expected one of {', '.join(choices)}.")
        if not 0 <= self.spelling < inf:
            raise UsageError(f"spelling is {self.spelling}, expected a number of at least 0.")
        if self.search == "exact" and self.concept_score == "sum":
            raise UsageError("an exact search ranks names, not sums of them: choose concept_score best or search beam.")
        if self.search == "exact" and self.spelling:
            raise UsageError(
                "an exact search ranks names by their probability alone: leave spelling 0 or search by beam."
            )

    def with_search(self, search: SearchKind) -> SearchSettings:
        """The same with another search; an exact one without what only a beam can do."""
        if search != "exact":
            return replace(self, search=search)
        return replace(self, search=search, concept_score="best", spelling=0.0)

    def new_search(self, trie: NameTrie, k: int, name_concepts: NameConcepts, *, few_passes: bool) -> Search:
        """The search of a mention, with few passes or else with few rows (see ``passes_cost_most``).

        The first name of a beam is found best first, which extends fewer prefixes. Several names would be found one
        after the other, in more passes than it takes to go level by level. For the sum over the names of a concept the
        beam goes on to its end, however few concepts are wanted, so that the sums do not depend on their number. Where
        spelling counts, twice as many names are found as there are beams, so that up to there their number does not
        matter either.
        """
        if self.concept_score == "sum":
            return Beam(trie, self.beams, trie.n_names + 1, name_concepts)
        if self.spelling:
            return Beam(trie, self.beams, max(k, _SPELLED * self.beams), name_concepts)
        width = _WIDTH_FOR_FEW_PASSES if few_passes else _WIDTH_FOR_FEW_ROWS
        if self.search == "exact":
            return Exact(trie, self.cap, k, name_concepts, beams=self.beams, width=width)
        if k == 1:
            return LazyBeam(trie, self.beams, k, name_concepts, width=width)
        return Beam(trie, self.beams, k, name_concepts)

    def ahead(self, k: int, *, few_passes: bool) -> int:
        """How many nodes to feed ahead of being asked about (see ``run_searches``)."""
        if not few_passes or self.search == "exact":  # whose cap is to bound the rows
            return 0
        return _AHEAD_OF_ONE_NAME if k == 1 and not self.spelling else _AHEAD_OF_SEVERAL
