"""A linking that is interrupted anywhere and goes on ends with the same bytes, and asks nothing twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from genlink.bulk.facts import facts_of
from genlink.bulk.forms import write_linked
from genlink.bulk.linking import Job, link_in_parts, linked_documents
from genlink.bulk.parts import Parts, parts_of
from genlink.bulk.processes import Share
from genlink.bulk.sources import Source, chunks, corpus_source
from genlink.errors import DataError, UsageError
from genlink.kb import KnowledgeBase
from genlink.linkers import ExactLinker
from genlink.schema import Concept, Document, Mention, Prediction

NAMES = ["asthma", "gout", "fever", "rash", "cough", "colic"]
KB = KnowledgeBase.from_concepts(Concept(f"C{i}", (name,)) for i, name in enumerate(NAMES))


class PlugPulledError(Exception):
    """The end, without a word."""


class Batched(ExactLinker):
    """A linker whose scores tell which mentions it was asked together, and which dies before a call."""

    def __init__(self, dies_at: int = -1) -> None:
        super().__init__(KB)
        self.dies_at = dies_at
        self.calls: list[list[str]] = []

    def link(self, mentions: Sequence[Mention], k: int = 5, *, progress: bool = False) -> list[Prediction]:  # type: ignore[override]
        if len(self.calls) == self.dies_at:
            raise PlugPulledError
        self.calls.append([mention.surface for mention in mentions])
        score = hash(tuple(self.calls[-1])) / 3
        return [
            dataclasses.replace(
                prediction, candidates=tuple(dataclasses.replace(c, score=score) for c in prediction.candidates)
            )
            for prediction in super().link(mentions, k)
        ]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Nine documents of one to three mentions, which come again and again, and one without any."""
    path = tmp_path / "notes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(10):
            names = [NAMES[(i * 5 + j * j) % 6] for j in range(i % 4)]
            starts = [sum(len(name) + 1 for name in names[:j]) for j in range(len(names))]
            mentions = [{"spans": [[s, s + len(name)]], "text": name} for s, name in zip(starts, names, strict=True)]
            file.write(json.dumps({"id": str(i), "text": " ".join(names), "mentions": mentions}) + "\n")
    return corpus_source(path)


def job_of(source: Source, linker: Batched) -> Job:
    return Job(source, linker, chunk=2, remembered=1000)  # two or three of them


def written(source: Source, output: Path, linker: Batched) -> bytes:
    write_linked(output, "predictions", source, linked_documents(job_of(source, linker), Parts(parts_of(output))), KB)
    return output.read_bytes()


@pytest.mark.parametrize("dies_at", range(4))
def test_after_an_interruption_the_same_bytes_come_out_and_nothing_is_asked_again(
    source: Source, tmp_path: Path, dies_at: int
) -> None:
    whole = Batched()
    Parts(parts_of(tmp_path / "whole")).begin({}, resume=False)
    link_in_parts(job_of(source, whole), Parts(parts_of(tmp_path / "whole")))
    assert len(whole.calls) > dies_at  # it dies before it is done

    parts = Parts(parts_of(tmp_path / "again"))
    parts.begin({}, resume=False)
    first, second = Batched(dies_at), Batched()
    with pytest.raises(PlugPulledError):
        link_in_parts(job_of(source, first), parts)
    parts.begin({}, resume=True)
    link_in_parts(job_of(source, second), parts)
    assert first.calls + second.calls == whole.calls
    assert written(source, tmp_path / "again", second) == written(source, tmp_path / "whole", whole)


def test_mentions_are_asked_once_while_they_are_remembered(source: Source, tmp_path: Path) -> None:
    parts, linker = Parts(tmp_path / "parts"), Batched()
    parts.begin({}, resume=False)
    link_in_parts(Job(source, linker, chunk=2), parts)
    asked = [surface for call in linker.calls for surface in call]
    assert sorted(asked) == sorted({m.surface for d in source.read() for m in d.mentions})


def test_processes_share_the_parts_and_put_the_same_answers_together(source: Source, tmp_path: Path) -> None:
    parts = Parts(parts_of(tmp_path / "shared"))
    parts.begin({}, resume=False)
    for index in range(3):
        link_in_parts(job_of(source, Batched()), parts, Share(index, 3))
    linked = list(linked_documents(job_of(source, Batched()), parts))
    assert [item.document.document_id for item in linked] == [str(i) for i in range(10)]
    for item in linked:
        assert [p.mention for p in item.predictions] == list(item.document.mentions)
        assert all(p.best is not None and p.best.name == p.mention.text for p in item.predictions)


def test_parts_are_neither_deleted_nor_gone_on_with_unasked(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts")
    parts.begin({"input": "a", "number of ranks": 5}, resume=False)
    parts.write(0, ["x"])
    with pytest.raises(UsageError, match=r"Give --resume .*--overwrite"):
        parts.begin({"input": "a", "number of ranks": 5}, resume=False)
    with pytest.raises(UsageError, match="was begun with another number of ranks"):
        parts.begin({"input": "a", "number of ranks": 3}, resume=True)
    parts.begin({"input": "a", "number of ranks": 5}, resume=True)
    assert parts.has(0) and not parts.has(1)
    parts.begin({"input": "b"}, resume=False, overwrite=True)
    assert not parts.has(0)


def test_every_file_that_a_model_is_read_from_tells_it_from_another(source: Source, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    job, found = job_of(source, Batched()), []
    for name, content in (("tokenizer.json", "{}"), ("tokenizer.json", "[]"), ("model.safetensors", "")):
        (tmp_path / "model" / name).write_text(content)
        found.append(facts_of(job, str(tmp_path / "model"), None))
    for before, after in pairwise(found):
        assert [name for name in before if before[name] != after[name]] == ["model"]


def test_what_genlink_did_not_write_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    mine = tmp_path / "parts" / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        Parts(tmp_path / "parts").begin({}, resume=False, overwrite=True)
    with pytest.raises(DataError, match=r"Delete it\."):
        Parts(tmp_path / "parts").begin({}, resume=True)
    assert mine.read_text() == "mine"


def test_a_damaged_part_is_named(source: Source, tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts")
    parts.begin({}, resume=False)
    job = job_of(source, Batched())
    link_in_parts(job, parts)
    path = tmp_path / "parts" / "00000001.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match=rf"00000001.jsonl: {len(lines) - 1} answers for {len(lines)} mentions"):
        list(linked_documents(job, parts))
    path.write_text("\n".join([*lines[:-1], "[1]"]))
    with pytest.raises(DataError, match="part 1 is damaged"):
        list(linked_documents(job, parts))


def test_chunks_end_after_enough_mentions_and_hold_every_document_once() -> None:
    documents = [
        Document(str(i), "x", (Mention("x", ((0, 1),), "x", str(i), "0"),) * n) for i, n in enumerate([1, 3, 0, 2])
    ]
    assert [[d.document_id for d in chunk] for chunk in chunks(iter(documents), 2)] == [["0", "1"], ["2", "3"]]
    assert list(chunks(iter([]), 2)) == []
