"""The decoder of a BART as a search needs it: one key-value slot for each prefix, never reordered, never fed twice.

``transformers`` keeps one cache row for each beam and reorders it at every step. Here a mention owns a growing row of
slots, one for each token fed to it, and a mask says which of them lie on the way to which: beams of a mention share
their common prefix and the keys and values of the encoder. The model's own modules do everything but attention, in
its encoder (``genlink.decoding.bart``) as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from genlink.decoding.bart import AnyBart, encode
from genlink.decoding.normaliser import Head, Normaliser
from genlink.errors import UsageError

__all__ = ["BartScorer", "BartSession"]

IntArray = npt.NDArray[np.integer[Any]]

# Room beyond the prefixes at the start: a beam of five is through before it must grow.
_SPARE_SLOTS = 64


class BartScorer:
    """Scores next tokens under a BART of any size, in its own dtype and on its own device.

    The model is used, not copied, but for rows of its head: its weights may change until the first session begins and
    must stay as they are from then on. Make a scorer anew after an update; it costs little. Dropout is never applied.
    """

    def __init__(
        self,
        model: AnyBart,
        normaliser: Normaliser = "full",
        active_tokens: npt.ArrayLike | None = None,
        *,
        normaliser_dtype: torch.dtype | None = None,
    ) -> None:
        """``normaliser`` says what a log-probability is relative to: see :mod:`genlink.decoding.normaliser`.

        ``active_tokens``: the tokens of the dictionary's names, the end token among them, which ``active`` needs and
        the others do not read. ``normaliser_dtype``: the dtype of the product over the whole vocabulary or the active
        tokens, by default the model's. On processors that multiply bfloat16 faster than float32, bfloat16 saves time
        with a model in float32; the children's logits and the sum stay in float32. ``trie`` has no such product.

        Raises ValueError for another normaliser, and for ``active`` without tokens.
        """
        self.model = model
        self._head = Head(model, normaliser, active_tokens, normaliser_dtype)

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
        is_token = attention_mask.to(self.model.device).bool()
        # A source of nothing but padding would leave attention without a key, and softmax with NaN.
        seen = is_token | ~is_token.any(dim=1, keepdim=True)
        mask = None if bool(seen.all()) else _additive(seen[:, None, None, :], self.model.dtype)
        encoded = encode(self.model, input_ids.to(self.model.device), mask)
        return BartSession(self.model, self._head, encoded, mask, prefixes)


class BartSession:
    """The decoder's state for one batch of mentions; begun by :meth:`BartScorer.begin`, dropped when searched.

    Satisfies :class:`genlink.decoding.Session`. Slots of a mention count from 0, its prefix comes first.

    Buffers have a row for each mention. Mentions that are fed together are brought to the front of them, so that
    attention runs over a slice and nothing is gathered when others have dropped out; ``_place`` is a mention's row.
    """

    def __init__(
        self,
        model: AnyBart,
        head: Head,
        encoded: Tensor,
        source_mask: Tensor | None,
        prefixes: Sequence[Sequence[int]],
    ) -> None:
        config = model.config
        self._model = model
        self._head = head
        self._layers: list[Any] = list(model.model.decoder.layers)
        self._heads = int(config.decoder_attention_heads)
        self._max_positions = int(config.max_position_embeddings)
        n = len(prefixes)
        lengths = np.array([len(prefix) for prefix in prefixes])
        self._used = np.zeros(n, np.int64)  # slots in use
        self._depth = np.zeros((n, 0), np.int64)  # decoder position of each slot, -1 before it is fed
        self._is_ancestor = np.zeros((n, 0, 0), bool)  # [mention, slot, ancestor or itself]
        self._place, self._mention_at = np.arange(n), np.arange(n)
        head_size = config.d_model // self._heads
        self._keys = [encoded.new_zeros((n, 0, self._heads, head_size)) for _ in self._layers]
        self._values = [encoded.new_zeros((n, 0, self._heads, head_size)) for _ in self._layers]
        self._hidden = encoded.new_zeros((n, 0, config.d_model))
        self._source_keys = [self._split(layer.encoder_attn.k_proj(encoded)) for layer in self._layers]
        self._source_values = [self._split(layer.encoder_attn.v_proj(encoded)) for layer in self._layers]
        self._source_mask = source_mask

        self._reserve(int(lengths.max()) + _SPARE_SLOTS)
        self._feed_prefixes(prefixes, lengths)
        self.root_slots: npt.NDArray[np.int64] = lengths - 1

    @property
    def next_slots(self) -> npt.NDArray[np.int64]:
        """The slot that each mention's next row will get, (mentions,)."""
        slots: npt.NDArray[np.int64] = self._used.copy()
        return slots

    @torch.inference_mode()
    def extend(self, mentions: IntArray, parents: IntArray, tokens: IntArray) -> npt.NDArray[np.int64]:
        """Feed one token below each parent slot; all arrays have one entry a row, as has the answer, the new slots.

        A mention's rows get consecutive slots from ``next_slots`` on, in their order, and a parent may be the slot of
        another row of the same call: one pass feeds a chain or a small tree.

        Raises UsageError where a name runs past the last position of the model, ValueError for a parent that neither
        is fed nor would be.
        """
        columns = _rank_within_group(mentions)
        slots: npt.NDArray[np.int64] = self._used[mentions] + columns
        self._reserve(int(slots.max()) + 1)
        np.maximum.at(self._used, mentions, slots + 1)
        left = np.arange(len(slots))
        while len(left):  # level by level: a row waits for its parent
            is_ready = self._depth[mentions[left], parents[left]] >= 0
            if not is_ready.any():
                raise ValueError(f"slot {parents[left[0]]} of mention {mentions[left[0]]} is not fed")
            ready, left = left[is_ready], left[~is_ready]
            m, p, s = mentions[ready], parents[ready], slots[ready]
            self._is_ancestor[m, s] = self._is_ancestor[m, p]
            self._is_ancestor[m, s, s] = True
            self._depth[m, s] = self._depth[m, p] + 1
        self._feed(mentions, slots, tokens, columns)
        return slots

    @torch.inference_mode()
    def log_probs(
        self, mentions: IntArray, slots: IntArray, child_rows: IntArray, child_tokens: IntArray
    ) -> npt.NDArray[np.float32]:
        """log p(token | source, prefix) under the scorer's normaliser.

        Question c asks for token ``child_tokens[c]`` after the slot ``slots[r]`` of ``mentions[r]``, where
        ``r = child_rows[c]``, in ascending order. Under ``trie`` a row must ask for all children of its node. Returns
        one number a question.
        """
        places, s = self._to_device(self._place[mentions], slots)
        return self._head.log_probs(self._hidden[places, s], child_rows, child_tokens)

    def _feed_prefixes(self, prefixes: Sequence[Sequence[int]], lengths: npt.NDArray[np.int64]) -> None:
        """Feed the prefixes of all mentions, each a chain of slots from 0."""
        longest = int(lengths.max())
        self._used[:] = lengths
        self._is_ancestor[:, :longest, :longest] = np.tri(longest, dtype=bool)
        slots = np.concatenate([np.arange(length) for length in lengths])
        tokens = np.concatenate([np.asarray(prefix, np.int64) for prefix in prefixes])
        mentions = np.repeat(np.arange(len(prefixes)), lengths)
        self._depth[mentions, slots] = slots
        self._feed(mentions, slots, tokens, columns=slots)

    def _feed(self, mentions: IntArray, slots: IntArray, tokens: IntArray, columns: IntArray) -> None:
        """Run the decoder over rows whose slots are reserved, with their depth and ancestors.

        ``columns`` counts the rows of each mention.
        """
        depth = self._depth[mentions, slots]
        if int(depth.max()) >= self._max_positions:
            raise UsageError(
                f"a decoder prefix and a name of more than {self._max_positions} tokens together do not fit the model. "
                "Cap the length of names when building the knowledge base."
            )
        # Linear layers run on the rows; attention on a block (mentions, rows of each), padded where these are uneven.
        active = np.unique(mentions)
        self._bring_forward(active)
        n, width, reach = len(active), int(columns.max()) + 1, int(self._used[active].max())
        cells = self._place[mentions] * width + columns
        order = np.argsort(cells)
        mentions, slots, cells = mentions[order], slots[order], cells[order]
        is_even = len(cells) == n * width
        p, s, t, d, c = self._to_device(self._place[mentions], slots, tokens[order], depth[order], cells)

        def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
            if not is_even:
                query = query.new_zeros((n * width, query.shape[1])).index_copy_(0, c, query)
            block = self._split(query.view(n, width, -1)).transpose(1, 2)
            out = functional.scaled_dot_product_attention(
                block, keys[:n].transpose(1, 2), values[:n].transpose(1, 2), mask
            )
            out = out.transpose(1, 2).reshape(n * width, -1)
            return out if is_even else out[c]

        # Padding of the block attends to slot 0: a row without any key would be NaN.
        visible = np.zeros((n * width, reach), bool)
        visible[:, 0] = True
        visible[cells] = self._is_ancestor[mentions, slots, :reach]
        mask = _additive(torch.from_numpy(visible).to(p.device), self._hidden.dtype).view(n, 1, width, reach)
        source_mask = None if self._source_mask is None else self._source_mask[:n]

        decoder: Any = self._model.model.decoder
        x = decoder.embed_tokens(t) + decoder.embed_positions.weight[d + decoder.embed_positions.offset]
        x = decoder.layernorm_embedding(x)
        for i, layer in enumerate(self._layers):
            own, cross = layer.self_attn, layer.encoder_attn
            self._keys[i][p, s] = self._split(own.k_proj(x))
            self._values[i][p, s] = self._split(own.v_proj(x))
            out = attend(own.q_proj(x), self._keys[i][:, :reach], self._values[i][:, :reach], mask)
            x = layer.self_attn_layer_norm(x + own.out_proj(out))
            out = attend(cross.q_proj(x), self._source_keys[i], self._source_values[i], source_mask)
            x = layer.encoder_attn_layer_norm(x + cross.out_proj(out))
            x = layer.final_layer_norm(x + layer.fc2(layer.activation_fn(layer.fc1(x))))
        self._hidden[p, s] = x

    def _bring_forward(self, active: IntArray) -> None:
        """Let these mentions have the first rows of every buffer, in any order: they change places with idle ones."""
        behind = active[self._place[active] >= len(active)]
        if not len(behind):
            return
        moved = np.concatenate([np.setdiff1d(self._mention_at[: len(active)], active), behind])
        old = self._place[moved]
        new = np.roll(old, len(behind))
        self._place[moved], self._mention_at[new] = new, moved
        to, source = self._to_device(new, old)
        buffers = [*self._keys, *self._values, *self._source_keys, *self._source_values, self._hidden]
        for buffer in buffers if self._source_mask is None else [*buffers, self._source_mask]:
            buffer[to] = buffer[source]

    def _split(self, x: Tensor) -> Tensor:
        """Part the last dimension into heads."""
        return x.view(*x.shape[:-1], self._heads, -1)

    def _reserve(self, slots: int) -> None:
        """Make room for so many slots a mention."""
        old = self._depth.shape[1]
        if slots <= old:
            return
        more = max(slots, 2 * old) - old
        self._depth = np.pad(self._depth, ((0, 0), (0, more)), constant_values=-1)
        self._is_ancestor = np.pad(self._is_ancestor, ((0, 0), (0, more), (0, more)))
        self._keys = [functional.pad(keys, (0, 0, 0, 0, 0, more)) for keys in self._keys]
        self._values = [functional.pad(values, (0, 0, 0, 0, 0, more)) for values in self._values]
        self._hidden = functional.pad(self._hidden, (0, 0, 0, more))

    def _to_device(self, *arrays: IntArray) -> list[Tensor]:
        device = self._model.device
        return [torch.from_numpy(np.asarray(array, np.int64)).to(device) for array in arrays]


def _additive(is_visible: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask as attention adds it to its scores: made once, instead of in every layer."""
    return torch.zeros(is_visible.shape, dtype=dtype, device=is_visible.device).masked_fill_(~is_visible, -torch.inf)


def _rank_within_group(groups: IntArray) -> npt.NDArray[np.int64]:
    """How many equal entries come before each entry."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return ranks
