"""What the training tests share: a BART of width 16, a dictionary of six diseases, and one process to train in."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from genlink.config import OptimiserConfig, TrainConfig
from genlink.data.batches import PretrainBatches
from genlink.data.encoding import Encoding
from genlink.data.spelling import spell_trie
from genlink.data.synonyms import SynonymMix, SynonymPairs
from genlink.data.tokenizer import train_tokenizer
from genlink.kb import KnowledgeBase
from genlink.linkers.bart import fresh_bart, set_dropout
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.schema import Concept
from genlink.templates import Template
from genlink.text import Normalisation
from genlink.training import harvest

DISEASES = {
    "D1": ("Silver fever", "Fever, silver", "Argentine fever"),
    "D2": ("Glass bone disease", "Osteovitrosis"),
    "D3": ("Moth lung", "Moth fancier lung"),
    "D4": ("Tidal colic", "Colic of the tides"),
    "D5": ("Salt fever", "Ocean fever"),
    "D6": ("Blue gout", "Gout, blue"),
}


@pytest.fixture(scope="session")
def kb():
    return KnowledgeBase.from_concepts(Concept(concept_id, names) for concept_id, names in DISEASES.items())


@pytest.fixture(scope="session")
def tokenizer(kb):
    return train_tokenizer([kb.key(i) for i in range(kb.n_keys)], 300, ["START", "END", "is"])


@pytest.fixture
def accelerator():
    """One process on the processor, whatever ran before in this one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True, mixed_precision="no")
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def make_model(tokenizer):
    """A function that makes the same tiny BART again and again."""

    def make(dropout: float = 0.0, layers: int = 1):
        shape = {"width": 16, "encoder_layers": layers, "decoder_layers": layers, "heads": 2, "max_positions": 64}
        bart = fresh_bart(tokenizer, **shape, seed=1)
        set_dropout(bart, dropout)
        return bart

    return make


@pytest.fixture(scope="session")
def make_decided_model(make_model):
    """A function that makes a tiny BART that is far from indifferent, with a bias of its own for each token."""

    def make():
        model = make_model().eval()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            model.model.shared.weight.normal_(0, 0.5, generator=generator)
            model.final_logits_bias.normal_(generator=generator)
        return model

    return make


@pytest.fixture(scope="session")
def encoding(tokenizer):
    return Encoding(tokenizer, Template(), Normalisation(), decoder_start=tokenizer.eos_token_id)


@pytest.fixture(scope="session")
def trie(kb, encoding):
    """The names of the dictionary."""
    return spell_trie([kb.key(i) for i in range(kb.n_keys)], encoding, 16)


@pytest.fixture(scope="session")
def batches(kb, encoding):
    """Batches of eight synonym pairs."""
    pairs = SynonymPairs(kb, SynonymMix(1, 1, 1, 0), 120)
    return PretrainBatches(pairs, encoding, batch_size=8, target_tokens=16, seed=0)


@pytest.fixture(scope="session")
def optimiser_config():
    """A function that makes the settings of twelve steps of eight; keywords change them."""

    def make(**changes: object) -> OptimiserConfig:
        return OptimiserConfig(**{"steps": 12, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2, **changes})

    return make


@pytest.fixture(scope="session")
def dictionary(tmp_path_factory):
    """The diseases as a file."""
    path = tmp_path_factory.mktemp("data") / "diseases.txt"
    path.write_text("".join(f"{concept_id}||{name}\n" for concept_id, names in DISEASES.items() for name in names))
    return path


@pytest.fixture(scope="session")
def write_corpus(tmp_path_factory):
    """A function that writes a PubTator file of one title for each (mention, gold id)."""

    def write(name: str, *mentions: tuple[str, str]):
        path = tmp_path_factory.mktemp("data") / f"{name}.pubtator"
        blocks = []
        for number, (surface, gold) in enumerate(mentions, start=1):
            title, start = f"A case of {surface}", len("A case of ")
            annotation = f"{number}\t{start}\t{start + len(surface)}\t{surface}\tDisease\t{gold}"
            blocks.append(f"{number}|t|{title}\n{number}|a|It was seen.\n{annotation}\n")
        path.write_text("\n".join(blocks))
        return path

    return write


