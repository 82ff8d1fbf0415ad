"""The model that comes with GenLink: packed, unpacked once, and refused when damaged."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_default
import pytest
import torch
from calls import Run
from filelock import FileLock
from packing import NAMES, pack

from genlink.default import default_model
from genlink.errors import DataError, ModelError, UsageError
from genlink.evaluation import read_result
from genlink.files import sha256
from genlink.kb import KnowledgeBase, load_kb
from genlink.linkers.calibration import Calibration
from genlink.linkers.generative import GenerativeLinker
from genlink.pipeline import load
from genlink.schema import Concept, Mention


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.is_dir()]


def test_what_is_unpacked_links_to_the_dictionary_that_was_packed(bundle: Path, genlink: Run, tmp_path: Path) -> None:
    linker = GenerativeLinker.load(default_model())
    assert {c.concept_id for c in linker.kb} == {"C1", "C2", "C3"} and linker.kb.n_keys == 4
    assert {p.dtype for p in linker.model.parameters()} == {torch.float32}
    assert {c.types for c in linker.kb} == {("Disease",)}
    for name in ("README.md", "ATTRIBUTION.txt"):
        assert (default_model() / name).read_bytes() == bundle.with_name(name).read_bytes()
    rounded = GenerativeLinker.load(tmp_path / "model", kb=load_kb(tmp_path / "names.txt"))
    rounded.model.half().float()
    mention = Mention.in_context("", "gout")
    assert linker.link([mention]) == rounded.link([mention])
    code, out, err = genlink("link", "--text", "[[gout]]")
    assert code == 0 and linker.link([mention])[0].best.concept_id in out, err


@pytest.mark.parametrize("is_named", [True, False])
def test_its_dictionary_is_one_for_every_command_that_takes_one(
    bundle: Path,
    genlink: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_named: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    kb = "default" if is_named else default_model()
    code, out, err = genlink("kb", "info", kb, "--verify", "--name", "Gout", "--json")
    assert code == 0 and [c["concept_id"] for c in json.loads(out)["concepts"]] == ["C3"], err
    assert genlink("kb", "build", kb, "--output", "all")[0] == 0
    assert genlink("kb", "add", kb, "--id", "C3", "--name", "podagra", "--output", "more")[0] == 0
    assert load_kb("all").content_hash == load_kb(kb).content_hash != load_kb("more").content_hash
    code, out, err = genlink("link", "exact", "--kb", kb, "--text", "[[gout]]")
    assert code == 0 and "C3" in out, err
    Path("dev.jsonl").write_text(
        '{"id": "1", "text": "gout", "mentions": [{"spans": [[0, 4]], "text": "gout", "gold": [["C3"]]}]}\n'
    )
    code, out, err = genlink("evaluate", "exact", "dev.jsonl", "--kb", kb, "--dictionary", "kb", "--result", "result")
    assert code == 0, err
    hashes = [source["sha256"] for source in read_result("result")["data"]]
    assert hashes == [sha256("dev.jsonl"), sha256(default_model() / "kb")]


def test_a_place_of_the_name_default_goes_before_its_dictionary(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "default"
    KnowledgeBase.from_concepts([Concept("D1", ("croup",))]).save(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert [c.concept_id for c in load_kb("default")] == ["D1"]


def test_it_is_unpacked_once_and_again_when_the_bundle_is_another(bundle: Path, tmp_path: Path) -> None:
    first = default_model()
    (first / "mark").touch()
    assert default_model() == first and (first / "mark").exists()
    (tmp_path / "names.txt").write_text(NAMES + "C4||croup\n", encoding="utf-8")
    pack(tmp_path, bundle)
    assert default_model() != first and first.is_dir()


def test_the_same_model_and_names_are_packed_to_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    pack(tmp_path, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_how_it_searches_and_what_makes_its_scores_probabilities_is_packed_with_it(
    bundle: Path, genlink: Run, tmp_path: Path
) -> None:
    saved = GenerativeLinker.load(tmp_path / "model")
    saved.with_search(replace(saved.search, spelling=4.0)).save(tmp_path / "model")
    for threshold in (0.0, 1.0):
        Calibration(1.0, -50.0, ranks=5, nil_threshold=threshold).save(tmp_path / "fitted.json")
        pack(tmp_path, bundle, "--calibration", tmp_path / "fitted.json")
        assert GenerativeLinker.load(default_model()).search.spelling == 4
        code, out, err = genlink("link", "--text", "[[gout]]")
        assert code == 0 and "probability" in out, err
        assert ("NIL" in out) == bool(threshold)
    for changed in (
        ["--kb", str(tmp_path / "names.txt")],
        ["--beams", "4"],
        ["--search", "exact"],
        ["--concept-type", "Disease"],
    ):
        code, out, err = genlink("link", *changed, "--text", "[[gout]]")
        assert code == 0 and "NIL" not in out and "probability" not in out, err
    assert (
        load(beams=4).calibration is None
        and load(kb=tmp_path / "names.txt").calibration is None
        and load().calibration is not None
    )


def test_the_dictionary_alone_is_the_one_that_is_packed(bundle: Path, tmp_path: Path) -> None:
    sources = ["--sources", str(tmp_path / "sources.yaml")]
    make_default.main(["--dictionary", str(tmp_path / "kb"), *sources])
    assert KnowledgeBase.open(tmp_path / "kb").content_hash == GenerativeLinker.load(default_model()).kb.content_hash
    for wrong in ([], [str(tmp_path / "model"), "--dictionary", str(tmp_path / "kb")]):
        with pytest.raises(UsageError, match="Give either a model to pack or --dictionary"):
            make_default.main([*wrong, *sources])


def test_it_is_evaluated_by_its_name_and_the_result_says_which_one_it_was(
    bundle: Path, genlink: Run, tmp_path: Path
) -> None:
    corpus = tmp_path / "dev.jsonl"
    corpus.write_text(
        '{"id": "1", "text": "gout", "entities": [{"type": "X", "spans": [[0, 4]], "text": "gout", "id": "C2"}]}\n'
    )
    given = ("evaluate", "default", str(corpus), "--dictionary", "kb", "--result", str(tmp_path / "result.json"))
    code, _, err = genlink(*given)
    assert code == 0, err
    assert read_result(tmp_path / "result.json")["data"][-1]["path"] == default_model().name


def test_a_bundle_larger_than_promised_is_not_made(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_default, "LIMITS", {"model": 10**9, "dictionary": 10})
    with pytest.raises(DataError, match=r"the dictionary takes \d+ bytes, at most 10 are promised"):
        pack(tmp_path, tmp_path / "large.zip")
    assert not (tmp_path / "large.zip").exists()
    with pytest.raises(DataError, match="at most 10 are promised"):
        pack(tmp_path, bundle)
    default_model()  # what stood there before is untouched


@pytest.mark.parametrize("kept", [0, 100, -30])
def test_a_bundle_that_was_cut_off_leaves_nothing_behind(bundle: Path, tmp_path: Path, kept: int) -> None:
    bundle.write_bytes(bundle.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"is damaged .* Install GenLink again"):
        default_model()
    assert not folders(tmp_path / "cache")


def test_a_flipped_byte_is_found_and_leaves_nothing_behind(bundle: Path, tmp_path: Path) -> None:
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 255
    bundle.write_bytes(content)
    with pytest.raises(ModelError, match="Install GenLink again"):
        default_model()
    assert not folders(tmp_path / "cache")


def test_a_bundle_that_reaches_out_of_its_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("../outside", "x")
    with pytest.raises(ModelError, match=r"holds '../outside'"):
        default_model()
    assert not (tmp_path / "outside").exists() and not (tmp_path / "cache" / "outside").exists()


def test_an_installation_without_a_bundle_says_so(bundle: Path) -> None:
    bundle.unlink()
    with pytest.raises(ModelError, match="this installation has no default model"):
        default_model()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?")])
def test_what_was_damaged_after_unpacking_is_unpacked_again(bundle: Path, damage: Callable[[Path], Any]) -> None:
    weights = default_model() / "model.safetensors"
    original = weights.read_bytes()
    damage(weights)
    default_model()
    assert weights.read_bytes() == original


def test_what_another_process_unpacks_is_waited_for_and_used(bundle: Path, tmp_path: Path) -> None:
    directory = default_model()
    shutil.move(directory, tmp_path / "whole")
    with ThreadPoolExecutor(1) as threads, FileLock(directory.with_name(f".{directory.name}.lock")):
        later = threads.submit(default_model)
        (tmp_path / "whole" / "of another process").touch()
        with pytest.raises(TimeoutError):
            later.result(timeout=0.5)
        assert not directory.exists()
        shutil.move(tmp_path / "whole", directory)
    assert later.result() == directory and (directory / "of another process").exists()


def test_a_cache_that_cannot_be_written_is_told(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GENLINK_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="GENLINK_CACHE"):
        default_model()
