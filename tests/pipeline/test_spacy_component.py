"""The component links the entities that a pipeline of spaCy has found."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest
import spacy
from spacy.language import Language

import genlink
from genlink.linkers.calibration import Calibration
from genlink.pipeline.spacy_component import create_component  # which spaCy finds by the entry point

TEXT = "Neither silver fever (SiF) nor SFX, but SiF of the moths."
WORDS = ("silver fever", "SiF", "SFX", "moths")


def linked(model: object, **settings: object) -> Language:
    """A pipeline that finds four names, and links them."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "DISEASE", "pattern": word} for word in WORDS])
    nlp.add_pipe("genlink", config={"model": str(model), **settings})
    return nlp


def test_the_entry_point_leads_to_the_factory() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    [place] = re.findall(r'^\[project\.entry-points\.spacy_factories\]\ngenlink = "(.+)"$', project, re.MULTILINE)
    assert pkgutil.resolve_name(place) is create_component


def test_entities_get_the_id_of_their_best_concept(dictionary: Path) -> None:
    doc = linked("exact", kb=str(dictionary))(TEXT)
    found = [(entity.text, entity.label_, entity.kb_id_) for entity in doc.ents]
    assert found == [
        ("silver fever", "DISEASE", "D1"),
        ("SiF", "DISEASE", "D1"),  # which the text abbreviates
        ("SFX", "DISEASE", "D4"),  # the first of an ambiguous name
        ("SiF", "DISEASE", "D1"),
        ("moths", "DISEASE", ""),
    ]
    assert [[c["concept_id"] for c in entity._.genlink_candidates] for entity in doc.ents[2:]] == [
        ["D4", "D5"],
        ["D1"],
        [],
    ]
    assert linked("exact", kb=str(dictionary))("Nothing.").ents == ()


def test_answers_are_those_of_the_pipeline_alone_or_in_a_stream(model: Path) -> None:
    nlp, texts = linked(model, k=2), [TEXT, "The moths.", "", "SFX"] * 20
    streamed = list(nlp.pipe(texts, batch_size=3))
    assert [doc.text for doc in streamed] == texts
    alone = [nlp(text) for text in texts[:4]]
    assert [[e.kb_id_ for e in doc.ents] for doc in streamed] == [[e.kb_id_ for e in doc.ents] for doc in alone] * 20
    pipeline = genlink.load(model)
    for entity, prediction in zip(alone[3].ents, pipeline.link("[[SFX]]", k=2), strict=True):
        assert entity._.genlink_candidates == pipeline.to_dict(prediction)["candidates"]


def test_a_nil_answer_leaves_the_id_empty_and_the_candidates_to_see(dictionary: Path, tmp_path: Path) -> None:
    Calibration(1.0, 5.0, 3, nil_threshold=0.9).save(tmp_path / "calibration.json")
    nlp = linked("exact", kb=str(dictionary), calibration=str(tmp_path / "calibration.json"))
    [entity] = nlp("SFX").ents
    assert entity.kb_id_ == "" and len(entity._.genlink_candidates) == 2


def test_a_saved_pipeline_names_the_model_and_opens_it_again(dictionary: Path, tmp_path: Path) -> None:
    nlp = linked("exact", kb=str(dictionary))
    nlp.to_disk(tmp_path / "nlp")
    again = spacy.load(tmp_path / "nlp")
    assert [e.kb_id_ for e in again(TEXT).ents] == [e.kb_id_ for e in nlp(TEXT).ents]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # spaCy forks, Python 3.12
def test_a_pipeline_of_spacy_goes_to_worker_processes(dictionary: Path) -> None:
    nlp = linked("exact", kb=str(dictionary))
    docs = list(nlp.pipe([TEXT, "SFX"], n_process=2, batch_size=1))
    assert [[e.kb_id_ for e in doc.ents] for doc in docs] == [["D1", "D1", "D4", "D1", ""], ["D4"]]


def test_the_model_is_the_default_one_unless_another_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genlink.linkers.opening.default_model", lambda: model)
    nlp = spacy.blank("en")
    component = nlp.add_pipe("genlink")
    assert len(component.pipeline.kb) == 5


def test_a_setting_that_there_is_not_is_refused(dictionary: Path) -> None:
    with pytest.raises(ValueError, match="beams"):
        linked("exact", kb=str(dictionary), beams=3)
