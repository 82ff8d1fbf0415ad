"""Abbreviations that a document defines itself, and their expansion in its mentions.

Definitions are found by the algorithm of Schwartz and Hearst (A simple algorithm for identifying abbreviation
definitions in biomedical text, PSB 2003), as the ``abbreviations`` package has it. Ab3P, which BioSyn and its followers
run, finds a few per cent more, but its Python binding comes without a licence.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

__all__ = ["expand_abbreviations", "find_abbreviations"]

_PARAGRAPH = re.compile(r"\n\s*\n")
_NOT_A_NAME = re.compile(r"[.;:]\s|^(?:an?|and|by|for|has|have|is|of|or|the|to|was|were|with)\s", re.IGNORECASE)
_TIED = re.compile(r"(?:[\w(\[]\S*)?\d\S*-|[^\W\d]{1,5}-")  # "1-(2-chloroethyl)-", "3-", "beta-", but not "Severe-"
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(])")


@cache
def _package() -> Any:
    # The package configures the root logger when imported, which is not its business; it refrains if a handler is set.
    root, guard = logging.getLogger(), logging.NullHandler()
    root.addHandler(guard)
    try:
        from abbreviations import schwartz_hearst
    finally:
        root.removeHandler(guard)
    return schwartz_hearst


def _stretches(text: str) -> Iterator[str]:
    """Sentences with a parenthesis, white space collapsed.

    The package gives up on a line whose parentheses do not pair (so one stray parenthesis would cost a whole abstract
    its definitions), loses its place after double blanks, and sees no definition across a line end.
    """
    for paragraph in _PARAGRAPH.split(text):
        for sentence in _SENTENCE.split(paragraph):
            if " (" in sentence or "\n(" in sentence:
                yield " ".join(sentence.split())


def _contains(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def _whole_words(long: str, stretch: str) -> str:
    """The long form with the locant or short prefix before it: the package cuts "1-methyl-..." to "methyl-..."."""
    found = stretch.find(f"{long} (")
    start = stretch.rfind(" ", 0, max(found, 0)) + 1
    if found < 0 or not _TIED.fullmatch(stretch[start:found]):
        return long
    return stretch[start : found + len(long)]


def _is_plausible(short: str, long: str) -> bool:
    return not (_contains(long, short) or _NOT_A_NAME.search(long))


def find_abbreviations(text: str) -> dict[str, str]:
    """{short form: long form} as defined in ``text`` ("long form (SF)"), in order; the first definition counts.

    Definitions that run over the end of a clause, begin with a function word or contain their own short form are
    false finds of the algorithm and left out.
    """
    definitions: dict[str, str] = {}
    for stretch in _stretches(text):
        pairs = _package().extract_abbreviation_definition_pairs(doc_text=stretch, first_definition=True)
        for short, long in pairs.items():
            whole = _whole_words(str(long), stretch)
            if _is_plausible(str(short), whole):
                definitions.setdefault(str(short), whole)
    return definitions


def _drop_beside_long_form(surface: str, short: str, long: str) -> str:
    """ "long form (SF)" and "SF (long form)" are "long form"."""
    short, long = re.escape(short), re.escape(long)
    surface = re.sub(rf"(?<!\w){short}s?\s*[(\[]\s*((?i:{long})(?!\w)[^()\[\]]*)[)\]]", r"\1", surface)
    return re.sub(rf"\s*[(\[]\s*{short}s?\s*[)\]]", "", surface)


def expand_abbreviations(surface: str, definitions: Mapping[str, str]) -> str:
    """``surface`` with the short forms in it replaced by their long forms, those within long forms too.

    A short form counts as a word of its own, in the case of its definition, or with a plural ``s``; the longest match
    is taken. Where the long form is there already, nothing is expanded and the short form in parentheses is dropped.
    A definition is not applied again within its own long form, so definitions in a circle come to an end.
    """
    usable: dict[str, str] = {}
    for short, long in definitions.items():
        if short not in surface:
            continue
        if _contains(surface, long):
            surface = _drop_beside_long_form(surface, short, long)
        else:
            usable[short] = long
    if not usable:
        return surface

    def replacement(match: re.Match[str]) -> str:
        short, end = match["short"], match.end("short_forms")
        if match.start() > 0 and surface[match.start() - 1] in "([" and surface[end : end + 1] in (")", "]"):
            return match[0]  # a remark on the words before it, not a word of the name
        long = usable[short]
        expanded = expand_abbreviations(long, {other: definitions[other] for other in definitions if other != short})
        head = match["next"]
        # "HD patients" stays two words, but of "HD disease" with HD = "Huntington disease" the head is said once.
        repeated = head is not None and head.strip().casefold() == long.split()[-1].casefold()
        return expanded if repeated else expanded + (head or "")

    # Longest first, for where one short form begins another.
    shorts = "|".join(re.escape(short) for short in sorted(usable, key=lambda short: (-len(short), short)))
    pattern = rf"(?<!\w)(?P<short_forms>(?P<short>{shorts})s?)(?!\w)(?P<next>\s+\w+(?!\w))?"
    return re.sub(pattern, replacement, surface)
