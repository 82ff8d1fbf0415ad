"""Negatives: the nearest names of other concepts, held to all cosines computed at once."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from genlink.data import negatives, neighbours
from genlink.data.negatives import build_negatives, nearest_other_names, open_negatives, write_review
from genlink.data.neighbours import OtherNames
from genlink.errors import DataError, KnowledgeBaseError, UsageError
from genlink.files import read_jsonl
from genlink.kb import KnowledgeBase
from genlink.schema import Concept


def all_cosines(kb: KnowledgeBase) -> NDArray[np.float64]:
    """The cosine of every pair of keys, -1 for a pair that shares a concept; shape (n_keys, n_keys)."""
    keys = [kb.key(i) for i in range(kb.n_keys)]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3)).fit_transform(keys).toarray()
    cosines: NDArray[np.float64] = vectors @ vectors.T
    for a in range(kb.n_keys):
        for b in range(kb.n_keys):
            if set(kb.key_concepts(a)) & set(kb.key_concepts(b)):
                cosines[a, b] = -1
    return cosines


def check(kb: KnowledgeBase, found: NDArray[np.int32], keys: list[int]) -> None:
    """The negatives of these keys are the nearest there are, in order, ties by index; -1 after the last."""
    top = found.shape[1]
    assert found.dtype == np.int32 and found.shape == (len(keys), top)
    cosines = np.round(all_cosines(kb), 5)
    for key, row in zip(keys, found.tolist(), strict=True):
        listed = [i for i in row if i >= 0]
        assert row == listed + [-1] * (top - len(listed))
        assert len(set(listed)) == len(listed)
        best = np.sort(cosines[key][cosines[key] > 0])[::-1][:top]
        # Equal numbers, not equal names: single and double precision may part a tie.
        assert cosines[key][listed] == pytest.approx(best, abs=3e-5)


syllables = st.sampled_from(["fe", "ver", "col", "ic", "gout", "mo", "th", "x", " ", " of "])
names = st.lists(syllables, min_size=1, max_size=5).map("".join).filter(str.strip)
concepts = st.lists(st.lists(names, min_size=1, max_size=4), min_size=1, max_size=12)


@given(concepts, st.integers(1, 4), st.integers(0, 3), st.sampled_from([0.1, 0.7, 0.99]))
def test_the_nearest_names_of_other_concepts_are_found(
    listed: list[list[str]], top: int, first: int, rest: float
) -> None:
    kb = KnowledgeBase.from_concepts(Concept(f"C:{i}", tuple(dict.fromkeys(own))) for i, own in enumerate(listed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_QUERIES", 3)
        patch.setattr(neighbours, "_NAMES", 4)
        patch.setattr(neighbours, "_FIRST_POSTINGS", 5 * first)  # none: there is no bound at first
        patch.setattr(neighbours, "_FIRST_COMPARED", 1 + first)
        patch.setattr(neighbours, "_REST", rest)
        patch.setattr(neighbours, "_PAIRS", 2)
        found = nearest_other_names(kb, top)
    check(kb, found, list(range(kb.n_keys)))
    assert np.array_equal(found, nearest_other_names(kb, top))


def words(n: int, seed: int = 0) -> KnowledgeBase:
    """Many invented names of three words, two a concept; every tenth concept has a name of the one before."""
    rng = np.random.default_rng(seed)
    stems = ["".join(rng.choice(list("abcdeiou"), 4)) for _ in range(60)]
    phrases = [" ".join(rng.choice(stems, 3)) for _ in range(2 * n)]
    given_names = [tuple(dict.fromkeys(phrases[2 * i - (i % 10 == 9) : 2 * i + 2])) for i in range(n)]
    return KnowledgeBase.from_concepts(Concept(f"C:{i}", own) for i, own in enumerate(given_names))


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return words(200)


def test_it_holds_for_names_of_several_words_too(kb: KnowledgeBase) -> None:
    check(kb, nearest_other_names(kb), list(range(kb.n_keys)))


@pytest.mark.parametrize(("queries", "part", "postings"), [(1, 1 << 14, 50), (7, 13, 1 << 13), (512, 100, 0)])
def test_the_size_of_the_blocks_does_not_matter(
    kb: KnowledgeBase, queries: int, part: int, postings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = nearest_other_names(kb)
    monkeypatch.setattr(neighbours, "_QUERIES", queries)
    monkeypatch.setattr(neighbours, "_NAMES", part)
    monkeypatch.setattr(neighbours, "_FIRST_POSTINGS", postings)
    monkeypatch.setattr(negatives, "_BLOCK", 19)
    assert np.array_equal(nearest_other_names(kb), expected)


def test_the_bound_spares_comparisons(kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    products = OtherNames._products

    def counted(self: OtherNames, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
        compared.append(len(a))
        return products(self, a, b)

    monkeypatch.setattr(OtherNames, "_products", counted)
    monkeypatch.setattr(neighbours, "_FIRST_COMPARED", 8)
    nearest_other_names(kb)
    assert sum(compared) < kb.n_keys * kb.n_keys / 4


def named(kb: KnowledgeBase, name: str, found: NDArray[np.int32]) -> list[str]:
    key = kb.key_index(name)
    assert key is not None
    return [kb.key(i) for i in found[key].tolist() if i >= 0]


def test_names_of_every_concept_of_an_ambiguous_name_are_left_out() -> None:
    kb = KnowledgeBase.from_concepts(
        [
            Concept("C:1", ("salt fever", "silver fever")),
            Concept("C:2", ("salt fever", "moth fever")),
            Concept("C:3", ("salt fevers",)),
            Concept("C:4", ("gout",)),
        ]
    )
    found = nearest_other_names(kb)
    assert named(kb, "salt fever", found) == ["salt fevers"]
    assert sorted(named(kb, "silver fever", found)) == ["moth fever", "salt fevers"]
    assert sorted(named(kb, "salt fevers", found)) == ["moth fever", "salt fever", "silver fever"]
    assert named(kb, "salt fevers", found)[0] == "salt fever"
    assert named(kb, "gout", found) == []


def test_ties_go_to_the_smaller_key_index() -> None:
    kb = KnowledgeBase.from_concepts([Concept(f"C:{i}", (f"fever {c}",)) for i, c in enumerate("edcba")])
    others = [key for key in range(5) if kb.key(key) != "fever c"]
    [row] = nearest_other_names(kb, 3, keys=[kb.key_index("fever c") or 0])
    assert row.tolist() == others[:3]


def test_a_knowledge_base_of_one_concept_has_no_negatives() -> None:
    kb = KnowledgeBase.from_concepts([Concept("C:1", ("salt fever", "salty fever", "fever"))])
    assert (nearest_other_names(kb, 2) == -1).all()


def test_some_keys_get_the_rows_that_they_have_among_all(kb: KnowledgeBase) -> None:
    some = [5, 3, 77, 3]
    assert np.array_equal(nearest_other_names(kb, 4, keys=some), nearest_other_names(kb, 4)[some])
    assert nearest_other_names(kb, 4, keys=[]).shape == (0, 4)


def test_long_names_are_neither_asked_nor_found() -> None:
    kb = KnowledgeBase.from_concepts(
        [Concept("C:1", ("salt fever",)), Concept("C:2", ("salt fever of the sea",)), Concept("C:3", ("salt gout",))]
    )
    found = nearest_other_names(kb, 2, max_name_length=10)
    assert named(kb, "salt fever", found) == ["salt gout"]
    assert named(kb, "salt fever of the sea", found) == []
    with pytest.raises(KnowledgeBaseError, match="no name has at most 3 characters"):
        nearest_other_names(kb, max_name_length=3)


def test_names_of_an_overlay_count(kb: KnowledgeBase) -> None:
    more = kb.overlay({"C:0": ["an added name"], "C:1": ["an added name too"]})
    assert named(more, "an added name", nearest_other_names(more))[0] == "an added name too"


@pytest.mark.parametrize(("top", "keys"), [(0, None), (5, [-1]), (5, [10**6])])
def test_what_cannot_be_asked_is_refused(kb: KnowledgeBase, top: int, keys: list[int] | None) -> None:
    with pytest.raises(UsageError, match="expected"):
        nearest_other_names(kb, top, keys=keys)


# On disk


def test_a_build_is_what_the_search_finds_and_is_mapped(kb: KnowledgeBase, tmp_path: Path) -> None:
    built = build_negatives(kb, tmp_path / "negatives", 4)
    assert np.array_equal(built, nearest_other_names(kb, 4))
    assert isinstance(built, np.memmap)
    assert np.array_equal(open_negatives(tmp_path / "negatives", kb), built)
    assert [path.name for path in tmp_path.iterdir()] == ["negatives"]


def test_a_build_of_some_keys_has_rows_for_all(kb: KnowledgeBase, tmp_path: Path) -> None:
    built = build_negatives(kb, tmp_path / "negatives", 4, keys=[9, 2])
    assert np.array_equal(built[[2, 9]], nearest_other_names(kb, 4, keys=[2, 9]))
    assert (np.delete(built, [2, 9], axis=0) == -1).all()


def test_what_is_there_is_taken_only_if_it_is_the_same(
    kb: KnowledgeBase, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    directory = tmp_path / "negatives"
    build_negatives(kb, directory, 2)
    with monkeypatch.context() as patch:
        patch.delattr(OtherNames, "nearest")  # nothing is searched
        build_negatives(kb, directory, 2)
        assert not caplog.records
    other = words(20, seed=1)
    with pytest.raises(DataError, match="negatives of another knowledge base"):
        open_negatives(directory, other)
    for kwargs in ({"kb": other}, {"kb": other, "top": 3}, {"kb": other, "top": 3, "max_name_length": 14}):
        caplog.clear()
        expected = nearest_other_names(**({"top": 2} | kwargs))  # type: ignore[arg-type]
        assert np.array_equal(build_negatives(directory=directory, **({"top": 2} | kwargs)), expected)  # type: ignore[arg-type]
        [record] = caplog.records
        assert "made anew" in record.message


KILLED = """
import os, signal, sys
from genlink.data import negatives
from genlink.data.neighbours import OtherNames
from genlink.kb import KnowledgeBase
negatives._BLOCK = 50
search, calls = OtherNames.nearest, []
def dying(self, keys, top):
    calls.append(keys)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return search(self, keys, top)
