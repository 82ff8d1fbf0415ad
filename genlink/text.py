"""Normalisation of names and mentions, with a map back to the original offsets.

The same steps, in the same order, make the lookup key of a dictionary name and of a mention. Each is named and can be
switched off. Only keys are normalised: what is shown to a person is always the original string.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["Normalisation", "cluster_end", "is_word_character", "normalise", "normalise_with_offsets"]

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Which steps make a key.

    ``unicode``: compatibility forms are folded (NFKC) and Latin accents dropped ("Sjögren" -> "Sjogren").
    ``case``: full case folding. ``punctuation``: every character that is neither letter, digit nor mark becomes a
    space, as in GenBioEL and BioSyn. White space is always collapsed and trimmed.
    """

    unicode: bool = True
    case: bool = True
    punctuation: bool = True


def _is_accent(character: str) -> bool:
    # Combining Diacritical Marks only: other scripts use combining marks as letters (Japanese voicing, Indic vowels).
    return "\u0300" <= character <= "\u036f"


def _fold_unicode(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not _is_accent(c)))


def _may_join_previous(character: str) -> bool:
    # Every second half of a composition is a mark, or the vowel or final of a Korean syllable; some hide in
    # compatibility forms, such as the voicing sign of half-width Japanese.
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"


def is_word_character(character: str) -> bool:
    """Whether a character is a letter, a digit or a mark: what names keep when punctuation becomes blanks."""
    return unicodedata.category(character)[0] in "LNM"


# Every ASCII character but letters and digits.
_ASCII_PUNCTUATION = {code: " " for code in range(128) if not chr(code).isalnum()}


def normalise(text: str, steps: Normalisation = Normalisation()) -> str:
    """The key of ``text``: what two strings must share to count as the same name."""
    if text.isascii():  # nine names in ten; no Unicode tables are needed
        if steps.case:
            text = text.lower()
        if steps.punctuation:
            text = text.translate(_ASCII_PUNCTUATION)
        return " ".join(text.split())
    if steps.unicode:
        text = _fold_unicode(text)
    if steps.case:
        text = text.casefold()
        if steps.unicode:  # case folding can decompose again
            text = _fold_unicode(text)
    if steps.punctuation:
        text = "".join(c if is_word_character(c) else " " for c in text)
    return " ".join(text.split())


def cluster_end(text: str, start: int) -> int:
    """Where the character at ``start`` ends together with the marks, Korean vowels and finals that follow it."""
    end = start + 1
    while end < len(text) and _may_join_previous(text[end]):
        end += 1
    return end


def normalise_with_offsets(text: str, steps: Normalisation = Normalisation()) -> tuple[str, list[int]]:
    """The key of ``text`` and, for each of its characters, the index in ``text`` that it came from.

    The key equals ``normalise(text, steps)``. Characters are folded one base character at a time, together with the
    marks and Korean vowels and finals that follow it.
    """
    offsets: list[int] = []
    if text.isascii():  # every character is a cluster, and stays one character
        folded = text.lower() if steps.case else text
        folded = folded.translate(_ASCII_PUNCTUATION) if steps.punctuation else folded
        for word in _WORD.finditer(folded):
            if offsets:
                offsets.append(offsets[-1] + 1)  # the blank between two words is the first one there
            offsets += range(word.start(), word.end())
        return " ".join(folded.split()), offsets
    characters: list[str] = []
    start = 0
    while start < len(text):
        end = cluster_end(text, start)
        # A cluster is normalised without trimming: a lone space must survive until white space is collapsed below.
        folded = normalise(f"x{text[start:end]}x", steps)[1:-1]
        characters.extend(folded)
        offsets.extend([start] * len(folded))
        start = end
    kept = [i for i, c in enumerate(characters) if not (c == " " and (i == 0 or characters[i - 1] == " "))]
    if kept and characters[kept[-1]] == " ":
        kept.pop()
    return "".join(characters[i] for i in kept), [offsets[i] for i in kept]
