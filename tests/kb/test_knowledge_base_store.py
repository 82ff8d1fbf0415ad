"""A knowledge base on disk: whole or not there, and refused when its parts disagree."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from genlink.errors import DataError, KnowledgeBaseError
from genlink.kb import KnowledgeBase, load_kb
from genlink.kb.store import verify
from genlink.schema import Concept

OLD = KnowledgeBase.from_concepts([Concept("A:1", ("old name",))])
NEW = KnowledgeBase.from_concepts([Concept("A:1", ("new name", "other")), Concept("A:2", ("second",))])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    OLD.save(tmp_path / "kb")
    return tmp_path / "kb"


def test_the_concepts_are_json_lines_that_other_programs_can_read(tmp_path: Path) -> None:
    concept = Concept("A:1", ("é", "e"), ("T1",), "a letter", ("B:1",), ("C:1",))
    KnowledgeBase.from_concepts([concept, Concept("A:2", ("f",))]).save(tmp_path / "kb")
    lines = (tmp_path / "kb" / "concepts.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "id": "A:1",
            "name": "é",
            "synonyms": ["e"],
            "types": ["T1"],
            "definition": "a letter",
            "alternative_ids": ["B:1"],
            "xrefs": ["C:1"],
        },
        {"id": "A:2", "name": "f", "synonyms": []},
    ]


def test_the_manifest_says_what_is_in_the_directory(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["kind"] == "knowledge base"
    assert (manifest["concepts"], manifest["keys"], manifest["ids"], manifest["prefixes"]) == (1, 1, 1, ["A"])
    assert manifest["content_hash"] == OLD.content_hash
    assert manifest["normalisation"] == {"unicode": True, "case": True, "punctuation": True}
    assert {*manifest["parts"], "manifest.json"} == {path.name for path in saved.iterdir()}


def test_saving_replaces_a_knowledge_base_even_the_one_that_is_open(saved: Path) -> None:
    opened = KnowledgeBase.open(saved)
    opened.add_names({"A:1": ["more"]}).save(saved)
    assert KnowledgeBase.open(saved).concept_ids("more") == ("A:1",)
    assert opened.concept_ids("old name") == ("A:1",)
    opened.save(saved)
    assert KnowledgeBase.open(saved).concept_ids("more") == ()
    assert [path.name for path in saved.parent.iterdir()] == ["kb"]


@pytest.mark.parametrize("failing_write", range(11))  # ten parts and the manifest
def test_a_full_disk_leaves_the_old_knowledge_base_whole(
    saved: Path, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    calls = iter(range(100))

    def fsync(handle: int) -> None:
        if next(calls) == failing_write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(KnowledgeBaseError, match=r"could not be written.*No space left.*untouched"):
            NEW.save(saved)
    assert KnowledgeBase.open(saved).content_hash == OLD.content_hash
    verify(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["kb"]


def test_an_interruption_leaves_the_old_knowledge_base_whole(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            NEW.save(saved)
    assert KnowledgeBase.open(saved).content_hash == OLD.content_hash
    assert [path.name for path in saved.parent.iterdir()] == ["kb"]


def test_saving_does_not_delete_files_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(KnowledgeBaseError, match="holds other files"):
        NEW.save(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "model"}')
    with pytest.raises(KnowledgeBaseError, match="holds other files"):
        NEW.save(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_saving_into_an_empty_directory_is_fine(tmp_path: Path) -> None:
    (tmp_path / "kb").mkdir()
    NEW.save(tmp_path / "kb")
    assert len(KnowledgeBase.open(tmp_path / "kb")) == 2


PARTS = sorted(
    [
        "concepts.jsonl",
        "concept_starts.npy",
        "concept_ids.npy",
        "concept_keys.starts.npy",
        "concept_keys.values.npy",
        "id_concepts.npy",
        "ids.marisa",
        "key_concepts.starts.npy",
        "key_concepts.values.npy",
        "keys.marisa",
    ]
)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_refused_and_named(saved: Path, part: str) -> None:
    (saved / part).unlink()
    with pytest.raises(KnowledgeBaseError, match=f"has no {part}.*genlink kb build"):
        KnowledgeBase.open(saved)
    with pytest.raises(KnowledgeBaseError, match=f"{part} is missing"):
        verify(saved)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_another_size_is_refused_and_named(saved: Path, part: str) -> None:
    with (saved / part).open("ab") as f:
        f.write(b"\n")
    with pytest.raises(KnowledgeBaseError, match=f"{part} has .* bytes, the manifest says"):
        KnowledgeBase.open(saved)


def test_a_part_of_the_same_size_and_other_bytes_is_found_by_verify(saved: Path) -> None:
    verify(saved)
    concepts = (saved / "concepts.jsonl").read_bytes()
    (saved / "concepts.jsonl").write_bytes(concepts.replace(b"old", b"bad"))
    with pytest.raises(KnowledgeBaseError, match=r"concepts\.jsonl is missing or was changed"):
        verify(saved)


@pytest.mark.parametrize("part", ["keys.marisa", "concept_starts.npy"])
def test_a_part_of_the_right_size_that_is_no_such_file_is_refused(saved: Path, part: str) -> None:
    (saved / part).write_bytes(b"x" * (saved / part).stat().st_size)
    with pytest.raises(KnowledgeBaseError, match="cannot be read"):
        KnowledgeBase.open(saved)


@pytest.mark.parametrize("missing", ["parts", "prefixes", "normalisation", "content_hash", "report"])
def test_a_manifest_without_its_facts_is_refused(saved: Path, missing: str) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    del manifest[missing]
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(KnowledgeBaseError, match=f"cannot be read.*{missing}"):
        KnowledgeBase.open(saved)


def test_a_build_report_of_another_version_is_refused(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["report"]["colour"] = "blue"
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(KnowledgeBaseError, match=r"build report .* has other fields"):
        KnowledgeBase.open(saved)


def test_parts_of_two_knowledge_bases_are_refused(saved: Path, tmp_path: Path) -> None:
    NEW.save(tmp_path / "new")
    name = "keys.marisa"
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / name).write_bytes((tmp_path / "new" / name).read_bytes())
    manifest["parts"][name]["bytes"] = (saved / name).stat().st_size
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(KnowledgeBaseError, match="parts of different knowledge bases"):
        KnowledgeBase.open(saved)


def test_load_kb_opens_what_was_saved_and_builds_from_a_file(saved: Path, tmp_path: Path) -> None:
    assert load_kb(saved).content_hash == OLD.content_hash
    rebuilt = load_kb(saved / "concepts.jsonl")
    assert rebuilt.content_hash == OLD.content_hash
    assert load_kb(saved / "concepts.jsonl", format="jsonl").content_hash == OLD.content_hash


def test_load_kb_builds_from_a_umls_directory(tmp_path: Path) -> None:
    row = "C0000001|ENG|P|L1|PF|S1|Y|A1||M1|D1|MSH|MH|D1|Sandy foot|0|N|256|\n"
    (tmp_path / "META").mkdir()
    (tmp_path / "META" / "MRCONSO.RRF").write_text(row)
    (name,) = [concept.name for concept in load_kb(tmp_path / "META")]
    assert name == "Sandy foot"


def test_load_kb_of_a_directory_that_is_no_knowledge_base_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json"):
        load_kb(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        load_kb(tmp_path / "nothing")


def test_load_kb_does_not_merge_by_itself(tmp_path: Path) -> None:
    lines = [{"id": "A:1", "name": "a", "synonyms": []}, {"id": "A:1", "name": "b", "synonyms": []}]
    (tmp_path / "kb.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(KnowledgeBaseError, match="A:1: given twice"):
        load_kb(tmp_path / "kb.jsonl")
