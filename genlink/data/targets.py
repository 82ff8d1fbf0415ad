"""Fine-tuning examples: for each mention of a corpus, which names of its gold concept to generate.

GenBioEL generates the name spelled most like the mention; ANGEL (arXiv 2408.16493) the three most alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genlink.data.encoding import Encoding, Prompt
from genlink.data.noise import add_noise
from genlink.data.similarity import NameSimilarity
from genlink.kb import KnowledgeBase
from genlink.schema import Mention
from genlink.text import normalise

__all__ = ["LabelledMention", "MentionTargets", "nearest_gold_names", "nearest_in_each", "nearest_keys"]

# ANGEL trains on three targets a mention; the nearest is drawn most of the time.
TARGET_SHARES = (0.7, 0.15, 0.15)


@dataclass(frozen=True, slots=True)
class LabelledMention:
    """A mention and the keys of its gold names, the most alike first."""

    mention: Mention
    keys: tuple[int, ...]


def nearest_keys(
    texts: Sequence[str], options: Sequence[Sequence[int]], kb: KnowledgeBase, top: int
) -> list[tuple[int, ...]]:
    """Of each text's ``options``, keys of ``kb``, the ``top`` spelled most like it, the most alike first.

    The measure is the cosine of TF-IDF vectors over character trigrams, fitted to the keys; equal ones come by
    ascending key.
    """
    similarity = NameSimilarity([kb.key(i) for i in range(kb.n_keys)])
    normalised = [normalise(text, kb.normalisation) for text in texts]
    surfaces = sorted(set(normalised))
    index = {surface: i for i, surface in enumerate(surfaces)}
    text = np.repeat([index[surface] for surface in normalised], [len(keys) for keys in options]).astype(np.int64)
    name = np.array([key for keys in options for key in keys], dtype=np.int64)
    likeness = similarity.to_texts(surfaces, text, name) if len(name) else np.zeros(0, dtype=np.float32)
    nearest, at = [], 0
    for keys in options:
        scores = likeness[at : at + len(keys)]
        at += len(keys)
        nearest.append(tuple(int(keys[i]) for i in np.lexsort((np.array(keys), -scores))[:top]))
    return nearest


def nearest_gold_names(mentions: Sequence[Mention], kb: KnowledgeBase, top: int = 3) -> list[LabelledMention]:
    """The ``top`` gold names spelled most like each mention; mentions without a gold concept in ``kb`` are left out.

    A composite mention that was not split may generate any of its concepts.
    """
    nearest = _nearest_keys_of_gold(mentions, kb, top)
    return [LabelledMention(mention, keys) for mention, keys in zip(mentions, nearest, strict=True) if keys]


def nearest_in_each(
    mentions: Sequence[Mention], dictionaries: Sequence[KnowledgeBase], kb: KnowledgeBase, top: int = 3
) -> list[LabelledMention]:
    """The nearest gold names of each dictionary by itself, as keys of ``kb``, in which the dictionaries are merged.

    Of the names of the merged dictionary, the nearest may be missing from the one that a mention is linked to later. A
    mention comes once for each list of names that differs. The dictionaries are normalised like ``kb``.
    """
    found: list[list[tuple[int, ...]]] = [[] for _ in mentions]
    for dictionary in dictionaries:
        for lists, keys in zip(found, _nearest_keys_of_gold(mentions, dictionary, top), strict=True):
            merged = tuple(key for i in keys if (key := kb.key_index(dictionary.key(i))) is not None)
            if merged and merged not in lists:
                lists.append(merged)
    return [LabelledMention(mention, keys) for mention, lists in zip(mentions, found, strict=True) for keys in lists]


def _nearest_keys_of_gold(mentions: Sequence[Mention], kb: KnowledgeBase, top: int) -> list[tuple[int, ...]]:
    """Of the names of each mention's gold concepts, the keys of those spelled most like it; empty without any."""
    index = {kb.concept_id_at(i): i for i in range(len(kb))}
    golds: list[list[int]] = []
    for mention in mentions:
        resolved = {kb.resolve(concept_id) for concept_id in mention.gold_ids}
        concepts = sorted(index[concept_id] for concept_id in resolved if concept_id is not None)
        golds.append(sorted({key for concept in concepts for key in kb.concept_keys(concept)}))
    return nearest_keys([mention.surface for mention in mentions], golds, kb, top)


class MentionTargets:
    """Draws fine-tuning examples from labelled mentions.

    Mentions of equal surface and gold are one item, of which any is drawn. One that the corpus has n times counts
    ``n ** repetition`` times an epoch, rounded: once with 0, as often as it occurs with 1. ``noise`` is the share of
    mentions that are disturbed.
    """

    def __init__(
        self,
        labelled: Sequence[LabelledMention],
        kb: KnowledgeBase,
        encoding: Encoding,
        *,
        repetition: float,
        noise: float,
    ) -> None:
        groups: dict[tuple[str, tuple[int, ...]], list[LabelledMention]] = defaultdict(list)
        for item in labelled:
            groups[normalise(item.mention.surface, kb.normalisation), item.keys].append(item)
        self._groups = [group for group in groups.values() for _ in range(round(len(group) ** repetition))]
        self._kb = kb
        self._encoding = encoding
        self._noise = noise

    def __len__(self) -> int:
        """How many examples make an epoch."""
        return len(self._groups)

    def draw(self, item: int, rng: np.random.Generator) -> tuple[Prompt, str]:
        """Draw example ``item`` of the epoch: what the encoder reads and the key to generate."""
        group = self._groups[item]
        labelled = group[int(rng.integers(len(group)))]
        shares = np.array(TARGET_SHARES[: len(labelled.keys)])
        key = labelled.keys[int(rng.choice(len(shares), p=shares / shares.sum()))]
        prompt = self._encoding.prompt(labelled.mention)
        if rng.random() < self._noise:
            noised = add_noise(normalise(prompt.surface, self._kb.normalisation), rng)
            prompt = Prompt(noised, prompt.left, prompt.right)
        return prompt, self._kb.key(key)
