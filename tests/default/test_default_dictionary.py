"""The dictionary of the default model: what each of its sources gives, and on which terms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from default_sources import DictionarySource, build_dictionary, read_sources
from packing import pack
from pages import ROOT

from genlink.config import read_recipe
from genlink.errors import UsageError
from genlink.schema import Concept


def source(path: Path, kind: str, longest: int = 40, *concepts: Concept) -> DictionarySource:
    lines = (
        {"id": c.concept_id, "name": c.name, "synonyms": c.synonyms, "definition": c.definition, "xrefs": c.xrefs}
        for c in concepts
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    facts = {"title": path.stem, "url": "https://example.org", "licence": "CC BY 4.0"}
    return DictionarySource(file=str(path), type=kind, max_name_length=longest, **facts)


def test_a_concept_has_one_home_and_earlier_sources_have_precedence(tmp_path: Path) -> None:
    first = [Concept("A:1", ("Silver fever", "argentine fever"), xrefs=("B:3",)), Concept("A:2", ("Salt fever",))]
    second = [
        Concept("B:1", ("silver-fever", "argyria")),  # its first name is taken
        Concept("B:2", ("Moth lung", "salt fever", "dusty lung")),  # another one is
        Concept("B:3", ("Blue skin",)),  # a cross reference of A:1
        Concept("B:4", ("a lung with a name of many, many letters", "lung of many letters")),
    ]
    third = [Concept("C:1", ("moth lung",)), Concept("C:2", ("moth", "salt fever"))]
    fourth = [Concept("D:1", ("moth",)), Concept("D:2", ("rash", "salt fever", "moth", "eruption"))]
    fifth = [Concept("E:1", ("gene", "genes")), Concept("E:2", ("Chill", "feeling cold"))]
    confirming = tmp_path / "confirming.txt"
    confirming.write_text("X1||Feeling-Cold\nX1||rigor\n", encoding="utf-8")
    kb = build_dictionary(
        [
            source(tmp_path / "a.jsonl", "Disease", 40, *first),
            source(tmp_path / "b.jsonl", "Disease", 20, *second),
            source(tmp_path / "c.jsonl", "Anatomy", 40, *third),
            source(tmp_path / "d.jsonl", "Disease", 40, *fourth).model_copy(update={"only_new": True}),
            source(tmp_path / "e.jsonl", "Disease", 40, *fifth).model_copy(update={"confirmed_by": (str(confirming),)}),
        ]
    )
    assert [(c.concept_id, c.names, c.types) for c in kb] == [
        ("A:1", ("Silver fever", "argentine fever"), ("Disease",)),
        ("A:2", ("Salt fever",), ("Disease",)),
        ("B:2", ("Moth lung", "dusty lung"), ("Disease",)),
        ("B:4", ("lung of many letters",), ("Disease",)),
        ("C:1", ("moth lung",), ("Anatomy",)),  # names of two types are ambiguous
        ("C:2", ("moth", "salt fever"), ("Anatomy",)),
        ("D:2", ("rash", "eruption"), ("Disease",)),  # but for a source that is to bring nothing else
        ("E:2", ("Chill", "feeling cold"), ("Disease",)),  # and what no other file confirms is left out
    ]
    assert not any(c.xrefs for c in kb)
    assert [(p.source, p.format) for p in kb.provenance] == [(f"{n}.jsonl", "jsonl") for n in "abcde"]
    assert kb.provenance[0].licence == "CC BY 4.0: a, https://example.org"


def test_a_name_belongs_to_the_concepts_with_the_best_claim(tmp_path: Path) -> None:
    concepts = [
        Concept("A:1", ("morphine", "M"), definition="Described."),
        Concept("A:2", ("Morphine", "papaverum")),  # the same without a definition
        Concept("A:3", ("morphine ion", "morphine", "M", "ion")),
        Concept("A:4", ("opium", "M", "poppy"), definition="Described."),
        Concept("A:5", ("poppy",)),  # a first name goes before a definition
        Concept("A:6", ("ion of lithium", "ion")),
        Concept("A:7", ("twin",)),
        Concept("A:8", ("Twin",)),
    ]
    kb = build_dictionary([source(tmp_path / "a.jsonl", "Chemical", 40, *concepts)])
    assert {c.concept_id: c.names for c in kb} == {
        "A:1": ("morphine", "M"),
        "A:3": ("morphine ion", "ion"),
        "A:4": ("opium", "M"),
        "A:5": ("poppy",),
        "A:6": ("ion of lithium", "ion"),
        "A:7": ("twin",),
        "A:8": ("Twin",),
    }
    assert not any(c.definition for c in kb)


def test_names_that_may_not_be_passed_on_are_no_part_of_the_dictionary(place: Path) -> None:
    path = place / "sources.yaml"
    path.write_text(path.read_text().replace("CC0 1.0", "CC BY-SA 4.0"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"dictionary\.0\.licence.*'CC BY 4.0'.*found 'CC BY-SA 4.0'"):
        pack(place, place / "bundle.zip")


def test_the_sources_of_the_default_model_tell_the_terms_of_all_that_its_recipes_read() -> None:
    known = read_sources(ROOT / "configs" / "default" / "sources.yaml").known
    stages = ("finetune", "refine", "longer", "longest", "preference")
    recipes = ["small/open/pretrain", *(f"default/{stage}" for stage in stages)]
    for recipe in (read_recipe(ROOT / "configs" / f"{name}.yaml") for name in recipes):
        read = {*recipe.knowledge_base, *recipe.pairs.sources, recipe.dev.corpus}
        read |= set(recipe.corpus.train) if recipe.corpus else set()
        assert {path for path in read if path.startswith("data/")} <= set(known)
