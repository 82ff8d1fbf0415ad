"""The benchmark of the first answer: each linker is a fresh process over one knowledge base, and what fails is told."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import bench_cold_start
import pytest
from encoders.small_encoders import small_encoder
from linkers.small import CONCEPTS

from genlink.data.tokenizer import train_tokenizer
from genlink.errors import DataError, UsageError
from genlink.evaluation import read_result
from genlink.evaluation.tables import render_table
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.dense import DenseLinker
from genlink.linkers.generative import GenerativeLinker


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """A generator and an encoder over a small dictionary."""
    kb = KnowledgeBase.from_concepts(CONCEPTS)
    tokenizer = train_tokenizer((kb.key(i) for i in range(kb.n_keys)), 300)
    model = fresh_bart(tokenizer, width=16, encoder_layers=1, decoder_layers=1, heads=2, max_positions=128, seed=0)
    GenerativeLinker(model, tokenizer, kb).save(tmp_path / "generator")
    DenseLinker(small_encoder(), kb).save(tmp_path / "dense")
    return tmp_path / "generator", tmp_path / "dense"


@pytest.mark.slow
def test_every_linker_is_a_fresh_process(
    models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, dense = map(str, models)
    path = tmp_path / "results" / "start.json"
    monkeypatch.setenv("GENLINK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bench_cold_start, "wheel_bytes", lambda root: 1_234_567)
    arguments = [str(path), generator, "--dense", dense, "--repeats", "1", "--text", "A [[silver fever]]."]
    if sys.platform != "linux":  # memory is read from /proc
        with pytest.raises(UsageError, match="Use Linux"):
            bench_cold_start.main(arguments)
        return
    bench_cold_start.main(arguments)
    result = read_result(path)
    rows = {row: {key: cell["value"] for key, cell in cells.items()} for row, cells in result["metrics"].items()}
    assert list(rows) == ["Python and torch", "generator, generator", "dense, dense", "exact", "tfidf", "the wheel"]
    assert rows.pop("the wheel") == {"size_mb": 1.23}
    for cells in rows.values():
        assert 0 < cells["seconds"] == cells["slowest"]  # of one process
    floor, model, encoder, exact, _ = (cells["peak_mb"] for cells in rows.values())
    assert 10 < exact < floor < model < encoder  # Python; torch; our modules; transformers
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    assert render_table(path.with_suffix("")).count("\n") == 8


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(DataError, match=r"genlink link nowhere --text x ended with exit code \d and said: error: nowh"):
        bench_cold_start.started(bench_cold_start.LINK, ["link", "nowhere", "--text", "x"])


def test_what_has_no_knowledge_base_is_refused(models: tuple[Path, Path], tmp_path: Path) -> None:
    for system in ("exact", str(tmp_path)):
        with pytest.raises(UsageError, match=r"no generator with a knowledge base|Use Linux"):
            bench_cold_start.main([str(tmp_path / "x.json"), system])


def test_the_wheel_is_built_of_the_sources_alone(tmp_path: Path) -> None:
    package = tmp_path / "genlink"
    package.mkdir()
    (tmp_path / "build" / "lib" / "genlink").mkdir(parents=True)
    (tmp_path / "build" / "lib" / "genlink" / "stale.py").write_bytes(b"#" * 200_000)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "toy"\nversion = "1"\n', encoding="utf-8")
    for name in ("README.md", "LICENSE"):
        (tmp_path / name).write_text("toy", encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    without = bench_cold_start.wheel_bytes(tmp_path)
    assert 0 < without < 10_000
    text = "".join(f"{i:x}" for i in range(40_000))
    (package / "large.py").write_text(f"# {text}\n", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "alone.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large.py", f"# {text}\n")
    larger = bench_cold_start.wheel_bytes(tmp_path) - without
    assert larger == pytest.approx((tmp_path / "alone.zip").stat().st_size, rel=0.1)
