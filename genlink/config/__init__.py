"""Training recipes: YAML files read into models that refuse what they do not know."""

from genlink.config.models import (
    CorpusConfig,
    DevConfig,
    FinetuneConfig,
    FoldConfig,
    HarvestConfig,
    ModelConfig,
    ModelShape,
    OptimiserConfig,
    PairsConfig,
    PreferenceConfig,
    SearchConfig,
    TemplateConfig,
    TrainConfig,
)
from genlink.config.read import read_train_config

__all__ = [
    "CorpusConfig",
    "DevConfig",
    "FinetuneConfig",
    "FoldConfig",
    "HarvestConfig",
    "ModelConfig",
    "ModelShape",
    "OptimiserConfig",
    "PairsConfig",
    "PreferenceConfig",
    "SearchConfig",
    "TemplateConfig",
    "TrainConfig",
    "read_train_config",
]
