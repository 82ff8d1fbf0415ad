"""A small BERT from scratch, for machines without a hub: a WordPiece of the names, and random weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

__all__ = ["fresh_bert", "train_wordpiece"]

_PAD, _UNKNOWN, _FIRST, _LAST, _MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CONTINUED = "##"


def train_wordpiece(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a lower-casing WordPiece of at most ``vocab_size`` tokens, BERT's special tokens among them.

    The same texts give the same tokens. A word with a character that no text has is unknown.
    """
    texts, normalizer, words = list(texts), normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    letters = sorted({letter for text in texts for letter in normalizer.normalize_str(text) if not letter.isspace()})
    learner = Tokenizer(models.WordPiece(unk_token=_UNKNOWN))
    learner.normalizer, learner.pre_tokenizer = normalizer, words
    # Left alone, the trainer numbers letters within words as it meets them in a hash table, in another order each time,
    # and ties between merges go by these numbers.
    numbered = [*SPECIAL_TOKENS, *letters, *(f"{_CONTINUED}{letter}" for letter in letters)]
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=numbered, show_progress=False)
    learner.train_from_iterator(texts, trainer)
    # What was numbered is special to the learner, so its vocabulary goes to another.
    tokenizer = Tokenizer(
        models.WordPiece(learner.get_vocab(), unk_token=_UNKNOWN, continuing_subword_prefix=_CONTINUED)
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, words
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_FIRST} $A {_LAST}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (_FIRST, _LAST)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        unk_token=_UNKNOWN,
        cls_token=_FIRST,
        sep_token=_LAST,
        mask_token=_MASK,
        clean_up_tokenization_spaces=False,
    )


def fresh_bert(
    tokenizer: PreTrainedTokenizerBase, *, width: int, layers: int, heads: int, max_positions: int, seed: int
) -> BertModel:
    """A BERT without a pooler, of random weights, for a tokenizer; they are a function of the seed and the shape."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=max_positions,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(config, add_pooling_layer=False)
