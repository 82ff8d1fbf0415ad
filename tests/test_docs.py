"""The documents say what the code does: their links, examples, tables and names are held to it."""

from __future__ import annotations

import ast
import doctest
import json
import pkgutil
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pages import GUIDES, ROOT, blocks, prose
from pydantic import BaseModel

import genlink
from genlink import Calibration, corpora, evaluation, metrics
from genlink.config import EncoderConfig, HarvestConfig, PreferenceConfig, TrainConfig
from genlink.corpora import load_corpus
from genlink.data.answers import AnswerList, read_answers, write_answers
from genlink.data.decisions import Decisions
from genlink.data.encoding import Example
from genlink.data.negatives import build_negatives
from genlink.data.preferences import PreferenceExample
from genlink.data.tokenizer import train_tokenizer
from genlink.encoders.encoder import TextEncoder
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.evaluation import PRESETS, read_predictions, read_result
from genlink.kb import KnowledgeBase, load_kb, read_concepts
from genlink.kb.readers import FORMATS as KB_FORMATS
from genlink.kb.readers import sniff
from genlink.linkers.bart import fresh_bart
from genlink.linkers.dense import DenseLinker
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.restriction import Restriction
from genlink.linkers.search_settings import SearchSettings
from genlink.linkers.union import UnionLinker
from genlink.schema import Concept
from genlink.templates import Template
from genlink.training.checkpoint import save_checkpoint
from genlink.training.loop import Run
from genlink.trie import NameTrie

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OWN = [ROOT / "docs" / f"{name}.md" for name in ("architecture", "data", "evaluation", "formats", "glossary", "habits")]
OWN += [ROOT / "docs" / f"{name}.md" for name in ("papers", "preprocessing", "python", "reproduce", "serving")]
OWN += [ROOT / "docs" / "training.md", *GUIDES]


