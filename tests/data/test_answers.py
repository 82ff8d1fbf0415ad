"""Lists of right and wrong names: the file for review, its counts, and what is added where no name is right."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.answers import Answer, AnswerCounts, AnswerList, count_answers, read_answers, with_nearest
from genlink.data.answers import write_answers as write
from genlink.data.encoding import Prompt
from genlink.errors import FormatError, KnowledgeBaseError
from genlink.text import normalise

LISTS = [
    AnswerList(
        Prompt("argentinian fever", "Signs of ", "\nwere “seen”."),
        ("D1",),
        (Answer("salt fever", False, -0.125), Answer("argentine fever", True, -2.5)),
        count=3,
    ),
    AnswerList(Prompt("SF"), ("D5", "D6"), (Answer("sf", True, 0.0),)),
    AnswerList(Prompt("gout"), ("D4",), (Answer("moth lung", False, -7.0), Answer("sf", False))),
    AnswerList(Prompt("χ"), ("D4",), ()),
]
LINE = {
    "mention": "gout",
    "left": "",
    "right": "",
    "gold": ["D4"],
    "count": 1,
    "answers": [{"name": "blue gout", "right": True, "score": -1.5}],
}


def test_lists_survive_being_written_and_read(tmp_path, kb):
    path = tmp_path / "round-1" / "answers.jsonl"
    write(path, LISTS)
    assert read_answers(path, kb) == LISTS
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(LISTS)
    assert "χ" in path.read_text(encoding="utf-8")  # for people to read


answers = st.builds(
    Answer, st.sampled_from(["sf", "blue gout", "moth lung"]), st.booleans(), st.none() | st.floats(-1e6, 0, width=32)
)
drawn_lists = st.lists(
    st.builds(
        AnswerList,
        st.builds(Prompt, st.text(), st.text(), st.text()),
        st.lists(st.sampled_from(["D1", "D6"]), min_size=1).map(tuple),
        st.lists(answers, max_size=4).map(tuple),
        st.integers(1, 10**9),
    ),
    max_size=3,
)


@given(drawn_lists)
def test_any_list_survives(tmp_path_factory, kb, lists):
    path = tmp_path_factory.getbasetemp() / "drawn.jsonl"
    write(path, lists)
    assert read_answers(path, kb) == lists


def test_a_list_that_was_mended_by_hand_may_have_names_as_they_are_printed_and_other_ids(tmp_path, kb):
    path = tmp_path / "answers.jsonl"
    answer = {"name": "Moth Fancier's lung", "right": False, "score": None}
    path.write_text(json.dumps({**LINE, "gold": ["OLD5"], "answers": [answer]}) + "\n\n")
    (item,) = read_answers(path, kb)
    assert item.gold == ("D5",)
    assert item.answers == (Answer(kb.key(kb.key_index("moth fancier's lung")), False),)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "expected a JSON object, found list"),
        ({"gold": None}, "no list of answers (TypeError"),
        ({"answers": [{"name": "blue gout", "score": 0}]}, "no list of answers (KeyError: 'right')"),
        ({"answers": [{"name": "blue gout", "right": "no", "score": 0}]}, "right is 'no', expected true or false"),
        ({"answers": [{"name": "blue gout", "right": True, "score": "low"}]}, "could not convert string to float"),
        ({"answers": ["blue gout"]}, "no list of answers (TypeError"),
        ({"answers": [{"name": "red gout", "right": True, "score": 0}]}, "'red gout' is no name of the knowledge base"),
        ({"gold": ["D7"]}, "D7: no such concept id in the knowledge base"),
        ({"count": "often"}, "invalid literal for int"),
    ],
)
def test_a_line_that_is_no_list_is_an_error_with_its_number(tmp_path, kb, line, problem):
    path = tmp_path / "answers.jsonl"
    text = line if isinstance(line, str) else json.dumps({**LINE, **line})
    path.write_text(f"{json.dumps(LINE)}\n{text}\n")
    with pytest.raises(FormatError) as caught:
        read_answers(path, kb)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_without_a_key_is_an_error_that_names_it(tmp_path, kb):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({key: value for key, value in LINE.items() if key != "left"}))
    with pytest.raises(FormatError, match=r":1: no list of answers \(KeyError: 'left'\)\. Delete the file"):
        read_answers(path, kb)


def test_the_counts_of_a_harvest_are_those_of_its_lists():
    # First right: SF. Some right: fever, SF. None wrong: SF, and the list without any name.
    assert count_answers(LISTS) == AnswerCounts(
        lists=4, mentions=3 + 1 + 1 + 1, first_right=1, some_right=2, none_right=2, none_wrong=2
    )
    assert count_answers([]) == AnswerCounts(0, 0, 0, 0, 0, 0)


def test_a_list_without_a_right_name_gets_the_gold_names_spelled_most_like_it_behind_its_own(kb, cosine):
    wrong = (Answer("moth lung", False, -1.0), Answer("sf", False, -2.0))
    asked = AnswerList(Prompt("Silvery fevers"), ("D1",), wrong, count=2)
    options = [kb.key(key) for key in kb.concept_keys(kb.concept_index("D1"))]
    ranked = sorted(options, key=lambda name: -cosine(normalise("Silvery fevers"), name))
    for top in (1, 3):
        (found,) = with_nearest([asked], kb, top=top)
        assert found.answers == wrong + tuple(Answer(name, True) for name in ranked[:top])
        assert (found.prompt, found.gold, found.count) == (asked.prompt, asked.gold, 2)
    assert ranked[0] == "silver fever"


def test_names_of_all_gold_concepts_are_candidates_each_once(kb):
    asked = AnswerList(Prompt("SF"), ("D5", "D6"), ())  # both have the name SF
    (found,) = with_nearest([asked], kb, top=9)
    names = [answer.name for answer in found.answers]
    assert names[0] == "sf"
    assert sorted(names) == sorted({"tidal colic", "colic of the tides", "sf", "salt fever"})


def test_a_list_with_a_right_name_stays_as_it_is(kb):
    poor = AnswerList(Prompt("gout"), ("D4",), (Answer("moth lung", False, -7.0),))
    completed = with_nearest([LISTS[0], poor, LISTS[1]], kb)
    assert [completed[0], completed[2]] == LISTS[:2]
    assert [answer.name for answer in completed[1].answers] == ["moth lung", "blue gout"]
    assert with_nearest(LISTS[:2], kb) == LISTS[:2]
    assert with_nearest([], kb) == []


def test_a_gold_concept_that_the_knowledge_base_lacks_is_an_error(kb):
    with pytest.raises(KnowledgeBaseError, match="D9: no such concept id"):
        with_nearest([AnswerList(Prompt("gout"), ("D9",), ())], kb)