@pytest.fixture(scope="session")
def recipe(dictionary):
    """A function that makes the recipe of a tiny pre-training as a mapping; keywords replace its sections."""

    def make(output: object, **sections: object) -> dict[str, object]:
        small = {"width": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "vocab_size": 300}
        return {
            "stage": "pretrain",
            "output": str(output),
            "knowledge_base": [str(dictionary)],
            "model": {"shape": {**small, "max_positions": 64}, "dropout": 0.1},
            "template": {"source_tokens": 32, "prefix_tokens": 24},
            "target_tokens": 24,
            "optimiser": {"steps": 6, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2},
            "precision": "fp32",
            **sections,
        }

    return make


@pytest.fixture(scope="session")
def make_linker(make_model, tokenizer, kb):
    """A linker of random weights over the diseases, a new one at each call."""

    def make() -> GenerativeLinker:
        template, search = Template(source_tokens=32, prefix_tokens=24), SearchSettings(name_tokens=24)
        return GenerativeLinker(make_model(), tokenizer, kb, template=template, search=search)

    return make


@pytest.fixture(scope="session")
def start(make_linker, tmp_path_factory):
    """The directory of that linker, for preference stages to begin with."""
    directory = tmp_path_factory.mktemp("start") / "model"
    make_linker().save(directory)
    return directory


FEVERS = [("silver fevers", "D1"), ("salt fever", "D5")]
ASKED = [*FEVERS, ("glass bones", "D2"), ("moth lungs", "D3"), ("blue gout", "D6"), *FEVERS]


@pytest.fixture(scope="session")
def asked():
    """The five mentions of the training corpus, two of which come twice, and their gold ids."""
    return dict(ASKED)


@pytest.fixture(scope="session")
def train_corpus(write_corpus):
    return write_corpus("train", *ASKED)


@pytest.fixture(scope="session")
def preference(recipe, start, train_corpus):
    """A function that makes the recipe of a short preference stage that begins with that model."""

    def make(output: object, **sections: object) -> TrainConfig:
        own = {
            "stage": "preference",
            "model": {"checkpoint": str(start), "dropout": 0.1},
            "corpus": {"train": [str(train_corpus)]},
            "optimiser": {"batch_size": 4, "learning_rate": 0.01, "warmup_steps": 1, "steps": 4},
            "harvest": {"k": 4},
        }
        return TrainConfig.model_validate(recipe(output, **(own | sections)))

    return make


@pytest.fixture(scope="session")
def dev_corpus(write_corpus):
    return write_corpus("dev", ("argentine fever", "D1"), ("lung of the moth", "D3"), ("tidal colic", "D4"))


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(harvest, "CHUNK", 2)


@pytest.fixture(scope="session")
def encoder_recipe(dictionary, train_corpus):
    """A function that makes the recipe of a short training of a tiny BERT as a mapping; keywords replace sections."""

    def make(stage: str, output: object, **sections: object) -> dict[str, object]:
        shape = {"width": 16, "layers": 1, "heads": 2, "vocab_size": 150, "max_positions": 32}
        corpus = {"corpus": {"train": [str(train_corpus)]}} if stage == "biosyn" else {}
        return {
            "stage": stage,
            "output": str(output),
            "knowledge_base": [str(dictionary)],
            # First tokens of random weights are all alike: their gradients would be rounding noise.
            "model": {"shape": shape, "dropout": 0.1, "pooling": "mean"},
            "optimiser": {"steps": 6, "batch_size": 4, "learning_rate": 0.003, "warmup_steps": 1},
            "precision": "fp32",
            **corpus,
            **({"biosyn": {"candidates": 6}} if stage == "biosyn" else {}),
            **sections,
        }

    return make
