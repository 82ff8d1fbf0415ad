"""What the default model says of itself: attribution, card, and what goes on with it when it is pushed again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from calls import Run
from fake_hub import FakeApi
from packing import pack

from genlink.bundle.hub import push
from genlink.default import default_model
from genlink.errors import UsageError
from genlink.pipeline import load


def test_the_attribution_names_each_source_with_licence_and_changes(bundle: Path, tmp_path: Path) -> None:
    text = bundle.with_name("ATTRIBUTION.txt").read_text(encoding="utf-8")
    digest = hashlib.sha256((tmp_path / "names.txt").read_bytes()).hexdigest()
    for fact in (
        "Invented, https://example.org",
        "CC0 1.0, https://creative",
        "at most 40",
        digest,
        "left out",
    ):
        assert fact in text


RUN = {"seed": 7, "commit": "c0ffee", "data": [{"path": "data/x/train.txt", "sha256": "ab" * 32}]}
RESULT = {
    "command": "genlink evaluate default data/x/dev.txt",
    "commit": "c0ffee",
    "created": "2026-01-01T00:00:00+00:00",
    "versions": {},
    "hardware": {},
    "data": [{"path": "data/x/dev.txt", "sha256": "cd" * 32}],
    "seed": 0,
    "n": 1200,
    "settings": {"name": "default", "types": ["Disease"], "policies": {"angel": {"dictionary": "kb"}}},
    "metrics": {
        "angel": {"acc@1": {"value": 0.5, "low": 0.375, "high": 0.625, "n": 1200}},
        "angel: composite": {"acc@1": {"value": 0.0, "low": None, "high": None, "n": 1}},
    },
}


def tell_training(place: Path) -> None:
    told = "{file: data/x/train.txt, title: A corpus, url: 'https://example.org', licence: to be cited}"
    path = place / "sources.yaml"
    path.write_text(path.read_text().replace("trained_on: []", f"trained_on: [{told}]"), encoding="utf-8")


def test_the_card_has_data_terms_recipe_and_the_scores_of_result_files(place: Path) -> None:
    def recipe(stage: str, checkpoint: str | None) -> dict[str, Any]:
        return {"stage": stage, "output": str(place), "model": {"checkpoint": checkpoint}}

    earlier = place / "earlier"
    earlier.mkdir()
    begun = {**RUN, "seed": 6, "settings": {"recipe": recipe("pretrain", None)}}
    (earlier / "run.json").write_text(json.dumps(begun))
    (place / "run.json").write_text(
        json.dumps(
            {
                **RUN,
                "data": [*RUN["data"], {"path": f"{earlier}/model/model.safetensors", "sha256": "cd" * 32}],
                "settings": {"recipe": recipe("finetune", str(earlier / "model"))},
            }
        )
    )
    with pytest.raises(UsageError, match=r"says nothing of data/x/train\.txt, which the model was trained on"):
        pack(place, place / "bundle.zip")
    tell_training(place)
    pack(place, place / "bundle.zip")
    card = (place / "README.md").read_text(encoding="utf-8")
    assert "## Scores\n\nNone were given.\n" in card
    (place / "results").mkdir()
    (place / "results" / "dev.json").write_text(json.dumps(RESULT))
    pack(place, place / "bundle.zip")
    card = (place / "README.md").read_text(encoding="utf-8")
    for fact in (
        "genlink.load()",
        "3 concepts with 4 names",
        "`names.txt` (biosyn): CC0 1.0: Invented, https://example.org.",
        "## Terms\n\nWeights that nobody owns.\n",
        "- Read `data/x/train.txt` (SHA-256 `abababababababab`): A corpus (https://example.org), to be cited.",
        "Stage 1 of 2: `pretrain`, seed 6, commit `c0ffee`.",
        "Stage 2 of 2: `finetune`, seed 7, commit `c0ffee`.",
        "| default: data/x/dev.txt (Disease) | angel, kb | 50.0 [37.5, 62.5] | – | – | 1,200 |",
        "- `genlink evaluate default data/x/dev.txt`, at commit `c0ffee`",
        "## Limits\n\n- It is invented.\n- ",
    ):
        assert fact in card, fact
    assert "composite |" not in card and str(place) not in card


def test_info_and_an_upload_are_of_the_default_model_with_its_own_card(bundle: Path, genlink: Run) -> None:
    code, out, err = genlink("info")
    assert code == 0 and "CC0 1.0: Invented" in out and "F16" in out, err
    api = FakeApi()
    push(default_model(), "someone/tiny", api=api)
    files = api.files
    listed = json.loads(files.pop("manifest.json"))["files"]
    assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == {
        name: facts["sha256"] for name, facts in listed.items()
    }


@pytest.mark.parametrize("is_saved_first", [False, True])
def test_what_is_pushed_again_keeps_attribution_terms_and_training(
    bundle: Path, tmp_path: Path, is_saved_first: bool
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**RUN, "settings": {}}))
    tell_training(tmp_path)
    pack(tmp_path, bundle)
    pipeline = load()
    if is_saved_first:
        pipeline.save(tmp_path / "saved")
        pipeline = load(tmp_path / "saved")
    api = FakeApi()
    pipeline.push_to_hub("someone/tiny", api=api)
    assert api.files["ATTRIBUTION.txt"] == (default_model() / "ATTRIBUTION.txt").read_bytes()
    assert api.files["FIRST_CARD.md"] == (default_model() / "README.md").read_bytes()
    assert {"ATTRIBUTION.txt", "FIRST_CARD.md"} <= set(json.loads(api.files["manifest.json"])["files"])
    card = api.files["README.md"].decode()
    terms, training = card.split("## Terms\n")[1].split("## Training\n")
    assert "> Weights that nobody owns." in terms
    assert "- Read `data/x/train.txt` (SHA-256 `abababababababab`): A corpus" in training
    assert "not recorded" not in training.split("## Scores")[0]
    # What is made of facts is of the model that is pushed.
    assert 'from_pretrained("someone/tiny")' in card and '"F32"' in card


def test_attribution_goes_with_the_names_and_terms_and_training_with_the_weights(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**RUN, "settings": {}}))
    tell_training(tmp_path)
    pack(tmp_path, bundle)
    pipeline = load()
    pipeline.linker = pipeline.linker.with_kb(pipeline.kb.overlay({"C3": ["podagra"]}))
    pipeline.save(tmp_path / "more")
    assert (tmp_path / "more" / "ATTRIBUTION.txt").is_file()
    (tmp_path / "own.txt").write_text("D1||croup\n", encoding="utf-8")
    api = FakeApi()
    load(kb=tmp_path / "own.txt").push_to_hub("someone/tiny", api=api)
    assert "ATTRIBUTION.txt" not in api.files
    card = api.files["README.md"].decode()
    assert "1 concepts with 1 names" in card and "Names from `own.txt`" in card
    assert "> Weights that nobody owns." in card and "- Read `data/x/train.txt`" in card
