"""Records made by hand, and a tiny knowledge base and corpus of our own invention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from genlink.evaluation import PredictionRecord
from genlink.kb import KnowledgeBase
from genlink.schema import Candidate, Concept

Answer = tuple[str, int] | tuple[str, int, bool]
MakeRecord = Callable[..., PredictionRecord]


def make_record(
    gold: Sequence[Sequence[str]] | None,
    *answers: Answer,
    document_id: str = "1",
    mention_id: str = "0",
    part: int | None = None,
    surface: str = "thing",
    out_of_kb: Sequence[str] = (),
    type: str | None = None,
) -> PredictionRecord:
    """``answers`` are (concept id, rank) or (concept id, rank, ambiguous)."""
    labelled = None if gold is None else tuple(frozenset(ids) for ids in gold)
    return PredictionRecord(
        document_id=document_id,
        mention_id=mention_id,
        text="thing",
        surface=surface,
        gold=labelled,
        gold_concepts=tuple(ids - frozenset(out_of_kb) for ids in labelled or ()),
        candidates=tuple(
            Candidate(concept, f"name of {concept}", f"name of {concept}", -float(rank), rank, *ambiguous)
            for concept, rank, *ambiguous in answers
        ),
        part=part,
        type=type,
        spans=((0, 5),),
    )


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    return make_record


@pytest.fixture
def kb() -> KnowledgeBase:
    return KnowledgeBase.from_concepts(
        [
            Concept("D1", ("Colic", "Renal colic")),
            Concept("D2", ("Lung fever", "Fever")),
            Concept("D3", ("Spotted fever", "Fever")),
            Concept("D4", ("Gout",), alternative_ids=("OLD4",)),
        ]
    )


DICTIONARY = """\
D1||Colic
D1||Renal colic
D2||Lung fever
D2||Fever
D3||Spotted fever
D3||Fever
D4||Gout
"""

TRAIN = """\
10|t|Belly ache and podagra
10|a|Both are common.
10\t0\t10\tBelly ache\tDisease\tD1
10\t15\t22\tpodagra\tDisease\tD4
"""

DEV = """\
20|t|Renal colic and fever
20|a|The colic passed.
20\t0\t11\tRenal colic\tDisease\tD1
20\t16\t21\tfever\tDisease\tD2
20\t26\t31\tcolic\tDisease\tD1

21|t|Podagra and plague
21|a|Zinc helped.
21\t0\t7\tPodagra\tDisease\tD4
21\t12\t18\tplague\tDisease\tD9
21\t19\t23\tZinc\tChemical\t-1
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a dictionary, a training and a development corpus, where GENLINK_DATA says."""
    directory = tmp_path / "far away"
    directory.mkdir()
    for name, text in {"names.txt": DICTIONARY, "train.pubtator": TRAIN, "dev.pubtator": DEV}.items():
        (directory / name).write_text(text)
    monkeypatch.setenv("GENLINK_DATA", str(directory))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return directory
