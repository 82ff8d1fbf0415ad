"""Text to vectors: an encoder, its tokenizer, and how the states of the tokens become one vector."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from genlink.encoders.checkpoints import checkpoint_directory, load_encoder, quiet
from genlink.encoders.evaluating import evaluating
from genlink.errors import ModelError, UsageError
from genlink.files import read_json, write_json

__all__ = ["DEFAULT_MAX_TOKENS", "SETTINGS", "Pooling", "TextEncoder", "is_saved_encoder"]

Pooling = Literal["cls", "mean"]

# What says how a saved encoder makes its vectors; the other files are those of transformers.
SETTINGS = "encoder.json"
# Of names and mentions, the special tokens included, as in SapBERT (arXiv 2010.11784) and BioSyn (arXiv 2005.00239).
DEFAULT_MAX_TOKENS = 25
# Beginnings of published names, the longest first, which tell what their files do not.
_POOLING_OF_NAMES: Mapping[str, Pooling] = {
    "SapBERT-from-PubMedBERT-fulltext-mean-token": "mean",
    "SapBERT-": "cls",
    "biosyn-": "cls",
}

logger = logging.getLogger(__name__)


class TextEncoder:
    """A model with a tokenizer that gives every text one vector.

    ``pooling``: the last state of the first token (``cls``), or the mean over all tokens, the special ones included
    (``mean``). Texts of more than ``max_tokens`` tokens are cropped to them; ``cropped`` counts them, and the first one
    is logged. With ``unit_length`` vectors are scaled to length one, so that inner products are cosines.

    Raises ModelError where the settings do not fit the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        pooling: Pooling = "cls",
        max_tokens: int = DEFAULT_MAX_TOKENS,
        unit_length: bool = False,
    ) -> None:
        if pooling not in get_args(Pooling):
            raise ModelError(f"pooling is {pooling!r}, expected one of {', '.join(get_args(Pooling))}.")
        limit = model.config.max_position_embeddings
        special = tokenizer.num_special_tokens_to_add()
        if not special < max_tokens <= limit:
            raise ModelError(
                f"max_tokens is {max_tokens}, expected {special + 1} to {limit}: more than the special tokens, and no "
                "more than the model has positions."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.max_tokens = max_tokens
        self.unit_length = unit_length
        self.cropped = 0

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        pooling: Pooling | None = None,
        max_tokens: int | None = None,
        unit_length: bool | None = None,
        download: bool = True,
    ) -> TextEncoder:
        """Any encoder with a tokenizer, from a directory or, if ``download``, from the Hub.

        What is not given is as ``save`` left it, and else pooling and length are those of the files of
        sentence-transformers, or the pooling is that of a published name (SapBERT, BioSyn), and there are 25 tokens.
        Where nothing says it, the pooling is the first token's state, and this is logged. Raises ModelError with one
        line that says what is missing.
        """
        directory = checkpoint_directory(name, download=download)
        model, tokenizer = load_encoder(directory)
        given = {"pooling": pooling, "max_tokens": max_tokens, "unit_length": unit_length}
        told: dict[str, Any] = {
            **_settings_of_name(Path(name).name),
            **_settings_of_sentence_transformers(directory),
            **_saved_settings(directory),
            **{key: value for key, value in given.items() if value is not None},
        }
        if "pooling" not in told:
            logger.warning(
                "%s: nothing says how the states of its tokens become a vector: that of the first token is taken. If "
                "it is their mean, write an %s (docs/formats.md).",
                name,
                SETTINGS,
            )
        return cls(model, tokenizer, **{"max_tokens": DEFAULT_MAX_TOKENS} | told)

    def save(self, directory: str | Path) -> None:
        """Write weights, tokenizer and settings into a directory, which is also a plain Hugging Face checkpoint."""
        with quiet():
            self.model.save_pretrained(directory)
            self.tokenizer.save_pretrained(directory)
        write_json(Path(directory) / SETTINGS, self.settings)

    @property
    def settings(self) -> dict[str, str | int | bool]:
        """How texts become vectors, beside weights and tokenizer."""
        return {"pooling": self.pooling, "max_tokens": self.max_tokens, "unit_length": self.unit_length}

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return int(self.model.config.hidden_size)

    @property
    def digest(self) -> str:
        """SHA-256 over weights, tokenizer and settings, in hexadecimal; computed anew, since training changes weights.

        Not of the files: who wrote them, and in which form, changes no vector.
        """
        digest = hashlib.sha256(json.dumps([self.settings, _tokenizer_state(self.tokenizer)], sort_keys=True).encode())
        for name, values in sorted(self.model.state_dict().items()):
            array = values.detach().cpu().contiguous()
            digest.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
            digest.update(array.view(torch.uint8).numpy() if array.dim() else array.numpy().tobytes())
        return digest.hexdigest()

    def embed(self, texts: Sequence[str], batch_size: int = 128, *, progress: bool = False) -> Tensor:
        """The vectors of texts, (texts, width), in float32 on the CPU, without gradient or dropout.

        Texts of like lengths are computed together. A vector does not depend on its batch but for rounding. With
        ``progress``, a bar on stderr.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}, expected at least 1.")
        pieces = self._pieces(texts)
        order = sorted(range(len(pieces)), key=lambda i: (len(pieces[i]), pieces[i]))
        vectors = torch.empty(len(pieces), self.width)
        with (
            evaluating(self.model),
            torch.no_grad(),
            tqdm(total=len(pieces), unit="text", disable=not progress) as bar,
        ):
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size]
                vectors[batch] = self._vectors(self._padded([pieces[i] for i in batch])).float().cpu()
                bar.update(len(batch))
        return vectors

    def forward_texts(self, texts: Sequence[str]) -> Tensor:
        """The vectors of texts, (texts, width), on the model's device; with gradient, and with dropout in training."""
        return self._vectors(self.inputs(texts))

    def inputs(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask`` of texts, (texts, longest), on the model's device."""
        return self._padded(self._pieces(texts))

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector for each text, (texts, width), from its tokens' last states, (texts, tokens, width)."""
        if self.pooling == "cls":
            vectors = states[:, 0]
        else:
            kept = mask.unsqueeze(-1).to(states.dtype)
            vectors = (states * kept).sum(dim=1) / kept.sum(dim=1)
        return torch.nn.functional.normalize(vectors, dim=-1) if self.unit_length else vectors

    def _vectors(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.pool(self.model(**inputs).last_hidden_state, inputs["attention_mask"])

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)
        long = [i for i, part in enumerate(encoded.encodings or ()) if part.overflowing]
        if long and not self.cropped:
            logger.warning(
                "a text has more than %d tokens and is read as far as these go, as all such texts are: %s",
                self.max_tokens,
                texts[long[0]][:200],
            )
        self.cropped += len(long)
        pieces: list[list[int]] = encoded["input_ids"]
        return pieces

    def _padded(self, pieces: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        width = max(map(len, pieces), default=0)
        ids = torch.full((len(pieces), width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)] = torch.tensor(piece)
            mask[row, : len(piece)] = 1
        device = self.model.device
        return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def is_saved_encoder(directory: str | Path) -> bool:
    """Whether a directory holds an encoder that ``TextEncoder.save`` wrote."""
    return (Path(directory) / SETTINGS).is_file()


def _settings_of_name(name: str) -> dict[str, Any]:
    pooling = next((pooling for beginning, pooling in _POOLING_OF_NAMES.items() if name.startswith(beginning)), None)
    return {} if pooling is None else {"pooling": pooling}


def _settings_of_sentence_transformers(directory: Path) -> dict[str, Any]:
    """What the files of sentence-transformers (sbert.net) say of pooling and length, where there are any."""
    settings: dict[str, Any] = {}
    pooling, modules = directory / "1_Pooling" / "config.json", directory / "modules.json"
    try:
        if pooling.is_file():
            modes = {
                key for key, value in read_json(pooling).items() if key.startswith("pooling_mode_") and value is True
            }
            if modes in ({"pooling_mode_cls_token"}, {"pooling_mode_mean_tokens"}):
                settings["pooling"] = "cls" if "pooling_mode_cls_token" in modes else "mean"
        if modules.is_file():
            settings["unit_length"] = any(module["type"].endswith(".Normalize") for module in read_json(modules))
    except (AttributeError, KeyError, TypeError):
        raise ModelError(
            f"{directory}: 1_Pooling/config.json or modules.json is not of sentence-transformers. Copy the original "
            "files back."
        ) from None
    return settings


def _saved_settings(directory: Path) -> dict[str, object]:
    if not is_saved_encoder(directory):
        return {}
    settings = read_json(directory / SETTINGS)
    kinds = {"pooling": str, "max_tokens": int, "unit_length": bool}
    if not isinstance(settings, dict) or {key: type(value) for key, value in settings.items()} != kinds:
        raise ModelError(
            f"{directory / SETTINGS}: expected pooling (cls or mean), max_tokens (a number) and unit_length (true or "
            "false). Copy the original file back."
        )
    return settings


def _tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> object:
    # Padding and truncation are ours to set, and change with every call; the version is that of the form of the file.
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in state.items() if key not in ("padding", "truncation", "version")}
