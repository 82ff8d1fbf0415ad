"""A BART as far as answering needs it: its modules and weights, under the names that ``transformers`` gives them.

``transformers`` takes seconds and a hundred megabytes to import. A search runs the modules of a model by itself (see
``genlink.decoding.scorer``), so for one that is only asked, modules without a forward pass of their own are enough.
The architecture is that of Lewis et al. 2020 (BART), section 2.1, with norms after each sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:  # transformers is for those who train
    from transformers import BartForConditionalGeneration

__all__ = ["TIED", "AnyBart", "Bart", "BartShape", "encode"]

AnyBart: TypeAlias = "Bart | BartForConditionalGeneration"
"""Either model can be searched; they differ in what else they can do."""

SHARED = "model.shared.weight"
TIED = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
"""The weights that are the shared ones under other names; no file holds them."""

_ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}
# Entries of a config.json that change what a model computes, where they have another value.
_USUAL = {
    "model_type": "bart",
    "is_encoder_decoder": True,
    "scale_embedding": False,
    "tie_word_embeddings": True,
    "quantization_config": None,
}
_DEFAULTS = {"tie_word_embeddings": True, "quantization_config": None}  # what may be left out


@dataclass(frozen=True, slots=True)
class BartShape:
    """The entries of a BART's config.json that its modules follow from, under their names there."""

    vocab_size: int
    d_model: int
    encoder_layers: int
    decoder_layers: int
    encoder_attention_heads: int
    decoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_ffn_dim: int
    max_position_embeddings: int
    decoder_start_token_id: int
    activation_function: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> BartShape | None:
        """The shape that a config.json describes; None where it is of another model than ``Bart`` can be."""
        if any({**_DEFAULTS, **config}.get(key) != value for key, value in _USUAL.items()):
            return None
        entries: dict[str, Any] = {field.name: config.get(field.name) for field in fields(cls)}
        sizes = [value for name, value in entries.items() if name != "activation_function"]
        if entries["activation_function"] not in _ACTIVATIONS or not all(type(n) is int and n >= 0 for n in sizes):
            return None
        shape = cls(**entries)
        heads = (shape.encoder_attention_heads, shape.decoder_attention_heads)
        return shape if all(n and not shape.d_model % n for n in heads) else None


class Bart(nn.Module):
    """The modules of a BART; ``config`` has the entries that a search reads.

    It cannot be called: see ``encode`` and :class:`genlink.decoding.BartScorer`.
    """

    final_logits_bias: Tensor

    def __init__(self, config: BartShape, entries: Mapping[str, Any]) -> None:
        """``entries`` are all those of the config.json, kept for whoever saves the model.

        Made on the device ``meta``, where nothing is allocated: give it weights by ``with_weights``.
        """
        super().__init__()
        self.config, self.entries = config, entries
        with torch.device("meta"):
            self.model = _Stacks(config)
            self.lm_head = _Linear(config.d_model, config.vocab_size, bias=False)
            self.register_buffer("final_logits_bias", torch.empty(1, config.vocab_size))
        self._tie()

    def with_weights(self, weights: Mapping[str, Tensor]) -> Bart:
        """Take weights, not copies of them, under the names of ``own_weights``; returns the model itself.

        Raises RuntimeError for a name or a shape too many or too few.
        """
        self.load_state_dict({**weights, **dict.fromkeys(TIED, weights[SHARED])}, assign=True)
        self._tie()
        return self.eval()

    def own_weights(self) -> dict[str, Tensor]:
        """The weights, those that are used three times only once."""
        return {name: tensor for name, tensor in self.state_dict().items() if name not in TIED}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and hidden states."""
        return self.lm_head.weight.dtype

    def _tie(self) -> None:
        shared = self.model.shared.weight
        self.model.encoder.embed_tokens.weight = self.model.decoder.embed_tokens.weight = self.lm_head.weight = shared


def encode(model: AnyBart, input_ids: Tensor, mask: Tensor | None) -> Tensor:
    """The hidden states of the encoder, (mentions, source tokens, width), without dropout.

    ``input_ids`` has shape (mentions, source tokens); ``mask``, of a shape that broadcasts to (mentions, heads, source
    tokens, source tokens), is added to the scores of attention; None hides nothing.
    """
    encoder: Any = model.model.encoder
    heads = model.config.encoder_attention_heads
    first = encoder.embed_positions.offset
    x: Tensor = encoder.embed_tokens(input_ids) + encoder.embed_positions.weight[first : first + input_ids.shape[1]]
    x = encoder.layernorm_embedding(x)
    for layer in encoder.layers:
        own = layer.self_attn
        query, keys, values = (
            projection(x).unflatten(-1, (heads, -1)).transpose(1, 2)
            for projection in (own.q_proj, own.k_proj, own.v_proj)
        )
        seen = functional.scaled_dot_product_attention(query, keys, values, mask)
        x = layer.self_attn_layer_norm(x + own.out_proj(seen.transpose(1, 2).flatten(2)))
        x = layer.final_layer_norm(x + layer.fc2(layer.activation_fn(layer.fc1(x))))
    return x


# Modules whose weights are given: random ones would be drawn for nothing, and on the device `meta` PyTorch imports
# its decompositions, a second's worth, to draw them.


class _Linear(nn.Linear):
    def reset_parameters(self) -> None: ...


class _LayerNorm(nn.LayerNorm):
    def reset_parameters(self) -> None: ...


class _Embedding(nn.Embedding):
    def reset_parameters(self) -> None: ...


class _Positions(_Embedding):
    """A row for each position, after as many that no position has."""

    def __init__(self, positions: int, width: int) -> None:
        self.offset = 2  # BART counts positions from behind the padding token
        super().__init__(positions + self.offset, width)


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.k_proj, self.v_proj = _Linear(width, width), _Linear(width, width)
        self.q_proj, self.out_proj = _Linear(width, width), _Linear(width, width)


class _Layer(nn.Module):
    """A layer of the encoder; one of the decoder also attends to what was encoded."""

    def __init__(self, config: BartShape, hidden: int, *, is_decoder: bool) -> None:
        super().__init__()
        width = config.d_model
        self.self_attn, self.self_attn_layer_norm = _Attention(width), _LayerNorm(width)
        if is_decoder:
            self.encoder_attn, self.encoder_attn_layer_norm = _Attention(width), _LayerNorm(width)
        self.activation_fn = _ACTIVATIONS[config.activation_function]()
        self.fc1, self.fc2 = _Linear(width, hidden), _Linear(hidden, width)
        self.final_layer_norm = _LayerNorm(width)


class _Stack(nn.Module):
    """Encoder or decoder."""

    def __init__(self, config: BartShape, layers: int, hidden: int, *, is_decoder: bool) -> None:
        super().__init__()
        self.embed_tokens = _Embedding(config.vocab_size, config.d_model)
        self.embed_positions = _Positions(config.max_position_embeddings, config.d_model)
        self.layernorm_embedding = _LayerNorm(config.d_model)
        self.layers = nn.ModuleList(_Layer(config, hidden, is_decoder=is_decoder) for _ in range(layers))


class _Stacks(nn.Module):
    def __init__(self, config: BartShape) -> None:
        super().__init__()
        self.shared = _Embedding(config.vocab_size, config.d_model)
        self.encoder = _Stack(config, config.encoder_layers, config.encoder_ffn_dim, is_decoder=False)
        self.decoder = _Stack(config, config.decoder_layers, config.decoder_ffn_dim, is_decoder=True)
