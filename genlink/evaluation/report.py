"""Scores with intervals, row by row, and the most frequent errors of a set of predictions under one policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlink.errors import DataError
from genlink.evaluation.outcomes import Dropped, Outcome, score_outcomes
from genlink.evaluation.policy import Policy
from genlink.evaluation.predictions import PredictionRecord
from genlink.evaluation.slices import slice_outcomes
from genlink.evaluation.training import TrainingFacts
from genlink.kb import KnowledgeBase
from genlink.metrics import Estimate, PairedComparison, bootstrap_ratios, compare_paired, hits_at_k, reciprocal_ranks

__all__ = ["EVERYTHING", "ErrorRow", "Report", "compare_predictions", "result_rows", "score_predictions"]

EVERYTHING = "all"
ACCURACY_AT = (1, 5)
RECALL_AT = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """A kind of mistake, and how often it was made."""

    mention: str
    gold: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a set of predictions is worth under a policy.

    ``rows`` maps row -> measure -> estimate; the first row, "all", is over everything that counts. ``errors`` are the
    answers wrong at rank one, most frequent first.
    """

    policy: Policy
    rows: dict[str, dict[str, Estimate]]
    errors: tuple[ErrorRow, ...]
    dropped: Dropped

    @property
    def n(self) -> int:
        """Annotated spans that count; a split composite is one."""
        return self.rows[EVERYTHING]["acc@1"].n


def score_predictions(
    records: Sequence[PredictionRecord],
    policy: Policy,
    *,
    k: int,
    seed: int = 0,
    kb: KnowledgeBase | None = None,
    training: TrainingFacts | None = None,
    resamples: int = 2000,
    n_errors: int = 20,
) -> Report:
    """Score predictions of at most ``k`` ranks. ``kb`` and ``training`` allow more rows (see ``slice_outcomes``).

    Measures: acc@k (share of spans), recall@k (share of gold parts listed) and mrr, each in [0, 1] with a 95% interval
    over resampled documents. Raises DataError if nothing counts.
    """
    outcomes, dropped = score_outcomes(records, policy)
    if not outcomes:
        raise DataError(
            f"No mention counts: {dropped.unlabelled} are unlabelled, {dropped.nil} NIL, {dropped.out_of_kb} have no "
            "gold concept in the knowledge base. Check that corpus and knowledge base use the same vocabulary."
        )
    masks = {EVERYTHING: np.ones(len(outcomes), dtype=bool), **slice_outcomes(outcomes, kb, training)}
    rows = {name: _measures(outcomes, mask, k, seed, resamples) for name, mask in masks.items()}
    return Report(policy, rows, _errors(outcomes, kb, n_errors), dropped)


def result_rows(reports: Mapping[str, Report]) -> dict[str, dict[str, Estimate]]:
    """The rows of a result file: ``angel`` is over everything that counts, ``angel: composite`` over some of it."""
    return {
        preset if row == EVERYTHING else f"{preset}: {row}": measures
        for preset, report in reports.items()
        for row, measures in report.rows.items()
    }


def compare_predictions(
    first: Sequence[PredictionRecord], second: Sequence[PredictionRecord], policy: Policy, *, seed: int = 0
) -> PairedComparison:
    """Paired comparison of acc@1 over the same mentions. Raises DataError, with numbers, if they are not the same."""
    one, two = (
        {outcome.identity: outcome for outcome in score_outcomes(records, policy)[0]} for records in (first, second)
    )
    if one.keys() != two.keys():
        only_first, only_second = len(one.keys() - two.keys()), len(two.keys() - one.keys())
        raise DataError(
            f"The predictions are not over the same mentions: {only_first} count in the first file only, {only_second} "
            "in the second only. Compare runs on one corpus and one knowledge base."
        )
    changed = sum(one[identity].parts != two[identity].parts for identity in one)
    if changed:
        raise DataError(f"The gold ids of {changed} mentions differ between the two files. Were the corpora the same?")
    return compare_paired(
        hits_at_k([outcome.rank for outcome in one.values()], 1),
        hits_at_k([two[identity].rank for identity in one], 1),
        [outcome.document_id for outcome in one.values()],
        seed=seed,
    )


def _measures(
    outcomes: Sequence[Outcome], mask: NDArray[np.bool_], k: int, seed: int, resamples: int
) -> dict[str, Estimate]:
    chosen = [outcome for outcome, belongs in zip(outcomes, mask, strict=True) if belongs]
    ranks = np.array([outcome.rank for outcome in chosen])
    ones = np.ones(len(chosen))
    parts = np.array([len(outcome.part_ranks) for outcome in chosen], dtype=np.float64)
    measures: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for place in ACCURACY_AT:
        if place <= k:
            measures[f"acc@{place}"] = hits_at_k(ranks, place), ones
    for place in RECALL_AT:
        if place <= k:
            found = np.array([hits_at_k(outcome.part_ranks, place).sum() for outcome in chosen])
            measures[f"recall@{place}"] = found, parts
    measures["mrr"] = reciprocal_ranks(ranks), ones
    estimates = bootstrap_ratios(
        np.stack([above for above, _ in measures.values()]),
        np.stack([below for _, below in measures.values()]),
        [outcome.document_id for outcome in chosen],
        seed=seed,
        resamples=resamples,
    )
    return dict(zip(measures, estimates, strict=True))


def _errors(outcomes: Sequence[Outcome], kb: KnowledgeBase | None, limit: int) -> tuple[ErrorRow, ...]:
    """Counted by mention, gold and answer, by falling count, then alphabetically."""
    names = {
        candidate.concept_id: candidate.concept_name
        for outcome in outcomes
        for record in outcome.records
        for candidate in record.candidates
    }
    counts = Counter(_describe(outcome, names, kb) for outcome in outcomes if outcome.rank > 1)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ErrorRow(*described, count) for described, count in ranked[:limit])


def _describe(outcome: Outcome, names: Mapping[str, str], kb: KnowledgeBase | None) -> tuple[str, str, str]:
    """Mention, gold and answer in words; the parts of a composite joined by " | "."""

    def name(concept: str) -> str:
        if kb is not None and concept in kb:
            return kb.concept(concept).name
        return names.get(concept, concept)

    gold = " | ".join(
        " or ".join(name(concept) for concept in sorted(concepts)) or f"({' or '.join(sorted(ids)) or 'NIL'})"
        for concepts, ids in zip(outcome.concepts, outcome.parts, strict=True)
    )
    answers = [_answer(record) for record in outcome.records]
    return " | ".join(record.surface for record in outcome.records), gold, " | ".join(answers)


def _answer(record: PredictionRecord) -> str:
    """The concepts of the first rank; an ambiguous name has several."""
    return " or ".join(c.concept_name for c in record.candidates if c.rank == 1) or "(nothing)"
