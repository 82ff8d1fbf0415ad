"""A small dictionary of invented diseases, and tokenizers: one that knows every word, one that knows bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from genlink.data.encoding import Encoding
from genlink.data.tokenizer import train_tokenizer
from genlink.kb import KnowledgeBase
from genlink.schema import Concept
from genlink.templates import Template
from genlink.text import Normalisation

CONCEPTS = [
    Concept("D1", ("Silver fever", "Fever, silver", "Argentine fever", "Febris argentea", "Silver fever syndrome")),
    Concept("D2", ("Glass bone disease", "Bone disease, glassy", "Osteovitrosis", "Brittle glass bones")),
    Concept("D3", ("Moth lung", "Moth fancier's lung"), definition="A lung disease of people who keep moths."),
    Concept("D4", ("Blue gout",)),
    Concept("D5", ("Tidal colic", "Colic of the tides", "SF"), alternative_ids=("OLD5",)),
    Concept("D6", ("Salt fever", "SF")),  # SF is ambiguous
]
WORDS = ["<s>", "<pad>", "</s>", "<unk>", "START", "END", "is", "the", "of", *"abcdefghijklmnopqrstuvwxyz"]


@pytest.fixture(scope="session")
def kb() -> KnowledgeBase:
    return KnowledgeBase.from_concepts(CONCEPTS)


@pytest.fixture(scope="session")
def cosine(kb: KnowledgeBase) -> Callable[[str, str], float]:
    """How alike two normalised names are: the cosine of their trigrams' TF-IDF in the dictionary, pair by pair."""
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3)).fit([kb.key(i) for i in range(kb.n_keys)])
    return cache(lambda a, b: float((vectors.transform([a]) @ vectors.transform([b]).T).toarray().item()))


@pytest.fixture(scope="session")
def word_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word of ``WORDS``, so that ids can be worked out by hand."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def byte_tokenizer(kb: KnowledgeBase) -> PreTrainedTokenizerFast:
    return train_tokenizer([kb.key(i) for i in range(kb.n_keys)], 300, ["START", "END", "is"])


@pytest.fixture(scope="session")
def encoding(byte_tokenizer: PreTrainedTokenizerFast) -> Encoding:
    return Encoding(byte_tokenizer, Template(), Normalisation(), decoder_start=byte_tokenizer.eos_token_id)
