"""Mentions found in plain text: the longest names of a dictionary, word for word, looked up in the trie of its keys."""

from __future__ import annotations

import re
from bisect import bisect
from dataclasses import dataclass, replace
from typing import Literal

from genlink.kb import KnowledgeBase
from genlink.preprocessing.abbreviations import find_abbreviations
from genlink.preprocessing.common_words import FUNCTION_WORDS, GENERAL_WORDS
from genlink.schema import Document, Mention, Span
from genlink.text import cluster_end, is_word_character, normalise, normalise_with_offsets

__all__ = ["FinderRules", "NameFinder"]

COMMON_WORDS = FUNCTION_WORDS | GENERAL_WORDS
LONGEST = 300  # characters of a name

_Kind = Literal["name", "abbreviation", "left out"]


@dataclass(frozen=True, slots=True)
class FinderRules:
    """Which names of a dictionary are looked for in a text.

    ``min_characters``: names with fewer, blanks not counted, are not, and neither are names without a letter.
    ``capitals``: a name of one word and at most so many characters that the dictionary always writes with two or more
    capitals ("ALL", "WAS"), or that has the initials of another name of its concept ("cold" of chronic obstructive lung
    disease), is taken for an abbreviation, and is found only where the text writes two or more capitals too; 0 switches
    this off. ``common_words``: any other name that is an English function word of scikit-learn's list, or a general
    word of articles ("role", "result"), is left out. ``plurals``: a name with an "s" behind it is found too.
    ``without``: more names to leave out, in any spelling with the same key. ``abbreviations``: with a name that a
    document abbreviates ("silver fever (SF)"), its short form is found wherever it stands in that document.
    """

    min_characters: int = 3
    capitals: int = 5
    common_words: bool = True
    plurals: bool = True
    without: tuple[str, ...] = ()
    abbreviations: bool = True


class NameFinder:
    """Finds names of one knowledge base in texts. Nothing is built for it; the time is in proportion to the text."""

    def __init__(self, kb: KnowledgeBase, rules: FinderRules = FinderRules()) -> None:
        self.kb = kb
        self.rules = rules
        self._without = frozenset(map(self._key, rules.without))
        self._kinds: dict[int, _Kind] = {}  # of the keys that were met

    def find(self, text: str) -> list[Span]:
        """Where names stand, in order: of the names that begin first the longest, then on behind its end.

        What a span covers has the key of a name (``genlink.text.normalise``), or of its plural, begins and ends with a
        word, and no two spans overlap. Names of more than 300 characters are not looked for.
        """
        key, offsets = normalise_with_offsets(text, self.kb.normalisation)
        spans: list[Span] = []
        for first in range(len(key)):
            if (spans and offsets[first] < spans[-1][1]) or not _is_edge(key, offsets, first):
                continue
            starts = self.kb.keys_at_start(key[first : first + LONGEST])
            lengths = {length for length, _ in starts}
            for length, name in reversed(starts):
                end = first + length
                # What is a name itself, or left out, is not found as the plural of another.
                if length + 1 not in lengths and key[first : end + 1] not in self._without:
                    end += self._is_plural(key, offsets, end)
                if not _is_edge(key, offsets, end):
                    continue
                span = offsets[first], cluster_end(text, offsets[end - 1])
                if not _is_balanced(text[slice(*span)]):
                    continue
                kind = self._kind(name)
                if kind == "name" or (kind == "abbreviation" and _capitals(text[slice(*span)]) > 1):
                    spans.append(span)
                    break
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

    def key_of(self, words: str) -> int | None:
        """The index of the key that these words have, or that they are the plural of; None where there is none."""
        index = self.kb.key_index(words)
        if index is None and self.rules.plurals and words[-1:] in ("s", "S"):
            index = self.kb.key_index(words[:-1])
        return index

    def _short_forms(self, text: str, names: list[Span]) -> list[Span]:
        """Where short forms of the found ``names`` stand that no name covers."""
        found = {self._key(text[slice(*span)]) for span in names}
        shorts = [s for s, long in find_abbreviations(text).items() if self._key(long) in found]
        shorts = [short for short in shorts if self._key(short) not in self._without]
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

    def _is_plural(self, key: str, offsets: list[int], end: int) -> bool:
        return self.rules.plurals and key[end : end + 1] in ("s", "S") and _is_edge(key, offsets, end + 1)

    def _kind(self, key: int) -> _Kind:
        if key not in self._kinds:
            self._kinds[key] = self._kind_of(key, self.kb.key(key))
        return self._kinds[key]

    def _kind_of(self, i: int, key: str) -> _Kind:
        rules = self.rules
        if key in self._without or not any(map(str.isalpha, key)):
            return "left out"
        if len(key) - key.count(" ") < rules.min_characters:
            return "left out"
        if len(key) <= rules.capitals and " " not in key and self._is_abbreviation(i):
            return "abbreviation"
        return "left out" if rules.common_words and key.casefold() in COMMON_WORDS else "name"

    def _is_abbreviation(self, key: int) -> bool:
        return all(
            _capitals(self.kb.key_name(key, concept)) > 1 or self._is_initials(key, concept)
            for concept in self.kb.key_concepts(key)
        )

    def _is_initials(self, key: int, concept: int) -> bool:
        """Whether another name of the concept has these letters as initials, function words left out or not."""
        letters = self.kb.key(key)
        if len(letters) == 1:
            return False
        for other in self.kb.concept_keys(concept):
            words = self.kb.key(other).split()
            telling = [word for word in words if word not in FUNCTION_WORDS]
            if letters in ("".join(word[0] for word in some) for some in (words, telling)):
                return True
        return False


def _is_balanced(text: str) -> bool:
    """Whether as many parentheses open as close: "lung disease (COPD" is a name and half of its short form."""
    return text.count("(") == text.count(")")


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
