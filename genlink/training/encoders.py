"""Encoders as the stages sapbert and biosyn train them: opened or made, and vectors of many texts at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from genlink.config import EncoderModelConfig
from genlink.data_paths import locate
from genlink.encoders import MINILM
from genlink.encoders.encoder import DEFAULT_MAX_TOKENS, TextEncoder
from genlink.encoders.minilm import minilm_directory
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.errors import UsageError
from genlink.kb import KnowledgeBase

__all__ = ["gather_rows", "open_encoder", "trained_vectors"]

# Texts of like length that are read at once; more of them would be padded to the longest.
_CHUNK = 64


def open_encoder(config: EncoderModelConfig, names: KnowledgeBase, seed: int) -> TextEncoder:
    """The encoder that a recipe begins with, its dropout set; a fresh one has a tokenizer of ``names``.

    Raises UsageError where it was to be trained by a recipe that was not carried out, ModelError for what cannot be
    read.
    """
    if config.checkpoint is not None:
        checkpoint = config.checkpoint
        if checkpoint.count("/") > 1 and not locate(checkpoint).exists():  # a name on the Hub has one
            raise UsageError(f"{checkpoint}: no such model. Carry out the recipe that trains it first.")
        is_minilm = checkpoint == MINILM
        encoder = TextEncoder.from_pretrained(
            minilm_directory() if is_minilm else locate(checkpoint) if locate(checkpoint).exists() else checkpoint,
            pooling=config.pooling or ("mean" if is_minilm else None),
            max_tokens=config.max_tokens,
            unit_length=is_minilm if config.unit_length is None and is_minilm else config.unit_length,
        )
    else:
        shape = config.shape
        assert shape is not None  # the recipe has one of the two
        tokenizer = train_wordpiece((names.key(i) for i in range(names.n_keys)), shape.vocab_size)
        model = fresh_bert(
            tokenizer,
            width=shape.width,
            layers=shape.layers,
            heads=shape.heads,
            max_positions=shape.max_positions,
            seed=seed,
        )
        encoder = TextEncoder(
            model,
            tokenizer,
            pooling=config.pooling or "cls",
            max_tokens=config.max_tokens or min(DEFAULT_MAX_TOKENS, shape.max_positions),
            unit_length=bool(config.unit_length),
        )
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = config.dropout
    return encoder


def trained_vectors(encoder: TextEncoder, texts: Sequence[str]) -> torch.Tensor:
    """The vectors of texts with gradient and dropout, (texts, width), in float32; texts of like length together."""
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    chunks = [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]
    vectors = torch.cat([encoder.forward_texts([texts[i] for i in chunk]) for chunk in chunks])
    return vectors[torch.tensor(order, device=vectors.device).argsort()].float()


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, one process behind the other; those of this one keep their gradient.

    All processes call this, each with any number of rows.
    """
    if not torch.distributed.is_initialized():
        return rows
    processes = torch.distributed.get_world_size()
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(processes)]
    torch.distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    padded = rows.new_zeros(max(map(int, counts)), *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in range(processes)]
    torch.distributed.all_gather(parts, padded)
    parts = [part[: int(count)] for part, count in zip(parts, counts, strict=True)]
    parts[torch.distributed.get_rank()] = rows
    return torch.cat(parts)
