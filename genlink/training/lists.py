"""What becomes of harvested lists: which of them a loss can learn from, and what other choices would leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from genlink.config import PreferenceConfig
from genlink.data.answers import AnswerCounts, AnswerList, count_answers, with_nearest
from genlink.data.preferences import PairPolicy, choose_pairs
from genlink.errors import CorpusError
from genlink.kb import KnowledgeBase

__all__ = ["HarvestReview", "LearntCounts", "check_learnable", "count_learnt", "learnable", "review_harvest"]


@dataclass(frozen=True, slots=True)
class LearntCounts:
    """How many lists are learnt from, how many pairs they hold, and how many were given their nearest gold names."""

    lists: int
    pairs: int
    given_nearest: int


@dataclass(frozen=True, slots=True)
class HarvestReview:
    """What a harvest brought and, for each ``preference.no_answer``, what the loss would learn from.

    ``lists``: how many. ``pairs``: how many of each policy.
    """

    counts: AnswerCounts
    lists: dict[str, int]
    pairs: dict[str, dict[PairPolicy, int]]


def learnable(lists: Sequence[AnswerList], kb: KnowledgeBase, preference: PreferenceConfig) -> list[AnswerList]:
    """The lists that the loss can learn from: with a right name, and but for the control with a wrong one.

    Those without a right name are dealt with by ``preference.no_answer``.
    """
    if preference.no_answer == "nearest":
        lists = with_nearest(lists, kb)
    return [item for item in lists if _can_be_learnt(item, preference)]


def _can_be_learnt(item: AnswerList, preference: PreferenceConfig) -> bool:
    return item.has_right and (item.has_wrong or preference.loss == "likelihood")


def check_learnable(lists: Sequence[AnswerList], kept: Sequence[AnswerList], path: str) -> None:
    """Raise CorpusError, which names the file ``path``, where of all ``lists`` none is ``kept``."""
    if kept:
        return
    if not lists:
        raise CorpusError(f"{path}: the harvest is empty. Check the corpus, its types and the dictionary.")
    if any(item.has_wrong for item in lists):
        advice = "Choose preference.no_answer nearest, or train longer before this stage."
    else:
        advice = "Harvest where the model was not fitted (harvest.source crossfit or kb), or raise harvest.k."
    raise CorpusError(f"{path}: none of {len(lists)} lists has right and wrong names to learn from. {advice}")


def count_learnt(lists: Sequence[AnswerList], kept: Sequence[AnswerList], preference: PreferenceConfig) -> LearntCounts:
    """Counts of what is ``kept`` of ``lists``."""
    as_found = sum(_can_be_learnt(item, preference) for item in lists)
    return LearntCounts(len(kept), _count_pairs(kept, preference.pairs), len(kept) - as_found)


def review_harvest(lists: Sequence[AnswerList], kb: KnowledgeBase, preference: PreferenceConfig) -> HarvestReview:
    """Counts of a harvest under every choice that there is."""
    choices = get_args(PreferenceConfig.model_fields["no_answer"].annotation)
    kept = {choice: learnable(lists, kb, preference.model_copy(update={"no_answer": choice})) for choice in choices}
    return HarvestReview(
        count_answers(lists),
        {choice: len(left) for choice, left in kept.items()},
        {
            choice: {policy: _count_pairs(left, policy) for policy in get_args(PairPolicy)}
            for choice, left in kept.items()
        },
    )


def _count_pairs(lists: Sequence[AnswerList], policy: PairPolicy) -> int:
    return sum(len(choose_pairs([answer.right for answer in item.answers], policy)) for item in lists)
