"""Training recipes: YAML files read into models that refuse what they do not know.

A recipe is complete: it inherits from nothing, and what it leaves out has the default written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genlink.config.common import CorpusConfig, DevConfig, FoldConfig, OptimiserConfig, Recipe
from genlink.config.encoder import (
    ENCODER_STAGES,
    BiosynConfig,
    EncoderConfig,
    EncoderModelConfig,
    EncoderShape,
    NamePairsConfig,
    SapbertConfig,
)
from genlink.config.generator import (
    FinetuneConfig,
    HarvestConfig,
    ModelConfig,
    ModelShape,
    PairsConfig,
    PreferenceConfig,
    SearchConfig,
    TemplateConfig,
    TrainConfig,
)
from genlink.strict import check_strict, read_strict, read_values

__all__ = [
    "BiosynConfig",
    "CorpusConfig",
    "DevConfig",
    "EncoderConfig",
    "EncoderModelConfig",
    "EncoderShape",
    "FinetuneConfig",
    "FoldConfig",
    "HarvestConfig",
    "ModelConfig",
    "ModelShape",
    "NamePairsConfig",
    "OptimiserConfig",
    "PairsConfig",
    "PreferenceConfig",
    "Recipe",
    "SapbertConfig",
    "SearchConfig",
    "TemplateConfig",
    "TrainConfig",
    "read_recipe",
    "read_train_config",
]


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> TrainConfig | EncoderConfig:
    """Read the recipe of any stage, with ``changes`` such as ``optimiser.steps=100`` made to it first.

    Raises UsageError as ``genlink.strict.read_strict`` does.
    """
    values = read_values(path, changes)
    if values.get("stage") in ENCODER_STAGES:
        return check_strict(values, EncoderConfig, path, changes)
    return check_strict(values, TrainConfig, path, changes)


def read_train_config(path: str | Path, changes: Sequence[str] = ()) -> TrainConfig:
    """The same of a recipe that has to be that of a generator's stage."""
    return read_strict(path, TrainConfig, changes)
