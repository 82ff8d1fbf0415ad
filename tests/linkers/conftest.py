"""A generative linker of random weights that the tests of this folder share."""

from __future__ import annotations

import pytest
import torch
from small import CONCEPTS, TEMPLATE

from genlink.data.tokenizer import train_tokenizer
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings


@pytest.fixture(scope="module")
def small_kb():
    return KnowledgeBase.from_concepts(CONCEPTS)


@pytest.fixture(scope="module")
def tokenizer(small_kb):
    return train_tokenizer([small_kb.key(i) for i in range(small_kb.n_keys)], 300, ["START", "END", "is"])


@pytest.fixture(scope="module")
def model(tokenizer):
    """Random weights, large enough that mentions get different answers."""
    bart = fresh_bart(tokenizer, width=16, encoder_layers=1, decoder_layers=1, heads=2, max_positions=64, seed=1)
    with torch.no_grad():
        for parameter in bart.parameters():
            if parameter.dim() > 1:
                parameter.mul_(12)
    return bart.eval()


@pytest.fixture(scope="module")
def linker(model, tokenizer, small_kb):
    return GenerativeLinker(model, tokenizer, small_kb, template=TEMPLATE, search=SearchSettings(name_tokens=30))


@pytest.fixture(scope="module")
def saved(linker, tmp_path_factory):
    """The directory of that linker; nothing may be changed there."""
    directory = tmp_path_factory.mktemp("models") / "model"
    linker.save(directory)
    return directory
