"""The scorer's own pass over the decoder gives what the model's forward gives, whatever is fed in what order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genlink.decoding import BartScorer, Beam, Hypothesis, run_searches
from genlink.errors import UsageError

START, BOS, END, PAD = 2, 0, 2, 1
CONFIGURATIONS = [
    {},
    {"scale_embedding": True},
    {"tie_word_embeddings": False},
    {"activation_function": "relu"},
    {"decoder_layers": 1, "encoder_layers": 1, "decoder_attention_heads": 4},
]
# Three mentions: sources padded on the right by 0, 3 and 5 tokens, decoder prefixes of different lengths.
SOURCE = torch.randint(4, 100, (3, 8), generator=torch.Generator().manual_seed(1))
MASK = torch.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] * 3 + [0] * 5])
PREFIXES = [[START, BOS, 9, 11], [START], [START, BOS, 5, 6, 7, 8]]
NAMES = [(10, 11, 12), (10, 11), (10, 20), (30,), (31, 32, 33, 34), (31, 32, 40), (50, 51)]


def forward(model, mention: int, decoder_tokens: list[int]) -> torch.Tensor:
    """Log-probabilities after each decoder token by the model's own forward, on one unpadded source."""
    source = SOURCE[mention, MASK[mention].bool()][None]
    with torch.no_grad():
        logits = model(input_ids=source, decoder_input_ids=torch.tensor([decoder_tokens])).logits
    return logits[0].log_softmax(-1)


def all_log_probs(session, mention: int, slot: int, vocabulary: int = 100) -> np.ndarray:
    tokens = np.arange(vocabulary)
    return session.log_probs(np.array([mention]), np.array([slot]), np.zeros(vocabulary, np.int64), tokens)


def search(session, trie, n_mentions: int, beams: int) -> list[tuple[Hypothesis, ...]]:
    return [r.hypotheses for r in run_searches(session, [Beam(trie, beams, beams) for _ in range(n_mentions)])]


@pytest.mark.parametrize("changes", CONFIGURATIONS)
def test_ragged_prefixes_and_padded_sources_score_as_the_models_forward(tiny_bart, changes) -> None:
    model = tiny_bart(**changes)
    session = BartScorer(model).begin(SOURCE, MASK, PREFIXES)
    assert session.root_slots.tolist() == [3, 0, 5]
    for mention, prefix in enumerate(PREFIXES):
        for slot in range(len(prefix)):
            expected = forward(model, mention, prefix)[slot].numpy()
            np.testing.assert_allclose(all_log_probs(session, mention, slot), expected, atol=1e-4)


@pytest.mark.parametrize("changes", CONFIGURATIONS)
def test_branches_of_a_mention_do_not_see_each_other(tiny_bart, changes) -> None:
    model = tiny_bart(**changes)
    session = BartScorer(model).begin(SOURCE, MASK, PREFIXES)
    paths = {
        (mention, slot): prefix for mention, (slot, prefix) in enumerate(zip(session.root_slots, PREFIXES, strict=True))
    }
    rng = np.random.default_rng(0)
    for _ in range(6):  # each time some rows, in any order, below any slots; not every mention takes part
        rows = [list(paths)[i] for i in rng.integers(len(paths), size=rng.integers(1, 8))]
        mentions, parents = np.array(rows).T
        tokens = rng.integers(4, 100, len(rows))
        slots = session.extend(mentions, parents, tokens)
        for row, slot, token in zip(rows, slots, tokens, strict=True):
            paths[row[0], int(slot)] = [*paths[row], int(token)]
    for (mention, slot), path in paths.items():
        expected = forward(model, mention, path)[-1].numpy()
        np.testing.assert_allclose(all_log_probs(session, mention, slot), expected, atol=1e-4)


def random_tree(rng, n_mentions: int, rows: int) -> list[tuple[int, int, int]]:
    """(mention, parent, token): parents are numbered from -1, the root, by the mention's own rows."""
    grown = [0] * n_mentions
    tree = []
    for mention in rng.integers(n_mentions, size=rows).tolist():
        tree.append((mention, int(rng.integers(-1, grown[mention])), int(rng.integers(4, 100))))
        grown[mention] += 1
    return tree


