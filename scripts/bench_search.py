"""Time the search against `generate` of transformers on the same weights, names and mentions; write a result file.

    python scripts/bench_search.py results/search/shapes.json             every shape, every variant
    python scripts/bench_search.py --quick                                one shape, under a minute, ratios only

One core, process CPU time, the peer at the best of several batch sizes. Models are random but for a planted
preference: the last decoder layer copies what the encoder read into the logits, so that a mention prefers the tokens of
its name and searches come to an end as those of a trained model do. No accuracy is measured here. Names are those of a
dictionary, spelled by a byte-level BPE of 8,192 tokens within a vocabulary of 50,265, the size of BART's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BartConfig, BartForConditionalGeneration

from genlink.data.noise import add_noise
from genlink.data.tokenizer import train_tokenizer
from genlink.data_paths import locate
from genlink.decoding import BartScorer, Normaliser, SearchResult, Session, run_searches
from genlink.evaluation.results import result_record
from genlink.files import write_json
from genlink.kb.load import load_kb
from genlink.linkers.search_settings import SearchSettings
from genlink.trie import NameTrie

VOCABULARY, SPELLING = 50_265, 8_192
SOURCE_TOKENS, BEAMS = 64, 5
COLUMNS = ("milliseconds", "ratio", "same", "difference", "rows", "passes", "batch")
STAGES = ("encoder", "decoder", "head", "search")
QUICK = "4+2 d256"


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
    QUICK: Shape(256, 4, 2, 4),
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


def question_of(dictionary: Path, mentions: int) -> Question:
    """The names of a dictionary as a trie, and noised names repeated to fill the source."""
    kb = load_kb(dictionary)
    keys = [kb.key(i) for i in range(kb.n_keys)]
    tokenizer = train_tokenizer(keys, SPELLING)
    spelled: list[list[int]] = tokenizer([f" {key}" for key in keys], add_special_tokens=False)["input_ids"]
    kept = [i for i, ids in enumerate(spelled) if len(ids) < 64]
    offsets = np.cumsum([0, *(len(spelled[i]) for i in kept)])
    end = int(tokenizer.eos_token_id)
    trie = NameTrie.build(np.concatenate([spelled[i] for i in kept]), offsets, end, name_ids=np.array(kept))
    rng = np.random.default_rng(0)
    noised = [f" {add_noise(keys[i], rng)}" for i in rng.choice(kept, mentions, replace=False)]
    ids = tokenizer(noised, add_special_tokens=False)["input_ids"]
    sources = torch.tensor([(mention * SOURCE_TOKENS)[:SOURCE_TOKENS] for mention in ids])
    return Question(sources, trie)


def nested(trie: NameTrie) -> dict[int, Any]:
    """The names as dictionaries of dictionaries, the usual form."""
    root: dict[int, Any] = {}
    for _, tokens in trie:
        node = root
        for token in tokens:
            node = node.setdefault(token, {})
        node[-1] = {}
    return root


def by_generate(model: BartForConditionalGeneration, question: Question, batch: int) -> Answer:
    """Beam search of transformers with `prefix_allowed_tokens_fn`, scores summed."""
    root, end = nested(question.trie), question.trie.end_token
    pad = int(model.config.pad_token_id)

    def allowed(_: int, prefix: torch.Tensor) -> list[int]:
        node: dict[int, Any] | None = root
        for token in prefix[1:].tolist():
            node = None if node is None else node.get(token)
        return [pad] if node is None else [end if token == -1 else token for token in node]

    names, scores = [], []

    def run(sources: torch.Tensor) -> None:
        output = model.generate(
            input_ids=sources,
            attention_mask=torch.ones_like(sources),
            num_beams=BEAMS,
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
            tokens = sequence[1:]
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
) -> Answer:
    """Our search on the same weights, as the linker sets it up; every name is a concept of its own."""
    settings = SearchSettings(beams=BEAMS)
    active = np.unique(question.trie.token[1:]).astype(np.int64) if normaliser == "active" else None
    scorer = BartScorer(model, normaliser, active, normaliser_dtype=normaliser_dtype)
    results: list[SearchResult] = []
    stages: dict[str, float] = {}

    def run(sources: torch.Tensor) -> None:
        started = time.process_time()
        session = scorer.begin(sources, torch.ones_like(sources), [[question.trie.end_token]] * len(sources))
        stages["encoder"] = stages.get("encoder", 0.0) + time.process_time() - started
        searches = [settings.new_search(question.trie, k, lambda name: (name,), len(sources)) for _ in sources]
        results.extend(
            run_searches(
                TimedSession(session, stages),
                searches,
                forced_is_free=normaliser == "trie",
                ahead=settings.ahead(k, len(sources)),
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


@dataclass(frozen=True)
class Variant:
    """A row of the table: one way to search, and the peer's row that it is compared with."""

    name: str
    peer: str
    dtype: torch.dtype = torch.float32
    normaliser: Normaliser = "full"
    normaliser_dtype: torch.dtype | None = None
    k: int = 1
    alone: bool = False


