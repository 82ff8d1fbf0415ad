"""A model directory says what it holds, notices what was changed, and goes to the Hub with a card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from calls import Run
from fake_hub import FakeApi

import genlink
from genlink import Calibration, Concept, DataError, KnowledgeBase, ModelError, Pipeline, Preprocessing, UsageError
from genlink.bundle import hub
from genlink.bundle.info import model_facts
from genlink.kb import load_kb
from genlink.kb.provenance import Provenance, restricted_vocabularies
from genlink.linkers.generative import GenerativeLinker


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def files_of(directory: Path) -> list[str]:
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


def test_every_file_but_the_manifest_has_its_hash(model: Path) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    assert sorted([*manifest["files"], "manifest.json"]) == files_of(model)


def test_whatever_file_is_changed_or_missing_is_named(model: Path, copy: Path) -> None:
    for name in json.loads((model / "manifest.json").read_text())["files"]:
        file = copy / name
        original = file.read_bytes()
        file.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(ModelError, match=f"{name}: is not the file that was saved") as caught:
            GenerativeLinker.load(copy)
        assert "\n" not in str(caught.value) and "hf download" in str(caught.value)
        file.unlink()
        with pytest.raises(ModelError, match=f"{name}: is missing"):
            GenerativeLinker.load(copy)
        file.write_bytes(original)
    GenerativeLinker.load(copy)


def test_names_that_are_not_used_are_not_looked_at(copy: Path) -> None:
    shutil.rmtree(copy / "trie")
    kb = KnowledgeBase.from_concepts([Concept("D9", ("Moth lung",))])
    assert GenerativeLinker.load(copy, kb=kb).kb is kb


def test_a_directory_of_an_older_version_has_no_hashes_and_opens(genlink_command: Run, copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    GenerativeLinker.load(copy)
    assert "none recorded" in genlink_command("info", copy)[1]
    manifest["files"] = ["model.safetensors"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="`files` of its manifest cannot be read"):
        GenerativeLinker.load(copy)


def test_info_tells_what_a_model_holds_and_takes(genlink_command: Run, linker: GenerativeLinker, model: Path) -> None:
    code, out, _ = genlink_command("info", model, "--json")
    facts = json.loads(out)
    assert code == 0 and facts == model_facts(model)
    assert (facts["concepts"], facts["names"], facts["distinct_names"]) == (5, 10, 9)
    assert facts["restricted_vocabularies"] == facts["damaged_files"] == []
    n = sum(p.numel() for p in [*linker.model.parameters(), linker.model.final_logits_bias])
    layers = [m.weight.numel() for part in (linker.model.model.encoder, linker.model.model.decoder)
              for m in part.modules() if type(m).__name__ == "Linear"]  # fmt: skip
    weights = {precision: parts["weights"] for precision, parts in facts["memory"].items()}
    assert weights == {"fp32": 4 * n, "bf16": 2 * n, "int8": 4 * n - 3 * sum(layers)}
    trie = sum(file.stat().st_size for file in (model / "trie").iterdir())
    assert {parts["trie"] for parts in facts["memory"].values()} == {trie}
    code, out, _ = genlink_command("info", model)
    assert code == 0 and f"all {len(files_of(model)) - 1} files are those that were saved" in out


def test_nothing_is_read_of_a_model_whose_files_are_damaged(genlink_command: Run, copy: Path) -> None:
    shutil.rmtree(copy / "trie")
    (copy / "kb" / "ids.marisa").write_bytes(b"")
    (copy / "config.json").unlink()
    (copy / "model.safetensors").write_bytes(b"no tensors")
    facts = model_facts(copy)
    assert list(facts) == ["kind", "files", "damaged_files"]
    assert {"config.json", "kb/ids.marisa", "model.safetensors", "trie/token.npy"} <= set(facts["damaged_files"])
    code, out, error = genlink_command("info", copy)
    assert code == 1 and "kb/ids.marisa" in out and error.count("\n") == 1


def test_info_fails_where_a_file_was_changed_or_there_is_no_model(genlink_command: Run, copy: Path) -> None:
    (copy / "config.json").write_text("{}")
    code, out, error = genlink_command("info", copy)
    assert code == 1 and "damaged: config.json" in out and error.count("\n") == 1
    code, _, error = genlink_command("info", copy / "kb")
    assert code == 2 and "is no model directory" in error and error.count("\n") == 1
    code, _, error = genlink_command("info", "tfidf")
    assert code == 2 and "tfidf: is no model directory" in error and error.count("\n") == 1
    code, _, error = genlink_command("info", copy.parent)
    assert code == 2 and error.count("\n") == 1


def test_a_saved_pipeline_has_its_calibration(model: Path, tmp_path: Path) -> None:
    pipeline = genlink.load(model, calibration=Calibration(2.0, 0.5, 3))
    pipeline.save(tmp_path / "bundle")
    again = Pipeline.from_pretrained(tmp_path / "bundle")
    assert again.calibration == pipeline.calibration
    assert again.link("[[silver fevr]]") == pipeline.link("[[silver fevr]]")
    assert model_facts(tmp_path / "bundle")["calibrated"] is True
    (tmp_path / "bundle" / "calibration.json").write_text("{}")
    with pytest.raises(DataError, match=r"calibration\.json"):
        genlink.load(tmp_path / "bundle")
    with pytest.raises(UsageError, match="no weights to save"):
        genlink.load("exact", pipeline.kb).save(tmp_path / "none")


def test_a_calibration_put_beside_a_model_by_hand_is_no_part_of_it(copy: Path) -> None:
    Calibration(2.0, 0.5, 3).save(copy / "calibration.json")
    api = FakeApi()
    assert genlink.load(copy).calibration is None and model_facts(copy)["calibrated"] is False
    hub.push(copy, "someone/tiny", api=api)
    assert "calibration.json" not in api.files and "Scores are no probabilities" in api.files["README.md"].decode()
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["files"]  # as an older version wrote it
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert genlink.load(copy).calibration == Calibration(2.0, 0.5, 3) and model_facts(copy)["calibrated"] is True


def test_a_saved_pipeline_has_its_preprocessing(model: Path, tmp_path: Path) -> None:
    steps = Preprocessing(abbreviations=False, composites=True)
    genlink.load(model, preprocessing=steps).save(tmp_path / "bundle")
    assert genlink.load(tmp_path / "bundle").preprocessing == steps
    assert genlink.load(tmp_path / "bundle", preprocessing=Preprocessing()).preprocessing == Preprocessing()
    assert genlink.load(model).preprocessing == Preprocessing()


def test_what_is_pushed_is_the_bundle_and_a_card(copy: Path, tmp_path: Path) -> None:
    data = [{"path": "data/x/train.txt", "sha256": "ab" * 32}]
    recipe = {"stage": "finetune", "output": str(tmp_path), "model": {"checkpoint": str(tmp_path / "base")}}
    record = {"seed": 7, "commit": "c0ffee", "data": data, "settings": {"name": str(tmp_path), "recipe": recipe}}
    (copy.parent / "run.json").write_text(json.dumps(record))
    (copy / "private-notes.txt").write_text("not a part of the model")
    result = {"command": "genlink evaluate", "metrics": {"angel": {"acc@1": {"value": 0.5, "low": None, "n": 4}}}}
    known = dict.fromkeys(("commit", "created", "versions", "hardware", "seed", "n"))
    (tmp_path / "dev.json").write_text(json.dumps({**known, **result, "data": data, "settings": {}}))
    api = FakeApi()
    address = hub.push(copy, "someone/tiny", private=True, results=[tmp_path / "dev.json"], api=api)
    assert address == "https://huggingface.co/someone/tiny" and api.repositories == [("someone/tiny", True)]
    expected = {name: (copy / name).read_bytes() for name in files_of(copy) if name != "private-notes.txt"}
    card = api.files.pop("README.md").decode()
    assert api.files == expected
    for fact in (
        'genlink.Pipeline.from_pretrained("someone/tiny")',
        "5 concepts with 10 names",
        "data/x/train.txt",
        '"stage": "finetune"',
        "seed 7",
        "| 50.0 |",
        "Sources and licence of the names: not recorded",
    ):
        assert fact in card, fact
    assert str(tmp_path) not in card
    assert not (copy / "README.md").exists()


def test_a_pushed_pipeline_tells_of_the_training_of_its_model(copy: Path) -> None:
    (copy.parent / "run.json").write_text(json.dumps({"seed": 7, "commit": "c0ffee", "settings": {}}))
    api = FakeApi()
    genlink.load(copy).push_to_hub("someone/tiny", api=api)
    assert "seed 7, commit `c0ffee`" in api.files["README.md"].decode()


def test_restricted_names_are_pushed_only_with_an_explicit_word(model: Path, linker: GenerativeLinker) -> None:
    kb = KnowledgeBase.from_concepts([Concept("SNOMEDCT_US:22298006", ("Moth lung",))])
    api = FakeApi()
    pipeline = Pipeline(linker.with_kb(kb))
    with pytest.raises(UsageError, match=r"from SNOMED CT, .*allow_restricted_names=True"):
        pipeline.push_to_hub("someone/tiny", api=api)
    assert not api.repositories and not api.files
    pipeline.push_to_hub("someone/tiny", api=api, allow_restricted_names=True)
    assert "**Restricted**" in api.files["README.md"].decode()


def test_damaged_directories_and_bad_names_are_not_pushed(copy: Path) -> None:
    api = FakeApi()
    with pytest.raises(UsageError, match="Expected OWNER/NAME"):
        hub.push(copy, "tiny", api=api)
    (copy / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config\.json is not the file that was saved"):
        hub.push(copy, "someone/tiny", api=api)
    assert not api.repositories


def test_only_the_files_of_the_manifest_are_fetched(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def download(name: str, file: str, *, revision: str | None) -> str:
        return str(model / file)

    def snapshot(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, sorted(allow_patterns)))
        return str(model)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    pipeline = Pipeline.from_pretrained("someone/tiny", revision="v1")
    assert asked == [("someone/tiny", "v1", files_of(model))]
    assert len(pipeline.kb) == 5


def test_a_model_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise OSError("no\nnetwork")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(ModelError, match=r"no network") as caught:
        Pipeline.from_pretrained("someone/tiny")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="OWNER/NAME"):
        Pipeline.from_pretrained("nowhere")


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["D003924", "C12", "OMIM:101900", "100800"], []),
        (["C0004096", "C0011849"], ["UMLS"]),
        (["22298006", "195967001", "D1"], ["SNOMED CT"]),
        (["10019211", "10003553"], ["MedDRA"]),
        (["MESH:D1", "MESH:D2", "MDR:10019211"], ["MedDRA"]),
        (["22298006", "MESH:D1", "MESH:D2", "MESH:D3"], ["SNOMED CT"]),  # all that are bare
        (["http://snomed.info/id/22298006", "http://purl.obolibrary.org/obo/DOID_4"], ["SNOMED CT"]),
        (["22298006", *(f"{n}" for n in range(300, 312))], []),  # one of many may look so by chance
    ],
)
def test_restricted_vocabularies_are_told_by_their_ids(ids: list[str], expected: list[str]) -> None:
    assert restricted_vocabularies([], ids) == expected


@pytest.mark.parametrize(
    ("source", "licence", "expected"),
    [
        ("snomedct201907.txt", None, ["SNOMED CT"]),
        ("names.txt", "UMLS Metathesaurus License", ["UMLS"]),
        ("names.txt", "of MedDRA, and CPT", ["CPT", "MedDRA"]),
        ("encryption.txt", "CC BY 4.0", []),
    ],
)
def test_restricted_vocabularies_are_told_by_what_is_recorded(
    source: str, licence: str | None, expected: list[str]
) -> None:
    assert restricted_vocabularies([Provenance(source, "biosyn", licence)], ["D1"]) == expected


def test_provenance_stays_with_the_names(genlink_command: Run, dictionary: Path, tmp_path: Path) -> None:
    source = Provenance("dictionary.txt", "biosyn")
    assert load_kb(dictionary).provenance == (source,)
    code, _, _ = genlink_command("kb", "build", dictionary, "--licence", "CC0", "--output", tmp_path / "kb")
    kb = KnowledgeBase.open(tmp_path / "kb")
    recorded = Provenance("dictionary.txt", "biosyn", "CC0")
    assert code == 0 and kb.provenance == (recorded,)
    derived = [kb.subset(ids=["D1"]), kb.overlay({"D1": ["new"]}), kb.add_names({"D1": ["new"]})]
    assert [one.provenance for one in derived] == [(recorded,)] * 3
    assert KnowledgeBase.merge([kb, load_kb(dictionary)]).provenance == (recorded, source)
    assert restricted_vocabularies([Provenance("META", "umls")], ["D1"]) == ["UMLS"]
