"""The decoder of a BART as a search needs it: one key-value slot for each prefix, never reordered, never fed twice.

``transformers`` keeps one cache row for each beam and reorders it at every step. Here a mention owns a growing row of
slots, one for each token fed to it, and a mask says which of them lie on the way to which: beams of a mention share
their common prefix and the keys and values of the encoder. The model's own modules do everything but attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BartForConditionalGeneration

from genlink.decoding.normaliser import child_logits, full_log_normaliser
from genlink.errors import UsageError

__all__ = ["BartScorer", "BartSession"]

IntArray = npt.NDArray[np.integer[Any]]

# Room beyond the prefixes at the start: most names of a small trie are found before it must grow.
_SPARE_SLOTS = 32


class BartScorer:
    """Scores next tokens under a ``BartForConditionalGeneration`` of any size, in its own dtype and on its own device.

    The model is used, not copied: its weights may change between sessions. Dropout is never applied.
    """

    def __init__(self, model: BartForConditionalGeneration) -> None:
        self.model = model

    @property
    def max_positions(self) -> int:
        """The most tokens that the encoder reads, and that the decoder is fed (its prefix and a name, no end token)."""
        return int(self.model.config.max_position_embeddings)

    @torch.inference_mode()
    def begin(self, input_ids: Tensor, attention_mask: Tensor, prefixes: Sequence[Sequence[int]]) -> BartSession:
        """Encode a batch of sources and feed each mention's decoder prefix.

        ``input_ids`` and ``attention_mask`` have shape (mentions, source tokens), the mask is 0 at padding.
        ``prefixes`` are the decoder's first tokens, the decoder start token included, of any lengths from one.

        Raises UsageError for a source longer than the model's positions.
        """
        if input_ids.shape != attention_mask.shape or len(prefixes) != len(input_ids):
            raise ValueError(
                f"sources {tuple(input_ids.shape)}, mask {tuple(attention_mask.shape)} and {len(prefixes)} decoder "
                "prefixes do not belong to one batch"
            )
        if not all(prefixes):
            raise ValueError("a decoder prefix needs at least the decoder start token")
        if input_ids.shape[1] > self.max_positions:
            raise UsageError(
                f"a source of {input_ids.shape[1]} tokens does not fit the model's {self.max_positions} positions. "
                "Shorten the context."
            )
        encoder, device = self.model.model.encoder, self.model.device
        attention_mask = attention_mask.to(device)
        was_training = encoder.training
        encoder.eval()
        try:
            output = encoder(input_ids=input_ids.to(device), attention_mask=attention_mask, return_dict=True)
        finally:
            encoder.train(was_training)
        return BartSession(self.model, output.last_hidden_state, attention_mask, prefixes)


class BartSession:
    """The decoder's state for one batch of mentions; begun by :meth:`BartScorer.begin`, dropped when searched.

    Satisfies :class:`genlink.decoding.beam.Session`. Slots of a mention count from 0, its prefix comes first.
    """

    def __init__(
        self,
        model: BartForConditionalGeneration,
        encoded: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]],
    ) -> None:
        config, decoder = model.config, model.model.decoder
        self._model = model
        self._layers = list(decoder.layers)
        self._heads = int(config.decoder_attention_heads)
        self._max_positions = int(config.max_position_embeddings)
        n = len(prefixes)
        lengths = np.array([len(prefix) for prefix in prefixes])
        self._used = np.zeros(n, np.int64)  # slots in use
        self._depth = np.zeros((n, 0), np.int64)  # decoder position of each slot
        self._is_ancestor = torch.zeros((n, 0, 0), dtype=torch.bool, device=model.device)  # [mention, slot, ancestor]
        head_size = config.d_model // self._heads
        self._keys = [encoded.new_zeros((n, 0, self._heads, head_size)) for _ in self._layers]
        self._values = [encoded.new_zeros((n, 0, self._heads, head_size)) for _ in self._layers]
        self._hidden = encoded.new_zeros((n, 0, config.d_model))
        self._source_keys = [self._split(layer.encoder_attn.k_proj(encoded)) for layer in self._layers]
        self._source_values = [self._split(layer.encoder_attn.v_proj(encoded)) for layer in self._layers]
        # A source of nothing but padding would leave attention without a key, and softmax with NaN.
        seen = attention_mask.bool() | ~attention_mask.bool().any(dim=1, keepdim=True)
        self._source_mask = None if bool(seen.all()) else seen[:, None, None, :]

        self._reserve(int(lengths.max()) + _SPARE_SLOTS)
        self._feed_prefixes(prefixes, lengths)
        self.root_slots: npt.NDArray[np.int64] = lengths - 1

    @torch.inference_mode()
    def extend(self, mentions: IntArray, parents: IntArray, tokens: IntArray) -> npt.NDArray[np.int64]:
        """Feed one token below each parent slot; all arrays have one entry a row, as has the answer, the new slots.

        Raises UsageError where a name runs past the last position of the model.
        """
        slots: npt.NDArray[np.int64] = self._used[mentions] + _rank_within_group(mentions)
        self._reserve(int(slots.max()) + 1)
        np.maximum.at(self._used, mentions, slots + 1)
        m, p, s = self._to_device(mentions, parents, slots)
        self._is_ancestor[m, s] = self._is_ancestor[m, p]
        self._is_ancestor[m, s, s] = True
        self._feed(mentions, slots, tokens, self._depth[mentions, parents] + 1)
        return slots

    @torch.inference_mode()
    def log_probs(
        self, mentions: IntArray, slots: IntArray, child_rows: IntArray, child_tokens: IntArray
    ) -> npt.NDArray[np.float32]:
        """log p(token | source, prefix) over the whole vocabulary.

        Question c asks for token ``child_tokens[c]`` after the slot ``slots[r]`` of ``mentions[r]``, where
        ``r = child_rows[c]``. Returns one number a question.
        """
        m, s, rows, tokens = self._to_device(mentions, slots, child_rows, child_tokens)
        hidden = self._hidden[m, s]
        weight, bias = self._model.lm_head.weight, self._model.final_logits_bias[0]
        scores = child_logits(hidden, weight, bias, rows, tokens) - full_log_normaliser(hidden, weight, bias)[rows]
        result: npt.NDArray[np.float32] = scores.cpu().numpy()
        return result

    def _feed_prefixes(self, prefixes: Sequence[Sequence[int]], lengths: npt.NDArray[np.int64]) -> None:
        """Feed the prefixes of all mentions, each a chain of slots from 0."""
        longest = int(lengths.max())
        self._is_ancestor[:, :longest, :longest] = torch.ones_like(self._is_ancestor[:, :longest, :longest]).tril()
        self._used[:] = lengths
        slots = np.concatenate([np.arange(length) for length in lengths])
        tokens = np.concatenate([np.asarray(prefix, np.int64) for prefix in prefixes])
        self._feed(np.repeat(np.arange(len(prefixes)), lengths), slots, tokens, slots)

    def _feed(self, mentions: IntArray, slots: IntArray, tokens: IntArray, depth: IntArray) -> None:
        """Run the decoder over rows whose slots are reserved and whose ancestors are known."""
        if int(depth.max()) >= self._max_positions:
            raise UsageError(
                f"a decoder prefix and a name of more than {self._max_positions} tokens together do not fit the model. "
                "Cap the length of names when building the knowledge base."
            )
        self._depth[mentions, slots] = depth
        # Linear layers run on the rows; attention on a block (active mentions, rows of each, padded).
        active, block_rows = np.unique(mentions, return_inverse=True)
        block_columns = _rank_within_group(mentions)
        width, reach = int(block_columns.max()) + 1, int(self._used[active].max())
        place = block_rows * width + block_columns
        m, s, t, d, cells, chosen = self._to_device(mentions, slots, tokens, depth, place, active)
        is_whole_batch = len(active) == len(self._used)

        def of_active(state: Tensor) -> Tensor:
            return state if is_whole_batch else state[chosen]

        def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
            block = query.new_zeros((len(active) * width, query.shape[1]))
            block[cells] = query
            block = self._split(block.view(len(active), width, -1)).transpose(1, 2)
            out = functional.scaled_dot_product_attention(block, keys.transpose(1, 2), values.transpose(1, 2), mask)
            return out.transpose(1, 2).reshape(len(active) * width, -1)[cells]

        # Padding of the block attends to slot 0: a row without any key would be NaN.
        mask = torch.zeros((len(active) * width, reach), dtype=torch.bool, device=m.device)
        mask[:, 0] = True
        mask[cells] = self._is_ancestor[m, s, :reach]
        mask = mask.view(len(active), 1, width, reach)
        source_mask = None if self._source_mask is None else of_active(self._source_mask)

        decoder = self._model.model.decoder
        x = decoder.embed_tokens(t) + decoder.embed_positions.weight[d + decoder.embed_positions.offset]
        x = decoder.layernorm_embedding(x)
        for i, layer in enumerate(self._layers):
            own, cross = layer.self_attn, layer.encoder_attn
            self._keys[i][m, s] = self._split(own.k_proj(x))
            self._values[i][m, s] = self._split(own.v_proj(x))
            keys, values = of_active(self._keys[i][:, :reach]), of_active(self._values[i][:, :reach])
            x = layer.self_attn_layer_norm(x + own.out_proj(attend(own.q_proj(x), keys, values, mask)))
            keys, values = of_active(self._source_keys[i]), of_active(self._source_values[i])
            x = layer.encoder_attn_layer_norm(x + cross.out_proj(attend(cross.q_proj(x), keys, values, source_mask)))
            x = layer.final_layer_norm(x + layer.fc2(layer.activation_fn(layer.fc1(x))))
        self._hidden[m, s] = x

    def _split(self, x: Tensor) -> Tensor:
        """Part the last dimension into heads."""
        return x.view(*x.shape[:-1], self._heads, -1)

    def _reserve(self, slots: int) -> None:
        """Make room for so many slots a mention."""
        old = self._depth.shape[1]
        if slots <= old:
            return
        more = max(slots, old + old // 2) - old
        self._depth = np.pad(self._depth, ((0, 0), (0, more)))
        self._is_ancestor = functional.pad(self._is_ancestor, (0, more, 0, more))
        self._keys = [functional.pad(keys, (0, 0, 0, 0, 0, more)) for keys in self._keys]
        self._values = [functional.pad(values, (0, 0, 0, 0, 0, more)) for values in self._values]
        self._hidden = functional.pad(self._hidden, (0, 0, 0, more))

    def _to_device(self, *arrays: IntArray) -> list[Tensor]:
        device = self._model.device
        return [torch.from_numpy(np.asarray(array, np.int64)).to(device) for array in arrays]


def _rank_within_group(groups: IntArray) -> npt.NDArray[np.int64]:
    """How many equal entries come before each entry."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return ranks
