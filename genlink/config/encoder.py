"""The recipes of encoders: stages sapbert and biosyn."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from genlink.config.common import Recipe
from genlink.strict import Strict

__all__ = [
    "ENCODER_STAGES",
    "BiosynConfig",
    "EncoderConfig",
    "EncoderModelConfig",
    "EncoderShape",
    "NamePairsConfig",
    "SapbertConfig",
]

_Stage = Literal["sapbert", "biosyn"]
ENCODER_STAGES: tuple[str, ...] = get_args(_Stage)


class EncoderShape(Strict):
    """The size of a BERT trained from scratch, tokenizer included."""

    width: int = Field(256, ge=8)
    """Hidden size; the feed-forward layers are four times as wide."""
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    vocab_size: int = Field(8192, ge=64)
    """Tokens, at most, of the WordPiece that is trained on the names."""
    max_positions: int = Field(64, ge=8)
    """The longest text, in tokens."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> EncoderShape:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        return self


class EncoderModelConfig(Strict):
    """Where the weights come from, exactly one of the two, and how the encoder reads."""

    checkpoint: str | None = None
    """A model directory, any encoder's checkpoint directory, a Hub name, or minilm for that of the extra."""
    shape: EncoderShape | None = None
    """A fresh model of this shape."""
    pooling: Literal["cls", "mean"] | None = None
    """What becomes the vector: the first token's state, or the mean over all; that of the checkpoint when left out."""
    max_tokens: int | None = Field(None, ge=4)
    """Longer texts are cropped; as in the checkpoint when left out."""
    unit_length: bool | None = None
    """Scale vectors to length one, so that scores are cosines; as in the checkpoint when left out."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of hidden states and attention while training."""

    @model_validator(mode="after")
    def _one_source(self) -> EncoderModelConfig:
        if (self.checkpoint is None) == (self.shape is None):
            raise ValueError("give either checkpoint or shape, not both and not neither")
        return self


class NamePairsConfig(Strict):
    """Pairs of names of one concept (see genlink.data.name_pairs)."""

    sources: list[str] = Field([])
    """Knowledge bases to draw pairs from; the dictionary itself when empty."""
    limit: int = Field(50, ge=1)
    """Pairs of one concept, at most; drawn at random where there are more."""
    max_name_length: int = Field(120, ge=8)
    """Longer names, in characters, are not learnt."""


class SapbertConfig(Strict):
    """What is learnt from the pairs of a step (see genlink.training.sapbert)."""

    mining: Literal["hard", "random", "all"] = "hard"
    """Which pairs of names of a step are learnt from: those of hard triplets; the control, as many at random; all."""
    margin: float = Field(0.2, ge=0)
    """A triplet is hard unless the negative is further away than the positive by more than this."""
    loss: Literal["paper", "code"] = "code"
    """Parameters of the multi-similarity loss: those of the paper, or of its code."""
    epochs: float = Field(1.0, gt=0)
    """How often all pairs are read, where optimiser.steps does not say how long it takes."""


class BiosynConfig(Strict):
    """What is learnt from the candidates of a mention (see genlink.training.biosyn)."""

    candidates: int = Field(20, ge=2)
    """Names that a mention is compared with."""
    dense_ratio: float = Field(0.5, ge=0, le=1)
    """The share of them that the encoder finds; the others are those spelled most like the mention."""
    marginalise: bool = True
    """Learn the sum over all right candidates; the control learns the one spelled most like the mention, and the other
    right ones count as wrong."""
    renew: bool = True
    """Find the dense candidates anew before each epoch; the control keeps those of the model that it begins with."""
    sparse_weight: float = 0.0
    """The weight of the sparse score to begin with; it is learnt."""
    sparse_learning_rate: float = Field(0.01, ge=0)
    """Its learning rate, with the warm-up and the decay of the others. It has no weight decay."""
    epochs: float = Field(10.0, gt=0)
    """How often all mentions are read, where optimiser.steps does not say how long it takes."""


class EncoderConfig(Recipe):
    """One training stage of an encoder."""

    stage: _Stage
    model: EncoderModelConfig
    pairs: NamePairsConfig = NamePairsConfig()
    sapbert: SapbertConfig | None = None
    biosyn: BiosynConfig | None = None

    @model_validator(mode="after")
    def _stage_has_what_it_needs(self) -> EncoderConfig:
        if self.stage == "biosyn" and self.corpus is None:
            raise ValueError("stage biosyn needs corpus")
        if self.stage == "sapbert" and self.biosyn is not None:
            raise ValueError("biosyn is not of stage sapbert: leave it out")
        if self.stage == "biosyn" and (self.sapbert is not None or self.pairs != NamePairsConfig()):
            raise ValueError("pairs and sapbert are not of stage biosyn: leave them out")
        if self.stage == "sapbert" and self.optimiser.micro_batch_size is not None:
            raise ValueError("stage sapbert compares all names of a step: leave out optimiser.micro_batch_size")
        if self.optimiser.label_smoothing:
            raise ValueError(f"stage {self.stage} knows no optimiser.label_smoothing: leave it out")
        shape, max_tokens = self.model.shape, self.model.max_tokens
        if shape and max_tokens and max_tokens > shape.max_positions:
            raise ValueError("model.max_tokens is above model.shape.max_positions")
        return self

    @property
    def models(self) -> list[str]:
        return [self.model.checkpoint] if self.model.checkpoint else []

    def _sources(self) -> list[str]:
        return self.pairs.sources
