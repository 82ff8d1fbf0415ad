"""Names as paths of a trie: spelled by the tokenizer, a block at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from genlink.data.encoding import Encoding
from genlink.errors import KnowledgeBaseError, ModelError
from genlink.trie import NameTrie, packed

__all__ = ["spell_trie", "with_names"]

IntArray = npt.NDArray[np.integer[Any]]

logger = logging.getLogger(__name__)

BLOCK = 50_000


def spell_trie(keys: Iterable[str], encoding: Encoding, name_tokens: int) -> NameTrie:
    """The trie of normalised names, each under its position in ``keys``.

    Names of more than ``name_tokens`` tokens, the end token included, are left out, with a warning that counts them.

    Raises KnowledgeBaseError where no name is left, ModelError where the tokenizer cannot tell two names apart.
    """
    tokens, offsets, kept, n = _spelled(keys, encoding, name_tokens)
    if not len(kept):
        raise KnowledgeBaseError(f"none of the {n} names has fewer than {name_tokens} tokens.")
    try:
        return NameTrie.build(tokens, offsets, encoding.end, name_ids=kept)
    except ValueError as error:
        raise _not_told_apart(error) from None


def with_names(trie: NameTrie, keys: Iterable[str], first_id: int, encoding: Encoding, name_tokens: int) -> NameTrie:
    """A trie with further names worked in, under the ids from ``first_id`` on; see :func:`spell_trie`."""
    tokens, offsets, kept, _ = _spelled(keys, encoding, name_tokens)
    if not len(kept):
        return trie
    try:
        return trie.updated(tokens, offsets, kept + first_id)
    except ValueError as error:
        raise _not_told_apart(error) from None


def _spelled(
    keys: Iterable[str], encoding: Encoding, name_tokens: int
) -> tuple[IntArray, npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Tokens end to end, their offsets and the positions of the keys that are short enough; how many keys there are."""
    keys = iter(keys)
    tokens, offsets = packed(encoding.names(block) for block in iter(lambda: list(islice(keys, BLOCK)), []))
    length = np.diff(offsets)
    fits = (length > 0) & (length < name_tokens)
    kept = np.flatnonzero(fits)
    if too_long := int((length >= name_tokens).sum()):
        logger.warning("%d names of %d or more tokens are left out of the trie", too_long, name_tokens)
    if len(kept) < len(length):
        tokens, offsets = tokens[np.repeat(fits, length)], np.concatenate([[0], np.cumsum(length[kept])])
    return tokens, offsets, kept, len(length)


def _not_told_apart(error: ValueError) -> ModelError:
    return ModelError(f"the tokenizer cannot spell the names of the dictionary: {error}.")
