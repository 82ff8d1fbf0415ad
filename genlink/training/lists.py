"""What becomes of harvested lists: which of them a loss can learn from, and what other choices would leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from genlink.config import PreferenceConfig
from genlink.data.answers import AnswerCounts, AnswerList, count_answers, with_nearest
from genlink.data.encoding import Encoding
from genlink.data.preferences import PairPolicy, choose_pairs
from genlink.errors import CorpusError
from genlink.kb import KnowledgeBase

__all__ = ["HarvestReview", "LearntCounts", "check_learnable", "learnable", "review_harvest"]


@dataclass(frozen=True, slots=True)
class LearntCounts:
    """How many lists are learnt from, how many pairs they hold, and how many were given their nearest gold names.

    ``too_long``: how many harvested names were left out since they have more tokens than are learnt.
    """

    lists: int
    pairs: int
    given_nearest: int
    too_long: int


@dataclass(frozen=True, slots=True)
class HarvestReview:
    """What a harvest brought and, for each ``preference.no_answer``, what the loss would learn from.

    ``lists``: how many. ``pairs``: how many of each policy. ``too_long``: harvested names left out, under any choice.
    """

    counts: AnswerCounts
    lists: dict[str, int]
    pairs: dict[str, dict[PairPolicy, int]]
    too_long: int


def learnable(
    lists: Sequence[AnswerList], kb: KnowledgeBase, encoding: Encoding, target_tokens: int, preference: PreferenceConfig
) -> tuple[list[AnswerList], LearntCounts]:
    """The lists that the loss can learn from: with a right name, and but for the control with a wrong one.

    Names of more than ``target_tokens`` tokens, the end token included, are left out: no search finds them, and what is
    left of one that is cut is no name. Lists without a right name are dealt with by ``preference.no_answer``.
    """

    def fitting(names: Iterable[str]) -> set[str]:
        unique = list(dict.fromkeys(names))
        spelled = zip(unique, encoding.names(unique), strict=True)
        return {name for name, tokens in spelled if len(tokens) < target_tokens}

    fit = fitting(answer.name for item in lists for answer in item.answers)
    found = [replace(item, answers=tuple(answer for answer in item.answers if answer.name in fit)) for item in lists]
    given = with_nearest(found, kb, fitting=fitting) if preference.no_answer == "nearest" else found
    kept = [item for item in given if _can_be_learnt(item, preference)]
    as_found = sum(_can_be_learnt(item, preference) for item in found)
    too_long = _count_names(lists) - _count_names(found)
    return kept, LearntCounts(len(kept), _count_pairs(kept, preference.pairs), len(kept) - as_found, too_long)


def _can_be_learnt(item: AnswerList, preference: PreferenceConfig) -> bool:
    return item.has_right and (item.has_wrong or preference.loss == "likelihood")


def check_learnable(lists: Sequence[AnswerList], kept: Sequence[AnswerList], path: str) -> None:
    """Raise CorpusError, which names the file ``path``, where of all ``lists`` none is ``kept``."""
    if kept:
        return
    if not lists:
        raise CorpusError(f"{path}: the harvest is empty. Delete the file, to have it made again.")
    if any(item.has_wrong for item in lists):
        advice = "Choose preference.no_answer nearest, raise target_tokens, or train longer before this stage."
    else:
        advice = "Harvest where the model was not fitted (harvest.source crossfit or kb), or raise harvest.k."
    raise CorpusError(f"{path}: none of {len(lists)} lists has right and wrong names to learn from. {advice}")


def review_harvest(
    lists: Sequence[AnswerList], kb: KnowledgeBase, encoding: Encoding, target_tokens: int, preference: PreferenceConfig
) -> HarvestReview:
    """Counts of a harvest under every choice that there is."""
    learnt = {
        choice: learnable(lists, kb, encoding, target_tokens, preference.model_copy(update={"no_answer": choice}))
        for choice in get_args(PreferenceConfig.model_fields["no_answer"].annotation)
    }
    return HarvestReview(
        count_answers(lists),
        {choice: counts.lists for choice, (_, counts) in learnt.items()},
        {choice: {p: _count_pairs(kept, p) for p in get_args(PairPolicy)} for choice, (kept, _) in learnt.items()},
        learnt[preference.no_answer][1].too_long,
    )


def _count_names(lists: Sequence[AnswerList]) -> int:
    return sum(len(item.answers) for item in lists)


def _count_pairs(lists: Sequence[AnswerList], policy: PairPolicy) -> int:
    return sum(len(choose_pairs([answer.right for answer in item.answers], policy)) for item in lists)
