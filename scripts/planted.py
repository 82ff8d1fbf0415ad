"""What the benchmarks of the search share: planted models, questions, and searching timed beside `generate`.

Models are random but for a planted preference: the last decoder layer copies what the encoder read into the logits, so
that a mention prefers the tokens of its name and searches come to an end as those of a trained model do. No accuracy is
measured with them. Times are CPU time of the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerBase

from genlink.data.noise import add_noise
from genlink.decoding import BartScorer, Normaliser, SearchResult, Session, run_searches
from genlink.linkers.search_settings import SearchSettings, passes_cost_most
from genlink.trie import NameTrie, packed

VOCABULARY, SPELLING = 50_265, 8_192
SOURCE_TOKENS, BEAMS = 64, 5
LONGEST_NAME = 64  # tokens, the end among them
SMALLEST = "4+2 d256"


@dataclass(frozen=True)
class Shape:
    """The size of a BART; feed-forward layers are four times as wide."""

    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int


SHAPES = {
    "base 6+6 d768": Shape(768, 6, 6, 12),
    "6+2 d384": Shape(384, 6, 2, 6),
    SMALLEST: Shape(256, 4, 2, 4),
}


@dataclass(frozen=True)
class Question:
    """What is linked: encoder input and the names to choose from."""

    sources: torch.Tensor
    trie: NameTrie

    def first(self, mentions: int) -> Question:
        """The same about fewer mentions."""
        return Question(self.sources[:mentions], self.trie)


@dataclass(frozen=True)
class Answer:
    """Best name and its score for each mention, and CPU milliseconds a mention."""

    names: list[int]
    scores: list[float]
    milliseconds: float
    rows: float = 0.0
    passes: float = 0.0
    stages: dict[str, float] | None = None


def planted_bart(shape: Shape, start: int, pad: int, seed: int = 0) -> BartForConditionalGeneration:
    """A random BART whose last decoder layer lets the tokens of the source through to the logits."""
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=shape.width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=4 * shape.width,
        decoder_ffn_dim=4 * shape.width,
        max_position_embeddings=256,
        decoder_start_token_id=start,
        eos_token_id=start,
        pad_token_id=pad,
        bos_token_id=0,
        forced_bos_token_id=None,
        forced_eos_token_id=None,
        # A preferred token stands out by about width * std / sqrt(distinct tokens of a name): some ten nats.
        init_std=25 / shape.width,
    )
    model = BartForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and "embed" not in name and "shared" not in name:
                parameter.mul_(0.02 / config.init_std)
        copier = model.model.decoder.layers[-1].encoder_attn
        torch.nn.init.eye_(copier.v_proj.weight)
        torch.nn.init.eye_(copier.out_proj.weight).mul_(10)
    return model


def question_of(
    names: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[str],
    source_tokens: int = SOURCE_TOKENS,
) -> Question:
    """A trie of names, and some of them noised and repeated to fill the source; longer names than 64 are left out."""
    end = int(tokenizer.eos_token_id)
    tokens, offsets = packed(spelled(names, tokenizer))
    trie = NameTrie.build(tokens, offsets, end, name_ids=np.arange(len(offsets) - 1))
    rng = np.random.default_rng(0)
    ids = tokenizer([f" {add_noise(name, rng)}" for name in asked], add_special_tokens=False)["input_ids"]
    sources = torch.tensor([(mention * source_tokens)[:source_tokens] for mention in ids])
    return Question(sources, trie)


def spelled(names: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[list[list[int]]]:
    """The tokens of names, in blocks."""
    left = iter(names)
    while block := [f" {name}" for name in islice(left, 50_000)]:
        ids = tokenizer(block, add_special_tokens=False)["input_ids"]
        yield [tokens for tokens in ids if len(tokens) < LONGEST_NAME]


def nested(trie: NameTrie) -> dict[int, Any]:
    """The names as dictionaries of dictionaries, the usual form."""
    root: dict[int, Any] = {}
    for _, tokens in trie:
        node = root
        for token in tokens:
            node = node.setdefault(token, {})
        node[-1] = {}
    return root


def by_generate(
    model: BartForConditionalGeneration,
    question: Question,
    batch: int,
    beams: int = BEAMS,
    prefix: Sequence[int] = (),
) -> Answer:
    """Beam search of transformers with `prefix_allowed_tokens_fn`, scores summed.

    ``prefix``: what the decoder is given before the name, its start token included; that alone when empty.
    """
    root, end = nested(question.trie), question.trie.end_token
    given = torch.tensor([prefix or [int(model.config.decoder_start_token_id)]])
    pad = int(model.config.pad_token_id)

    def allowed(_: int, tokens: torch.Tensor) -> list[int]:
        node: dict[int, Any] | None = root
        for token in tokens[given.shape[1] :].tolist():
            node = None if node is None else node.get(token)
        return [pad] if node is None else [end if token == -1 else token for token in node]

    names, scores = [], []

    def run(sources: torch.Tensor) -> None:
        output = model.generate(
            input_ids=sources,
            attention_mask=torch.ones_like(sources),
            decoder_input_ids=given.expand(len(sources), -1),
            num_beams=beams,
            num_return_sequences=1,
            prefix_allowed_tokens_fn=allowed,
            length_penalty=0.0,
            early_stopping=False,
            max_new_tokens=question.trie.max_depth,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        for sequence, score in zip(output.sequences.tolist(), output.sequences_scores.tolist(), strict=True):
            tokens = sequence[given.shape[1] :]
            leaf = question.trie.find(tokens[: tokens.index(end) + 1])
            assert leaf is not None
            names.append(question.trie.name_of(leaf))
            scores.append(score)

    return Answer(names, scores, timed(run, question.sources, batch, (names, scores)))


class TimedSession:
    """A session that keeps the CPU time of its parts."""

    def __init__(self, session: Session, stages: dict[str, float]) -> None:
        self._session, self._stages = session, stages
        self.root_slots = session.root_slots

    @property
    def next_slots(self) -> Any:
        return self._session.next_slots

    def extend(self, *arguments: Any) -> Any:
        return self._measured("decoder", self._session.extend, *arguments)

    def log_probs(self, *arguments: Any) -> Any:
        return self._measured("head", self._session.log_probs, *arguments)

    def _measured(self, stage: str, function: Callable[..., Any], *arguments: Any) -> Any:
        started = time.process_time()
        answer = function(*arguments)
        self._stages[stage] = self._stages.get(stage, 0.0) + time.process_time() - started
        return answer


def by_search(
    model: BartForConditionalGeneration,
    question: Question,
    batch: int,
    *,
    normaliser: Normaliser = "full",
    normaliser_dtype: torch.dtype | None = None,
    k: int = 1,
    beams: int = BEAMS,
) -> Answer:
    """Our search on the same weights, as the linker sets it up; every name is a concept of its own."""
    settings = SearchSettings(beams=beams)
    active = np.unique(question.trie.token[1:]).astype(np.int64) if normaliser == "active" else None
    scorer = BartScorer(model, normaliser, active, normaliser_dtype=normaliser_dtype)
    results: list[SearchResult] = []
    stages: dict[str, float] = {}

    def run(sources: torch.Tensor) -> None:
        started = time.process_time()
        session = scorer.begin(sources, torch.ones_like(sources), [[question.trie.end_token]] * len(sources))
        stages["encoder"] = stages.get("encoder", 0.0) + time.process_time() - started
        few_passes = passes_cost_most(len(sources), model.device.type)
        searches = [settings.new_search(question.trie, k, lambda name: (name,), few_passes=few_passes) for _ in sources]
        results.extend(
            run_searches(
                TimedSession(session, stages),
                searches,
                forced_is_free=normaliser == "trie",
                ahead=settings.ahead(k, few_passes=few_passes),
            )
        )

    total = timed(run, question.sources, batch, (results, stages))
    n = len(results)
    per_mention = {stage: 1000 * seconds / n for stage, seconds in stages.items()}
    return Answer(
        names=[result.hypotheses[0].name for result in results],
        scores=[result.hypotheses[0].score for result in results],
        milliseconds=total,
        rows=sum(result.rows for result in results) / n,
        passes=sum(result.passes for result in results) / n,
        stages={**per_mention, "search": total - sum(per_mention.values())},
    )


def timed(run: Callable[[torch.Tensor], None], sources: torch.Tensor, batch: int, warmed: Sequence[Any] = ()) -> float:
    """CPU milliseconds a mention, after one batch to warm up whose traces in ``warmed`` are cleared."""
    with torch.inference_mode():
        run(sources[: min(batch, 4)])
        for trace in warmed:
            trace.clear()
        started = time.process_time()
        for start in range(0, len(sources), batch):
            run(sources[start : start + batch])
        return 1000 * (time.process_time() - started) / len(sources)


def best_of(make: Callable[[int], Answer], batches: Sequence[int]) -> tuple[int, Answer]:
    """The batch size at which it is fastest, and its answer."""
    answers = {batch: make(batch) for batch in batches}
    batch = min(answers, key=lambda size: answers[size].milliseconds)
    return batch, answers[batch]
