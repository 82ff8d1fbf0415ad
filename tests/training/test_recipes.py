"""Every recipe below configs/, two steps of it, from invented files at the places that it names to a model that links.

The stages are chained as the recipes chain them: a stage begins with what the stage before has left. Here
facebook/bart-large is a directory of that name with a BART of width 16, and published encoders are a BERT of width 16;
what a recipe says is changed in size only.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from genlink.config import EncoderConfig, TrainConfig, read_recipe
from genlink.corpora import write_jsonl, write_pubtator
from genlink.encoders.shapes import fresh_bert, train_wordpiece
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart
from genlink.linkers.opening import open_linker
from genlink.schema import Document, Mention
from genlink.training.encoder_stages import run_encoder_stage
from genlink.training.loop import Run
from genlink.training.stages import run_stage

pytestmark = pytest.mark.usefixtures("accelerator")

ROOT = Path(__file__).parents[2]
RECIPES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "configs").rglob("*.yaml")
    if "\nstage: " in path.read_text(encoding="utf-8")
)
SMALL = ["precision=fp32", "optimiser.batch_size=2", "optimiser.warmup_steps=1"]
SMALL_BART = ["width=16", "encoder_layers=1", "decoder_layers=1", "heads=2", "vocab_size=300"]
SMALL_BERT = ["width=16", "layers=1", "heads=2", "vocab_size=150"]
PUBMEDBERT = "microsoft/BiomedNLP-PubMedBERT-base-uncased-abstract-fulltext"
ENCODERS = [PUBMEDBERT, "dmis-lab/biobert-base-cased-v1.1", "minilm"]
SURFACES = [
    ("silver fevers", "D1"),
    ("osteovitrose", "D2"),
    ("moth lungs", "D3"),
    ("colics of the tide", "D4"),
    ("fever of the ocean", "D5"),
    ("blue gouts", "D6"),
]


def smaller(recipe: str) -> TrainConfig | EncoderConfig:
    """The recipe with batches, harvests and fresh models of a size for a test."""
    config = read_recipe(recipe)
    is_encoder = isinstance(config, EncoderConfig)
    shape = SMALL_BERT if is_encoder else SMALL_BART
    changes = SMALL + [f"model.shape.{change}" for change in shape if config.model.shape]
    if not is_encoder and config.harvest:
        changes += ["harvest.queries=8", "harvest.folds=2"]
    return read_recipe(recipe, changes)


def write_knowledge_base(path: Path, kb: KnowledgeBase) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".txt":
        path.write_text("".join(f"{concept.concept_id}||{name}\n" for concept in kb for name in concept.names))
    elif path.name.endswith(".jsonl.gz"):
        with gzip.open(path, "wt") as f:
            for concept in kb:
                name, *synonyms = concept.names
                values = {"id": concept.concept_id, "name": name, "synonyms": synonyms, "definition": "An illness."}
                f.write(json.dumps(values) + "\n")
    else:
        assert not path.suffix, f"{path}: no knowledge base for this test"
        kb.save(path)


def write_corpus_file(path: Path, types: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".txt":
        path.write_text("".join(f"{gold}\tAn illness\t{surface}\n" for surface, gold in SURFACES))
        return
    documents = []
    for number, (surface, gold) in enumerate(SURFACES * len(types)):
        text, start = f"A case of {surface}. It was seen.", len("A case of ")
        spans = ((start, start + len(surface)),)
        mention = Mention(text, spans, surface, str(number), "0", types[number % len(types)], (frozenset({gold}),))
        documents.append(Document(str(number), text, (mention,)))
    write = write_pubtator if path.suffix == ".pubtator" else write_jsonl
    write(path, documents)


class Workplace:
    """A working directory with everything that the recipes name; a stage is carried out once."""

    def __init__(self) -> None:
        self._recipe_of = {read_recipe(recipe).output: recipe for recipe in RECIPES}
        self._runs: dict[str, Run] = {}

    def carry_out(self, recipe: str) -> Run:
        """Carry out the recipe, after the one that trains the model it begins with."""
        if recipe not in self._runs:
            config = smaller(recipe)
            checkpoint = config.model.checkpoint
            if checkpoint is not None and checkpoint.startswith("runs/"):
                self.carry_out(self._recipe_of[checkpoint.removesuffix("/model")])
            run = run_encoder_stage if isinstance(config, EncoderConfig) else run_stage
            self._runs[recipe] = run(config, max_steps=2, overwrite=True)
        return self._runs[recipe]


@pytest.fixture(scope="module")
def workplace(kb, tokenizer, tmp_path_factory) -> Iterator[Workplace]:
    root = tmp_path_factory.mktemp("workplace")
    (root / "configs").symlink_to(ROOT / "configs")
    shape = {"width": 16, "encoder_layers": 2, "decoder_layers": 2, "heads": 2, "max_positions": 1024}
    fresh_bart(tokenizer, **shape, seed=0).save_pretrained(root / "facebook" / "bart-large")
    tokenizer.save_pretrained(root / "facebook" / "bart-large")
    wordpiece = train_wordpiece([kb.key(i) for i in range(kb.n_keys)], 150)
    bert = fresh_bert(wordpiece, width=16, layers=1, heads=2, max_positions=64, seed=0)
    for name in ENCODERS:
        bert.save_pretrained(root / name)
        wordpiece.save_pretrained(root / name)
    types: dict[str, set[str]] = {}
    for config in map(read_recipe, (ROOT / recipe for recipe in RECIPES)):
        for path in {*config.knowledge_base, *config.pairs.sources}:
            write_knowledge_base(root / path, kb)
        for path in config.corpus.train if config.corpus else ():
            types.setdefault(path, set()).update(config.corpus.types)
        if config.dev:
            types.setdefault(config.dev.corpus, set()).update(config.dev.types)
    for path, wanted in types.items():
        write_corpus_file(root / path, sorted(wanted) or ["Disease"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("GENLINK_DATA", str(root / "data"))
        patch.setattr("genlink.training.encoders.minilm_directory", lambda: root / "minilm")
        yield Workplace()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_dry_run_of_a_recipe_leaves_a_model_that_links(recipe: str, workplace: Workplace) -> None:
    run = workplace.carry_out(recipe)
    config = read_recipe(recipe)
    rounds = config.preference.rounds if isinstance(config, TrainConfig) and config.preference else 1
    assert run.step == 2 * rounds
    linker = open_linker(Path(config.output) / "model", None)
    prediction, *_ = linker.link([Mention.in_context("A case of ", "silver fevers", ".")], k=3)
    assert len({candidate.concept_id for candidate in prediction.candidates}) == 3
    assert {candidate.concept_id for candidate in prediction.candidates} <= {gold for _, gold in SURFACES}