@pytest.mark.parametrize("seed", range(4))
def test_a_tree_fed_at_once_is_a_tree_fed_row_by_row_is_the_models_forward(tiny_bart, seed) -> None:
    model, rng = tiny_bart(), np.random.default_rng(seed)
    tree = random_tree(rng, 3, rows=40)
    at_once, by_rows = (BartScorer(model).begin(SOURCE, MASK, PREFIXES) for _ in range(2))
    first, roots = at_once.next_slots, at_once.root_slots
    assert first.tolist() == [4, 1, 6]
    mentions, parents, tokens = np.array(tree).T
    parents = np.where(parents < 0, roots[mentions], first[mentions] + parents)
    slots = at_once.extend(mentions, parents, tokens)
    alone = [int(by_rows.extend(*(array[i : i + 1] for array in (mentions, parents, tokens)))[0]) for i in range(40)]
    assert slots.tolist() == alone
    np.testing.assert_array_equal(at_once.next_slots, first + np.bincount(mentions, minlength=3))

    paths = {(mention, slot): PREFIXES[mention] for mention, slot in enumerate(roots.tolist())}
    for mention, parent, token, slot in zip(mentions, parents, tokens, slots, strict=True):
        paths[mention, slot] = [*paths[mention, parent], token]
        expected = forward(model, mention, paths[mention, slot])[-1].numpy()
        np.testing.assert_allclose(all_log_probs(at_once, mention, slot), expected, atol=1e-4)
        np.testing.assert_allclose(all_log_probs(by_rows, mention, slot), expected, atol=1e-4)


def test_a_row_may_stand_before_its_parent_but_not_without_one(tiny_bart) -> None:
    model = tiny_bart()
    session = BartScorer(model).begin(SOURCE, MASK, PREFIXES)
    slots = session.extend(np.array([1, 1]), np.array([2, 0]), np.array([8, 9]))
    expected = forward(model, 1, [*PREFIXES[1], 9, 8])[-1].numpy()
    np.testing.assert_allclose(all_log_probs(session, 1, slots[0]), expected, atol=1e-4)
    with pytest.raises(ValueError, match="slot 7 of mention 1 is not fed"):
        session.extend(np.array([1]), np.array([7]), np.array([8]))


def test_mentions_may_drop_out_and_come_back(tiny_bart) -> None:
    model, n = tiny_bart(), 7
    source, mask = SOURCE.repeat(3, 1)[:n], MASK.repeat(3, 1)[:n]
    session = BartScorer(model).begin(source, mask, [PREFIXES[i % 3] for i in range(n)])
    slots, paths = session.root_slots.copy(), [list(PREFIXES[i % 3]) for i in range(n)]
    for turn, group in enumerate([[6, 2, 4], [4, 6], [0, 1, 2, 3, 5], [5, 4], list(range(n)), [3]]):
        mentions = np.array(group)
        slots[mentions] = session.extend(mentions, slots[mentions], 10 * turn + mentions + 4)
        for mention in group:
            paths[mention].append(10 * turn + mention + 4)
    for mention in range(n):
        expected = forward(model, mention % 3, paths[mention])[-1].numpy()
        np.testing.assert_allclose(all_log_probs(session, mention, slots[mention]), expected, atol=1e-4)


