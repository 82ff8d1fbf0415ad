"""From documents to the mentions that linkers read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from hypothesis import given
from hypothesis import strategies as st

from genlink.preprocessing import Preprocessing, prepare
from genlink.schema import Document, Mention

TEXT = "Wilson disease (WD) beside breast and ovarian cancer (BOC). WD, BOC and Rash."


def mention(text: str, i: int, gold: tuple[frozenset[str], ...] | None = None, start: int = 0) -> Mention:
    at = TEXT.index(text, start)
    return Mention(TEXT, ((at, at + len(text)),), text, "d", str(i), "Disease", gold, ("part a", "part b"))


def document(*mentions: Mention) -> Document:
    return Document("d", TEXT, mentions)


WD = mention("WD", 0, (frozenset({"D1"}),), start=60)
BREAST, OVARY = frozenset({"B"}), frozenset({"O"})


def test_abbreviations_change_the_surface_and_nothing_else() -> None:
    (prepared,) = prepare([document(WD)], Preprocessing())
    assert prepared == replace(WD, surface="Wilson disease")
    assert (prepared.text, prepared.spans) == ("WD", WD.spans)


def test_no_step_changes_nothing() -> None:
    assert prepare([document(WD)], Preprocessing(abbreviations=False)) == [WD]


def test_definitions_hold_within_their_document_alone() -> None:
    other = Document("e", "WD again.", (Mention("WD again.", ((0, 2),), "WD", "e", "0"),))
    assert [m.surface for m in prepare([document(WD), other])] == ["Wilson disease", "WD"]


def test_a_composite_becomes_a_mention_for_each_part() -> None:
    whole = mention("breast and ovarian cancer", 1, (BREAST, OVARY))
    first, second = prepare([document(whole)], Preprocessing(composites=True))
    assert first == replace(whole, surface="breast cancer", gold=(BREAST,), part=0, part_texts=())
    assert second == replace(whole, surface="ovarian cancer", gold=(OVARY,), part=1, part_texts=())
    assert first.key == second.key == whole.key


def test_a_labelled_mention_is_split_only_into_as_many_parts_as_it_has_gold_parts() -> None:
    one, three = (
        mention("breast and ovarian cancer", 1, (BREAST,)),
        mention("breast and ovarian cancer", 2, (BREAST, OVARY, BREAST)),
    )
    assert prepare([document(one, three)], Preprocessing(composites=True)) == [one, three]


def test_an_unlabelled_mention_is_split_by_its_wording() -> None:
    parts = prepare([document(mention("breast and ovarian cancer", 1))], Preprocessing(composites=True))
    assert [(p.surface, p.part, p.gold) for p in parts] == [("breast cancer", 0, None), ("ovarian cancer", 1, None)]


def test_composites_stay_whole_unless_asked() -> None:
    whole = mention("breast and ovarian cancer", 1, (BREAST, OVARY))
    assert prepare([document(whole)]) == [whole]


def test_a_composite_behind_an_abbreviation_is_expanded_first_and_one_of_abbreviations_split_first() -> None:
    hidden, listed = (
        mention("BOC", 0, (BREAST, OVARY), start=60),
        mention("WD, BOC and Rash", 1, (BREAST, OVARY, BREAST)),
    )
    steps = Preprocessing(composites=True)
    assert [m.surface for m in prepare([document(hidden)], steps)] == ["breast cancer", "ovarian cancer"]
    assert [m.surface for m in prepare([document(listed)], steps)] == [
        "Wilson disease",
        "breast and ovarian cancer",
        "Rash",
    ]


def test_part_texts_are_gold_information_and_never_read() -> None:
    whole = mention("breast and ovarian cancer", 1, (BREAST, OVARY))
    bare = replace(whole, part_texts=())
    steps = Preprocessing(composites=True)
    assert prepare([document(whole)], steps) == prepare([document(bare)], steps)


def test_steps_can_be_written_as_json() -> None:
    assert json.loads(json.dumps(asdict(Preprocessing()))) == {"abbreviations": True, "composites": False}


spans = st.tuples(st.integers(0, len(TEXT)), st.integers(0, len(TEXT))).map(lambda ends: (min(ends), max(ends)))
golds = st.none() | st.lists(st.frozensets(st.sampled_from("ABC")), min_size=1, max_size=3).map(tuple)


@given(st.lists(st.tuples(spans, golds)), st.booleans(), st.booleans())
def test_offsets_texts_and_gold_survive_every_step(
    drawn: list[tuple[tuple[int, int], tuple[frozenset[str], ...] | None]], abbreviations: bool, composites: bool
) -> None:
    mentions = [
        Mention(TEXT, (span,), TEXT[span[0] : span[1]], "d", str(i), None, gold) for i, (span, gold) in enumerate(drawn)
    ]
    prepared = prepare([document(*mentions)], Preprocessing(abbreviations, composites))
    seen = list(dict.fromkeys(m.mention_id for m in prepared))
    assert seen == [m.mention_id for m in mentions]
    for original in mentions:
        parts = [m for m in prepared if m.key == original.key]
        assert {(m.context, m.spans, m.text) for m in parts} == {(TEXT, original.spans, original.text)}
        if original.gold is None:
            assert all(m.gold is None for m in parts)
        else:
            assert tuple(part for m in parts for part in m.gold or ()) == original.gold
