"""Composite mentions ("breast and ovarian cancer") split by their wording.

    one head for all        breast and ovarian cancer       -> breast cancer, ovarian cancer
    one beginning for all   cleft lip and palate            -> cleft lip, cleft palate
    after a preposition     cancer of the breast and ovary  -> cancer of breast, cancer of ovary
    slash                   Duchenne/Becker dystrophy       -> Duchenne dystrophy, Becker dystrophy
    nothing shared          pain and swelling               -> pain, swelling

The wording does not say which of these is meant, so the rules are guesses that are right for most composites of the
NCBI disease and BC5CDR corpora. BioSyn's regular expressions (Sung et al., ACL 2020) know the first, third and fourth.
"""

from __future__ import annotations

import re

__all__ = ["split_composite"]

_LIST = re.compile(r"(?P<items>.+?),? (?:and/or|and|or|&) (?P<last>[^,]+)", re.IGNORECASE)
_AFTER_PREPOSITION = re.compile(r"(?P<head>.+? (?:of|in|on|to)) (?P<list>.+)", re.IGNORECASE)
_SLASHED = re.compile(r"[^\W\d][\w-]+(?:/[^\W\d][\w-]+)+")
_DETERMINERS = re.compile(r"^(?:(?:both|the|an?|some) )+", re.IGNORECASE)
# One concept in spite of the "and".
_INSEPARABLE = re.compile(
    r"head and neck|one or more|(?:hand,? )?foot,? and mouth|ears?, nose,? and throat", re.IGNORECASE
)
# Nouns that end a modifier of several words: in "breast and squamous cell neoplasms" the head is "neoplasms".
_ENDS_MODIFIER = frozenset({"artery", "cell", "cord", "duct", "gland", "marrow", "nerve", "system", "tissue", "tract"})
_JOIN = "\0"  # no white space, and in no text


def _items(text: str) -> list[str] | None:
    """The members of "A, B and C", None if ``text`` is no such list."""
    match = _LIST.fullmatch(text)
    if match is None:
        return None
    nested = _items(match["last"]) or [match["last"]]
    items = [_DETERMINERS.sub("", item.strip()) for item in (*match["items"].split(", "), *nested)]
    return items if all(items) else None


def _head(last: list[str]) -> list[str]:
    """The words of the last member that the earlier ones share."""
    start = max((i for i, word in enumerate(last[:-1]) if word.casefold() in _ENDS_MODIFIER), default=0) + 1
    while start < len(last) - 1 and last[start].startswith("("):
        start += 1
    return last[start:]


def _stem(word: str) -> str:
    return word.casefold().rstrip("s")


def _share(items: list[str]) -> list[str]:
    """Members of a list with the words added that are said only once."""
    words = [item.split() for item in items]
    *earlier, last = words
    if any(_stem(item[-1]) == _stem(last[-1]) for item in earlier):
        return items
    if len(last) > 1:
        head = _head(last)
        return [" ".join([*item, *head]) for item in earlier] + [items[-1]]
    if len(words[0]) > 1 and all(len(item) == 1 for item in words[1:]):
        return [items[0]] + [" ".join([*words[0][:-1], *item]) for item in words[1:]]
    return items


def _split_slash(text: str) -> list[str] | None:
    words = text.split()
    slashed = [i for i, word in enumerate(words) if _SLASHED.fullmatch(word) and word.casefold() != "and/or"]
    if len(slashed) != 1 or sum("/" in word for word in words) > 1:
        return None
    i = slashed[0]
    return [" ".join([*words[:i], piece, *words[i + 1 :]]) for piece in words[i].split("/")]


def _split_list(text: str) -> list[str] | None:
    match = _AFTER_PREPOSITION.fullmatch(text)
    if match and _LIST.fullmatch(match["head"]) is None:
        items = _items(match["list"])
        return [f"{match['head']} {item}" for item in items] if items else None
    items = _items(text)
    # "hyper- or hypothyroidism" shares a part of a word; which part is not for patterns to say.
    if items is None or any(item.endswith("-") for item in items):
        return None
    return _share(items)


def split_composite(surface: str) -> tuple[str, ...]:
    """The surfaces of the concepts that a mention names together; the surface alone where no pattern applies."""
    text = _INSEPARABLE.sub(lambda match: match[0].replace(" ", _JOIN), " ".join(surface.split()))
    if re.search(r"\([^)]* (?:and|or) ", text):
        return (surface,)  # the list is a remark on the name
    parts = _split_list(text) or _split_slash(text)
    if parts is None or any(part.count("(") != part.count(")") for part in parts):
        return (surface,)
    return tuple(part.replace(_JOIN, " ") for part in parts)
