"""Preference examples: which of a list's right names is to be preferred to which of its wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genlink.data.answers import AnswerList
from genlink.data.encoding import Encoding

__all__ = ["PairPolicy", "PreferenceExample", "choose_pairs", "preference_examples"]

PairPolicy = Literal["misordered", "all", "hardest"]


@dataclass(frozen=True, slots=True)
class PreferenceExample:
    """A list of names as token ids.

    ``source`` and ``prefix`` as in :class:`genlink.data.encoding.Example`; ``targets`` end with the end token. All
    names of a list follow the same prefix and are spelled alike, so that nothing but the name tells right from wrong.
    ``pairs`` are (chosen, rejected) as indices of targets. ``reference``: the log-probability of each target under the
    reference model, None where no loss asks for it.
    """

    source: list[int]
    prefix: list[int]
    targets: list[list[int]]
    right: list[bool]
    pairs: list[tuple[int, int]]
    reference: list[float] | None = None

    @property
    def cost(self) -> int:
        """Tokens that the model must read."""
        return len(self.source) + sum(len(self.prefix) + len(target) for target in self.targets)


def choose_pairs(right: Sequence[bool], policy: PairPolicy) -> list[tuple[int, int]]:
    """The (chosen, rejected) pairs of a list, as its indices; ``right`` says which names are, best first.

    ``misordered`` (ANGEL): a right name and each wrong one above it; and, if the first name is right, that one and the
    best wrong one. ``all``: each right name and each wrong one. ``hardest``: the best right name and the best wrong
    one. None of them has a pair where all names are right, or all wrong.
    """
    chosen = [i for i, is_right in enumerate(right) if is_right]
    rejected = [i for i, is_right in enumerate(right) if not is_right]
    if not chosen or not rejected:
        return []
    if policy == "hardest":
        return [(chosen[0], rejected[0])]
    if policy == "all":
        return [(c, r) for c in chosen for r in rejected]
    first = [(0, rejected[0])] if right[0] else []
    return first + [(c, r) for c in chosen for r in rejected if r < c]


def preference_examples(lists: Sequence[AnswerList], encoding: Encoding, policy: PairPolicy) -> list[PreferenceExample]:
    """The lists as token ids, in order. Names are whole: what is left of one that is cut would be no name."""
    prompts = [item.prompt for item in lists]
    names = iter(encoding.names([answer.name for item in lists for answer in item.answers]))
    examples = []
    for item, source, prefix in zip(lists, encoding.sources(prompts), encoding.prefixes(prompts), strict=True):
        right = [answer.right for answer in item.answers]
        targets = [[*next(names), encoding.end] for _ in item.answers]
        examples.append(PreferenceExample(source, prefix, targets, right, choose_pairs(right, policy)))
    return examples
