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
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from genlink.encoders.checkpoints import quiet
from genlink.errors import ModelError

__all__ = ["fresh_bart", "load_bart", "set_dropout", "set_gradient_checkpointing"]


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

    Weights are read from safetensors only, and widened to float32 where they were saved in half precision. Raises
    ModelError with one line that says what is missing.
    """
    offline = not download or Path(name).is_dir()
    arguments: dict[str, Any] = {"local_files_only": offline}
    advice = "Give a directory that holds config.json, model.safetensors and tokenizer.json, or a Hub name."
    try:
        with quiet():
            kind = PreTrainedConfig.get_config_dict(name, **arguments)[0].get("model_type")
            if kind != "bart":  # transformers would go on with a BART of random weights
                raise ModelError(f"{name}: is {f'a {kind}' if kind else 'no'} model, expected bart. {advice}")
            tokenizer = AutoTokenizer.from_pretrained(name, **arguments)
            model, report = BartForConditionalGeneration.from_pretrained(
                name,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype=torch.float32,
                **arguments,
            )
    except ModelError:
        raise
    except Exception as error:  # transformers lets through whatever its parts raise: of files, JSON, tensors, schemas
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{name}: no BART with safetensors weights and a tokenizer could be loaded ({reason}). {advice}"
        ) from None
    if wrong := sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}):
        raise ModelError(
            f"{name}: the weights are not those of the BART in config.json: {wrong[0]} and {len(wrong) - 1} more are "
            "missing or of another shape. Copy both from one place."
        )
    if not len(tokenizer.all_special_ids) < len(tokenizer) <= model.config.vocab_size:
        raise ModelError(
            f"{name}: a tokenizer of {len(tokenizer)} tokens and a model of {model.config.vocab_size} do not belong "
            "together. Copy the tokenizer's own files there (tokenizer.json, or vocab.json and merges.txt)."
        )
    return _freed(model), tokenizer


def set_dropout(model: BartForConditionalGeneration, dropout: float) -> None:
    """Use this dropout for hidden states and attention in training; scoring never drops anything."""
    model.config.dropout = model.config.attention_dropout = dropout
    model.config.activation_dropout = 0.0
    # The layers keep their own copies: a plain number each, whatever the version of the checkpoint.
    for module in model.modules():
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), (int, float)):
                setattr(module, name, 0.0 if name == "activation_dropout" else dropout)


def set_gradient_checkpointing(model: BartForConditionalGeneration) -> None:
    """Let training keep what goes into each layer alone, and compute the rest again where the gradient needs it.

    In eval mode nothing changes, and nothing of it is saved.
    """
    # transformers has renamed it in a version that not every Python has.
    renamed = hasattr(model, "activation_checkpointing_enable")
    enable = model.activation_checkpointing_enable if renamed else model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    # It is the layers that do it; the stacks would only warn of a cache that nobody asked for.
    model.model.encoder.gradient_checkpointing = model.model.decoder.gradient_checkpointing = False


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