OtherNames.nearest = dying
negatives.build_negatives(KnowledgeBase.open(sys.argv[1]), sys.argv[2])
"""


def test_a_build_that_was_killed_goes_on_and_ends_as_an_undisturbed_one(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kb.save(tmp_path / "kb")
    directory = tmp_path / "negatives"
    command = [sys.executable, "-c", KILLED, str(tmp_path / "kb"), str(directory)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not directory.exists()
    searched: list[int] = []
    nearest = OtherNames.nearest

    def watched(self: OtherNames, keys: NDArray[np.int64], top: int) -> NDArray[np.int32]:
        searched.extend(keys.tolist())
        return nearest(self, keys, top)

    monkeypatch.setattr(negatives, "_BLOCK", 50)
    monkeypatch.setattr(OtherNames, "nearest", watched)
    built = build_negatives(kb, directory)
    assert searched == list(range(150, kb.n_keys))
    assert np.array_equal(built, nearest_other_names(kb))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb", "negatives"]


def test_blocks_of_other_settings_are_not_gone_on_with(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(negatives, "_BLOCK", 50)
    search, calls = OtherNames.nearest, []

    def interrupted(self: OtherNames, keys: NDArray[np.int64], top: int) -> NDArray[np.int32]:
        calls.append(keys)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return search(self, keys, top)

    with monkeypatch.context() as patch:
        patch.setattr(OtherNames, "nearest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_negatives(kb, tmp_path / "negatives", 2)
    assert np.array_equal(build_negatives(kb, tmp_path / "negatives", 3), nearest_other_names(kb, 3))


def test_other_files_are_never_deleted(kb: KnowledgeBase, tmp_path: Path) -> None:
    for name in ("negatives", "other.blocks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").touch()
        with pytest.raises(DataError, match="holds other files"):
            build_negatives(kb, tmp_path / name.removesuffix(".blocks"))
        assert (tmp_path / name / "thesis.tex").exists()


def test_a_broken_array_is_an_error_that_says_how_to_mend_it(kb: KnowledgeBase, tmp_path: Path) -> None:
    directory = tmp_path / "negatives"
    build_negatives(kb, directory, keys=[0])
    for broken in (b"", b"\x93NUMPY"):
        (directory / "negatives.npy").write_bytes(broken)
        with pytest.raises(DataError, match=r"cannot be read.*genlink kb negatives"):
            open_negatives(directory, kb)
    np.save(directory / "negatives.npy", np.zeros((3, 5), dtype=np.int32))
    with pytest.raises(DataError, match="disagree"):
        open_negatives(directory, kb)


def test_the_review_lists_names_and_cosines(kb: KnowledgeBase, tmp_path: Path) -> None:
    found = nearest_other_names(kb, 3)
    write_review(tmp_path / "review.jsonl", kb, found)
    lines = {line["name"]: line["negatives"] for _, line in read_jsonl(tmp_path / "review.jsonl")}
    cosines = all_cosines(kb)
    assert len(lines) == int((found[:, 0] >= 0).sum())
    for key in (0, 100):
        others = [i for i in found[key].tolist() if i >= 0]
        assert [entry["name"] for entry in lines[kb.key(key)]] == [kb.key(i) for i in others]
        assert [entry["cosine"] for entry in lines[kb.key(key)]] == pytest.approx(cosines[key, others], abs=1e-4)
    assert json.dumps(lines)
