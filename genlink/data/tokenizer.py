"""A byte-level BPE trained on the names it will have to spell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

__all__ = ["tokenizer_hash", "train_tokenizer"]

# BART's own special tokens, in BART's order.
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def train_tokenizer(texts: Iterable[str], vocab_size: int, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE of ``vocab_size`` tokens, the 256 bytes and BART's special tokens among them.

    ``texts`` are names as the decoder spells them; each is learnt with a leading space, as it will be used. ``words``
    (the markers of the template) are repeated often enough to become short sequences. Nothing is unspellable.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )

    def spaced() -> Iterable[str]:
        for text in texts:
            yield f" {text}"
        for word in words:
            for _ in range(10_000):
                yield f" {word}"

    tokenizer.train_from_iterator(spaced(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        clean_up_tokenization_spaces=False,
    )


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of what decides how a text is split: two tokenizers with it spell alike.

    Taken of tokens, merges and text preparation, not of the file: padding, truncation and the version of the library
    that wrote it change the file and no spelling.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model = state["model"]
    decisive = {
        "vocab": tokenizer.get_vocab(),
        "merges": [" ".join(merge) if isinstance(merge, list) else merge for merge in model.get("merges", [])],
        "unknown": model.get("unk_token"),
        "normalizer": state.get("normalizer"),
        "pre_tokenizer": state.get("pre_tokenizer"),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
