"""Recipes: what is written is what is read, and every mistake is one line that names the key."""

from __future__ import annotations

import pytest
import yaml

from genlink.config import HarvestConfig, PreferenceConfig, TrainConfig, read_train_config
from genlink.errors import DataError, UsageError

RECIPE = """\
stage: pretrain
output: runs/toy
knowledge_base: [data/toy.txt]
model: {shape: {width: 16, heads: 2, max_positions: 128}}
optimiser: {steps: 10, learning_rate: 1e-3}
"""


@pytest.fixture
def read(tmp_path):
    """A function that reads a recipe from text."""

    def read_text(text: str | bytes) -> TrainConfig:
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_train_config(path)

    return read_text


def changed(**sections: object) -> str:
    """The recipe with some keys replaced, or removed where the value is None."""
    values = {**yaml.safe_load(RECIPE), **sections}
    return yaml.safe_dump({key: value for key, value in values.items() if value is not None})


def test_what_a_recipe_leaves_out_has_its_default(read):
    config = read(RECIPE)
    assert config.optimiser.learning_rate == 0.001  # YAML 1.1 takes 1e-3 for a string
    assert config.optimiser.micro_batch_size is None
    assert config.model.shape is not None
    assert (config.model.shape.width, config.model.shape.encoder_layers) == (16, 4)
    assert (config.dev, config.corpus, config.seed) == (None, None, 0)


