"""Lists of right and wrong names, the raw material of preference training, and the file that holds them for review.

ANGEL (arXiv 2408.16493) takes a model's own best names for a mention: those of a gold concept are right, others wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genlink.data.encoding import Prompt
from genlink.data.targets import nearest_keys
from genlink.errors import FormatError, KnowledgeBaseError
from genlink.files import atomic_file, read_jsonl
from genlink.kb import KnowledgeBase

__all__ = ["Answer", "AnswerCounts", "AnswerList", "count_answers", "read_answers", "with_nearest", "write_answers"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A name, normalised, and whether one of its concepts is gold.

    So an ambiguous name is right if any of its concepts is. ``score`` is the log-probability that the search gave it
    (nats); None for a name that no search gave.
    """

    name: str
    right: bool
    score: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerList:
    """What was asked, and the names that answer it, best first. ``count``: how often the corpus asks it."""

    prompt: Prompt
    gold: tuple[str, ...]
    answers: tuple[Answer, ...]
    count: int = 1

    @property
    def has_right(self) -> bool:
        """Whether there is a right name in the list."""
        return any(answer.right for answer in self.answers)

    @property
    def has_wrong(self) -> bool:
        """Whether there is a wrong name in the list."""
        return not all(answer.right for answer in self.answers)


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """How many lists, for how many mentions; in how many of them the first, some or no name is right, or none wrong."""

    lists: int
    mentions: int
    first_right: int
    some_right: int
    none_right: int
    none_wrong: int


def count_answers(lists: Sequence[AnswerList]) -> AnswerCounts:
    """What a harvest brought."""
    return AnswerCounts(
        lists=len(lists),
        mentions=sum(item.count for item in lists),
        first_right=sum(item.answers[0].right for item in lists if item.answers),
        some_right=sum(item.has_right for item in lists),
        none_right=sum(not item.has_right for item in lists),
        none_wrong=sum(not item.has_wrong for item in lists),
    )


def with_nearest(
    lists: Sequence[AnswerList],
    kb: KnowledgeBase,
    *,
    top: int = 3,
    fitting: Callable[[Iterable[str]], set[str]] = set,
) -> list[AnswerList]:
    """Each list without a right name gets, behind its own, the gold names of ``kb`` spelled most like what was asked.

    At most ``top`` of them (cosine of character trigrams, see :func:`genlink.data.targets.nearest_keys`), of those that
    ``fitting`` leaves. ANGEL's code computes these names and then learns nothing from such a mention.
    """
    poor = [item for item in lists if not item.has_right]
    options = [sorted({key for i in item.gold for key in kb.concept_keys(kb.concept_index(i))}) for item in poor]
    fit = fitting(kb.key(key) for keys in options for key in keys)
    options = [[key for key in keys if kb.key(key) in fit] for keys in options]
    nearest = iter(nearest_keys([item.prompt.surface for item in poor], options, kb, top))
    completed = []
    for item in lists:
        if not item.has_right:
            added = tuple(Answer(kb.key(key), right=True) for key in next(nearest))
            item = replace(item, answers=item.answers + added)
        completed.append(item)
    return completed


def write_answers(path: str | Path, lists: Iterable[AnswerList]) -> None:
    """Write lists as JSON lines, atomically; the format is described in docs/formats.md."""
    with atomic_file(path) as f:
        for item in lists:
            f.write(json.dumps(_to_json(item), ensure_ascii=False) + "\n")


def read_answers(path: str | Path, kb: KnowledgeBase) -> list[AnswerList]:
    """The lists of a file, names normalised.

    Raises FormatError at the first line that is no list of names of ``kb`` and ids of its concepts.
    """
    lists = []
    for line, value in read_jsonl(path):
        try:
            lists.append(_from_json(value, kb))
        except (KeyError, TypeError, ValueError, AttributeError, KnowledgeBaseError) as error:
            problem = f"no list of answers ({type(error).__name__}: {error})."
            raise FormatError(path, problem, line=line, advice="Delete the file, to have it made again.") from None
    return lists


def _to_json(item: AnswerList) -> dict[str, Any]:
    return {
        "mention": item.prompt.surface,
        "left": item.prompt.left,
        "right": item.prompt.right,
        "gold": list(item.gold),
        "count": item.count,
        "answers": [{"name": a.name, "right": a.right, "score": a.score} for a in item.answers],
    }


def _from_json(value: dict[str, Any], kb: KnowledgeBase) -> AnswerList:
    prompt = Prompt(str(value["mention"]), str(value["left"]), str(value["right"]))
    gold = tuple(kb.concept_id_at(kb.concept_index(concept_id)) for concept_id in value["gold"])
    return AnswerList(prompt, gold, tuple(_answer(answer, kb) for answer in value["answers"]), int(value["count"]))


def _answer(value: dict[str, Any], kb: KnowledgeBase) -> Answer:
    key = kb.key_index(value["name"])
    if key is None:
        raise ValueError(f"{value['name']!r} is no name of the knowledge base")
    if not isinstance(value["right"], bool):
        raise TypeError(f"right is {value['right']!r}, expected true or false")
    return Answer(kb.key(key), value["right"], None if value["score"] is None else float(value["score"]))
