"""Training recipes: YAML files read into models that refuse what they do not know.

A recipe is complete: it inherits from nothing, and what it leaves out has the default written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from genlink.strict import Strict, read_strict

__all__ = [
    "CorpusConfig",
    "DevConfig",
    "FinetuneConfig",
    "ModelConfig",
    "ModelShape",
    "OptimiserConfig",
    "PairsConfig",
    "SearchConfig",
    "TemplateConfig",
    "TrainConfig",
    "read_train_config",
]


class ModelShape(Strict):
    """The size of a BART trained from scratch, tokenizer included."""

    width: int = Field(256, ge=8)
    """Hidden size of encoder and decoder; the feed-forward layers are four times as wide."""
    encoder_layers: int = Field(4, ge=1)
    decoder_layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    vocab_size: int = Field(4096, ge=270)
    """Tokens of the byte-level BPE that is trained on the names."""
    max_positions: int = Field(192, ge=16)
    """The longest source and the longest decoder sequence, in tokens."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelShape:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        return self


class ModelConfig(Strict):
    """Where the weights come from: exactly one of the two."""

    checkpoint: str | None = None
    """A GenLink model directory, any BART checkpoint directory, or a Hub name such as facebook/bart-large."""
    shape: ModelShape | None = None
    """A fresh model of this shape."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of hidden states and attention while training."""

    @model_validator(mode="after")
    def _one_source(self) -> ModelConfig:
        if (self.checkpoint is None) == (self.shape is None):
            raise ValueError("give either checkpoint or shape, not both and not neither")
        return self


class TemplateConfig(Strict):
    """See genlink.templates.Template."""

    start: str = "START"
    end: str = "END"
    prefix: str = "{mention} is"
    context_tokens: int = Field(0, ge=0)
    source_tokens: int = Field(128, ge=8)
    prefix_tokens: int = Field(48, ge=4)

    @model_validator(mode="after")
    def _prefix_holds_mention(self) -> TemplateConfig:
        if self.prefix and "{mention}" not in self.prefix:
            raise ValueError(f"prefix {self.prefix!r} must hold {{mention}}, or be empty")
        return self


class PairsConfig(Strict):
    """Pre-training pairs: which knowledge bases they are drawn from, and the mix (see genlink.data.synonyms)."""

    sources: list[str] = Field([])
    """Knowledge bases to draw pairs from; the dictionary itself when empty."""
    synonym: float = Field(0.5, ge=0)
    noise: float = Field(0.35, ge=0)
    identity: float = Field(0.15, ge=0)
    clause: float = Field(0.0, ge=0)
    """Clauses are read as context: the template needs context_tokens for them."""
    training_names: bool = False
    """Finetune: training mentions count as names of their concepts in the pairs, as in a dictionary kb+train."""
    max_name_length: int = Field(120, ge=8)
    """Longer names, in characters, are not learnt: systematic chemical names and sentences posing as names."""

    @model_validator(mode="after")
    def _some_share(self) -> PairsConfig:
        if not self.synonym + self.noise + self.identity + self.clause:
            raise ValueError("synonym, noise, identity and clause are all 0, so there is nothing to learn")
        return self


class CorpusConfig(Strict):
    """The labelled mentions to learn from."""

    train: list[str] = Field(min_length=1)
    types: list[str] = Field([])
    """Only mentions of these types; all when empty."""
    abbreviations: bool = True
    """Expand abbreviations that the document defines."""
    as_written: bool = True
    """Learn expanded mentions in their short form too: other documents use it without defining it."""
    composites: bool = True
    """Split composite mentions where the number of parts agrees with the number of gold concepts."""


class FinetuneConfig(Strict):
    """How mentions become examples (see genlink.data.targets)."""

    replay: float = Field(0.5, ge=0, lt=1)
    """Share of each batch that repeats pre-training pairs."""
    noise: float = Field(0.3, ge=0, le=1)
    """Share of mentions that are disturbed as in pre-training."""
    repetition: float = Field(0.5, ge=0, le=1)
    """A mention that the corpus has n times counts n ** repetition times an epoch: 0 once, 1 as often as it occurs."""
    targets: int = Field(3, ge=1, le=3)
    """How many of the gold names most like the mention are generated."""


