"""The recipes of generators: stages pretrain, finetune and preference."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from genlink.config.common import Recipe
from genlink.strict import Strict

__all__ = [
    "FinetuneConfig",
    "HarvestConfig",
    "ModelConfig",
    "ModelShape",
    "PairsConfig",
    "PreferenceConfig",
    "SearchConfig",
    "TemplateConfig",
    "TrainConfig",
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
    gradient_checkpointing: bool = False
    """Compute the layers again in the backward pass instead of keeping what they gave: less memory, more time."""

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
    dictionaries: Literal["merged", "each"] = "merged"
    """Where they are sought: in all of ``knowledge_base`` together, or in each of its dictionaries by itself."""


class HarvestConfig(Strict):
    """Which right and wrong names a preference stage learns from (see genlink.training.harvest)."""

    source: Literal["corpus", "crossfit", "kb", "tfidf"] = "corpus"
    """corpus: what the model answers to its training mentions. crossfit: what models answer that were fine-tuned
    without the mention's text. kb: what the model answers to names and disturbed names of the knowledge bases of pairs.
    tfidf: no answers; to a name of the knowledge bases of pairs, the names of other concepts spelled most like it."""
    k: int = Field(5, ge=2)
    """Names of a list."""
    queries: int = Field(20_000, ge=1)
    """kb, tfidf: how many names are asked for, anew in each round."""
    folds: int = Field(4, ge=2)
    """crossfit: how many models are fine-tuned, each without one fold of the mentions."""
    finetune: str | None = None
    """crossfit: the recipe that they are fine-tuned by, that of the stage before."""
    fold_steps: int | None = Field(None, ge=1)
    """crossfit: fine-tune them for so many steps instead of the recipe's: they need not be good, only honest."""
    fold_models: str | None = None
    """crossfit: the directory that keeps them; folds in the output when left out."""
    training_names: bool = False
    """crossfit: the mentions of the other folds count as names of their concepts, as in a dictionary kb+train."""

    @model_validator(mode="after")
    def _crossfit_has_a_recipe(self) -> HarvestConfig:
        if (self.source == "crossfit") != (self.finetune is not None):
            raise ValueError("source crossfit, and no other, needs finetune: the recipe of its models")
        if self.training_names and self.source != "crossfit":
            raise ValueError("training_names needs source crossfit: elsewhere a mention would find its own text")
        return self


class PreferenceConfig(Strict):
    """What is learnt from right and wrong names (see genlink.training.preferences), and how often anew."""

    loss: Literal["dpo", "simpo", "marginal", "likelihood"] = "marginal"
    """dpo, simpo: pairs of names; marginal: the share of the right names in a list; likelihood: the control, which
    learns the first right name of a list and nothing from the wrong ones."""
    nll: float = Field(0.0, ge=0)
    """dpo, simpo, marginal: so much of the negative log-likelihood, a token, of the right name is added."""
    beta: float | None = Field(None, gt=0)
    """dpo, simpo: the scale of differences; 0.1 for dpo and 2 for simpo when left out."""
    margin: float = Field(1.0, ge=0)
    """simpo: by how much, times beta already, the right name should win."""
    pairs: Literal["misordered", "all", "hardest"] = "misordered"
    """dpo, simpo: which pairs of a list are learnt from (see genlink.data.preferences)."""
    no_answer: Literal["skip", "nearest"] = "nearest"
    """What becomes of a list without a right name: left out, or given the gold names spelled most like the mention."""
    repetition: float = Field(0.5, ge=0, le=1)
    """A mention that the corpus has n times counts n ** repetition times an epoch: 0 once, 1 as often as it occurs."""
    epochs: float = Field(1.0, gt=0)
    """How often a round reads its lists, where optimiser.steps does not say how long it takes."""
    rounds: int = Field(1, ge=1)
    """How often names are harvested and learnt from; dev.patience may end it earlier."""
    reference: str | None = None
    """dpo: a model directory, the reference in all rounds; the model that the stage begins with when left out."""
    refresh_reference: bool = False
    """dpo: the reference is the model that a round begins with."""

    @model_validator(mode="after")
    def _settings_fit_the_loss(self) -> PreferenceConfig:
        if self.loss != "dpo" and (self.reference or self.refresh_reference):
            raise ValueError(f"loss {self.loss} has no reference: leave out reference and refresh_reference")
        if self.reference and self.refresh_reference:
            raise ValueError("give a reference, or refresh_reference, not both")
        if self.loss not in ("dpo", "simpo") and self.beta is not None:
            raise ValueError(f"loss {self.loss} has no beta: leave it out")
        if self.loss == "likelihood" and self.nll:
            raise ValueError("loss likelihood is the likelihood already: leave out nll")
        return self


