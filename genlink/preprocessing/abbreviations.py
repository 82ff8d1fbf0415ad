"""Abbreviations that a document defines itself, and their expansion in its mentions.

Definitions are found by the algorithm of Schwartz and Hearst (A simple algorithm for identifying abbreviation
definitions in biomedical text, PSB 2003), as the ``abbreviations`` package has it. Before it goes a strategy of Ab3P
(Sohn et al., Abbreviation definition identification based on automatic precision estimates, BMC Bioinformatics 2008):
where each letter begins a word, these words are the long form. Ab3P itself, which BioSyn and its followers run, has a
Python binding without a licence.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from genlink.preprocessing.common_words import FUNCTION_WORDS

__all__ = ["expand_abbreviations", "find_abbreviations"]

_PARAGRAPH = re.compile(r"\n\s*\n")
_CANDIDATE = re.compile(r" \((?P<short>[^\s();:,][^();:,]*?)\s*(?=[);:,])")
_REVERSED = re.compile(r"(?<=[\s(])(?P<short>[^\W_][^\s();:,]{1,9}) \((?P<long>[^\s();:,]+ [^();:,]*?)\s*(?=[);:,])")
_NOT_A_NAME = re.compile(r"[.;:]\s|^(?:an?|and|by|for|has|have|is|of|or|the|to|was|were|with)\s", re.IGNORECASE)
_TIED = re.compile(r"(?:[\w(\[]\S*)?\d\S*-|[^\W\d]{1,5}-")  # "1-(2-chloroethyl)-", "3-", "beta-", but not "Severe-"
_WORD = re.compile(r"[^\W_]+")
_SEPARATOR = re.compile(r"[-/]")
_DEPTH = 3  # long forms within a long form


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


def _after_unmatched_parenthesis(words: str) -> str:
    open_at: list[int] = []
    cut = 0
    for i, character in enumerate(words):
        if character == "(":
            open_at.append(i)
        elif character == ")" and not open_at:
            cut = i + 1
        elif character == ")":
            open_at.pop()
    return words[max([cut, *(i + 1 for i in open_at)]) :]


def _candidates(text: str) -> Iterator[tuple[int, str, str]]:
    """(place, what may be a short form, the words among which its long form may be), white space collapsed.

    "long form (SF)" and "SF (long form)". For the former the number of words is Schwartz and Hearst's: at most five
    more than the short form has characters, and at most twice as many.
    """
    place = 0
    for paragraph in _PARAGRAPH.split(text):
        if "(" not in paragraph:
            continue
        line = f" {' '.join(paragraph.split())}"
        for match in _CANDIDATE.finditer(line):
            short = match["short"]
            reach = min(len(short) + 5, 2 * len(short))
            # The slice keeps the work for a long paragraph linear; no word that matters is longer.
            words = line[max(0, match.start() - 100 * reach) : match.start()].split(" ")[-reach:]
            yield place + match.start(), short, _after_unmatched_parenthesis(" ".join(words)).strip()
        for match in _REVERSED.finditer(line):
            if not match["short"].islower():  # else an ordinary word with a remark
                yield place + match.start(), match["short"], match["long"]
        place += len(line)


def _long_form(short: str, words: str) -> str | None:
    if " " in short and short.islower():
        return None  # "one case", "i. e."
    for found in (_initials(short, words), _fewest_words(short, words), _initials_in_any_order(short, words)):
        if found is None or not words.endswith(found):
            continue
        # "1-methyl-..." is cut down to "methyl-..." by both.
        start = words.rfind(" ", 0, len(words) - len(found)) + 1
        whole = words[start:] if _TIED.fullmatch(words[start : len(words) - len(found)]) else found
        if whole.count("(") == whole.count(")") and not _NOT_A_NAME.search(whole) and not _contains(whole, short):
            return whole
    return None


def _initials(short: str, words: str) -> str | None:
    """The words whose first letters are those of the short form."""
    last = list(_WORD.finditer(words))[-len(short) :]
    if len(short) < 2 or "".join(word[0][0] for word in last).lower() != short.lower():
        return None
    return words[last[0].start() :]


def _initials_in_any_order(short: str, words: str) -> str | None:
    """As ``_initials``, where the short form has the letters in another language's order: "myotonic dystrophy (DM)"."""
    last = list(_WORD.finditer(words))[-len(short) :]
    if len(short) < 2 or not short.isupper() or sorted(word[0][0].upper() for word in last) != sorted(short):
        return None
    if any(word[0].lower() in FUNCTION_WORDS for word in last):
        return None  # "in cells (CI)"
    return words[last[0].start() :]


