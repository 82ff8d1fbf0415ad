"""A pipeline links what a user has, and gives what the linker and the command line give."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import genlink
from genlink import Calibration, Document, KnowledgeBase, Mention, Pipeline, Preprocessing, UsageError
from genlink.linkers import ExactLinker
from genlink.linkers.generative import GenerativeLinker
from genlink.preprocessing import FinderRules

MARKED = "History of [[silver fevr]] and [[osteovitrosis]]."


def concepts(predictions: list[Any]) -> list[list[str]]:
    return [[candidate.concept_id for candidate in prediction.candidates] for prediction in predictions]


def test_marked_mentions_are_linked_as_the_linker_links_them(model: Path, linker: GenerativeLinker) -> None:
    predictions = genlink.load(model).link(MARKED, k=3)
    text = "History of silver fevr and osteovitrosis."
    assert [(p.mention.text, p.mention.spans) for p in predictions] == [
        ("silver fevr", ((11, 22),)),
        ("osteovitrosis", ((27, 40),)),
    ]
    mentions = [Mention(text, ((11, 22),), "silver fevr"), Mention(text, ((27, 40),), "osteovitrosis")]
    assert [p.candidates for p in predictions] == [p.candidates for p in linker.link(mentions, 3)]


def test_names_are_found_in_a_text_that_marks_none(dictionary: Path) -> None:
    pipeline = genlink.load("exact", dictionary)
    predictions = pipeline.link("Neither fever; nor Moth-Lung, nor SFX.")
    assert [p.mention.text for p in predictions] == ["Moth-Lung", "SFX"]
    assert concepts(predictions) == [["D3"], ["D4", "D5"]]
    without = genlink.load("exact", dictionary, rules=FinderRules(without=("moth lung",)))
    assert concepts(without.link("Neither fever; nor Moth-Lung, nor SFX.")) == [["D4", "D5"]]


def test_texts_documents_and_mentions_come_alone_or_in_lists(dictionary: Path) -> None:
    pipeline = genlink.load("exact", str(dictionary))
    mention = Mention("moth lung", ((0, 9),), "moth lung", "m")
    document = Document("d", "moth lung", (mention,))
    assert concepts(pipeline.link(mention)) == concepts(pipeline.link([mention])) == [["D3"]]
    assert concepts(pipeline.link(document)) == [["D3"]]
    assert concepts(pipeline.link(["No [[tidal colic]].", document, "Nothing."])) == [["D4"], ["D3"]]
    linked = pipeline.link_documents(["No [[tidal colic]].", document, "Nothing.", Document("e", "moth lung")])
    assert [(item.document.document_id, len(item.predictions)) for item in linked] == [
        ("0", 1),
        ("d", 1),
        ("2", 0),
        ("e", 0),  # a document has its own mentions, or none
    ]
    assert pipeline.link([]) == pipeline.link("") == []


@pytest.mark.parametrize("wrong", [None, 3, [None], ["a", 3], {"text": "a"}, [Mention("a", ((0, 1),), "a"), "a"]])
def test_anything_else_is_refused_in_one_line(dictionary: Path, wrong: Any) -> None:
    with pytest.raises(UsageError, match="texts") as caught:
        genlink.load("exact", dictionary).link(wrong)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="texts"):
        genlink.load("exact", dictionary).link_documents(wrong)


def test_no_ranks_are_refused(dictionary: Path) -> None:
    with pytest.raises(UsageError, match="expected at least 1"):
        genlink.load("exact", dictionary).link("[[asthma]]", k=0)


def test_preprocessing_is_for_texts_and_not_for_mentions(dictionary: Path) -> None:
    text = "Silver fever (SiF) was seen. It was [[SiF]]."
    expanding = genlink.load("exact", dictionary)
    [prediction] = expanding.link(text)
    assert (prediction.mention.text, prediction.mention.surface) == ("SiF", "Silver fever")
    assert concepts([prediction]) == [["D1"]]
    assert concepts(expanding.link([replace(prediction.mention, surface="SiF")])) == [[]]
    plain = genlink.load("exact", dictionary, preprocessing=Preprocessing(abbreviations=False))
    assert concepts(plain.link(text)) == [[]]


def test_a_composite_that_is_split_has_a_prediction_for_each_part(dictionary: Path) -> None:
    pipeline = genlink.load("exact", dictionary, preprocessing=Preprocessing(composites=True))
    linked = pipeline.link_documents(["[[silver and salt fever]], [[moth lung]]"])
    assert [concepts(list(item.predictions)) for item in linked] == [[["D1"], ["D5"], ["D3"]]]


def test_calibrated_probabilities_do_not_depend_on_k(dictionary: Path) -> None:
    calibration = Calibration(temperature=1.0, rest_logit=0.0, ranks=3, nil_threshold=0.6)
    path = dictionary.with_name("calibration.json")
    calibration.save(path)
    for given in (calibration, path):
        pipeline = genlink.load("tfidf", dictionary, calibration=given)
        [one], [all_of] = pipeline.link("[[fever]]", k=1), pipeline.link("[[fever]]", k=9)
        assert one.candidates == tuple(c for c in all_of.candidates if c.rank == 1)
        assert one.is_nil is all_of.is_nil is True
        assert len({candidate.rank for candidate in all_of.candidates}) == 3


def test_a_record_is_a_line_of_genlink_link(genlink_command: Any, dictionary: Path, tmp_path: Path) -> None:
    output = tmp_path / "predictions.jsonl"
    assert genlink_command("link", "tfidf", "--kb", dictionary, "--text", MARKED, "--output", output)[0] == 0
    written = [json.loads(line) for line in output.read_text().splitlines()]
    pipeline = genlink.load("tfidf", dictionary)
    records = [pipeline.to_dict(prediction) for prediction in pipeline.link(MARKED)]
    assert [{**record, "document_id": "text"} for record in records] == written


def test_gold_ids_of_a_record_are_resolved_in_the_dictionary(dictionary: Path) -> None:
    pipeline = genlink.load("exact", dictionary)
    mention = Mention("moth lung", ((0, 9),), "moth lung", gold=(frozenset({"MESH:D3"}),))
    record = pipeline.to_dict(pipeline.link(mention)[0])
    assert (record["gold"], record["gold_concepts"]) == ([["MESH:D3"]], [["D3"]])


def test_threads_get_the_answers_that_each_would_get_alone(model: Path) -> None:
    pipeline = genlink.load(model)
    texts = [f"[[{name}]] and moth lung {i}" for i, name in enumerate(["silver fevr", "SFX", "colic", "glass"] * 6)]
    plain = ["Moth lung, silver fever.", "SFX", "Nothing at all."] * 4
    alone = [genlink.load(model).link(text) for text in [*texts, *plain]]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(pipeline.link, [*texts, *plain]))
    assert together == alone


def test_a_pipeline_is_pickled_as_its_settings(model: Path, linker: GenerativeLinker) -> None:
    pipeline = genlink.load(model, beams=2, calibration=Calibration(1.0, 0.0, 2))
    sent = pickle.dumps(pipeline)
    assert len(sent) < 2000 < sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    assert pickle.loads(sent).link(MARKED) == pipeline.link(MARKED)
    with pytest.raises(UsageError, match="`load` it"):
        pickle.dumps(Pipeline(linker))


def test_a_dictionary_in_memory_cannot_go_to_a_worker() -> None:
    kb = KnowledgeBase.from_concepts([genlink.Concept("D1", ("asthma",))])
    pipeline = genlink.load("exact", kb)
    assert isinstance(pipeline.linker, ExactLinker) and pipeline.kb is kb
    for send in (lambda: pipeline.for_map(column="name"), lambda: pickle.dumps(pipeline)):
        with pytest.raises(UsageError, match="in memory alone"):
            send()


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model"):
        genlink.load(tmp_path / "none")
    with pytest.raises(UsageError, match="give one with --kb"):
        genlink.load("exact")
