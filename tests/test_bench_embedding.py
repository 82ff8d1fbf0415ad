"""The benchmark of very many names: what a kill leaves is kept, and every linker is measured over one dictionary."""

from __future__ import annotations

import sys
from pathlib import Path

import bench_embedding
import numpy as np
import pytest
from encoders.small_encoders import small_encoder
from linkers.small import CONCEPTS

from genlink.data.tokenizer import train_tokenizer
from genlink.errors import DataError, UsageError
from genlink.evaluation import read_result
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.dense import DenseLinker
from genlink.linkers.generative import GenerativeLinker


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """An encoder and a generator over a small dictionary."""
    kb = KnowledgeBase.from_concepts(CONCEPTS)
    DenseLinker(small_encoder(), kb).save(tmp_path / "dense")
    tokenizer = train_tokenizer((kb.key(i) for i in range(kb.n_keys)), 300)
    model = fresh_bart(tokenizer, width=16, encoder_layers=1, decoder_layers=1, heads=2, max_positions=128, seed=0)
    GenerativeLinker(model, tokenizer, kb).save(tmp_path / "generator")
    return tmp_path / "dense", tmp_path / "generator"


@pytest.mark.slow
def test_every_linker_is_measured_over_all_names(
    models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("D1||Silver fever\nD1||Argentine fever\nD2||Croup\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("D3||Croup\n", encoding="utf-8")
    path = tmp_path / "names.json"
    monkeypatch.setattr(sys, "argv", ["", str(path), *map(str, models), str(tmp_path / "*.txt")])
    if sys.platform != "linux":  # memory is read from /proc
        with pytest.raises(UsageError, match="Use Linux"):
            bench_embedding.main()
        return
    bench_embedding.main()
    result = read_result(path)
    embedding = result["settings"]["embedding"]
    # One block: it is there when the process is killed.
    assert (embedding["blocks"], embedding["blocks left by the kill"], embedding["of these made again"]) == (1, 1, 0)
    assert (embedding["blocks compared"], embedding["of these different"]) == (3, 0)
    rows = {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in result["metrics"].items()}
    assert list(rows) == ["dense, fp32", "dense, fp16", "dense, int8", "generator"]
    for cells in rows.values():
        assert cells.keys() == set(bench_embedding.COLUMNS)
        assert (cells["names"], cells["matrix_mb"]) == (3, 0.0)  # 4 bytes for each of 3 names asked, times 3


def test_a_block_of_other_bytes_is_found(models: tuple[Path, Path], tmp_path: Path) -> None:
    dense, cache = models[0], tmp_path / "cache"
    names = KnowledgeBase.open(dense / "kb").n_keys
    assert bench_embedding.embed(dense, dense / "kb", cache)[1] == names
    assert bench_embedding.embed(dense, dense / "kb", cache)[1] == 0
    assert bench_embedding.made(cache) == 1
    assert bench_embedding.differing(dense, dense / "kb", cache, [0]) == 0
    [joined] = cache.rglob("vectors.npy")
    np.save(joined, np.load(joined) + 1)
    assert bench_embedding.differing(dense, dense / "kb", cache, [0, 0]) == 2


def test_a_process_that_ends_by_itself_was_not_killed(models: tuple[Path, Path], tmp_path: Path) -> None:
    dense = models[0]
    with pytest.raises(DataError, match="has ended by itself"):
        bench_embedding.killed(dense, dense / "kb", tmp_path / "cache", 2)
