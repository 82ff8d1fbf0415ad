"""From predictions to outcomes: at which rank the right answer of an annotated span stands, under a policy.

The parts of a split composite are one outcome. With the policy ``any`` its rank is the best at which any prediction
lists any gold concept. With ``all``, every sub-mention has to list a gold concept of the whole span (the rule of
BioSyn's code), and every gold part has to be listed for some sub-mention; the rank is that of the last to be found. A
composite that was not split has one prediction, so under ``all`` it needs a rank for each of its parts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from genlink.evaluation.policy import Ambiguous, Policy
from genlink.evaluation.predictions import Parts, PredictionRecord
from genlink.schema import Candidate

__all__ = ["Dropped", "Outcome", "group_records", "score_outcomes"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """An annotated span and where its right answer stands.

    ``parts`` and ``concepts`` are the gold of the whole span, part by part, as annotated and as resolved. ``rank`` is
    the least k at which the answer is right, ``part_ranks`` the same for each gold part that counts; ``inf`` where it
    never is. ``occurrence`` tells spans of equal key apart (a document that a corpus holds twice).
    """

    records: tuple[PredictionRecord, ...]
    parts: Parts
    concepts: Parts
    rank: float
    part_ranks: tuple[float, ...]
    occurrence: int = 0

    @property
    def document_id(self) -> str:
        return self.records[0].document_id

    @property
    def identity(self) -> tuple[str, str, int]:
        """What pairs the outcomes of two systems."""
        return (*self.records[0].key, self.occurrence)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Annotated spans left out of a score, by reason."""

    unlabelled: int = 0
    nil: int = 0
    out_of_kb: int = 0

    @property
    def total(self) -> int:
        return self.unlabelled + self.nil + self.out_of_kb


def group_records(records: Iterable[PredictionRecord]) -> list[tuple[PredictionRecord, ...]]:
    """The records of each annotated span, in order: the parts of a split composite follow one another."""
    groups: list[list[PredictionRecord]] = []
    for record in records:
        previous = groups[-1][-1] if groups else None
        continues = (
            previous is not None
            and previous.key == record.key
            and previous.part is not None
            and record.part is not None
            and record.part > previous.part
        )
        if continues:
            groups[-1].append(record)
        else:
            groups.append([record])
    return [tuple(group) for group in groups]


def score_outcomes(records: Iterable[PredictionRecord], policy: Policy) -> tuple[list[Outcome], Dropped]:
    """The outcomes of all spans that count under ``policy``, in order, and how many do not."""
    outcomes: list[Outcome] = []
    unlabelled = nil = out_of_kb = 0
    met: dict[tuple[str, str], int] = {}
    for answers in group_records(records):
        # A score that asks for NIL reads a NIL answer as one; the others rank what is listed below it.
        group = tuple(replace(r, candidates=()) if r.is_nil and policy.nil == "count" else r for r in answers)
        occurrence = met[group[0].key] = met.get(group[0].key, -1) + 1
        parts = tuple(part for record in group for part in record.parts)
        concepts = tuple(part for record in group for part in record.concepts)
        if any(record.gold is None for record in group):
            unlabelled += 1
        elif policy.nil == "drop" and not any(concepts):
            if any(parts):
                out_of_kb += 1
            else:
                nil += 1
        else:
            rank, part_ranks = _ranks(group, parts, concepts, policy)
            outcomes.append(Outcome(group, parts, concepts, rank, part_ranks, occurrence))
    return outcomes, Dropped(unlabelled, nil, out_of_kb)


def _ranks(
    group: Sequence[PredictionRecord], parts: Parts, concepts: Parts, policy: Policy
) -> tuple[float, tuple[float, ...]]:
    """The rank of the whole answer, and of each gold part that counts."""
    answers = [_answers(record, policy.ambiguous) for record in group]
    owners = [record for record in group for _ in record.parts]  # of each part, the sub-mention it was annotated for
    part_ranks = tuple(
        min(_best(answer, accepted) for answer in answers) if accepted else _nil_rank(owner, ids)
        for owner, ids, accepted in zip(owners, parts, concepts, strict=True)
        if accepted or policy.nil == "count"
    )
    if policy.composite == "any":
        return min(part_ranks), part_ranks
    whole = frozenset[str]().union(*concepts)
    # A sub-mention of a part that is not in the knowledge base has nothing to hit; the part's own rank judges it.
    sub_mentions = [_best(answer, whole) for record, answer in zip(group, answers, strict=True) if any(record.concepts)]
    return max([*part_ranks, *sub_mentions]), part_ranks


def _nil_rank(record: PredictionRecord, ids: frozenset[str]) -> float:
    """NIL is right, at rank one, where the linker found nothing; a concept out of the knowledge base never is."""
    return math.inf if ids or record.candidates else 1.0


def _best(answers: dict[str, int], accepted: frozenset[str]) -> float:
    return min((answers[concept] for concept in accepted if concept in answers), default=math.inf)


def _answers(record: PredictionRecord, ambiguous: Ambiguous) -> dict[str, int]:
    """The concepts that count as answers, with their best rank."""
    answers: dict[str, int] = {}
    drawn = _drawn(record) if ambiguous == "std" else {}
    for candidate in record.candidates:
        if candidate.ambiguous and (ambiguous == "strict" or drawn.get(candidate.rank, candidate) is not candidate):
            continue
        answers[candidate.concept_id] = min(candidate.rank, answers.get(candidate.concept_id, candidate.rank))
    return answers


def _drawn(record: PredictionRecord) -> dict[int, Candidate]:
    """One candidate for each rank of an ambiguous name: candidates that share a rank are concepts of one name.

    The draw depends on the mention and the rank alone, so it is the same on every computer, in every run.
    """
    sharing: dict[int, list[Candidate]] = {}
    for candidate in record.candidates:
        if candidate.ambiguous:
            sharing.setdefault(candidate.rank, []).append(candidate)
    drawn = {}
    for rank, candidates in sharing.items():
        label = "\0".join([record.document_id, record.mention_id, str(record.part), str(rank)])
        number = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
        drawn[rank] = sorted(candidates, key=lambda candidate: candidate.concept_id)[number % len(candidates)]
    return drawn
