"""Search by blocks finds what a full product would, stored vectors are off by no more than stated, a cache is safe."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genlink.encoders.encoder import TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.errors import ModelError, UsageError
from genlink.linkers import vector_cache, vectors
from genlink.linkers.vector_cache import embedded, is_cached
from genlink.linkers.vectors import (
    NameVectors,
    Part,
    rows_from_vectors,
    vector_precision,
    vectors_from_rows,
)

NAMES = [f"{a} {b}" for a in ("silver", "salt", "glass", "tidal", "blue") for b in ("fever", "bone", "lung", "gout")]


def in_parts(matrix: torch.Tensor, sizes: list[int], precision="fp32") -> NameVectors:
    parts, first = [], 0
    for rows in torch.split(matrix, sizes):
        parts.append(Part(np.arange(first, first + len(rows)), rows_from_vectors(rows, precision)))
        first += len(rows)
    return NameVectors(tuple(parts))


def by_brute_force(scores: np.ndarray, n: int) -> np.ndarray:
    """Key indices by falling score, equal scores by rising index, from the whole matrix."""
    return np.array([sorted(range(len(row)), key=lambda i: (-row[i], i))[:n] for row in scores.tolist()])


# Whole numbers: their products are exact, and equal very often.
@given(data=st.data())
def test_search_by_blocks_is_sorting_the_whole_product(data):
    names, queries, width = (data.draw(st.integers(1, top)) for top in (40, 5, 3))
    seed, n = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(1, 45))
    random = np.random.default_rng(seed)
    matrix = torch.from_numpy(random.integers(-3, 4, (names, width)).astype(np.float32))
    asked = torch.from_numpy(random.integers(-3, 4, (queries, width)).astype(np.float32))
    cut = data.draw(st.integers(1, names))
    sizes = [cut] * (names // cut) + ([names % cut] if names % cut else [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "_CELLS", data.draw(st.integers(1, 50)))
        scores, found = in_parts(matrix, sizes).search(asked, n)
    product = (asked @ matrix.T).numpy()
    expected = by_brute_force(product, n)
    assert found.tolist() == expected.tolist()
    assert scores.tolist() == np.take_along_axis(product, expected, axis=1).tolist()


@given(seed=st.integers(0, 1000), k=st.integers(1, 12))
def test_more_names_and_fewer_names_are_searched_as_if_embedded_anew(seed, k):
    random = np.random.default_rng(seed)
    matrix = torch.from_numpy(random.integers(-3, 4, (30, 3)).astype(np.float32))
    asked = torch.from_numpy(random.integers(-3, 4, (4, 3)).astype(np.float32))
    extended = in_parts(matrix[:22], [10, 12]).extended(rows_from_vectors(matrix[22:], "fp32"))
    assert extended.search(asked, k)[1].tolist() == in_parts(matrix, [30]).search(asked, k)[1].tolist()
    chosen = random.permutation(30)[: random.integers(1, 30)].tolist()
    part = extended.selected(chosen)
    assert len(part) == len(chosen)
    assert part.search(asked, k)[1].tolist() == in_parts(matrix[chosen], [len(chosen)]).search(asked, k)[1].tolist()


def test_scores_to_add_are_added_to_the_names_that_they_are_of(monkeypatch):
    monkeypatch.setattr(vectors, "_CELLS", 6)
    matrix, asked = torch.arange(20.0).reshape(10, 2), torch.eye(2)
    more = torch.arange(20.0).flip(0).reshape(2, 10) * 3
    scores, found = in_parts(matrix, [4, 6]).search(asked, 10, lambda names: more[:, names])
    product = (asked @ matrix.T + more).numpy()
    assert found.tolist() == by_brute_force(product, 10).tolist()
    assert scores[0].tolist() == sorted(product[0].tolist(), reverse=True)


@given(seed=st.integers(0, 1000), size=st.sampled_from([1e-3, 1.0, 50.0]))
def test_stored_numbers_are_off_by_no_more_than_their_precision(seed, size):
    matrix = torch.randn(20, 16, generator=torch.Generator().manual_seed(seed)) * size
    assert torch.equal(vectors_from_rows(rows_from_vectors(matrix, "fp32")), matrix)
    halves = vectors_from_rows(rows_from_vectors(matrix, "fp16"))
    assert ((halves - matrix).abs() <= matrix.abs() * 2.0**-11 + 2.0**-25).all()
    levels = vectors_from_rows(rows_from_vectors(matrix, "int8"))
    half_a_level = matrix.abs().amax(dim=1, keepdim=True) / 127 / 2
    assert ((levels - matrix).abs() <= half_a_level * (1 + 1e-5)).all()
    # So a score is off by no more than that times the sum of the query's numbers.
    asked = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed + 1))
    off = (asked @ levels.T - asked @ matrix.T).abs()
    assert (off <= asked.abs().sum(dim=1)[:, None] * half_a_level.T * (1 + 1e-3) + 1e-5 * size).all()


def test_int8_takes_a_byte_a_number_and_four_for_the_scale():
    matrix = torch.randn(10, 16)
    sizes = {p: in_parts(matrix, [10], p).nbytes for p in ("fp32", "fp16", "int8")}
    assert sizes == {"fp32": 640, "fp16": 320, "int8": 200}
    assert torch.equal(vectors_from_rows(rows_from_vectors(torch.zeros(2, 4), "int8")), torch.zeros(2, 4))


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(ModelError, match="not finite"):
        rows_from_vectors(torch.tensor([[1.0, float("nan")]]), "fp32")
    with pytest.raises(ModelError, match="too large for fp16"):
        rows_from_vectors(torch.tensor([[1e5, 1.0]]), "fp16")
    assert vectors_from_rows(rows_from_vectors(torch.tensor([[1e5, 1.0]]), "int8"))[0, 0] == pytest.approx(1e5)
    with pytest.raises(UsageError, match="vectors in bf16, expected one of fp32, fp16, int8"):
        vector_precision("bf16")


# On disk


def make_encoder(seed: int = 0) -> TextEncoder:
    tokenizer = train_wordpiece(NAMES, 60)
    return TextEncoder(
        fresh_bert(tokenizer, width=16, layers=1, heads=2, max_positions=32, seed=seed).eval(), tokenizer
    )


@pytest.fixture(scope="module")
def encoder():
    return make_encoder()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(vector_cache, "BLOCK", 6)  # 20 names: blocks of 6, 6, 6 and 2


def files(directory) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def matrix_of(stored: NameVectors) -> torch.Tensor:
    return torch.cat([vectors_from_rows(np.array(part.rows)) for part in stored.parts])


class KilledError(Exception):
    pass


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(encoder, tmp_path, monkeypatch, precision):
    undisturbed = embedded(encoder, NAMES, precision, tmp_path / "a")
    calls = []

    def embed(texts, *rest, **more):
        calls.append(len(texts))
        if len(calls) == 3:
            raise KilledError
        return TextEncoder.embed(encoder, texts, *rest, **more)

    monkeypatch.setattr(encoder, "embed", embed)
    with pytest.raises(KilledError):
        embedded(encoder, NAMES, precision, tmp_path / "b")
    assert not is_cached(encoder, NAMES, precision, tmp_path / "b")
    resumed = embedded(encoder, NAMES, precision, tmp_path / "b")
    assert calls == [6, 6, 6, 6, 2]  # the third again, the first two never
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert torch.equal(matrix_of(resumed), matrix_of(undisturbed))
    embedded(encoder, NAMES, precision, tmp_path / "b")
    assert len(calls) == 5  # all of it is there


def test_vectors_that_are_broken_or_gone_are_made_again_and_this_is_said(encoder, tmp_path, caplog):
    embedded(encoder, NAMES, "fp32", tmp_path)
    whole = files(tmp_path)
    [joined] = tmp_path.rglob("*.npy")
    for spoil in (lambda: joined.write_bytes(b"broken"), joined.unlink):
        spoil()
        caplog.clear()
        embedded(encoder, NAMES, "fp32", tmp_path)
        assert files(tmp_path) == whole
        assert [record.message.partition(": ")[2] for record in caplog.records] == [
            "the vectors there are damaged, and are made again."
        ]


def test_a_broken_block_is_made_again(encoder, tmp_path, monkeypatch):
    embedded(encoder, NAMES, "fp32", tmp_path)
    whole = files(tmp_path)
    shutil.rmtree(tmp_path / "vectors")
    monkeypatch.setattr(vector_cache, "_join", lambda *_: (_ for _ in ()).throw(KilledError))
    with pytest.raises(KilledError):
        embedded(encoder, NAMES, "fp32", tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(vector_cache, "BLOCK", 6)
    blocks = sorted(tmp_path.rglob("*.npy"))
    assert [path.stem for path in blocks] == ["000000", "000001", "000002", "000003"]
    blocks[1].write_bytes(b"broken")
    embedded(encoder, NAMES, "fp32", tmp_path)
    assert files(tmp_path) == whole


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_vectors_of_any_number_of_blocks_are_one_file(encoder, tmp_path, monkeypatch, precision):
    expected = matrix_of(embedded(encoder, NAMES, precision, None))
    stored = embedded(encoder, NAMES, precision, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["manifest.json", "vectors.npy"]
    assert [len(part.rows) for part in stored.parts] == [6, 6, 6, 2]
    assert torch.equal(matrix_of(stored), expected)
    # A kill after the blocks were deleted and before the manifest was written costs nothing.
    next(tmp_path.rglob("manifest.json")).unlink()
    monkeypatch.setattr(encoder, "embed", None)
    assert torch.equal(matrix_of(embedded(encoder, NAMES, precision, tmp_path)), expected)
    assert is_cached(encoder, NAMES, precision, tmp_path)


def test_blocks_that_another_process_has_joined_and_deleted_are_made_again(encoder, tmp_path, monkeypatch):
    join = vector_cache._join

    def late(blocks, names, path):
        for block in path.parent.glob("0*.npy"):
            block.unlink()
        join(blocks, names, path)

    monkeypatch.setattr(vector_cache, "_join", late)
    stored = matrix_of(embedded(encoder, NAMES, "fp32", tmp_path))
    torch.testing.assert_close(stored, encoder.embed(NAMES), rtol=1e-4, atol=1e-5)


def test_with_and_without_a_cache_the_vectors_are_those_of_the_encoder(encoder, tmp_path):
    expected = encoder.embed(NAMES)
    for cache in (None, tmp_path):
        torch.testing.assert_close(matrix_of(embedded(encoder, NAMES, "fp32", cache)), expected, rtol=1e-4, atol=1e-5)


def test_vectors_that_are_there_in_full_are_rounded_and_not_embedded_again(encoder, tmp_path, monkeypatch):
    full = matrix_of(embedded(encoder, NAMES, "fp32", tmp_path))
    monkeypatch.setattr(encoder, "embed", None)
    assert torch.equal(matrix_of(embedded(encoder, NAMES, "fp16", tmp_path)), full.half().float())


def test_another_dictionary_is_embedded_anew_and_this_is_said(encoder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        embedded(encoder, NAMES, "fp32", tmp_path)
        assert not caplog.records
        changed = [*NAMES[:-1], "glass gout of the lung"]
        vectors_now = matrix_of(embedded(encoder, changed, "fp32", tmp_path))
    assert "has vectors of other dictionaries by this encoder (1), but none of this one" in caplog.text
    torch.testing.assert_close(vectors_now, encoder.embed(changed), rtol=1e-4, atol=1e-5)


def test_another_encoder_has_vectors_of_its_own(encoder, tmp_path):
    embedded(encoder, NAMES, "fp32", tmp_path)
    other = make_encoder(seed=1)
    assert not is_cached(other, NAMES, "fp32", tmp_path)
    torch.testing.assert_close(
        matrix_of(embedded(other, NAMES, "fp32", tmp_path)), other.embed(NAMES), rtol=1e-4, atol=1e-5
    )


def test_vectors_that_were_put_in_the_place_of_others_are_told_apart(encoder, tmp_path, caplog):
    other, changed = make_encoder(seed=1), [name[::-1] for name in NAMES]
    for cache, by, names in (("a", encoder, NAMES), ("b", other, NAMES), ("c", encoder, changed)):
        embedded(by, names, "fp32", tmp_path / cache)
    place, of_another, of_others = (next((tmp_path / c).rglob("manifest.json")).parent for c in "abc")
    expected = files(place)
    shutil.rmtree(place)
    shutil.copytree(of_another, place)
    with pytest.raises(ModelError, match="are those of another encoder"):
        embedded(encoder, NAMES, "fp32", tmp_path / "a")
    shutil.rmtree(place)
    shutil.copytree(of_others, place)
    with caplog.at_level(logging.WARNING):
        embedded(encoder, NAMES, "fp32", tmp_path / "a")
    assert "are those of other names, and are made again" in caplog.text
    assert files(place) == expected
