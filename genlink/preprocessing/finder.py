"""Mentions found in plain text: the longest names of a dictionary, word for word, by the automaton of Aho and Corasick
(Efficient string matching: an aid to bibliographic search, CACM 1975)."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from genlink.kb import KnowledgeBase
from genlink.preprocessing.abbreviations import find_abbreviations
from genlink.preprocessing.function_words import FUNCTION_WORDS
from genlink.schema import Document, Mention, Span
from genlink.text import cluster_end, is_word_character, normalise, normalise_with_offsets

__all__ = ["FinderRules", "NameFinder"]


@dataclass(frozen=True, slots=True)
class FinderRules:
    """Which names of a dictionary are looked for in a text.

    ``min_characters``: names with fewer, blanks not counted, are not, and neither are names without a letter.
    ``capitals``: a name of one word and at most so many characters that the dictionary always writes with two or more
    capitals ("ALL", "WAS") is taken for an abbreviation, and is found only where the text writes two or more capitals
    too; 0 switches this off. ``function_words``: any other name that is an English function word of scikit-learn's
    list is left out. ``without``: more names to leave out, in any spelling with the same key. ``abbreviations``: with a
    name that a document abbreviates ("silver fever (SF)"), its short form is found wherever it stands in that document.
    """

    min_characters: int = 3
    capitals: int = 5
    function_words: bool = True
    without: tuple[str, ...] = ()
    abbreviations: bool = True


class NameFinder:
    """Finds names of one knowledge base in texts; it is built once, and then takes time in proportion to a text."""

    def __init__(self, kb: KnowledgeBase, rules: FinderRules = FinderRules()) -> None:
        from ahocorasick_rs import AhoCorasick, Implementation

        self.kb = kb
        self.rules = rules
        self._abbreviations: set[int] = set()  # patterns that count in capitals alone
        self._automaton: Any = AhoCorasick(
            self._patterns(), store_patterns=False, implementation=Implementation.ContiguousNFA
        )

    def find(self, text: str) -> list[Span]:
        """Where names stand, in order: of the names that begin first the longest, then on behind its end.

        What a span covers has the key of a name (``genlink.text.normalise``), begins and ends with a word, and no two
        spans overlap.
        """
        key, offsets = normalise_with_offsets(text, self.kb.normalisation)
        spans: list[Span] = []
        found = self._automaton.find_matches_as_indexes(key, overlapping=True)
        for pattern, first, end in sorted(found, key=lambda match: (match[1], -match[2])):
            if spans and offsets[first] < spans[-1][1]:
                continue
            if not (_is_edge(key, offsets, first) and _is_edge(key, offsets, end)):
                continue
            span = offsets[first], cluster_end(text, offsets[end - 1])
            if pattern not in self._abbreviations or _capitals(text[slice(*span)]) > 1:
                spans.append(span)
        return spans

    def with_mentions(self, document: Document) -> Document:
        """The document with what is found in the place of its mentions; their ids are running numbers."""
        spans = self.find(document.text)
        if self.rules.abbreviations:
            spans = sorted([*spans, *self._short_forms(document.text, spans)])
        mentions = (
            Mention(document.text, (span,), document.text[slice(*span)], document.document_id, str(i))
            for i, span in enumerate(spans)
        )
        return replace(document, mentions=tuple(mentions))

    def _short_forms(self, text: str, names: list[Span]) -> list[Span]:
        """Where short forms of the found ``names`` stand that no name covers."""
        found = {self._key(text[slice(*span)]) for span in names}
        without = set(map(self._key, self.rules.without))
        shorts = [s for s, long in find_abbreviations(text).items() if self._key(long) in found]
        shorts = [short for short in shorts if self._key(short) not in without]
        if not shorts:
            return []
        words = "|".join(map(re.escape, sorted(shorts, key=len, reverse=True)))
        covered = sorted(names)
        spans = []
        for match in re.finditer(rf"(?<!\w)(?:{words})s?(?!\w)", text):
            i = bisect(covered, match.span())
            if not any(a < match.end() and match.start() < b for a, b in covered[max(0, i - 1) : i + 1]):
                spans.append(match.span())
        return spans

    def _key(self, name: str) -> str:
        return normalise(name, self.kb.normalisation)

    def _patterns(self) -> Iterator[str]:
        kb, rules = self.kb, self.rules
        without = set(map(self._key, rules.without))
        function_words = FUNCTION_WORDS if rules.function_words else frozenset()
        n = 0
        for i in range(kb.n_keys):
            key = kb.key(i)
            if key in without or not any(map(str.isalpha, key)):
                continue
            if len(key) - key.count(" ") < rules.min_characters:
                continue
            if len(key) <= rules.capitals and " " not in key and self._is_abbreviation(i):
                self._abbreviations.add(n)
            elif key.casefold() in function_words:
                continue
            yield key
            n += 1

    def _is_abbreviation(self, key: int) -> bool:
        return all(_capitals(self.kb.key_name(key, concept)) > 1 for concept in self.kb.key_concepts(key))


def _capitals(text: str) -> int:
    return sum(map(str.isupper, text))


def _is_edge(key: str, offsets: list[int], i: int) -> bool:
    """Whether a word begins or ends before place ``i`` of the key, and a character of the text does ("½" is "1 2")."""
    if i in (0, len(key)):
        return True
    if is_word_character(key[i - 1]) and is_word_character(key[i]):
        return False
    left = i - 2 if key[i - 1] == " " else i - 1
    right = i + 1 if key[i] == " " else i
    return offsets[left] != offsets[right]