def _fewest_words(short: str, words: str) -> str | None:
    """Schwartz and Hearst: of "attenuated adenomatous polyposis coli (AAPC)" the last three, by letters within them."""
    # The package wants as many words with the first letter of the short form as the short form has of that letter,
    # which the paper does not ask ("palmoplantar keratoderma (PPK)"), and gives up on a line with a stray parenthesis.
    # So it is given the words in question alone, behind single letters that can be no part of a long form.
    letters = f"{short[0]} " * short.lower().count(short[0].lower())
    pairs = _package().extract_abbreviation_definition_pairs(
        doc_text=f"{letters}{words} ({short})", first_definition=True
    )
    found: str | None = pairs.get(short)
    return found


def _parts(short: str, long: str) -> Iterator[tuple[str, str]]:
    """What "HPT-JT", said to be "hyperparathyroidism-jaw tumor", says of "HPT" and of "JT"."""
    shorts, longs = _SEPARATOR.split(short), _SEPARATOR.split(long)
    if len(shorts) == len(longs) > 1:
        for part, words in zip(shorts, longs, strict=True):
            if len(part) > 1 and part.isupper() and (form := _long_form(part, words)):
                yield part, form


def _contains(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def find_abbreviations(text: str) -> dict[str, str]:
    """{short form: long form} as defined in ``text``, in order: "long form (SF)" or "SF (long form)".

    The first definition of a short form counts; that of a whole with a hyphen or slash also defines its parts, where
    the text does not. Definitions that run over the end of a clause, begin with a function word or contain their own
    short form are false finds of the algorithm and left out.
    """
    definitions: dict[str, str] = {}
    for _, short, words in sorted(_candidates(text)):
        if short not in definitions and (long := _long_form(short, words)):
            definitions[short] = long
    parts = [part for definition in definitions.items() for part in _parts(*definition)]
    return dict(reversed(parts)) | definitions


def _drop_beside_long_form(surface: str, short: str, long: str) -> str:
    """Make "long form (SF)" and "SF (long form)" a plain "long form"."""
    short, long = re.escape(short), re.escape(long)
    surface = re.sub(rf"(?<!\w){short}s?\s*[(\[]\s*((?i:{long})(?!\w)[^()\[\]]*)[)\]]", r"\1", surface)
    return re.sub(rf"(?<=\S)\s*[(\[]\s*{short}s?\s*[)\]]", "", surface)


def expand_abbreviations(surface: str, definitions: Mapping[str, str]) -> str:
    """``surface`` with the short forms in it replaced by their long forms, those within long forms too.

    A short form counts as a word of its own, in the case of its definition, or with a plural ``s``; the longest match
    is taken. Where the long form is there already, nothing is expanded and the short form in parentheses is dropped.
    A definition is not applied again within its own long form, so definitions in a circle come to an end; and none
    deeper than four long forms within each other, so a text that defines each by the next one twice does too.
    """
    return _expanded(surface, definitions, _DEPTH)


def _expanded(surface: str, definitions: Mapping[str, str], depth: int) -> str:
    usable: dict[str, str] = {}
    for short, long in definitions.items():
        if short not in surface or not long.strip():
            continue
        if _contains(surface, long):
            surface = _drop_beside_long_form(surface, short, long)
        else:
            usable[short] = long
    if not usable:
        return surface

    def replacement(match: re.Match[str]) -> str:
        if surface[: match.start()].endswith(("(", "[")) and surface.startswith((")", "]"), match.end()):
            return match[0]  # a remark on the words before it, not a word of the name
        short = shorts[int(str(match.lastgroup)[1:])]
        others = {s: long for s, long in definitions.items() if s != short}
        return _expanded(usable[short], others, depth - 1) if depth else usable[short]

    # Longest first, for where one short form begins another.
    shorts = sorted(usable, key=lambda short: (-len(short), short))
    # In "HD disease" with HD = "Huntington disease" the head is said once, so the second is taken along.
    heads = [re.escape(usable[short].split()[-1]) for short in shorts]
    forms = [
        rf"(?P<f{i}>{re.escape(short)})s?(?!\w)(?:\s+(?i:{head})(?!\w))?"
        for i, (short, head) in enumerate(zip(shorts, heads, strict=True))
    ]
    return re.sub(rf"(?<!\w)(?:{'|'.join(forms)})", replacement, surface)
