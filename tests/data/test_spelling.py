"""Names become paths of a trie under their positions."""

from __future__ import annotations

import logging

import pytest

from genlink.data import spelling
from genlink.data.encoding import Encoding, Prompt
from genlink.data.spelling import spell_trie
from genlink.errors import KnowledgeBaseError
from genlink.templates import Template
from genlink.text import Normalisation


@pytest.fixture
def words(word_tokenizer):
    return Encoding(word_tokenizer, Template(), Normalisation(), 2)


@pytest.mark.parametrize("block", [1, 2, 50])
def test_names_are_spelled_under_their_positions_whatever_the_block(words, monkeypatch, block):
    monkeypatch.setattr(spelling, "BLOCK", block)
    names = ["a b", "c", "a", "b c d"]
    trie = spell_trie(iter(names), words, 9)
    assert dict(trie) == dict(enumerate(words.names(names)))


def test_the_names_that_are_left_out_are_those_whose_examples_are_cut(words, caplog):
    names = ["a b c", "a b c d", "a", "a b c d e"]
    with caplog.at_level(logging.WARNING):
        trie = spell_trie(names, words, 4)
    assert dict(trie) == {0: words.names(["a b c"])[0], 2: words.names(["a"])[0]}
    assert "2 names of 4 or more tokens are left out of the trie" in caplog.text
    examples = words.examples([Prompt("m")] * 4, names, 4)
    assert [example.target[-1] == words.end for example in examples] == [True, False, True, False]


def test_a_trie_without_names_is_refused(words):
    with pytest.raises(KnowledgeBaseError, match="none of the 1 names has fewer than 2 tokens"):
        spell_trie(["a b"], words, 2)
    with pytest.raises(KnowledgeBaseError, match="none of the 0 names"):
        spell_trie([], words, 9)
