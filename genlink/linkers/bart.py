"""BART checkpoints: loaded from a directory or the Hub, or made from scratch, always free to emit any name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

from genlink.errors import ModelError

__all__ = ["fresh_bart", "load_bart", "set_dropout"]


def fresh_bart(
    tokenizer: PreTrainedTokenizerBase,
    *,
    width: int,
    encoder_layers: int,
    decoder_layers: int,
    heads: int,
    max_positions: int,
    seed: int,
) -> BartForConditionalGeneration:
    """A BART with random weights for a tokenizer; the weights are a function of the seed and the shape."""
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=width,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_position_embeddings=max_positions,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BartForConditionalGeneration(config)
    return _freed(model)


def load_bart(name: str, *, download: bool = True) -> tuple[BartForConditionalGeneration, PreTrainedTokenizerBase]:
    """Load a BART and its tokenizer from a directory or, if ``download``, from the Hub.

    Weights are read from safetensors only. Raises ModelError with one line that says what is missing.
    """
    offline = not download or Path(name).is_dir()
    arguments: dict[str, Any] = {"local_files_only": offline}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **arguments)
        model = BartForConditionalGeneration.from_pretrained(name, use_safetensors=True, **arguments)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{name}: no BART with safetensors weights and a tokenizer could be loaded ({reason}). "
            "Give a directory that holds config.json, model.safetensors and tokenizer.json, or a Hub name."
        ) from None
    if model.config.model_type != "bart":
        raise ModelError(f"{name}: is a {model.config.model_type} model, expected bart.")
    return _freed(model), tokenizer


def set_dropout(model: BartForConditionalGeneration, dropout: float) -> None:
    """Use this dropout for hidden states and attention in training; scoring never drops anything."""
    model.config.dropout = model.config.attention_dropout = dropout
    model.config.activation_dropout = 0.0
    # The layers keep their own copies: a plain float each, whatever the version of the checkpoint.
    for module in model.modules():
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0 if name == "activation_dropout" else dropout)


def _freed(model: BartForConditionalGeneration) -> BartForConditionalGeneration:
    """Drop every published generation setting: forced tokens, repetition bans and length rules would fight the trie."""
    config = model.config
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        pad_token_id=config.pad_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
    )
    return model
