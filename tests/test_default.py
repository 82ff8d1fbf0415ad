"""The model that comes with GenLink: packed, unpacked once, and refused when damaged."""

from __future__ import annotations

import hashlib
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
from default_sources import DictionarySource, build_dictionary, read_sources
from filelock import FileLock

from genlink import default
from genlink.bundle.hub import push
from genlink.config import read_recipe
from genlink.default import default_model
from genlink.errors import DataError, ModelError, UsageError
from genlink.evaluation import read_result
from genlink.files import sha256
from genlink.kb import KnowledgeBase, load_kb
from genlink.linkers.calibration import Calibration
from genlink.linkers.generative import GenerativeLinker
from genlink.pipeline import load
from genlink.schema import Concept, Mention

NAMES = "C1||heart attack\nC1||myocardial infarction\nC2||asthma\nC3||gout\n"
Make = Callable[..., GenerativeLinker]


SOURCES = """
terms: Weights that nobody owns.
limits: [It is invented.]
dictionary:
  - {file: NAMES, title: Invented, url: "https://example.org", licence: CC0 1.0, type: Disease, max_name_length: 40}
trained_on: []
"""


@pytest.fixture
def place(tiny_generator: Make, tmp_path: Path) -> Path:
    """A folder with a tiny model of other names, a dictionary, and what is said of it."""
    tiny_generator(KnowledgeBase.from_concepts([Concept("X1", ("fever", "rash"))])).save(tmp_path / "model")
    (tmp_path / "names.txt").write_text(NAMES, encoding="utf-8")
    (tmp_path / "sources.yaml").write_text(SOURCES.replace("NAMES", str(tmp_path / "names.txt")), encoding="utf-8")
    return tmp_path