FP32, BF16, ALONE = "generate, fp32", "generate, bf16", "generate, fp32, one at a time"
PEERS = ((FP32, torch.float32, (16, 32)), (BF16, torch.bfloat16, (16, 32)), (ALONE, torch.float32, (1,)))
VARIANTS = (
    Variant("search, fp32", FP32),
    Variant("search, fp32, normaliser's product in bf16", FP32, normaliser_dtype=torch.bfloat16),
    Variant("search, fp32, five names", FP32, k=5),
    Variant("search, bf16", BF16, torch.bfloat16),
    Variant("search, bf16, active tokens", FP32, torch.bfloat16, "active"),
    Variant("search, fp32, trie", FP32, normaliser="trie"),
    Variant("search, bf16, trie", FP32, torch.bfloat16, "trie"),
    Variant("search, fp32, one at a time", ALONE, alone=True),
    Variant("search, bf16, trie, one at a time", ALONE, torch.bfloat16, "trie", alone=True),
)


def bench_shape(shape: Shape, question: Question, peer_mentions: int) -> dict[str, dict[str, float]]:
    """The rows of one shape: milliseconds a mention, rows, passes, and the comparison with the peer's row."""
    model = planted_bart(shape, start=question.trie.end_token, pad=1)
    fewer = question.first(peer_mentions)
    answers: dict[str, Answer] = {}
    rows: dict[str, dict[str, float]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        model.to(dtype)
        for name, peer_dtype, batches in PEERS:
            if peer_dtype == dtype:
                asked = fewer if len(batches) > 1 else fewer.first(8)
                batch, answers[name] = best_of(lambda size, q=asked: by_generate(model, q, size), batches)
                rows[name] = {"milliseconds": answers[name].milliseconds, "batch": batch}
                print(f"  {name}: {answers[name].milliseconds:.1f} ms", file=sys.stderr)
        for variant in VARIANTS:
            if variant.dtype == dtype:
                answers[variant.name] = answer = _searched(model, question, variant)
                print(f"  {variant.name}: {answer.milliseconds:.1f} ms", file=sys.stderr)
    for variant in VARIANTS:
        answer, peer = answers[variant.name], answers[variant.peer]
        rows[variant.name] = {
            "milliseconds": answer.milliseconds,
            "ratio": peer.milliseconds / answer.milliseconds,
            "rows": answer.rows,
            "passes": answer.passes,
            **(answer.stages or {}),
        }
        if variant.normaliser == "full":  # the peer's own score
            same = [a == b for a, b in zip(answer.names, peer.names, strict=False)]
            off = [abs(a - b) for a, b, s in zip(answer.scores, peer.scores, same, strict=False) if s]
            rows[variant.name] |= {"same": sum(same) / len(same), "difference": max(off, default=0.0)}
    return rows


def _searched(model: BartForConditionalGeneration, question: Question, variant: Variant) -> Answer:
    if variant.alone:
        question = question.first(16)
    _, answer = best_of(
        lambda batch: by_search(
            model,
            question,
            batch,
            normaliser=variant.normaliser,
            normaliser_dtype=variant.normaliser_dtype,
            k=variant.k,
        ),
        (1,) if variant.alone else (32, 64),
    )
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, nargs="?", help="the result file to write")
    parser.add_argument("--dictionary", type=Path, default=Path("data/dictionaries/medic2012.txt"))
    parser.add_argument("--mentions", type=int, default=128, help="mentions that are searched")
    parser.add_argument("--peer-mentions", type=int, default=32, help="mentions that the peer is timed on")
    parser.add_argument("--quick", action="store_true", help="the smallest shape; the ratios as one line of JSON, last")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    question = question_of(locate(arguments.dictionary), arguments.mentions)
    shapes = {QUICK: SHAPES[QUICK]} if arguments.quick else SHAPES
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for name, shape in shapes.items():
        print(name, file=sys.stderr)
        metrics[name] = bench_shape(shape, question, arguments.peer_mentions)
    if arguments.result is not None:
        trie = question.trie
        record = result_record(
            command=sys.argv,
            data=[arguments.dictionary],
            seed=0,
            n=arguments.mentions,
            settings={
                "name": "search",
                "columns": COLUMNS + STAGES,
                "tokens_per_name": round(len(trie.sequences()[0]) / trie.n_names, 2),
                "names": trie.n_names,
                "nodes": trie.n_nodes,
                "source_tokens": SOURCE_TOKENS,
                "beams": BEAMS,
                "threads": 1,
            },
            metrics={},
        )
        record["metrics"] = {
            f"{shape}: {row}": {key: {"value": value} for key, value in cells.items()}
            for shape, rows in metrics.items()
            for row, cells in rows.items()
        }
        write_json(arguments.result, record)
    ratios = {
        shape: {
            row: {key: round(cells[key], 4) for key in ("ratio", "same", "difference") if key in cells}
            for row, cells in rows.items()
            if "ratio" in cells
        }
        for shape, rows in metrics.items()
    }
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
