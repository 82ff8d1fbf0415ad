"""Frames and data sets come back with the columns of a linked table."""

from __future__ import annotations

import csv
import pickle
import shutil
from pathlib import Path

import datasets
import pandas
import pytest
from calls import Run

import genlink
from genlink import FormatError, UsageError
from genlink.linkers.model_directory import UnionSettings, set_fact, write_union
from genlink.pipeline.cells import ADDED

ROWS = [("moth lung", "A moth lung."), ("SFX", None), (None, "Nothing."), ("unheard of", "")]


@pytest.fixture(autouse=True)
def _cache_of_data_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def test_a_frame_gets_the_cells_that_genlink_link_writes(
    genlink_command: Run, dictionary: Path, tmp_path: Path
) -> None:
    frame = pandas.DataFrame(ROWS, columns=["problem", "note"], index=["d", "c", "b", "a"])
    frame.to_csv(tmp_path / "table.csv", index=False)
    linked = genlink.load("exact", dictionary).link_frame(frame, column="problem", context_column="note")
    assert list(linked.index) == ["d", "c", "b", "a"] and list(linked.columns) == ["problem", "note", *ADDED]
    pandas.testing.assert_frame_equal(linked[["problem", "note"]], frame)
    options = ["--column", "problem", "--context-column", "note", "--output", tmp_path / "linked.csv"]
    assert genlink_command("link", "exact", tmp_path / "table.csv", "--kb", dictionary, *options)[0] == 0
    with (tmp_path / "linked.csv").open() as file:
        written = [[row[name] for name in ADDED] for row in csv.DictReader(file)]
    shown = linked[list(ADDED)].astype(object)
    cells = [["" if pandas.isna(c) else str(c).lower() if isinstance(c, bool) else str(c) for c in row] for row in
             shown.itertuples(index=False)]  # fmt: skip
    assert cells == written
    assert written[1][:2] == ["D4|D5", "Tidal colic|Salt fever"] and written[2] == [""] * 6


def test_a_frame_of_another_shape_is_refused(dictionary: Path) -> None:
    pipeline = genlink.load("exact", dictionary)
    frame = pandas.DataFrame({"m": ["gout"], "note": ["No gout."], "at": [4.0]})
    with pytest.raises(UsageError, match="0 columns problem, expected one of: m, note, at"):
        pipeline.link_frame(frame, column="problem")
    with pytest.raises(UsageError, match="give context_column too"):
        pipeline.link_frame(frame, column="m", offset_column="at")
    with pytest.raises(UsageError, match="linked_id already"):
        pipeline.link_frame(frame.assign(linked_id=1), column="m")
    with pytest.raises(FormatError, match=r"frame: row 0: at offset 4 the context has 'ut\.', not"):
        pipeline.link_frame(frame.assign(note="A gout."), column="m", context_column="note", offset_column="at")
    assert pipeline.link_frame(frame[:0], column="m").empty


def test_a_data_set_of_mentions_gets_the_same_columns(dictionary: Path) -> None:
    pipeline = genlink.load("exact", dictionary)
    frame = pandas.DataFrame(ROWS, columns=["problem", "note"])
    linked = pipeline.for_map(column="problem", context_column="note")
    data = datasets.Dataset.from_pandas(frame)
    rows = data.map(linked, batched=True, batch_size=1, features=linked.features(data.features)).to_list()
    expected = pipeline.link_frame(frame, column="problem", context_column="note")
    assert [row["linked_id"] for row in rows] == ["D3", "D4|D5", None, None]
    assert [row["linked_nil"] for row in rows] == [False, False, None, True]
    assert [row["linked_score"] for row in rows[:2]] == expected["linked_score"].tolist()[:2]


def test_a_data_set_of_texts_gets_a_list_of_mentions(dictionary: Path) -> None:
    linked = genlink.load("exact", dictionary).for_map(text_column="text")
    data = datasets.Dataset.from_dict({"text": ["Nothing.", "No [[moth lung]].", "Osteovitrosis?"]})
    rows = data.map(linked, batched=True, batch_size=1, features=linked.features(data.features)).to_list()
    found = [[(m["start"], m["end"], m["text"], m["linked_id"]) for m in row["linked_mentions"]] for row in rows]
    assert found == [[], [(3, 12, "moth lung", "D3")], [(0, 13, "Osteovitrosis", "D2")]]


def test_worker_processes_open_the_model_from_its_directory(model: Path) -> None:
    pipeline = genlink.load(model)
    linked = pipeline.for_map(column="m")
    again = pickle.loads(pickle.dumps(linked))
    assert len(pickle.dumps(linked)) < 3000
    assert again.__dict__["_pipeline"] is None
    batch = {"m": ["silver fevr", "moths"]}
    assert again(batch) == linked(batch)
    assert again.pipeline.kb is not pipeline.kb


def test_the_fingerprint_is_that_of_the_model(dictionary: Path) -> None:
    def fingerprint() -> str:
        return datasets.fingerprint.Hasher.hash(genlink.load("exact", dictionary).for_map(column="m"))

    first = fingerprint()
    assert fingerprint() == first
    dictionary.write_text("D1||another name\n", encoding="utf-8")
    assert fingerprint() != first


def test_the_fingerprint_of_a_union_is_that_of_both_linkers(model: Path, tmp_path: Path) -> None:
    generator = Path(shutil.copytree(model, tmp_path / "generator"))
    write_union(tmp_path / "union", UnionSettings(str(generator), "tfidf"))

    def facts() -> dict[str, str | None]:
        return genlink.load(tmp_path / "union").opening.facts()

    first = facts()
    assert facts() == first
    set_fact(generator, "search", {"beams": 2, "name_tokens": 30})
    assert facts() != first


def test_a_function_for_map_needs_one_column_that_is_there(dictionary: Path) -> None:
    pipeline = genlink.load("exact", dictionary)
    for columns in ({}, {"column": "a", "text_column": "b"}, {"text_column": "b", "context_column": "c"}):
        with pytest.raises(UsageError, match="column"):
            pipeline.for_map(**columns)
    with pytest.raises(UsageError, match=r"no column m\. Its columns: a"):
        pipeline.for_map(column="m")({"a": []})
    with pytest.raises(UsageError, match="linked_id already"):
        pipeline.for_map(column="m").features({"linked_id": None})