class OptimiserConfig(Strict):
    """AdamW with linear warm-up and linear decay to a floor."""

    steps: int = Field(ge=1)
    batch_size: int = Field(192, ge=1)
    """Examples of one optimiser step, over all processes."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Examples that one process reads at once; the rest of its share is accumulated. All at once when empty."""
    learning_rate: float = Field(1e-3, gt=0)
    warmup_steps: int = Field(50, ge=0)
    floor: float = Field(0.05, ge=0, le=1)
    """The learning rate at the end, as a share of the highest."""
    weight_decay: float = Field(0.01, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.98, ge=0, lt=1)
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class DevConfig(Strict):
    """Scoring by real linking while training."""

    corpus: str
    types: list[str] = Field([])
    every: int = Field(250, ge=1)
    """Steps between two scorings; the last step is always scored."""
    limit: int | None = Field(None, ge=1)
    """Score only so many mentions, evenly spread."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many scorings without a better one."""
    keep: Literal["best", "last"] = "best"
    """Which model is saved: that with the best Acc@1, or that of the last step, where few mentions are scored."""


class SearchConfig(Strict):
    """How the model searches while it is scored, and afterwards: see genlink.linkers.search_settings."""

    search: Literal["beam", "exact"] = "beam"
    beams: int = Field(5, ge=1)
    cap: int = Field(600, ge=1)
    concept_score: Literal["best", "sum"] = "best"
    batch_size: int = Field(32, ge=1)


class TrainConfig(Strict):
    """One training stage."""

    stage: Literal["pretrain", "finetune"]
    output: str
    """Directory for the model, the metrics and the checkpoint."""
    knowledge_base: list[str] = Field(min_length=1)
    """The dictionary that the model links to: files or saved knowledge bases, merged."""
    model: ModelConfig
    optimiser: OptimiserConfig
    template: TemplateConfig | None = None
    """What the model reads; that of the checkpoint, or the defaults, when left out."""
    objective: Literal["full", "trie"] = "full"
    """full: each target token over the whole vocabulary. trie: each decision over the children of its trie node."""
    full_weight: float = Field(0.0, ge=0)
    """Objective trie: so much of the full objective is added."""
    pairs: PairsConfig = PairsConfig()
    corpus: CorpusConfig | None = None
    finetune: FinetuneConfig | None = None
    dev: DevConfig | None = None
    search: SearchConfig = SearchConfig()
    target_tokens: int = Field(64, ge=4)
    """The longest name, in tokens; of longer ones the beginning is learnt, and they are left out of the trie."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware computes in it, else fp32."""
    checkpoint_every: int = Field(500, ge=1)
    """Steps between two checkpoints to resume from."""
    seed: int = 0

    @model_validator(mode="after")
    def _stage_has_what_it_needs(self) -> TrainConfig:
        if self.stage == "finetune" and self.corpus is None:
            raise ValueError("stage finetune needs corpus")
        if self.stage == "pretrain" and (self.corpus is not None or self.finetune is not None):
            raise ValueError("stage pretrain reads no corpus: leave out corpus and finetune")
        if self.stage == "pretrain" and self.pairs.training_names:
            raise ValueError("stage pretrain has no training mentions: leave out pairs.training_names")
        if self.objective == "full" and self.full_weight:
            raise ValueError("full_weight adds to objective trie: choose that, or leave out full_weight")
        if self.objective == "trie" and self.optimiser.label_smoothing and not self.full_weight:
            raise ValueError("optimiser.label_smoothing needs objective full, or trie with full_weight above 0")
        template, shape = self.template or TemplateConfig(), self.model.shape
        if self.pairs.clause > 0 and template.context_tokens == 0 and (shape or self.template):
            raise ValueError("pairs.clause needs template.context_tokens above 0")
        if shape and template.source_tokens > shape.max_positions:
            raise ValueError("template.source_tokens is above model.shape.max_positions")
        if shape and template.prefix_tokens + self.target_tokens + 1 > shape.max_positions:
            raise ValueError("template.prefix_tokens + target_tokens + 1 is above model.shape.max_positions")
        return self

    def first_difference(self, other: TrainConfig) -> tuple[str, Any, Any] | None:
        """The first key by which ``other`` would learn something else, with the values of both; None if it would not.

        Where a run writes, how it cuts its batches and how it is scored may differ: none of these decides what is
        learnt.
        """
        one, two = self._learning(), other._learning()
        keys = sorted(one.keys() | two.keys())
        return next(((key, one.get(key), two.get(key)) for key in keys if one.get(key) != two.get(key)), None)

    def _learning(self) -> dict[str, Any]:
        kept = self.model_dump(exclude={"output", "checkpoint_every", "dev", "search", "optimiser"})
        optimiser = self.optimiser.model_dump(exclude={"micro_batch_size"})
        return {**kept, **{f"optimiser.{key}": value for key, value in optimiser.items()}}


def read_train_config(path: str | Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe, with ``changes`` such as ``optimiser.steps=100`` made to it first; see ``read_strict``."""
    return read_strict(path, TrainConfig, changes)