def test_keys_can_be_changed_as_the_recipe_is_read(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    changes = ["seed=3", "optimiser.steps = 7", "pairs.sources=[a.txt, b.txt]", "dev.corpus=dev.pubtator"]
    config = read_train_config(path, changes)
    assert (config.seed, config.optimiser.steps, config.optimiser.learning_rate) == (3, 7, 0.001)
    assert config.pairs.sources == ["a.txt", "b.txt"]
    assert config.dev is not None and config.dev.corpus == "dev.pubtator"  # a section that the recipe leaves out


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("seed", "'seed': expected KEY=VALUE"),
        ("=3", "'=3': expected KEY=VALUE"),
        ("optimiser.=3", "expected KEY=VALUE"),
        ("output=[a", "'[a' is not a YAML value"),
        ("sede=3", "with sede=3: unknown key `sede`. Did you mean `seed`?"),
        ("optimiser.steps=0", "`optimiser.steps`:"),
        ("seed.more=1", "`seed`:"),
    ],
)
def test_a_change_that_cannot_be_made_is_one_line(tmp_path, change, problem):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        read_train_config(path, [change])
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_survives_being_written_and_read(read):
    config = read(RECIPE)
    assert TrainConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"optimizer": {}}, "unknown key `optimizer`. Did you mean `optimiser`?"),
        ({"optimiser": {"steps": 1, "learning_rat": 1}}, "`optimiser.learning_rat`. Did you mean `learning_rate`?"),
        ({"model": {"shape": {"colour": 3}}}, "unknown key `model.shape.colour`. Known here: width, encoder_layers,"),
        # A misspelt key that the recipe needs is first of all unknown.
        ({"stage": None, "stge": "pretrain"}, "unknown key `stge`. Did you mean `stage`? (And 1 more.)"),
        ({"knowledge_base": None, "kb": ["toy.txt"]}, "unknown key `kb`. Did you mean `knowledge_base`?"),
        # Of two that are missing nobody knows which one was meant.
        ({"stage": None, "knowledge_base": None, "kb": ["toy.txt"]}, "unknown key `kb`. Known here: stage, output,"),
        ({"stage": None}, "missing key `stage`."),
        ({"optimiser": {}}, "stage pretrain needs optimiser.steps."),
        (
            {"stage": "pretraining"},
            "`stage`: Input should be 'pretrain', 'finetune' or 'preference', found",
        ),
        ({"optimiser": {"steps": "ten"}}, "`optimiser.steps`: Input should be a valid integer"),
        ({"optimiser": {"steps": 0}}, "`optimiser.steps`: Input should be greater than or equal to 1, found 0."),
        ({"knowledge_base": "data/toy.txt"}, "`knowledge_base`: Input should be a valid list, found 'data/toy.txt'."),
        ({"knowledge_base": []}, "`knowledge_base`: List should have at least 1 item"),
        ({"model": {}}, "model: give either checkpoint or shape, not both and not neither."),
        ({"model": {"checkpoint": "a", "shape": {}}}, "model: give either checkpoint or shape"),
        ({"model": {"shape": {"width": 30, "heads": 4}}}, "model.shape: width 30 is not divisible by heads 4."),
        ({"stage": "finetune"}, "stage finetune needs corpus."),
        ({"corpus": {"train": ["a"]}}, "stage pretrain reads no corpus: leave it out."),
        ({"finetune": {}}, "finetune is not of stage pretrain: leave it out."),
        ({"harvest": {}}, "harvest and preference are not of stage pretrain: leave them out."),
        ({"preference": {}}, "harvest and preference are not of stage pretrain: leave them out."),
        ({"pairs": {"training_names": True}}, "stage pretrain has no use for pairs.training_names: leave it out."),
        ({"pairs": {"clause": 0.1}}, "pairs.clause needs template.context_tokens above 0."),
        ({"pairs": {"synonym": 0, "noise": 0, "identity": 0}}, "pairs: synonym, noise, identity and clause are all 0"),
        ({"template": {"prefix": "is"}}, "template: prefix 'is' must hold {mention}, or be empty."),
        ({"objective": "tree"}, "`objective`: Input should be 'full' or 'trie', found 'tree'."),
        ({"objective": "trie", "full_weight": -1}, "`full_weight`: Input should be greater than or equal to 0, found"),
        ({"full_weight": 0.1}, "full_weight adds to objective trie: choose that, or leave out full_weight."),
        (
            {"objective": "trie", "optimiser": {"steps": 1, "label_smoothing": 0.1}},
            "optimiser.label_smoothing needs objective full, or trie with full_weight above 0.",
        ),
        ({"template": {"source_tokens": 129}}, "template.source_tokens is above model.shape.max_positions."),
        # 48 tokens of prefix, the decoder start, and names of up to 80 do not fit 128 positions.
        ({"target_tokens": 80}, "template.prefix_tokens + target_tokens + 1 is above model.shape.max_positions."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_mistake_is_one_line_with_the_file_and_the_key(read, sections, problem):
    with pytest.raises(UsageError) as caught:
        read(changed(**sections))
    message = str(caught.value)
    assert "recipe.yaml: " in message
    assert problem in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


PREFERENCE = {
    "stage": "preference",
    "output": "runs/toy",
    "knowledge_base": ["data/toy.txt"],
    "model": {"checkpoint": "runs/toy/finetune/model"},
    "optimiser": {"learning_rate": 1e-5},
    "corpus": {"train": ["data/train.pubtator"]},
}
CROSSFIT = {"source": "crossfit", "finetune": "finetune.yaml"}
FROM_NAMES = {"harvest": {"source": "kb"}, "corpus": None}


def preference(**sections: object) -> str:
    """The recipe of a preference stage with some keys replaced, or removed where the value is None."""
    values = {**PREFERENCE, **sections}
    return yaml.safe_dump({key: value for key, value in values.items() if value is not None})


def test_a_preference_recipe_needs_little(read):
    config = read(preference())
    assert (config.harvest, config.preference, config.optimiser.steps) == (None, None, None)
    assert (HarvestConfig().source, PreferenceConfig().loss, PreferenceConfig().rounds) == ("corpus", "marginal", 1)
    assert read(preference(harvest=CROSSFIT)).harvest.folds == 4
    for source in ("kb", "tfidf"):
        assert read(preference(harvest={"source": source}, corpus=None)).corpus is None
    assert read(preference(preference={"loss": "dpo", "reference": "runs/a/model"})).preference.beta is None


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"corpus": None}, "stage preference needs corpus."),
        ({"corpus": None, "harvest": CROSSFIT}, "stage preference needs corpus."),
        ({"harvest": {"source": "kb"}}, "stage preference from kb reads no corpus: leave it out."),
        ({"harvest": {"source": "tfidf"}}, "stage preference from tfidf reads no corpus: leave it out."),
        (
            {**FROM_NAMES, "pairs": {"synonym": 0, "noise": 0}},
            "stage preference from kb asks no names as they are: raise pairs.synonym or noise.",
        ),
        ({"finetune": {}}, "finetune is not of stage preference: leave it out."),
        ({"model": {"shape": {}}}, "stage preference needs model.checkpoint: a model that answers already."),
        ({"optimiser": {"label_smoothing": 0.1}}, "stage preference knows no optimiser.label_smoothing: leave it out."),
        ({"objective": "trie", "full_weight": 0.1}, "stage preference knows no full_weight: leave it out."),
        ({"pairs": {"training_names": True}}, "stage preference has no use for pairs.training_names: leave it out."),
        ({"harvest": {"k": 1}}, "`harvest.k`: Input should be greater than or equal to 2, found 1."),
        ({"harvest": {"folds": 1}}, "`harvest.folds`: Input should be greater than or equal to 2, found 1."),
        ({"harvest": {"source": "model"}}, "`harvest.source`: Input should be 'corpus', 'crossfit', 'kb' or 'tfidf'"),
        ({"harvest": {"source": "crossfit"}}, "harvest: source crossfit, and no other, needs finetune"),
        ({"harvest": {"finetune": "a.yaml"}}, "harvest: source crossfit, and no other, needs finetune"),
        (
            {"harvest": {"training_names": True}},
            "harvest: training_names needs source crossfit: elsewhere a mention would find its own text",
        ),
        ({"harvest": {"querys": 3}}, "unknown key `harvest.querys`. Did you mean `queries`?"),
        ({"preference": {"round": 2}}, "unknown key `preference.round`. Did you mean `rounds`?"),
        ({"preference": {"loss": "kto"}}, "`preference.loss`: Input should be 'dpo', 'simpo', 'marginal' or"),
        ({"preference": {"reference": "a"}}, "preference: loss marginal has no reference: leave out reference and"),
        ({"preference": {"loss": "simpo", "refresh_reference": True}}, "preference: loss simpo has no reference"),
        (
            {"preference": {"loss": "dpo", "reference": "a", "refresh_reference": True}},
            "preference: give a reference, or refresh_reference, not both.",
        ),
        ({"preference": {"beta": 0.1}}, "preference: loss marginal has no beta: leave it out."),
        ({"preference": {"loss": "dpo", "beta": 0}}, "`preference.beta`: Input should be greater than 0, found 0."),
        (
            {"preference": {"loss": "likelihood", "nll": 1}},
            "preference: loss likelihood is the likelihood already: leave out nll.",
        ),
        (
            {"corpus": {"train": ["a"], "leave_out": {"fold": 0, "of": 2}}, "harvest": CROSSFIT},
            "harvest.source crossfit leaves out its own folds: leave out corpus.leave_out.",
        ),
        ({"corpus": {"train": ["a"], "leave_out": {"fold": 4, "of": 4}}}, "fold 4 of 4: folds count from 0 to 3."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_mistake_in_a_preference_recipe_is_one_line_too(read, sections, problem):
    with pytest.raises(UsageError) as caught:
        read(preference(**sections))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_longest_that_fits_is_accepted(read):
    assert read(changed(target_tokens=79, template={"source_tokens": 128})).target_tokens == 79


def test_the_part_of_the_full_objective_may_be_smoothed(read):
    config = read(changed(objective="trie", full_weight=0.3, optimiser={"steps": 1, "label_smoothing": 0.1}))
    assert (config.full_weight, config.optimiser.label_smoothing) == (0.3, 0.1)
    assert (read(RECIPE).objective, read(RECIPE).full_weight) == ("full", 0.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stage: pretrain\noutput: [a\nseed: 1\n", r"recipe\.yaml:3: not YAML \("),
        ("stage: pretrain\n\tseed: 1\n", r"recipe\.yaml:2: not YAML \("),
        ("seed: \x01", r"recipe\.yaml: not YAML \(unreadable\)"),
        ("seed: 2026-13-45", r"recipe\.yaml: not YAML \(unreadable\)"),
        ("", "expected keys and values, such as `stage: pretrain`"),
        ("- a\n- b\n", "expected keys and values"),
        (b"stage: \xff\xfe", "not UTF-8 text"),
        ("1: 2\n" + RECIPE, "`1`: Keys should be strings, found 1"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_line_with_the_place(read, text, problem):
    with pytest.raises(UsageError, match=problem) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there_is_an_error_of_the_files(tmp_path):
    with pytest.raises(DataError, match=r"no such file\. What comes with GenLink is below configs/\."):
        read_train_config(tmp_path / "none.yaml")


def test_a_recipe_cannot_be_changed_in_place(read):
    with pytest.raises(ValueError, match="frozen"):
        read(RECIPE).seed = 1