def text_of(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """The anchors of the headings, made as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
        if found[slug]:
            found[f"{slug}-{found[slug]}"] = 0
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_compile_and_sessions_show_what_really_comes_out(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for _, body in blocks(text, "python"):
        compile(body, page.name, "exec")
    for _, body in blocks(text, "pycon") if page not in GUIDES else ():  # those need what stands before them
        session = doctest.DocTestParser().get_doctest(body, {}, page.name, str(page), 0)
        assert doctest.DocTestRunner().run(session).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_picture_says_in_words_what_it_shows(page: Path) -> None:
    pictures = re.findall(r"!\[([^]]*)\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8")))
    for words, target in pictures:
        assert len(words.split()) > 3, f"{page.name}: {target}"


def test_the_picture_drawn_by_hand_can_be_read_and_told_in_any_theme() -> None:
    picture = ET.parse(ROOT / "docs" / "images" / "how_it_works.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    assert picture.get("role") == "img" and picture.get("aria-labelledby") == "title desc"
    assert [picture.find(f"{svg}{part}").text for part in ("title", "desc")] != [None, None]  # type: ignore[union-attr]
    assert "@media (prefers-color-scheme: dark)" in (picture.findtext(f"{svg}style") or "")
    # What is behind everything: a page that shows through would be of somebody else's colour.
    width, height = (picture.get("viewBox") or "").split()[2:]
    page = picture.find(f"{svg}rect")
    assert page is not None and (page.get("class"), page.get("width"), page.get("height")) == ("page", width, height)


def test_the_floors_are_those_of_the_import_contract() -> None:
    [(_, table)] = blocks(text_of("architecture"), "text floors")
    floors = [re.split(r"\s{2,}", line)[0] for line in table.splitlines()]
    layers = re.search(r"^layers = (\[.*?^\])", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert layers is not None
    assert floors == [layer.replace("genlink.", "") for layer in ast.literal_eval(layers[1])]


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.name)
def test_modules_and_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"`(genlink(?:\.\w+)+)", text)):
        pkgutil.resolve_name(name)  # raises if there is no such module, or nothing of that name in it
    for path in set(re.findall(r"\b((?:configs|scripts)/[\w/]+\.\w+)", text)):
        assert (ROOT / path).is_file(), f"{page.name}: {path}"


def test_the_readme_says_where_every_package_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [tree] = [body for _, body in blocks(readme, "text") if body.startswith("genlink/\n")]
    packages = {path.parent.name for path in (ROOT / "genlink").glob("*/__init__.py")}
    assert set(re.findall(r"(\w+)/  ", tree.split("\nconfigs/")[0])) == packages


def test_the_habits_are_as_many_as_the_page_says() -> None:
    numbers = re.findall(r"^\| (\d+) \|", text_of("habits"), re.MULTILINE)
    assert text_of("habits").count("Twenty-five habits") == 1
    assert numbers == [str(i) for i in range(1, 26)]


def test_words_of_the_glossary_exist_in_the_code() -> None:
    places = [genlink, corpora, evaluation, metrics]
    classes = (AnswerList, Decisions, Example, HarvestConfig, NameTrie, PreferenceConfig, PreferenceExample)
    classes += (DenseLinker, Restriction, Run, SearchSettings, Template, TrainConfig, UnionLinker)
    own: dict[str, type] = {c.__name__: c for c in classes}
    own["read_concepts"] = read_concepts  # type: ignore[assignment]
    rows = [line.split(" | ") for line in text_of("glossary").splitlines() if line.startswith("| ")]
    named = [name for row in rows if len(row) > 3 for name in re.findall(r"`([\w.]+)`", row[2])]
    assert len(named) > 40
    for name in named:
        head, *attributes = name.split(".")
        value: Any = own.get(head) or next((getattr(p, head) for p in places if hasattr(p, head)), None)
        assert value is not None, name
        for attribute in attributes:
            fields = value.model_fields if isinstance(value, type) and issubclass(value, BaseModel) else {}
            assert attribute in fields or hasattr(value, attribute), name


def test_presets_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| (\w+) \| ([\w+]+) \| (\w+) \|$", text_of("evaluation"), re.M)
    assert {name: tuple(rules) for name, *rules in rows} == {
        name: (p.ambiguous, p.composite, p.nil, p.dictionary, p.mentions) for name, p in PRESETS.items()
    }


def recipe_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for choice in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(choice, type) and issubclass(choice, BaseModel):
                yield from recipe_keys(choice, f"{prefix}{name}.")


@pytest.mark.parametrize("page", ["data", "evaluation", "papers", "preprocessing", "training"])
def test_recipe_keys_that_are_named_exist(page: str) -> None:
    sections = "|".join({**TrainConfig.model_fields, **EncoderConfig.model_fields})
    named = set(re.findall(rf"`((?:{sections})\.\w+)`", text_of(page)))
    assert named <= {*recipe_keys(TrainConfig), *recipe_keys(EncoderConfig)}
    assert named or page == "evaluation"


def test_the_data_page_has_every_file_that_a_recipe_reads() -> None:
    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from strings(inner)

    documented = set()
    for path in re.findall(r"`(data/[^`\s]+)`", text_of("data")):
        before, _, rest = path.partition("{")
        choices, _, after = rest.partition("}")
        documented |= {f"{before}{choice}{after}" for choice in choices.split(",")}
    recipes = {s for file in ROOT.glob("configs/**/*.yaml") for s in strings(yaml.safe_load(file.read_text()))}
    assert {path for path in recipes if path.startswith("data/")} <= documented


# Formats: what the examples of docs/formats.md hold, as a reader of that page would say it.

SILVER, ARGYRIA = ("Silver fever", "Fever, Silver"), ("Argyria",)
METAL = ("silver fever", "silversmith's fever")
KB_EXAMPLES: dict[str, tuple[str, list[tuple[str, tuple[str, ...], tuple[str, ...]]]]] = {
    # file: format, (id, names, alternative ids)
    "silver.txt": ("biosyn", [("D900001", SILVER, ("OMIM:990001",)), ("D900002", ARGYRIA, ())]),
    "medic.txt": ("medic", [("D900001", SILVER, ("OMIM:990001",)), ("D900002", ARGYRIA, ())]),
    "CTD_diseases.tsv": (
        "ctd",
        [("MESH:D900001", (*SILVER, "Silversmith's fever"), ("DOID:9900001", "OMIM:990001"))],
    ),
    "silver.obo": ("obo", [("MET:0000001", METAL, ("MET:0000009",))]),
    "silver.json": ("obographs", [("MET:0000001", METAL, ())]),
    "silver.jsonl": ("jsonl", [("MET:0000001", METAL, ("MET:0000009",)), ("MET:0000003", ("argyria",), ())]),
    "scispacy.jsonl": ("jsonl", [("C9000001", SILVER, ())]),
    "concepts.csv": (
        "table",
        [("MET:0000001", (*METAL, "fever, silver"), ()), ("MET:0000003", ("argyria",), ())],
    ),
    "names.tsv": ("table", [("MET:0000001", METAL, ())]),
    "META": ("umls", [("C9000001", SILVER, ())]),
}
FEVER = ("Silver fever", (frozenset({"D900001"}),))
PREFIXED = ("Silver fever", (frozenset({"MESH:D900001"}),))
BOTH = ("Argyria and silver fever", (frozenset({"D900002"}), frozenset({"D900001"})))
UNLABELLED = ("Silver fever", None)
CORPUS_EXAMPLES = {
    "corpus.pubtator": ("pubtator", [FEVER, BOTH]),
    "corpus.xml": ("bioc-xml", [FEVER]),
    "bioc.json": ("bioc-json", [PREFIXED]),
    "bigbio.jsonl": ("bigbio", [PREFIXED]),
    "mentions": ("biosyn", [FEVER]),
    "phrases.txt": ("phrases", [("hot and shiny all over", (frozenset({"900100"}),))]),
    "corpus.jsonl": ("jsonl", [FEVER]),
    "entities.jsonl": ("jsonl", [PREFIXED]),
    "spacy.json": ("spacy", [("Silver fever", (frozenset({"D900001"}),))]),
    "offsets.json": ("spacy", [UNLABELLED]),
    "tokens.conll": ("bio", [PREFIXED]),
    "note.txt": ("text", [UNLABELLED]),
    "notes.txt": ("lines", [UNLABELLED]),
}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every example file of docs/formats.md."""
    folder = tmp_path_factory.mktemp("formats")
    for info, body in blocks(text_of("formats"), r"\w+ file=\S+"):
        path = folder / info.partition("file=")[2]
        path.parent.mkdir(exist_ok=True)
        path.write_text(body, encoding="utf-8")
    return folder


def test_every_format_and_every_example_is_tested(examples: Path) -> None:
    text = text_of("formats")
    headings = re.findall(r"^### (\S+)$", text, re.MULTILINE)
    assert headings == [*KB_FORMATS, *corpora.FORMATS]
    assert {format for format, _ in KB_EXAMPLES.values()} == set(KB_FORMATS)
    assert {format for format, _ in CORPUS_EXAMPLES.values()} == set(corpora.FORMATS)
    written = {"answers.jsonl", "predictions.jsonl", "calibration.json", "result.json"}
    assert {path.name for path in examples.iterdir()} == {*KB_EXAMPLES, *CORPUS_EXAMPLES, *written}


@pytest.mark.parametrize("name", KB_EXAMPLES)
def test_knowledge_base_examples_are_read_as_the_page_says(name: str, examples: Path) -> None:
    format, expected = KB_EXAMPLES[name]
    assert sniff(examples / name) == format
    concepts = list(read_concepts(examples / name))
    assert [(c.concept_id, c.names, c.alternative_ids) for c in concepts] == expected
    assert list(load_kb(examples / name)) == concepts


@pytest.mark.parametrize("name", CORPUS_EXAMPLES)
def test_corpus_examples_are_read_as_the_page_says(name: str, examples: Path) -> None:
    format, expected = CORPUS_EXAMPLES[name]
    # Nothing tells whether each line of a text is a document.
    assert corpora.sniff_format(examples / name) == ("text" if format == "lines" else format)
    [document] = load_corpus(examples / name, format)
    assert [(mention.text, mention.gold) for mention in document.mentions] == expected
    assert not corpora.offset_problems(document)


def test_written_examples_can_be_read_back(examples: Path) -> None:
    [record] = read_predictions(examples / "predictions.jsonl")
    assert (record.text, record.surface, record.candidates[0].rank) == ("SF", "silver fever", 1)
    path = examples / "again.jsonl"
    evaluation.write_predictions(path, [record])
    again, shown = json.loads(path.read_text()), json.loads((examples / "predictions.jsonl").read_text())
    assert again == shown and list(again) == list(shown)
    path.unlink()
    calibration = Calibration.read(examples / "calibration.json")
    calibration.save(path)
    assert json.loads(path.read_text()) == json.loads((examples / "calibration.json").read_text())
    path.unlink()
    lists = read_answers(examples / "answers.jsonl", load_kb(examples / "silver.txt"))
    assert [(item.gold, item.count, [a.right for a in item.answers]) for item in lists] == [
        (("D900001",), 2, [False, True, True])
    ]
    write_answers(path, lists)
    assert json.loads(path.read_text()) == json.loads((examples / "answers.jsonl").read_text())
    path.unlink()
    result = read_result(examples / "result.json")
    assert result["metrics"]["angel"]["acc@1"] == {"value": 0.5, "low": None, "high": None, "n": 2}


def listed(directory: str) -> list[str]:
    [(_, body)] = blocks(text_of("formats"), f"text directory={directory}")
    return sorted(line.split()[0] for line in body.splitlines())


def test_directories_hold_what_the_page_lists(tmp_path: Path) -> None:
    kb = KnowledgeBase.from_concepts([Concept("D1", SILVER), Concept("D2", ARGYRIA)])
    tokenizer = train_tokenizer((kb.key(i) for i in range(kb.n_keys)), 270)
    model = fresh_bart(tokenizer, width=8, encoder_layers=1, decoder_layers=1, heads=1, max_positions=192, seed=0)
    GenerativeLinker(model, tokenizer, kb).save(tmp_path / "model")
    optimiser = torch.optim.AdamW(model.parameters())
    save_checkpoint(tmp_path / "checkpoint", model, optimiser, [torch.get_rng_state()], {})
    build_negatives(kb, tmp_path / "negatives")
    wordpiece = train_wordpiece([*SILVER, *ARGYRIA], 60)
    encoder = fresh_bert(wordpiece, width=8, layers=1, heads=1, max_positions=32, seed=0)
    DenseLinker(TextEncoder(encoder, wordpiece), kb).save(tmp_path / "dense-model")
    for directory in ("model/kb", "model", "dense-model", "checkpoint", "negatives"):
        assert sorted(path.name for path in (tmp_path / directory).iterdir()) == listed(Path(directory).name)
    # Its concepts are a file for other programs, and a source of GenLink's own.
    assert list(read_concepts(tmp_path / "model" / "kb" / "concepts.jsonl")) == list(kb)
