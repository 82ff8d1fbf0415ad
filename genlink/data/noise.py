"""Noise for names: the ways in which writers depart from a dictionary.

The model is trained to undo them (noised name -> name), so that it meets spelling before it meets a corpus.
"""

from __future__ import annotations

import string

import numpy as np

__all__ = ["add_noise"]

# British and American spelling, written both ways in the literature.
SPELLINGS = (
    ("aem", "em"),
    ("oed", "ed"),
    ("oes", "es"),
    ("haem", "hem"),
    ("tumour", "tumor"),
    ("paed", "ped"),
    ("our", "or"),
    ("ise", "ize"),
    ("ph", "f"),
    ("ii", "2"),
    ("iii", "3"),
    ("type i", "type 1"),
    ("y", "i"),
    ("ae", "e"),
    ("oe", "e"),
)
# Words that mentions carry and names do not, or the other way round.
FILLERS = ("the", "of", "disease", "syndrome", "deficiency", "disorder", "familial", "hereditary", "type", "human")


def add_noise(name: str, rng: np.random.Generator) -> str:
    """A disturbed copy of a normalised name; the same name where nothing could be disturbed.

    One or two of: a typo (drop, double, swap or replace a letter), plural or singular, another word order, a dropped or
    an added word, another spelling, words joined.
    """
    words = name.split()
    for _ in range(1 if rng.random() < 0.7 else 2):
        kind = rng.random()
        if kind < 0.30:
            words = _typo(words, rng)
        elif kind < 0.45:
            words = _plural(words, rng)
        elif kind < 0.60:
            words = _reorder(words, rng)
        elif kind < 0.75:
            words = _drop_word(words, rng)
        elif kind < 0.85:
            words = _add_word(words, rng)
        elif kind < 0.97:
            words = _respell(words, rng)
        else:
            words = _join(words, rng)
    # The singular of a lone "s" ("alzheimer s disease") is no word.
    return " ".join(filter(None, words)) or name


def _pick(n: int, rng: np.random.Generator) -> int:
    return int(rng.integers(n))


def _typo(words: list[str], rng: np.random.Generator) -> list[str]:
    long = [i for i, word in enumerate(words) if len(word) > 3]
    if not long:
        return words
    i = long[_pick(len(long), rng)]
    word = words[i]
    at, kind = _pick(len(word) - 1, rng), _pick(4, rng)
    if kind == 0:
        word = word[:at] + word[at + 1 :]
    elif kind == 1:
        word = word[: at + 1] + word[at:]
    elif kind == 2:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    else:
        word = word[:at] + string.ascii_lowercase[_pick(26, rng)] + word[at + 1 :]
    return [*words[:i], word, *words[i + 1 :]]


def _plural(words: list[str], rng: np.random.Generator) -> list[str]:
    i = _pick(len(words), rng) if rng.random() < 0.5 else len(words) - 1
    word = words[i]
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "is", "us")):
        word = word[:-1]
    elif word.endswith("y"):
        word = word[:-1] + "ies"
    elif word.endswith("is"):
        word = word[:-2] + "es"
    elif word.endswith(("ss", "us", "sh", "ch", "x", "z")):
        word += "es"
    else:
        word += "s"
    return [*words[:i], word, *words[i + 1 :]]


def _reorder(words: list[str], rng: np.random.Generator) -> list[str]:
    if len(words) < 2:
        return words
    if rng.random() < 0.3 and len(words) == 2:  # "breast cancer" -> "cancer of the breast"
        return [words[1], "of", "the", words[0]] if rng.random() < 0.5 else [words[1], "of", words[0]]
    cut = 1 + _pick(len(words) - 1, rng)
    return words[cut:] + words[:cut]


def _drop_word(words: list[str], rng: np.random.Generator) -> list[str]:
    if len(words) < 2:
        return words
    i = _pick(len(words), rng)
    return words[:i] + words[i + 1 :]


def _add_word(words: list[str], rng: np.random.Generator) -> list[str]:
    i = _pick(len(words) + 1, rng)
    return [*words[:i], FILLERS[_pick(len(FILLERS), rng)], *words[i:]]


def _respell(words: list[str], rng: np.random.Generator) -> list[str]:
    name = " ".join(words)
    found = [(a, b) for pair in SPELLINGS for a, b in (pair, pair[::-1]) if a in name]
    if not found:
        return words
    a, b = found[_pick(len(found), rng)]
    return name.replace(a, b, 1).split()


def _join(words: list[str], rng: np.random.Generator) -> list[str]:
    if len(words) < 2:
        return words
    i = _pick(len(words) - 1, rng)
    return [*words[:i], words[i] + words[i + 1], *words[i + 2 :]]