class SearchConfig(Strict):
    """How the model searches while it is scored, and afterwards: see genlink.linkers.search_settings."""

    search: Literal["beam", "exact"] = "beam"
    beams: int = Field(5, ge=1)
    cap: int = Field(600, ge=1)
    concept_score: Literal["best", "sum"] = "best"
    spelling: float = Field(0.0, ge=0)
    batch_size: int = Field(32, ge=1)


class TrainConfig(Recipe):
    """One training stage of a generator of names."""

    stage: Literal["pretrain", "finetune", "preference"]
    model: ModelConfig
    template: TemplateConfig | None = None
    """What the model reads; that of the checkpoint, or the defaults, when left out."""
    objective: Literal["full", "trie"] = "full"
    """full: each target token over the whole vocabulary. trie: each decision over the children of its trie node."""
    full_weight: float = Field(0.0, ge=0)
    """Objective trie: so much of the full objective is added."""
    pairs: PairsConfig = PairsConfig()
    finetune: FinetuneConfig | None = None
    harvest: HarvestConfig | None = None
    preference: PreferenceConfig | None = None
    search: SearchConfig = SearchConfig()
    target_tokens: int = Field(64, ge=4)
    """The longest name, in tokens; of longer ones the beginning is learnt (preference: nothing), and they are left out
    of the trie."""

    @model_validator(mode="after")
    def _stage_has_what_it_needs(self) -> TrainConfig:
        source = (self.harvest or HarvestConfig()).source if self.stage == "preference" else None
        if self.stage == "finetune" or source in ("corpus", "crossfit"):
            if self.corpus is None:
                raise ValueError(f"stage {self.stage} needs corpus")
        elif self.corpus is not None:
            raise ValueError(f"stage {self.stage}{f' from {source}' if source else ''} reads no corpus: leave it out")
        if source == "crossfit" and self.corpus is not None and self.corpus.leave_out is not None:
            raise ValueError("harvest.source crossfit leaves out its own folds: leave out corpus.leave_out")
        if self.stage != "finetune" and self.finetune is not None:
            raise ValueError(f"finetune is not of stage {self.stage}: leave it out")
        if self.stage != "preference" and (self.harvest or self.preference):
            raise ValueError(f"harvest and preference are not of stage {self.stage}: leave them out")
        if self.stage != "preference" and self.optimiser.steps is None:
            raise ValueError(f"stage {self.stage} needs optimiser.steps")
        if self.stage == "preference" and self.model.checkpoint is None:
            raise ValueError("stage preference needs model.checkpoint: a model that answers already")
        if source in ("kb", "tfidf") and not self.pairs.synonym + self.pairs.noise + self.pairs.clause:
            raise ValueError(f"stage preference from {source} asks no names as they are: raise pairs.synonym or noise")
        if self.stage == "preference" and self.optimiser.label_smoothing:
            raise ValueError("stage preference knows no optimiser.label_smoothing: leave it out")
        if self.stage != "finetune" and self.pairs.training_names:
            raise ValueError(f"stage {self.stage} has no use for pairs.training_names: leave it out")
        if self.stage == "preference" and self.full_weight:
            raise ValueError("stage preference knows no full_weight: leave it out")
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

    @property
    def models(self) -> list[str]:
        reference = self.preference.reference if self.preference else None
        return [model for model in (self.model.checkpoint, reference) if model]

    def _sources(self) -> list[str]:
        return self.pairs.sources

    def _not_learnt(self) -> set[str]:
        # A preference stage learns from what its search finds.
        return {"search" if self.stage != "preference" else "search.batch_size"}
