"""How names are searched, as a setting that is saved with a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from genlink.decoding import Beam, Exact, LazyBeam, Search
from genlink.decoding.search import NameConcepts
from genlink.errors import UsageError
from genlink.trie import NameTrie

__all__ = ["ConceptScore", "SearchKind", "SearchSettings"]

SearchKind = Literal["lazy_beam", "beam", "exact"]
ConceptScore = Literal["best", "sum"]

# One mention at a time is bound by the number of passes: whatever may be needed next is fed along. In a batch the rows
# are what costs, so little is fed that may be in vain.
_FEW = 2
_AHEAD = 24
_WIDTH_OF_FEW, _WIDTH_OF_MANY = 5, 2


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How names are searched, and how names make the score of a concept.

    ``search``: ``lazy_beam`` finds what ``beam`` finds for fewer rows of the decoder; ``exact`` finds the best names of
    all and proves it, or gives up after ``cap`` prefixes and goes on as a lazy beam. ``beams``: prefixes kept at each
    step. ``batch_size``: mentions searched together. ``name_tokens``: names of more tokens, the end token included, are
    left out of the trie and reported. ``concept_score``: of the ``best`` name, or the ``sum`` of the probabilities of
    the concept's names that were found.

    Raises UsageError for a number below 1 or an unknown word.
    """

    beams: int = 5
    batch_size: int = 32
    name_tokens: int = 64
    search: SearchKind = "lazy_beam"
    cap: int = 600
    concept_score: ConceptScore = "best"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            choices = {"search": get_args(SearchKind), "concept_score": get_args(ConceptScore)}.get(name)
            if choices is None and value < 1:
                raise UsageError(f"{name} is {value}, expected at least 1.")
            if choices is not None and value not in choices:
                raise UsageError(f"{name} is {value!r}, expected one of {', '.join(choices)}.")

    def new_search(self, trie: NameTrie, k: int, name_concepts: NameConcepts, batch: int) -> Search:
        """The search of one mention among ``batch`` mentions that are searched together."""
        width = _WIDTH_OF_FEW if batch <= _FEW else _WIDTH_OF_MANY
        if self.search == "beam":
            return Beam(trie, self.beams, k, name_concepts)
        if self.search == "lazy_beam":
            return LazyBeam(trie, self.beams, k, name_concepts, width=width)
        return Exact(trie, self.cap, k, name_concepts, beams=self.beams, width=width)

    @staticmethod
    def ahead(batch: int) -> int:
        """How many nodes may be fed ahead of being asked about (see ``run_searches``)."""
        return _AHEAD if batch <= _FEW else 0
