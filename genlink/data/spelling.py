"""Names as paths of a trie: spelled by the tokenizer, a block at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import chain, islice

import numpy as np

from genlink.data.encoding import Encoding
from genlink.errors import KnowledgeBaseError, ModelError
from genlink.trie import NameTrie

__all__ = ["spell_trie"]

logger = logging.getLogger(__name__)

BLOCK = 50_000


def spell_trie(keys: Iterable[str], encoding: Encoding, name_tokens: int) -> NameTrie:
    """The trie of normalised names, each under its position in ``keys``.

    Names of more than ``name_tokens`` tokens, the end token included, are left out, with a warning that counts them.

    Raises KnowledgeBaseError where no name is left, ModelError where the tokenizer cannot tell two names apart.
    """
    keys = iter(keys)
    tokens, lengths = [], []
    while block := list(islice(keys, BLOCK)):
        spelled = encoding.names(block)
        lengths.append(np.fromiter(map(len, spelled), np.int64, len(spelled)))
        tokens.append(np.fromiter(chain.from_iterable(spelled), np.int64, int(lengths[-1].sum())))
    length = np.concatenate([np.zeros(0, np.int64), *lengths])
    fits = (length > 0) & (length < name_tokens)
    kept = np.flatnonzero(fits)
    if not len(kept):
        raise KnowledgeBaseError(f"none of the {len(length)} names has fewer than {name_tokens} tokens.")
    if len(kept) < len(length):
        logger.warning("%d names of %d or more tokens are left out of the trie", len(length) - len(kept), name_tokens)
    flat = np.concatenate(tokens)[np.repeat(fits, length)]
    offsets = np.concatenate([[0], np.cumsum(length[kept])])
    try:
        return NameTrie.build(flat, offsets, encoding.end, name_ids=kept)
    except ValueError as error:
        raise ModelError(f"the tokenizer cannot spell the names of the dictionary: {error}.") from None
