"""Predictions as they are kept and scored: one JSON object a line, enough to score again under any policy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlink.corpora import text_output
from genlink.errors import DataError, FormatError
from genlink.files import read_jsonl
from genlink.kb import KnowledgeBase
from genlink.schema import Candidate, Prediction

__all__ = ["Parts", "PredictionRecord", "read_predictions", "to_record", "write_predictions"]

Parts = tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """One linked mention with its gold, resolved: what a line of a predictions file holds.

    ``gold`` are the ids as annotated, part by part, None where unlabelled; ``gold_concepts`` the same in ids of the
    knowledge base that was searched, an empty part being NIL or out of it. A split composite has one record for each
    ``part``, with the gold of that part. ``exact`` and ``is_nil`` are those of the prediction: whether the *answer* is
    NIL, None without a calibration.
    """

    document_id: str
    mention_id: str
    text: str
    surface: str
    gold: Parts | None
    gold_concepts: Parts
    candidates: tuple[Candidate, ...]
    part: int | None = None
    type: str | None = None
    spans: tuple[tuple[int, int], ...] = ()
    exact: bool | None = None
    is_nil: bool | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the annotated span."""
        return self.document_id, self.mention_id

    @property
    def parts(self) -> Parts:
        """The gold ids as annotated; a labelled mention without any part is one NIL part."""
        return self.gold or (frozenset(),)

    @property
    def concepts(self) -> Parts:
        """The gold concepts, one set for each of ``parts``."""
        return self.gold_concepts or (frozenset(),)

    def to_dict(self) -> dict[str, Any]:
        """The record in plain values, as a line of a predictions file has it."""
        return {
            "document_id": self.document_id,
            "mention_id": self.mention_id,
            "part": self.part,
            "text": self.text,
            "surface": self.surface,
            "spans": [list(span) for span in self.spans],
            "type": self.type,
            "gold": None if self.gold is None else [sorted(ids) for ids in self.gold],
            "gold_concepts": [sorted(ids) for ids in self.gold_concepts],
            "candidates": [
                {
                    "concept_id": candidate.concept_id,
                    "concept_name": candidate.concept_name,
                    "name": candidate.name,
                    "score": candidate.score,
                    "rank": candidate.rank,
                    "ambiguous": candidate.ambiguous,
                    "probability": candidate.probability,
                }
                for candidate in self.candidates
            ],
            "exact": self.exact,
            "is_nil": self.is_nil,
        }


def to_record(prediction: Prediction, kb: KnowledgeBase) -> PredictionRecord:
    """The record of a prediction: its gold ids are resolved in ``kb`` here, and nowhere later."""
    mention = prediction.mention
    resolved = tuple(
        frozenset(concept for concept in map(kb.resolve, sorted(ids)) if concept is not None)
        for ids in mention.gold or ()
    )
    return PredictionRecord(
        document_id=mention.document_id,
        mention_id=mention.mention_id,
        text=mention.text,
        surface=mention.surface,
        gold=mention.gold,
        gold_concepts=resolved,
        candidates=prediction.candidates,
        part=mention.part,
        type=mention.type,
        spans=mention.spans,
        exact=prediction.exact,
        is_nil=prediction.is_nil,
    )


def write_predictions(path: str | Path, records: Iterable[PredictionRecord]) -> None:
    """Write a predictions file, atomically, gzipped if its name says so; the format is described in docs/formats.md."""
    with text_output(path) as f:
        for record in records:
            f.write(json.dumps(record.to_dict(), ensure_ascii=False) + "\n")


def read_predictions(path: str | Path) -> list[PredictionRecord]:
    """The records of a predictions file. Raises FormatError at the first bad line, DataError if there is none."""
    records = []
    for line, value in read_jsonl(path):
        try:
            records.append(_from_json(value))
        except KeyError as error:
            raise FormatError(path, f"no {error} field.", line=line, advice="Is this a predictions file?") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise FormatError(path, f"a field of the wrong kind ({error}).", line=line) from None
    if not records:
        raise DataError(f"{path}: holds no predictions.")
    return records


def _from_json(value: Mapping[str, Any]) -> PredictionRecord:
    gold, concepts = value["gold"], _parts(value["gold_concepts"])
    if gold is not None and len(gold) != len(concepts):
        raise ValueError(f"{len(gold)} gold parts but {len(concepts)} gold_concepts")
    return PredictionRecord(
        document_id=_text(value["document_id"]),
        mention_id=_text(value["mention_id"]),
        text=_text(value["text"]),
        surface=_text(value["surface"]),
        gold=None if gold is None else _parts(gold),
        gold_concepts=concepts,
        candidates=tuple(_candidate(candidate) for candidate in value["candidates"]),
        part=None if value["part"] is None else int(value["part"]),
        type=None if value["type"] is None else _text(value["type"]),
        spans=tuple((int(start), int(end)) for start, end in value["spans"]),
        exact=_flag(value, "exact"),
        is_nil=_flag(value, "is_nil"),
    )


def _candidate(value: Mapping[str, Any]) -> Candidate:
    rank, ambiguous = int(value["rank"]), value["ambiguous"]
    if rank < 1 or not isinstance(ambiguous, bool):
        raise ValueError("a candidate's rank counts from one, and ambiguous is true or false")
    return Candidate(
        concept_id=_text(value["concept_id"]),
        concept_name=_text(value["concept_name"]),
        name=_text(value["name"]),
        score=float(value["score"]),
        rank=rank,
        ambiguous=ambiguous,
        probability=_share(value.get("probability")),
    )


def _share(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"a probability is null or in [0, 1], not {value!r}")
    return float(value)


def _flag(record: Mapping[str, Any], name: str) -> bool | None:
    value = record.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is true, false or null, not {value!r}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, found {value!r}")
    return value


def _parts(value: Iterable[Iterable[object]]) -> Parts:
    parts = tuple(value)
    if isinstance(value, str) or any(isinstance(part, str) for part in parts):
        raise ValueError("gold is a list of lists of ids")
    return tuple(frozenset(_text(concept) for concept in part) for part in parts)
