"""Online mining: which pairs of a batch of names are learnt from. Pure functions of distances and labels.

SapBERT (arXiv 2010.11784, section 2) keeps hard triplets (anchor, positive, negative) and learns from the pairs that
occur in one of them. Triplets are never listed here: a pair is in one of them if it is with the best partner.
"""

from __future__ import annotations

import torch

__all__ = ["euclidean", "hard_pairs", "random_pairs", "same_concept"]


def same_concept(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The pairs (anchor, other) of equal and those of different ``labels`` (names,), both (names, names), boolean.

    No name is a pair with itself. A text that is the name of two concepts is different from itself, as in SapBERT's
    code: what the vectors cannot tell apart has no gradient.
    """
    equal = labels[:, None] == labels[None, :]
    return equal & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~equal


def euclidean(similarities: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of vectors of length one, from their cosines."""
    return (2 - 2 * similarities).clamp(min=0).sqrt()


def hard_pairs(distances: torch.Tensor, labels: torch.Tensor, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The positive and the negative pairs that occur in a hard triplet, both (names, names), boolean.

    A triplet (a, p, n) of an anchor, another name of its concept and a name of another one is hard unless n is further
    from a than p is by more than ``margin``: d(a, n) - d(a, p) <= margin. ``distances`` (names, names).
    """
    positive, negative = same_concept(labels)
    nearest_negative = distances.masked_fill(~negative, torch.inf).amin(dim=1, keepdim=True)
    furthest_positive = distances.masked_fill(~positive, -torch.inf).amax(dim=1, keepdim=True)
    return (
        positive & (nearest_negative - distances <= margin),
        negative & (distances - furthest_positive <= margin),
    )


def random_pairs(
    distances: torch.Tensor, labels: torch.Tensor, margin: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """The control: of each anchor as many positive and as many negative pairs as ``hard_pairs`` keeps, at random."""
    kept = []
    for hard, allowed in zip(hard_pairs(distances, labels, margin), same_concept(labels), strict=True):
        draws = torch.rand(hard.shape, generator=generator).to(hard.device).masked_fill(~allowed, torch.inf)
        place = draws.argsort(dim=1).argsort(dim=1)
        kept.append(allowed & (place < hard.sum(dim=1, keepdim=True)))
    return kept[0], kept[1]
