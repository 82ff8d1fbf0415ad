"""The bundled data: what the demo, and anyone who reads its scores, relies on."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import genlink.files
from genlink.files import read_jsonl, read_lines
from genlink.text import normalise

README = Path(__file__).parents[2] / "README.md"
DATA = Path(genlink.files.__file__).parent / "demo" / "data"
SPLITS = ("train", "heldout")


def records(name: str) -> list[dict[str, Any]]:
    return [record for _, record in read_jsonl(DATA / f"{name}.jsonl")]


def mentions(split: str) -> list[dict[str, Any]]:
    return [mention for document in records(split) for mention in document["mentions"]]


def surfaces(split: str) -> list[str]:
    return [normalise(mention["text"]) for mention in mentions(split)]


def gold(split: str) -> list[str]:
    return [mention["gold"][0][0] for mention in mentions(split)]


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


@pytest.fixture(scope="module")
def dictionary() -> dict[str, set[str]]:
    """Each name of the knowledge base, normalised, with the ids it names."""
    names: dict[str, set[str]] = {}
    for disease in records("diseases"):
        for name in (disease["name"], *disease["synonyms"]):
            names.setdefault(normalise(name), set()).add(disease["id"])
    return names


def test_the_knowledge_base_holds_300_to_400_diseases_with_distinct_doids():
    ids = [disease["id"] for disease in records("diseases")]
    assert 300 <= len(ids) <= 400
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"DOID:\d+", i) for i in ids)


def test_the_knowledge_base_follows_the_list_it_was_built_from():
    listed = [line.split("\t")[0] for _, line in read_lines(DATA / "ids.txt")]
    assert [disease["id"] for disease in records("diseases")] == listed


def test_names_are_short_whole_and_told_apart_by_normalisation():
    for disease in records("diseases"):
        names = [disease["name"], *disease["synonyms"]]
        assert all(0 < len(name) <= 60 and name == name.strip() and "\ufffd" not in name for name in names)
        assert len({normalise(name) for name in names}) == len(names) <= 11


def test_nearly_every_name_belongs_to_one_disease(dictionary: dict[str, set[str]]):
    assert share([len(ids) == 1 for ids in dictionary.values()]) >= 0.99


@pytest.mark.parametrize("split", SPLITS)
def test_offsets_cut_out_the_mention(split: str):
    for document in records(split):
        assert document["mentions"], document["id"]
        for mention in document["mentions"]:
            [[start, end]] = mention["spans"]
            assert document["text"][start:end] == mention["text"] == mention["text"].strip() != ""


@pytest.mark.parametrize("split", SPLITS)
def test_mentions_of_a_sentence_do_not_overlap_and_are_in_order(split: str):
    for document in records(split):
        spans = [mention["spans"][0] for mention in document["mentions"]]
        assert all(first[1] <= second[0] for first, second in pairwise(spans))
        assert [mention["id"] for mention in document["mentions"]] == [str(i) for i in range(len(spans))]


@pytest.mark.parametrize("split", SPLITS)
def test_every_gold_id_is_in_the_knowledge_base(split: str):
    known = {disease["id"] for disease in records("diseases")}
    for mention in mentions(split):
        [[concept_id]] = mention["gold"]
        assert concept_id in known
        assert mention["type"] == "Disease"


@pytest.mark.parametrize("split", SPLITS)
def test_a_mention_that_is_a_name_has_that_name_s_disease_as_gold(split: str, dictionary: dict[str, set[str]]):
    for surface, concept_id in zip(surfaces(split), gold(split), strict=True):
        assert concept_id in dictionary.get(surface, {concept_id})


def test_one_mention_text_never_has_two_meanings():
    meanings: dict[str, set[str]] = {}
    for split in SPLITS:
        for surface, concept_id in zip(surfaces(split), gold(split), strict=True):
            meanings.setdefault(surface, set()).add(concept_id)
    assert [surface for surface, ids in meanings.items() if len(ids) > 1] == []


def test_document_ids_and_sentences_occur_once_over_both_splits():
    documents = [document for split in SPLITS for document in records(split)]
    assert len({document["id"] for document in documents}) == len(documents)
    assert len({normalise(document["text"]) for document in documents}) == len(documents)


def test_sizes():
    assert len(mentions("train")) >= 450
    assert len(mentions("heldout")) >= 200
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 400_000


def test_two_thirds_of_the_heldout_mention_texts_are_new():
    seen = set(surfaces("train"))
    assert share([surface not in seen for surface in surfaces("heldout")]) >= 2 / 3
    assert share([surface not in seen for surface in set(surfaces("heldout"))]) >= 2 / 3


def test_a_fifth_of_the_heldout_diseases_is_new():
    seen = set(gold("train"))
    assert share([concept_id not in seen for concept_id in set(gold("heldout"))]) >= 0.2
    assert share([concept_id not in seen for concept_id in gold("heldout")]) >= 0.2


@pytest.mark.parametrize("split", SPLITS)
def test_most_mentions_are_no_dictionary_names_but_some_are(split: str, dictionary: dict[str, set[str]]):
    exact = share([surface in dictionary for surface in surfaces(split)])
    assert 0.15 <= exact <= 0.30


def test_the_mentions_that_the_readme_shows_are_new_to_a_model_of_the_demo(dictionary: dict[str, set[str]]):
    # The demo's own output names mentions of every kind.
    text = re.sub(r"<!-- output:.*?<!-- /output -->", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    opening = re.findall(r'given \*"([^"]+)"\* in its\s+sentence\s+it answers `(DOID:\d+), ([^`]+)`', text)
    in_python = re.findall(r'in_context\("[^"]+", "([^"]+)"', text)
    own_names = re.findall(r'overlay\(\{"(DOID:\d+)": \["([^"]+)"\]\}\)', text)
    commands = "\n".join(re.findall(r"genlink link runs/demo/model .*", text))  # others are of other models
    at_the_command_line = re.findall(r"\[\[(.+?)\]\]", commands)
    assert (len(opening), len(in_python), len(own_names), len(at_the_command_line)) == (1, 1, 1, 2)
    [(shown, answer, name)], [(extended, own_name)] = opening, own_names
    held_out = dict(zip(surfaces("heldout"), gold("heldout"), strict=True))
    known = set(dictionary) | set(surfaces("train"))
    for surface in (shown, *in_python, *at_the_command_line):
        assert normalise(surface) in held_out.keys() - known, surface
    assert held_out[normalise(shown)] == answer
    assert {disease["id"]: disease["name"] for disease in records("diseases")}[answer] == name
    assert normalise(own_name) not in known
    assert extended in {disease["id"] for disease in records("diseases")}


def test_the_attribution_states_source_licence_and_the_numbers_of_today():
    attribution = (DATA / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "disease-ontology.org" in attribution
    assert "CC0 1.0" in attribution
    assert f"{len(records('diseases'))} diseases of the" in attribution
    for split in SPLITS:
        counts = f"{len(records(split))} sentences, {len(mentions(split))} mentions of {len(set(gold(split)))} diseases"
        assert counts in attribution
