"""Prefix trees over token ids: integers only, no text, no model."""

from __future__ import annotations

from genlink.trie.build import packed
from genlink.trie.name_trie import NameTrie

__all__ = ["NameTrie", "packed"]
