"""The demo, cut to two steps: whatever the model has learnt, it is kept, scored beside the baselines and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genlink.demo.run import run_demo
from genlink.evaluation import read_result
from genlink.linkers import GenerativeLinker
from genlink.schema import Mention

ROWS = {f"{name}, {names}" for name in ("exact match", "TF-IDF", "generator") for names in ("kb", "kb+train")}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a demo has run: its output in ``demo``, its result in ``demo.json``."""
    folder = tmp_path_factory.mktemp("run")
    run_demo(folder / "demo", steps=2, result=folder / "demo.json")
    return folder


@pytest.fixture(scope="module")
def result(demo: Path) -> dict[str, Any]:
    return read_result(demo / "demo.json")


def test_the_model_can_be_opened_and_links(demo: Path) -> None:
    linker = GenerativeLinker.load(demo / "demo" / "model")
    assert len(linker.kb) >= 300
    [prediction] = linker.link([Mention.in_context("She has ", "asthma", ".")], k=1)
    assert prediction.best is not None and prediction.best.concept_id in linker.kb


def test_every_linker_is_scored_under_both_dictionaries(result: dict[str, Any]) -> None:
    assert set(result["metrics"]) == ROWS
    for measures in result["metrics"].values():
        assert measures["acc@1"]["n"] == result["n"] >= 200
        assert 0 <= measures["acc@1"]["low"] <= measures["acc@1"]["value"] <= measures["acc@1"]["high"] <= 1
        assert measures["acc@1"]["value"] <= measures["acc@5"]["value"]


def test_names_of_the_training_mentions_help_exact_match(result: dict[str, Any]) -> None:
    plain, extended = (result["metrics"][f"exact match, {names}"]["acc@1"]["value"] for names in ("kb", "kb+train"))
    assert 0 < plain < extended < 1


def test_what_was_printed_is_kept_with_the_table_and_its_scores(result: dict[str, Any]) -> None:
    output = result["settings"]["output"]
    assert f"{result['n']} held-out mentions" in output and "for 2 steps" in output
    for name in ("exact match", "TF-IDF", "generator"):
        [line] = [line for line in output.splitlines() if name in line]
        for names in ("kb", "kb+train"):
            measures = result["metrics"][f"{name}, {names}"]
            assert f"{100 * measures['acc@1']['value']:.1f} [" in line
            assert f"{100 * measures['acc@5']['value']:.1f}" in line