@pytest.fixture
def bundle(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of them, which is the default one, and a cache that is empty."""
    path = place / "package" / "bundle.zip"
    monkeypatch.setattr(default, "BUNDLE", path)
    monkeypatch.setenv("GENLINK_CACHE", str(place / "cache"))
    pack(place, path)
    return path


def pack(place: Path, output: Path, *more: object) -> None:
    given = [
        *more,
        "--sources",
        place / "sources.yaml",
        "--results",
        *sorted(place.glob("results/*.json")),
        "--output",
        output,
    ]
    make_default.main([str(place / "model"), *map(str, given)])


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.is_dir()]


def test_what_is_unpacked_links_to_the_dictionary_that_was_packed(
    bundle: Path, genlink: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
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
    genlink: Callable[..., tuple[int, str, str]],
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
    bundle: Path, genlink: Callable[..., tuple[int, str, str]], tmp_path: Path
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
    for changed in (["--kb", str(tmp_path / "names.txt")], ["--beams", "4"], ["--search", "exact"]):
        code, out, err = genlink("link", *changed, "--text", "[[gout]]")
        assert code == 0 and "NIL" not in out and "probability" not in out, err
    assert load(beams=4).calibration is None and load().calibration is not None


def test_the_dictionary_alone_is_the_one_that_is_packed(bundle: Path, tmp_path: Path) -> None:
    sources = ["--sources", str(tmp_path / "sources.yaml")]
    make_default.main(["--dictionary", str(tmp_path / "kb"), *sources])
    assert KnowledgeBase.open(tmp_path / "kb").content_hash == GenerativeLinker.load(default_model()).kb.content_hash
    for wrong in ([], [str(tmp_path / "model"), "--dictionary", str(tmp_path / "kb")]):
        with pytest.raises(UsageError, match="Give either a model to pack or --dictionary"):
            make_default.main([*wrong, *sources])


def test_it_is_evaluated_by_its_name_and_the_result_says_which_one_it_was(
    bundle: Path, genlink: Callable[..., tuple[int, str, str]], tmp_path: Path
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


# What is packed


def source(path: Path, kind: str, longest: int = 40, *concepts: Concept) -> DictionarySource:
    lines = (
        {"id": c.concept_id, "name": c.name, "synonyms": c.synonyms, "definition": c.definition, "xrefs": c.xrefs}
        for c in concepts
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    facts = {"title": path.stem, "url": "https://example.org", "licence": "CC BY 4.0"}
    return DictionarySource(file=str(path), type=kind, max_name_length=longest, **facts)


def test_a_concept_has_one_home_and_earlier_sources_have_precedence(tmp_path: Path) -> None:
    first = [Concept("A:1", ("Silver fever", "argentine fever"), xrefs=("B:3",)), Concept("A:2", ("Salt fever",))]
    second = [
        Concept("B:1", ("silver-fever", "argyria")),  # its first name is taken
        Concept("B:2", ("Moth lung", "salt fever", "dusty lung")),  # another one is
        Concept("B:3", ("Blue skin",)),  # a cross reference of A:1
        Concept("B:4", ("a lung with a name of many, many letters", "lung of many letters")),
    ]
    third = [Concept("C:1", ("moth lung",)), Concept("C:2", ("moth", "salt fever"))]
    fourth = [Concept("D:1", ("moth",)), Concept("D:2", ("rash", "salt fever", "moth", "eruption"))]
    kb = build_dictionary(
        [
            source(tmp_path / "a.jsonl", "Disease", 40, *first),
            source(tmp_path / "b.jsonl", "Disease", 20, *second),
            source(tmp_path / "c.jsonl", "Anatomy", 40, *third),
            source(tmp_path / "d.jsonl", "Disease", 40, *fourth).model_copy(update={"only_new": True}),
        ]
    )
    assert [(c.concept_id, c.names, c.types) for c in kb] == [
        ("A:1", ("Silver fever", "argentine fever"), ("Disease",)),
        ("A:2", ("Salt fever",), ("Disease",)),
        ("B:2", ("Moth lung", "dusty lung"), ("Disease",)),
        ("B:4", ("lung of many letters",), ("Disease",)),
        ("C:1", ("moth lung",), ("Anatomy",)),  # names of two types are ambiguous
        ("C:2", ("moth", "salt fever"), ("Anatomy",)),
        ("D:2", ("rash", "eruption"), ("Disease",)),  # but for a source that is to bring nothing else
    ]
    assert not any(c.xrefs for c in kb)
    assert [(p.source, p.format) for p in kb.provenance] == [(f"{n}.jsonl", "jsonl") for n in "abcd"]
    assert kb.provenance[0].licence == "CC BY 4.0: a, https://example.org"


def test_a_name_belongs_to_the_concepts_with_the_best_claim(tmp_path: Path) -> None:
    concepts = [
        Concept("A:1", ("morphine", "M"), definition="Described."),
        Concept("A:2", ("Morphine", "papaverum")),  # the same without a definition
        Concept("A:3", ("morphine ion", "morphine", "M", "ion")),
        Concept("A:4", ("opium", "M", "poppy"), definition="Described."),
        Concept("A:5", ("poppy",)),  # a first name goes before a definition
        Concept("A:6", ("ion of lithium", "ion")),
        Concept("A:7", ("twin",)),
        Concept("A:8", ("Twin",)),
    ]
    kb = build_dictionary([source(tmp_path / "a.jsonl", "Chemical", 40, *concepts)])
    assert {c.concept_id: c.names for c in kb} == {
        "A:1": ("morphine", "M"),
        "A:3": ("morphine ion", "ion"),
        "A:4": ("opium", "M"),
        "A:5": ("poppy",),
        "A:6": ("ion of lithium", "ion"),
        "A:7": ("twin",),
        "A:8": ("Twin",),
    }
    assert not any(c.definition for c in kb)


def test_names_that_may_not_be_passed_on_are_no_part_of_the_dictionary(place: Path) -> None:
    path = place / "sources.yaml"
    path.write_text(path.read_text().replace("CC0 1.0", "CC BY-SA 4.0"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"dictionary\.0\.licence.*'CC BY 4.0'.*found 'CC BY-SA 4.0'"):
        pack(place, place / "bundle.zip")


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


class FakeApi:
    """Keeps what would be uploaded."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None: ...

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str, allow_patterns: list[str]) -> None:
        self.files = {name: (Path(folder_path) / name).read_bytes() for name in allow_patterns}


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


def test_info_and_an_upload_are_of_the_default_model_with_its_own_card(
    bundle: Path, genlink: Callable[..., tuple[int, str, str]]
) -> None:
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


def test_the_sources_of_the_default_model_tell_the_terms_of_all_that_its_recipes_read() -> None:
    root = Path(__file__).parent.parent
    known = read_sources(root / "configs" / "default" / "sources.yaml").known
    stages = ("finetune", "refine", "longer", "longest", "preference")
    recipes = ["small/open/pretrain", *(f"default/{stage}" for stage in stages)]
    for recipe in (read_recipe(root / "configs" / f"{name}.yaml") for name in recipes):
        read = {*recipe.knowledge_base, *recipe.pairs.sources, recipe.dev.corpus}
        read |= set(recipe.corpus.train) if recipe.corpus else set()
        assert {path for path in read if path.startswith("data/")} <= set(known)
