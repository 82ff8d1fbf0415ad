"""Each normaliser gives the log-softmax over the tokens that it is about, and reads no more of the head than that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genlink.decoding import BartScorer
from genlink.decoding.normaliser import child_logits, log_normaliser, log_softmax_within_rows

START, END = 2, 2
SOURCE = torch.randint(4, 100, (3, 8), generator=torch.Generator().manual_seed(1))
MASK = torch.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] * 3 + [0] * 5])
PREFIXES = [[START, 9, 11], [START], [START, 5, 6, 7]]
MENTIONS, SLOTS = np.array([2, 0, 2, 1]), np.array([3, 2, 1, 0])


def logits_of(model, mention: int, slot: int) -> torch.Tensor:
    """The logits after a slot of the prefix by the model's own forward, in float64."""
    source = SOURCE[mention, MASK[mention].bool()][None]
    with torch.no_grad():
        logits = model(input_ids=source, decoder_input_ids=torch.tensor([PREFIXES[mention][: slot + 1]])).logits
    return logits[0, -1].double()


def ask(scorer: BartScorer, children: list[list[int]]) -> list[np.ndarray]:
    """The log-probabilities of each row's children, for the rows MENTIONS and SLOTS."""
    session = scorer.begin(SOURCE, MASK, PREFIXES)
    counts = [len(tokens) for tokens in children]
    flat = np.array([t for tokens in children for t in tokens], np.uint16)
    found = session.log_probs(MENTIONS, SLOTS, np.repeat(np.arange(len(counts)), counts), flat)
    assert found.dtype == np.float32
    return np.split(found, np.cumsum(counts)[:-1])


def expected(model, children: list[list[int]], among: list[int] | None = None) -> list[np.ndarray]:
    """Log-softmax over the tokens ``among``, by default over each row's own children, then the children's."""
    answers = []
    for mention, slot, tokens in zip(MENTIONS, SLOTS, children, strict=True):
        logits = logits_of(model, mention, slot)
        answers.append((logits[tokens] - logits[tokens if among is None else among].logsumexp(0)).numpy())
    return answers


def assert_close(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


few = [[7, 30, 99], [12], [END, 5], [40, 41, 42, 43]]
many = list(range(3, 90))
# Wide sets: one that three rows share, another, and a narrow one between them.
mixed = [many, [8, 9], many, many[:50]]


@pytest.mark.parametrize("children", [few, mixed], ids=["few", "many"])
def test_full_is_over_the_vocabulary(tiny_bart, children) -> None:
    model = tiny_bart()
    assert_close(ask(BartScorer(model, "full"), children), expected(model, children, list(range(100))))


@pytest.mark.parametrize("children", [few, mixed], ids=["few", "many"])
def test_active_is_over_the_active_tokens_in_whatever_order_they_are_given(tiny_bart, children) -> None:
    model, active = tiny_bart(), sorted({t for tokens in children for t in tokens} | {1, 95})
    wanted = expected(model, children, active)
    assert_close(ask(BartScorer(model, "active", active), children), wanted)
    assert_close(ask(BartScorer(model, "active", np.array([*active[::-1], active[0]], np.uint16)), children), wanted)


@pytest.mark.parametrize("children", [few, mixed], ids=["few", "many"])
def test_trie_is_over_the_children_of_the_row(tiny_bart, children) -> None:
    model = tiny_bart()
    found = ask(BartScorer(model, "trie"), children)
    assert_close(found, expected(model, children))
    for row in found:
        assert np.exp(row.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)


def test_what_a_scorer_keeps_of_the_head_answers_later_sessions_alike(tiny_bart) -> None:
    model = tiny_bart()
    for normaliser in ("full", "active", "trie"):
        scorer = BartScorer(model, normaliser, range(100))
        first = ask(scorer, mixed)
        for extra in range(12):  # more sets of children than it keeps
            ask(scorer, [many[extra:], many[: 40 + extra], [1, 2], [3]])
        for a, b in zip(ask(scorer, mixed), first, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_single_child_under_trie_is_certain_and_the_head_is_not_read(tiny_bart) -> None:
    model = tiny_bart()
    model.lm_head.weight = torch.nn.Parameter(torch.full_like(model.lm_head.weight, torch.nan))
    found = ask(BartScorer(model, "trie"), [[7], [8], [9], [END]])
    np.testing.assert_array_equal(np.concatenate(found), np.zeros(4, np.float32))


@pytest.mark.parametrize("children", [few, mixed], ids=["few", "many"])
@pytest.mark.parametrize("normaliser", ["active", "trie"])
def test_tokens_that_are_no_business_of_the_normaliser_are_not_multiplied(tiny_bart, normaliser, children) -> None:
    model, active = tiny_bart(), sorted({t for tokens in children for t in tokens})
    wanted = expected(model, children, active if normaliser == "active" else None)
    weight = model.lm_head.weight.detach().clone()
    weight[[t for t in range(100) if t not in active]] = torch.nan
    model.lm_head.weight = torch.nn.Parameter(weight)
    assert_close(ask(BartScorer(model, normaliser, active), children), wanted)


def test_a_child_that_is_not_active_is_refused(tiny_bart) -> None:
    scorer = BartScorer(tiny_bart(), "active", [5, 7, 9])
    for stranger in (6, 99):
        with pytest.raises(ValueError, match="not among the active tokens"):
            ask(scorer, [[5, 7], [9], [7, stranger], [5]])


def test_an_unknown_normaliser_and_active_without_tokens_are_refused(tiny_bart) -> None:
    with pytest.raises(ValueError, match="expected full, active or trie"):
        BartScorer(tiny_bart(), "none")
    with pytest.raises(ValueError, match="give active_tokens"):
        BartScorer(tiny_bart(), "active")


@given(st.lists(st.lists(st.floats(-300, 300, width=32), max_size=6), min_size=1, max_size=6).filter(any))
def test_log_softmax_within_rows_is_that_of_each_row(rows: list[list[float]]) -> None:
    numbers = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(row) for row in rows]))
    found = log_softmax_within_rows(torch.tensor([x for row in rows for x in row]), numbers)
    wanted = torch.cat([torch.tensor(row, dtype=torch.float64).log_softmax(0) for row in rows])
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6, atol=1e-4)


