"""What is in a corpus: the counts to look at before anything is trained or scored on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from genlink.corpora.offsets import OffsetProblem, offset_problems
from genlink.schema import Document, Mention

__all__ = ["CorpusReport", "corpus_report"]


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """Counts of mentions, unless they say otherwise.

    ``types``: mentions of each type, most frequent first. ``concepts``: distinct gold ids. ``nested``: within the
    extent of another mention. ``overlapping``: sharing a stretch with another one, nested or not.
    ``out_of_kb``: with gold ids, none of which is in the knowledge base; ``out_of_kb_share`` of the mentions that have
    gold ids. ``missing_ids``: the gold ids that are not in it. These three are None without a knowledge base.
    ``offset_problems``: every mention that is not where its file says.
    """

    documents: int
    mentions: int
    unique_texts: int
    concepts: int
    types: dict[str, int]
    nil: int
    unlabelled: int
    composite: int
    discontinuous: int
    nested: int
    overlapping: int
    out_of_kb: int | None
    out_of_kb_share: float | None
    missing_ids: tuple[str, ...] | None
    offset_problems: tuple[OffsetProblem, ...]


def _nested_and_overlapping(mentions: Iterable[Mention]) -> tuple[int, int]:
    """How many of one document's mentions lie within another, and how many overlap another."""
    extents = sorted(((m.start, m.end) for m in mentions if m.spans), key=lambda extent: (extent[0], -extent[1]))
    nested, overlapping, reach = 0, [False] * len(extents), -1
    for i, (start, end) in enumerate(extents):
        if start < reach:
            overlapping[i] = True
            nested += end <= reach
        if i + 1 < len(extents) and extents[i + 1][0] < end:
            overlapping[i] = True
        reach = max(reach, end)
    return nested, sum(overlapping)


def corpus_report(
    documents: Iterable[Document], missing: Callable[[Iterable[str]], frozenset[str]] | None = None
) -> CorpusReport:
    """Count what the documents hold.

    ``missing`` tells which of some concept ids are not in a knowledge base, such as ``KnowledgeBase.missing``.
    """
    documents = list(documents)
    mentions = [mention for document in documents for mention in document.mentions]
    layout = [_nested_and_overlapping(document.mentions) for document in documents]
    ids = frozenset().union(*(mention.gold_ids for mention in mentions))
    missing_ids = None if missing is None else missing(ids)
    linked = [mention for mention in mentions if mention.gold_ids]
    out_of_kb = None if missing_ids is None else sum(mention.gold_ids <= missing_ids for mention in linked)
    return CorpusReport(
        documents=len(documents),
        mentions=len(mentions),
        unique_texts=len({mention.text for mention in mentions}),
        concepts=len(ids),
        types=dict(Counter(mention.type for mention in mentions if mention.type).most_common()),
        nil=sum(mention.is_nil for mention in mentions),
        unlabelled=sum(mention.gold is None for mention in mentions),
        composite=sum(mention.is_composite for mention in mentions),
        discontinuous=sum(mention.is_discontinuous for mention in mentions),
        nested=sum(nested for nested, _ in layout),
        overlapping=sum(overlapping for _, overlapping in layout),
        out_of_kb=out_of_kb,
        out_of_kb_share=out_of_kb / len(linked) if out_of_kb is not None and linked else None,
        missing_ids=None if missing_ids is None else tuple(sorted(missing_ids)),
        offset_problems=tuple(problem for document in documents for problem in offset_problems(document)),
    )
