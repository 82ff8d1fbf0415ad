"""Tokenizers: what is asked of them, one that is read from its files, and a BPE trained on the names it will spell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from genlink.files import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["FileTokenizer", "SubwordTokenizer", "frame_of", "tokenizer_hash", "train_tokenizer"]

# BART's own special tokens, in BART's order.
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"


class SubwordTokenizer(Protocol):
    """What is asked of a tokenizer; those of ``transformers`` that have a ``backend_tokenizer`` give it too."""

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The one that does the work."""
        ...

    @property
    def bos_token_id(self) -> int | None:
        """Of the token that opens a text."""
        ...

    @property
    def eos_token_id(self) -> int | None:
        """Of the token that ends a text."""
        ...

    @property
    def cls_token_id(self) -> int | None:
        """Of what BERT-like tokenizers have to open a text."""
        ...

    @property
    def sep_token_id(self) -> int | None:
        """Of what BERT-like tokenizers have to end a text."""
        ...

    @property
    def pad_token_id(self) -> int | None:
        """Of the token that fills up a batch."""
        ...

    def __len__(self) -> int: ...

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> Mapping[str, list[list[int]]]:
        """Token ids of texts, under ``input_ids``."""
        ...

    def save_pretrained(self, directory: Path) -> object:
        """Write the files that it is read from."""
        ...


class FileTokenizer:
    """A tokenizer as its files say, without ``transformers``, which takes seconds to import."""

    def __init__(self, backend: Tokenizer, config: dict[str, Any]) -> None:
        """``config``: the content of tokenizer_config.json, which names the special tokens."""
        self.backend_tokenizer = backend
        backend.no_padding()
        backend.no_truncation()
        self._config = config
        self.bos_token_id, self.eos_token_id = self._id("bos_token"), self._id("eos_token")
        self.cls_token_id, self.sep_token_id = self._id("cls_token"), self._id("sep_token")
        self.pad_token_id = self._id("pad_token")

    @classmethod
    def read(cls, directory: Path) -> FileTokenizer | None:
        """The tokenizer in a directory; None where ``transformers`` is needed to tell what its files mean.

        Raises whatever reading them does.
        """
        config = read_json(directory / TOKENIZER_CONFIG)
        tokenizer = cls(Tokenizer.from_file(str(directory / TOKENIZER)), config)
        is_plain = None not in frame_of(tokenizer) and not config.get("split_special_tokens")
        return tokenizer if is_plain else None

    def __len__(self) -> int:
        return int(self.backend_tokenizer.get_vocab_size(with_added_tokens=True))

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> Mapping[str, list[list[int]]]:
        """See ``SubwordTokenizer``."""
        encoded = self.backend_tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)
        return {"input_ids": [encoding.ids for encoding in encoded]}

    def save_pretrained(self, directory: Path) -> None:
        """Write tokenizer.json and tokenizer_config.json."""
        self.backend_tokenizer.save(str(directory / TOKENIZER))
        write_json(directory / TOKENIZER_CONFIG, self._config)

    def _id(self, role: str) -> int | None:
        token = self._config.get(role)
        token = token.get("content") if isinstance(token, dict) else token
        id: int | None = self.backend_tokenizer.token_to_id(token) if token is not None else None
        return id


def train_tokenizer(texts: Iterable[str], vocab_size: int, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE of ``vocab_size`` tokens, the 256 bytes and BART's special tokens among them.

    ``texts`` are names as the decoder spells them; each is learnt with a leading space, as it will be used. ``words``
    (the markers of the template) are repeated often enough to become short sequences. Nothing is unspellable.
    """
    from transformers import PreTrainedTokenizerFast  # takes seconds to import, and who links trains none

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


def frame_of(tokenizer: SubwordTokenizer) -> tuple[int | None, int | None, int | None]:
    """The ids of the tokens that open, end and pad a text; None where there is none."""
    # BERT-like tokenizers have a class token and a separator where BART has <s> and </s>.
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    return begin, end, tokenizer.pad_token_id


def tokenizer_hash(tokenizer: SubwordTokenizer) -> str:
    """A hash of what decides how a text is split: two tokenizers with it spell alike.

    Taken of tokens, merges and text preparation, not of the file: padding, truncation and the version of the library
    that wrote it change the file and no spelling.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model = state["model"]
    decisive = {
        "vocab": tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True),
        "merges": [" ".join(merge) if isinstance(merge, list) else merge for merge in model.get("merges", [])],
        "unknown": model.get("unk_token"),
        "normalizer": state.get("normalizer"),
        "pre_tokenizer": state.get("pre_tokenizer"),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