def test_questions_are_answered_by_row_and_token(tiny_bart) -> None:
    session = BartScorer(tiny_bart()).begin(SOURCE, MASK, PREFIXES)
    mentions, slots = np.array([2, 0, 2]), np.array([5, 3, 1])
    found = session.log_probs(mentions, slots, np.array([0, 0, 1, 2, 2]), np.array([7, 99, 7, 0, 7], np.uint16))
    whole = [all_log_probs(session, m, s) for m, s in zip(mentions, slots, strict=True)]
    expected = [whole[0][7], whole[0][99], whole[1][7], whole[2][0], whole[2][7]]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_normaliser_covers_a_vocabulary_of_several_blocks(tiny_bart) -> None:
    model = tiny_bart(vocab_size=5000)
    session = BartScorer(model).begin(SOURCE, MASK, PREFIXES)
    scores = all_log_probs(session, 1, 0, vocabulary=5000)
    assert np.exp(scores.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(scores, forward(model, 1, PREFIXES[1])[-1].numpy(), atol=1e-4)


def test_a_long_chain_outgrows_the_reserved_slots(tiny_bart) -> None:
    model = tiny_bart()
    session = BartScorer(model).begin(SOURCE, MASK, PREFIXES)
    path, slot = list(PREFIXES[1]), session.root_slots[1:2]
    for token in range(4, 74):
        slot = session.extend(np.array([1]), slot, np.array([token]))
        path.append(token)
    np.testing.assert_allclose(all_log_probs(session, 1, slot[0]), forward(model, 1, path)[-1].numpy(), atol=1e-4)


def test_the_search_under_a_model_returns_what_teacher_forcing_every_name_returns(tiny_bart, build_trie) -> None:
    model = tiny_bart(scale_embedding=True)
    session = BartScorer(model).begin(SOURCE, MASK, PREFIXES)
    found = search(session, build_trie(NAMES), 3, beams=len(NAMES))
    for mention, prefix in enumerate(PREFIXES):
        scores = {}
        for i, name in enumerate(NAMES):
            log_probs = forward(model, mention, [*prefix, *name])[len(prefix) - 1 :]
            scores[i] = float(log_probs[range(len(name) + 1), [*name, END]].sum())
        assert [h.name for h in found[mention]] == sorted(scores, key=scores.__getitem__, reverse=True)
        np.testing.assert_allclose([h.score for h in found[mention]], sorted(scores.values(), reverse=True), atol=1e-4)


def test_a_mention_scores_alike_alone_and_in_a_padded_batch(tiny_bart, build_trie) -> None:
    model, trie = tiny_bart(), build_trie(NAMES)
    together = search(BartScorer(model).begin(SOURCE, MASK, PREFIXES), trie, 3, beams=3)
    for mention in range(3):
        source = SOURCE[mention : mention + 1, : int(MASK[mention].sum())]
        session = BartScorer(model).begin(source, torch.ones_like(source), [PREFIXES[mention]])
        (alone,) = search(session, trie, 1, beams=3)
        assert [h.name for h in alone] == [h.name for h in together[mention]]
        np.testing.assert_allclose([h.score for h in alone], [h.score for h in together[mention]], atol=1e-4)


def test_a_source_of_padding_alone_spoils_nothing(tiny_bart, build_trie) -> None:
    model, trie = tiny_bart(), build_trie(NAMES)
    mask = MASK.clone()
    mask[1] = 0
    found = search(BartScorer(model).begin(SOURCE, mask, PREFIXES), trie, 3, beams=3)
    assert np.isfinite([h.score for hypotheses in found for h in hypotheses]).all()
    usual = search(BartScorer(model).begin(SOURCE, MASK, PREFIXES), trie, 3, beams=3)
    assert [h.name for h in found[0]] == [h.name for h in usual[0]]


def test_a_model_in_training_is_scored_without_dropout_and_stays_in_training(tiny_bart) -> None:
    model = tiny_bart(dropout=0.5, attention_dropout=0.5, activation_dropout=0.5)
    expected = all_log_probs(BartScorer(model).begin(SOURCE, MASK, PREFIXES), 0, 3)
    model.train()
    found = all_log_probs(BartScorer(model).begin(SOURCE, MASK, PREFIXES), 0, 3)
    np.testing.assert_array_equal(found, expected)
    assert all(module.training for module in model.modules())


def test_a_scorer_follows_its_model(tiny_bart) -> None:
    model = tiny_bart()
    scorer = BartScorer(model)
    with torch.no_grad():
        model.lm_head.weight.mul_(1.5)
    found = all_log_probs(scorer.begin(SOURCE, MASK, PREFIXES), 0, 3)
    np.testing.assert_allclose(found, forward(model, 0, PREFIXES[0])[-1].numpy(), atol=1e-4)


def test_a_model_in_bfloat16_gives_float32_scores_near_those_of_float32(tiny_bart, build_trie) -> None:
    model, trie = tiny_bart(init_std=0.1), build_trie(NAMES)
    exact = search(BartScorer(model).begin(SOURCE, MASK, PREFIXES), trie, 3, beams=7)
    rough = search(BartScorer(model.bfloat16()).begin(SOURCE, MASK, PREFIXES), trie, 3, beams=7)
    for mention in range(3):
        expected = {h.name: h.score for h in exact[mention]}
        for hypothesis in rough[mention]:
            assert hypothesis.score == pytest.approx(expected[hypothesis.name], abs=0.3)


def test_what_does_not_fit_the_model_is_refused(tiny_bart) -> None:
    scorer = BartScorer(tiny_bart(max_position_embeddings=8))
    assert scorer.max_positions == 8
    with pytest.raises(UsageError, match="a source of 9 tokens does not fit the model's 8 positions"):
        scorer.begin(torch.full((1, 9), 5), torch.ones(1, 9), [[START]])
    with pytest.raises(UsageError, match="more than 8 tokens together"):
        scorer.begin(SOURCE, MASK, [[START] * 9, [START], [START]])
    session = scorer.begin(SOURCE, MASK, [[START] * 8, [START], [START]])
    session.extend(np.array([1]), np.array([0]), np.array([5]))
    with pytest.raises(UsageError, match="more than 8 tokens together"):
        session.extend(np.array([0]), np.array([7]), np.array([5]))


def test_a_batch_that_does_not_fit_together_is_refused(tiny_bart) -> None:
    scorer = BartScorer(tiny_bart())
    with pytest.raises(ValueError, match="one batch"):
        scorer.begin(SOURCE, MASK, PREFIXES[:2])
    with pytest.raises(ValueError, match="one batch"):
        scorer.begin(SOURCE, MASK[:, :4], PREFIXES)
    with pytest.raises(ValueError, match="decoder start token"):
        scorer.begin(SOURCE, MASK, [[START], [], [START]])
