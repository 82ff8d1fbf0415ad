"""The search finds the names, and gives them the scores, that ``transformers.generate`` finds and gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genlink.decoding import BartScorer, Beam, Hypothesis, LazyBeam, run_searches

START, BOS, END, PAD = 2, 0, 2, 1


@pytest.fixture(scope="module")
def names() -> list[tuple[int, ...]]:
    """Sixty names over few tokens: many share a start, every sixth is a prefix of another."""
    rng = np.random.default_rng(3)
    distinct: dict[tuple[int, ...], None] = {}
    while len(distinct) < 50:
        distinct[tuple(rng.integers(4, 12, rng.integers(2, 7)).tolist())] = None
    for name in list(distinct)[:10]:
        distinct[(*name, 20)] = None
    return list(distinct)


def noisy_copies(names, rng) -> tuple[torch.Tensor, torch.Tensor]:
    """A source for each name: some of its tokens, between others; padded."""
    sources = [
        [30, *(t for t in name if rng.random() < 0.8), *rng.integers(31, 100, rng.integers(1, 5))] for name in names
    ]
    width = max(map(len, sources))
    ids = torch.tensor([[*source, *[PAD] * (width - len(source))] for source in sources])
    mask = torch.tensor([[1] * len(source) + [0] * (width - len(source)) for source in sources])
    return ids, mask


@pytest.fixture(scope="module", params=[(1, 16), (2, 32)], ids=["1+1 layers", "2+2 layers"])
def trained(request, tiny_bart, names):
    """A BART that has begun to learn the names, so that its beams are neither flat nor sure."""
    layers, width = request.param
    model = tiny_bart(d_model=width, encoder_layers=layers, decoder_layers=layers, dropout=0.0, init_std=0.1)
    model.train()
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    length = max(map(len, names)) + 1
    targets = torch.tensor([[*name, END, *[-100] * (length - 1 - len(name))] for name in names])
    start = torch.full((len(names), 1), START)
    inputs = torch.cat([start, targets[:, :-1].masked_fill(targets[:, :-1] == -100, PAD)], dim=1)
    for _ in range(60):
        ids, mask = noisy_copies(names, rng)
        loss = model(input_ids=ids, attention_mask=mask, decoder_input_ids=inputs, labels=targets).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def generate(model, ids, mask, prefix: list[int], trie, beams: int) -> list[list[tuple[int, float]]]:
    """(name, score) of each returned sequence by ``generate``, without what it pads short answers with."""

    def allowed(_: int, prefix_and_name: torch.Tensor) -> list[int]:
        # An empty list is an error to generate, which goes on asking about beams that have ended.
        return trie.allowed_tokens(prefix_and_name[len(prefix) :].tolist()).tolist() or [PAD]

    with torch.no_grad():
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            decoder_input_ids=torch.tensor([prefix] * len(ids)),
            num_beams=beams,
            num_return_sequences=beams,
            prefix_allowed_tokens_fn=allowed,
            length_penalty=0.0,
            early_stopping=False,
            max_new_tokens=trie.max_depth,
            min_length=0,
            forced_bos_token_id=None,
            forced_eos_token_id=None,
            no_repeat_ngram_size=0,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
    results: list[list[tuple[int, float]]] = [[] for _ in ids]
    for i, (sequence, score) in enumerate(zip(output.sequences, output.sequences_scores, strict=True)):
        tokens = sequence[len(prefix) :].tolist()
        if END in tokens and score > -1e6:
            leaf = trie.find(tokens[: tokens.index(END) + 1])
            results[i // beams].append((trie.name_of(leaf), float(score)))
    return results


def search(session, trie, n_mentions: int, beams: int, k: int, kind=Beam) -> list[tuple[Hypothesis, ...]]:
    results = run_searches(session, [kind(trie, beams, k) for _ in range(n_mentions)])
    return [result.hypotheses for result in results]


def assert_same(found, expected) -> None:
    assert [[h.name for h in hypotheses] for hypotheses in found] == [[name for name, _ in e] for e in expected]
    for hypotheses, pairs in zip(found, expected, strict=True):
        np.testing.assert_allclose([h.score for h in hypotheses], [score for _, score in pairs], atol=1e-4)


@pytest.mark.parametrize("kind", [Beam, LazyBeam])
@pytest.mark.parametrize("beams", [2, 5, 10])
@pytest.mark.parametrize("prefix", [[START], [START, BOS, 40, 41]], ids=["start", "prefix"])
def test_a_padded_batch_gets_the_same_lists_and_scores(trained, names, build_trie, beams, prefix, kind) -> None:
    trie = build_trie(names)
    ids, mask = noisy_copies(names[:24], np.random.default_rng(1))
    assert not mask.all()
    found = search(BartScorer(trained).begin(ids, mask, [prefix] * 24), trie, 24, beams, k=beams, kind=kind)
    assert_same(found, generate(trained, ids, mask, prefix, trie, beams))


def test_a_single_mention_gets_the_same_list_and_scores(trained, names, build_trie) -> None:
    trie = build_trie(names)
    ids, mask = noisy_copies(names[7:8], np.random.default_rng(2))
    found = search(BartScorer(trained).begin(ids, mask, [[START]]), trie, 1, beams=5, k=5)
    assert_same(found, generate(trained, ids, mask, [START], trie, 5))


def test_beams_miss_names_that_brute_force_finds_so_the_comparison_is_not_trivial(trained, names, build_trie) -> None:
    trie = build_trie(names)
    ids, mask = noisy_copies(names[:24], np.random.default_rng(1))
    scorer, prefixes = BartScorer(trained), [[START]] * 24
    narrow = search(scorer.begin(ids, mask, prefixes), trie, 24, beams=5, k=5)
    whole = search(scorer.begin(ids, mask, prefixes), trie, 24, beams=len(names), k=5)
    assert any([h.name for h in a] != [h.name for h in b] for a, b in zip(narrow, whole, strict=True))


def test_fewer_names_than_beams_gives_the_same_names_without_junk(trained, names, build_trie) -> None:
    trie = build_trie(names[:3])
    ids, mask = noisy_copies(names[:6], np.random.default_rng(4))
    found = search(BartScorer(trained).begin(ids, mask, [[START]] * 6), trie, 6, beams=5, k=5)
    assert [len(hypotheses) for hypotheses in found] == [3] * 6
    assert_same(found, generate(trained, ids, mask, [START], trie, 5))