def random_head(seed: int, rows: int = 8, width: int = 64, vocabulary: int = 5000):
    """Hidden states, weights and bias of small logits; four random children of each row."""
    draw = torch.Generator().manual_seed(seed)
    hidden, weight = torch.randn(rows, width, generator=draw), torch.randn(vocabulary, width, generator=draw) / 8
    bias = torch.randn(vocabulary, generator=draw)
    children = torch.randint(vocabulary, (4 * rows,), generator=draw)
    return hidden, weight, bias, torch.arange(rows).repeat_interleave(4), children


def exact_normaliser(hidden, weight, bias) -> np.ndarray:
    return (hidden.double() @ weight.double().T + bias.double()).logsumexp(-1).numpy()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-3)])
def test_the_normaliser_sums_a_vocabulary_of_several_blocks(dtype, tolerance) -> None:
    hidden, weight, bias, rows, children = random_head(0)
    logits = child_logits(hidden, weight, bias, rows, children)
    found = log_normaliser(hidden.to(dtype), weight.to(dtype), bias, rows, children, logits)
    np.testing.assert_allclose(found.numpy(), exact_normaliser(hidden, weight, bias), atol=tolerance)


def test_a_low_precision_costs_little_where_children_are_likely() -> None:
    hidden, weight, bias, rows, children = random_head(1)
    likely = weight[children[::4]]
    aim = torch.linspace(17.1, 19.9, 8)[:, None]  # bfloat16 knows eighths here
    hidden += (aim - (hidden * likely).sum(1, keepdim=True)) * likely / likely.square().sum(1, keepdim=True)
    wanted = exact_normaliser(hidden, weight, bias)
    logits = child_logits(hidden, weight, bias, rows, children)
    low, low_weight = hidden.bfloat16(), weight.bfloat16()
    found = log_normaliser(low, low_weight, bias, rows, children, logits)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)
    plain = (torch.nn.functional.linear(low, low_weight).float() + bias).logsumexp(-1)
    assert np.abs(plain.numpy() - wanted).max() > 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_children_that_are_beyond_all_hope_have_finite_scores(dtype) -> None:
    hidden, weight, bias, rows, children = random_head(2)
    bias[4321] = 500.0
    wanted = exact_normaliser(hidden, weight, bias)
    logits = child_logits(hidden, weight, bias, rows, children)
    found = log_normaliser(hidden.to(dtype), weight.to(dtype), bias, rows, children, logits)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6)


def test_rows_without_a_question_are_summed_too() -> None:
    hidden, weight, bias, rows, children = random_head(3)
    some = rows >= 3
    logits = child_logits(hidden, weight, bias, rows[some], children[some])
    found = log_normaliser(hidden, weight, bias, rows[some], children[some], logits)
    np.testing.assert_allclose(found.numpy(), exact_normaliser(hidden, weight, bias), atol=1e-5)


@pytest.mark.parametrize("normaliser", ["full", "active"])
def test_a_normaliser_in_bfloat16_moves_the_scores_of_a_float32_model_a_little(tiny_bart, normaliser) -> None:
    model = tiny_bart(init_std=0.1)
    exact = np.concatenate(ask(BartScorer(model, normaliser, range(100)), mixed))
    rough = np.concatenate(
        ask(BartScorer(model, normaliser, range(100), normaliser_dtype=torch.bfloat16), mixed),
    )
    assert 0 < np.abs(rough - exact).max() < 5e-3


def test_a_normaliser_dtype_has_no_bearing_on_trie(tiny_bart) -> None:
    model = tiny_bart()
    for a, b in zip(
        ask(BartScorer(model, "trie"), mixed),
        ask(BartScorer(model, "trie", normaliser_dtype=torch.bfloat16), mixed),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
