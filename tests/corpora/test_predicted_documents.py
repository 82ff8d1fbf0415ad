"""Predictions in the form that the corpus came in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genlink.corpora import documents_with_predictions
from genlink.errors import CorpusError
from genlink.schema import Candidate, Document, Mention, Prediction

TEXT = "Breast and ovarian cancer. Rash."
COMPOSITE = Mention(
    TEXT, ((0, 25),), "Breast and ovarian cancer", "d", "0", "Disease", (frozenset({"G1"}),), ("x", "y")
)
RASH = Mention(TEXT, ((27, 31),), "Rash", "d", "1", "Disease", (frozenset({"G2"}),))
DOCUMENT = Document("d", TEXT, (COMPOSITE, RASH))


def candidate(concept_id: str, rank: int) -> Candidate:
    return Candidate(concept_id, concept_id.lower(), concept_id.lower(), -float(rank), rank)


def part(i: int, surface: str) -> Mention:
    return replace(COMPOSITE, part=i, surface=surface)


def test_all_concepts_of_the_best_name_take_the_place_of_gold() -> None:
    predictions = [
        Prediction(COMPOSITE, (candidate("A", 1), candidate("B", 1), candidate("C", 2))),
        Prediction(RASH, ()),
    ]
    (document,) = documents_with_predictions([DOCUMENT], predictions)
    composite, rash = document.mentions
    assert composite == replace(COMPOSITE, gold=(frozenset({"A", "B"}),), part_texts=())
    assert rash == replace(RASH, gold=(frozenset(),))
    assert rash.is_nil


def test_a_nil_answer_is_written_as_nil_though_candidates_are_listed() -> None:
    predictions = [
        Prediction(COMPOSITE, (candidate("A", 1),), is_nil=False),
        Prediction(RASH, (candidate("B", 1),), is_nil=True),
    ]
    composite, rash = documents_with_predictions([DOCUMENT], predictions)[0].mentions
    assert composite.gold == (frozenset({"A"}),)
    assert rash.gold == (frozenset(),) and rash.is_nil


def test_the_parts_of_a_split_composite_come_together_in_order() -> None:
    predictions = [
        Prediction(RASH, (candidate("R", 1),)),
        Prediction(part(1, "ovarian cancer"), (candidate("O", 1),)),
        Prediction(part(0, "breast cancer"), (candidate("B", 1),)),
    ]
    composite = documents_with_predictions([DOCUMENT], predictions)[0].mentions[0]
    assert composite.gold == (frozenset({"B"}), frozenset({"O"}))
    assert composite.part_texts == ("breast cancer", "ovarian cancer")
    assert (composite.text, composite.spans, composite.part) == (COMPOSITE.text, COMPOSITE.spans, None)


def test_gold_never_stays_where_nothing_was_predicted() -> None:
    (document,) = documents_with_predictions([DOCUMENT], [Prediction(RASH, (candidate("R", 1),))])
    assert [mention.gold for mention in document.mentions] == [None, (frozenset({"R"}),)]


def test_predictions_of_other_mentions_and_double_ones_are_errors() -> None:
    stray = Prediction(replace(RASH, mention_id="9"))
    with pytest.raises(CorpusError, match="document d, mention 9: predicted, but not in the corpus"):
        documents_with_predictions([DOCUMENT], [stray])
    with pytest.raises(CorpusError, match="mention 1: predicted more than once"):
        documents_with_predictions([DOCUMENT], [Prediction(RASH), Prediction(RASH)])
    with pytest.raises(CorpusError, match="mention 0: predicted more than once"):
        documents_with_predictions([DOCUMENT], [Prediction(COMPOSITE), Prediction(part(0, "breast cancer"))])
