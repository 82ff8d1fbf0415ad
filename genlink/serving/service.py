"""A linker as a server uses it: names found in plain text, answers within parts of its dictionary, traced if wanted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from genlink.errors import UsageError
from genlink.kb import KnowledgeBase
from genlink.kb.records import split_prefix
from genlink.linkers.exact import ExactLinker
from genlink.linkers.opening import OpenedLinker
from genlink.linkers.restriction import Restriction
from genlink.linkers.tfidf import TfidfLinker
from genlink.linkers.trace import SearchTrace, trace_search
from genlink.pipeline import Pipeline
from genlink.preprocessing import expand_abbreviations, find_abbreviations
from genlink.schema import Document, Mention, Prediction

if TYPE_CHECKING:  # torch is for those who serve a model
    from genlink.linkers.generative import GenerativeLinker

__all__ = ["Answer", "LinkerService", "Question", "Vocabularies"]

# Parts of the dictionary that are kept for the next request; each may be nearly as large as the whole.
_PARTS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Question:
    """How mentions are to be linked: to how many ranks, within which concepts (all, if empty), and traced or not."""

    ranks: int
    types: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    is_traced: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction, and its search if it was asked for."""

    prediction: Prediction
    trace: SearchTrace | None = None


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """The concepts of each semantic type and of each id prefix, by index, ascending."""

    types: Mapping[str, Sequence[int]]
    prefixes: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, kb: KnowledgeBase) -> Vocabularies:
        """Read off every concept of a knowledge base, once."""
        types: dict[str, list[int]] = {}
        prefixes: dict[str, list[int]] = {}
        for i, concept in enumerate(kb):
            for name in concept.types:
                types.setdefault(name, []).append(i)
            if prefix := split_prefix(concept.concept_id)[0]:
                prefixes.setdefault(prefix, []).append(i)
        return cls(types, prefixes)

    def select(self, types: Sequence[str], prefixes: Sequence[str]) -> list[int]:
        """The concepts of one of the types and of one of the prefixes, ascending; no types or prefixes mean any.

        Raises UsageError where there are none.
        """
        filters = [(self.types, types), (self.prefixes, prefixes)]
        chosen = [{i for name in names for i in concepts.get(name, ())} for concepts, names in filters if names]
        if not (passed := set.intersection(*chosen)):
            raise UsageError(f"no concept of the knowledge base passes {', '.join([*types, *prefixes])}.")
        return sorted(passed)


class LinkerService:
    """Answers batches of mentions, from one thread. What else it has may be used from any."""

    def __init__(self, linker: OpenedLinker) -> None:
        self._linker = linker
        self._pipeline = Pipeline(linker)  # for its finder
        self._reading = threading.Lock()
        self._generator = _generator_of(linker)
        self._restriction = lru_cache(maxsize=_PARTS_KEPT)(self._new_restriction)
        self._part = lru_cache(maxsize=_PARTS_KEPT)(self._new_part)

    @property
    def kb(self) -> KnowledgeBase:
        """The knowledge base that candidates come from."""
        return self._linker.kb

    @property
    def can_trace(self) -> bool:
        """Whether the linker searches a trie, so that there is a search to show."""
        return self._generator is not None

    @property
    def vocabularies(self) -> Vocabularies:
        """What the dictionary can be restricted to; read off it when it is first needed, which takes a while."""
        with self._reading:  # once, whoever else asks meanwhile
            return self._vocabularies

    @cached_property
    def _vocabularies(self) -> Vocabularies:
        return Vocabularies.of(self.kb)

    def found(self, document: Document, types: Sequence[str] = (), prefixes: Sequence[str] = ()) -> Document:
        """The document with the names as mentions that stand in its text; see ``NameFinder``.

        Of types and prefixes, if there are any, are the concepts that are looked for: UsageError where there are none.
        """
        found = self._pipeline.finder.with_mentions(document)
        if not types and not prefixes:
            return found
        wanted = set(self.vocabularies.select(types, prefixes))
        definitions = find_abbreviations(document.text)

        def is_wanted(mention: Mention) -> bool:
            key = self._pipeline.finder.key_of(expand_abbreviations(mention.text, definitions))
            return key is not None and not wanted.isdisjoint(self.kb.key_concepts(key))

        return replace(found, mentions=tuple(filter(is_wanted, found.mentions)))

    def answer(self, question: Question, mentions: Sequence[Mention]) -> list[Answer]:
        """One answer for each mention, in order.

        Raises UsageError where no concept is left to link to, or a trace is wanted of a linker that has none.
        """
        is_part = bool(question.types or question.prefixes)
        if self._generator is None:
            if question.is_traced:
                raise UsageError("this linker does not search a trie, so there is no search to show.")
            linker = self._part(question.types, question.prefixes) if is_part else self._linker
            return [Answer(prediction) for prediction in linker.link(mentions, question.ranks)]
        within = self._restriction(question.types, question.prefixes) if is_part else None
        if not question.is_traced:
            return [Answer(p) for p in self._generator.link(mentions, question.ranks, within=within)]
        return [Answer(*trace_search(self._generator, m, question.ranks, within=within)) for m in mentions]

    def _new_restriction(self, types: tuple[str, ...], prefixes: tuple[str, ...]) -> Restriction:
        assert self._generator is not None
        return Restriction.to(self.vocabularies.select(types, prefixes), self.kb, self._generator.trie)

    def _new_part(self, types: tuple[str, ...], prefixes: tuple[str, ...]) -> OpenedLinker:
        ids = [self.kb.concept_id_at(i) for i in self.vocabularies.select(types, prefixes)]
        return self._linker.with_kb(self.kb.subset(ids=ids))


def _generator_of(linker: OpenedLinker) -> GenerativeLinker | None:
    if isinstance(linker, ExactLinker | TfidfLinker):
        return None
    from genlink.linkers.generative import GenerativeLinker

    return linker if isinstance(linker, GenerativeLinker) else None
