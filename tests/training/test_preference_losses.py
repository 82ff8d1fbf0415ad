"""The preference objectives, worked out by hand, and the log-probabilities that they are fed."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genlink.data.answers import Answer, AnswerList
from genlink.data.encoding import Prompt
from genlink.data.preference_batches import collate_preferences
from genlink.data.preferences import preference_examples
from genlink.linkers.generative import GenerativeLinker
from genlink.linkers.search_settings import SearchSettings
from genlink.schema import Mention
from genlink.templates import Template
from genlink.training.preferences import (
    PreferenceLoss,
    dpo_loss,
    first_right,
    marginal_loss,
    name_log_probs,
    simpo_loss,
)


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def softplus(x: float) -> float:
    """Minus the log of the sigmoid of -x."""
    return log(1 + exp(x))


# The functions


def test_dpo_compares_how_much_more_the_policy_prefers_a_name_than_the_reference_does():
    # Policy: -1 to -3, a preference of 2. Reference: -2 to -2.5, of 0.5. With beta 0.1 that is 0.15.
    loss = dpo_loss(t(-1.0, -3.0), t(-3.0, -1.0), t(-2.0, -2.0), t(-2.5, -2.5), beta=0.1)
    assert loss.tolist() == pytest.approx([softplus(-0.15), softplus(0.25)])
    # Where the policy is the reference, the odds are even, whatever both prefer.
    assert dpo_loss(t(-9.0), t(-1.0), t(-9.0), t(-1.0), beta=5.0).tolist() == pytest.approx([log(2)])


def test_simpo_compares_means_over_tokens_with_a_margin():
    # Means -1 and -1.5: the difference 0.5 times beta 2, less the margin of 0.6.
    loss = simpo_loss(t(-2.0, -4.5), t(-4.5, -2.0), t(2, 3), t(3, 2), beta=2.0, margin=0.6)
    assert loss.tolist() == pytest.approx([softplus(-0.4), softplus(1.6)])


def test_the_marginal_loss_is_the_log_of_the_share_of_the_right_names():
    # Probabilities 1/2, 1/8, 1/4 | 1/16 | 1/2, 1/2; right: the second; the only one; none but the first.
    log_probs = t(1 / 2, 1 / 8, 1 / 4, 1 / 16, 1 / 2, 1 / 2).log()
    right = torch.tensor([False, True, False, True, True, False])
    loss = marginal_loss(log_probs, right, torch.tensor([0, 0, 0, 1, 2, 2]), 3)
    assert loss.tolist() == pytest.approx([log(7), 0.0, log(2)])
    both = torch.tensor([True, True, False, True, True, False])
    assert marginal_loss(log_probs, both, torch.tensor([0, 0, 0, 1, 2, 2]), 3)[0].item() == pytest.approx(log(7 / 5))


@given(
    st.lists(
        st.lists(st.tuples(st.floats(-60, 0), st.booleans()), min_size=1, max_size=6).filter(
            lambda names: any(right for _, right in names)
        ),
        min_size=1,
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_the_marginal_loss_of_lists_of_any_length_is_that_of_a_softmax_over_each(lists, random):
    names = [(value, right, owner) for owner, names in enumerate(lists) for value, right in names]
    random.shuffle(names)  # the names of a list need not be neighbours
    values, right, owner = (torch.tensor(column) for column in zip(*names, strict=True))
    values = values.double().requires_grad_()
    found = marginal_loss(values, right, owner, len(lists))
    for number, loss in enumerate(found):
        mine = owner == number
        share = torch.softmax(values[mine].detach(), 0)[right[mine]].sum()
        assert loss.item() == pytest.approx(-log(share), abs=1e-9)
    found.sum().backward()
    assert values.grad is not None and values.grad.isfinite().all()
    # It is a log of a share: what is added to all names of a list changes nothing.
    for number in range(len(lists)):
        assert values.grad[owner == number].sum().item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, -1e4, 80.0])
def test_names_that_are_very_improbable_neither_underflow_nor_overflow(shift):
    # In float32, exp(-1e4) is 0 and exp(100) is infinite.
    log_probs = (t(-1.0, -3.0, -2.0, -700.0) + shift).requires_grad_()
    right = torch.tensor([False, True, True, False])
    loss = marginal_loss(log_probs, right, torch.tensor([0, 0, 1, 1]), 2)
    # Beside -2, -700 has no weight left; the other share is 1 : e^2.
    assert loss.tolist() == pytest.approx([softplus(2.0), 0.0], abs=2e-3 if shift else 1e-6)
    loss.sum().backward()
    share = 1 / (1 + exp(2.0))
    expected = [1 - share, share - 1, 0.0, 0.0]
    assert log_probs.grad.tolist() == pytest.approx(expected, abs=2e-3 if shift else 1e-6)


def test_a_right_name_far_below_a_wrong_one_still_has_a_gradient():
    log_probs = t(-1.0, -1001.0).requires_grad_()
    loss = marginal_loss(log_probs, torch.tensor([False, True]), torch.tensor([0, 0]), 1)
    assert loss.item() == pytest.approx(1000.0)
    loss.sum().backward()
    assert log_probs.grad.tolist() == pytest.approx([1.0, -1.0])
    for loss in (dpo_loss(t(-1e4), t(-1.0), t(0.0), t(0.0), 1.0), simpo_loss(t(-1e4), t(-1.0), t(1), t(1), 1.0, 0.0)):
        assert loss.item() == pytest.approx(9999.0)


def test_an_impossible_wrong_name_has_no_weight():
    log_probs = t(-1.0, -torch.inf).requires_grad_()
    loss = marginal_loss(log_probs, torch.tensor([True, False]), torch.tensor([0, 0]), 1)
    loss.sum().backward()
    assert loss.tolist() == [0.0]
    assert log_probs.grad.tolist() == [0.0, 0.0]


def test_the_first_right_name_of_a_list_is_that_of_the_lowest_index():
    right = torch.tensor([False, True, True, True, False, False, True])
    assert first_right(right, torch.tensor([0, 0, 0, 1, 2, 2, 2]), 3).tolist() == [1, 3, 6]


# Log-probabilities of names

ASKED = [
    ("silver fevr", "D1", ["silver fever", "salt fever", "argentine fever", "moth lung"]),
    ("gouty blue foot", "D6", ["blue gout"]),
    ("lung of the moth", "D3", ["blue gout", "moth fancier lung"]),
]


@pytest.fixture(scope="module")
def model(make_decided_model):
    return make_decided_model()


@pytest.fixture(scope="module")
def lists(kb):
    def is_right(name: str, gold: str) -> bool:
        return gold in kb.concept_ids(name)

    return [
        AnswerList(Prompt(surface), (gold,), tuple(Answer(name, is_right(name, gold)) for name in names))
        for surface, gold, names in ASKED
    ]


@pytest.fixture(scope="module")
def examples(lists, encoding):
    return preference_examples(lists, encoding, "all")


def one_by_one(model, examples, trie=None) -> list[float]:
    """The log-probability of each name by a pass of its own through the whole model, its logits masked by the trie."""
    scores = []
    for example in examples:
        for target in example.targets:
            logits = model(
                input_ids=torch.tensor([example.source]), decoder_input_ids=torch.tensor([example.prefix + target])
            ).logits[0, len(example.prefix) - 1 :]
            score = 0.0
            for step, token in enumerate(target):
                removed = torch.zeros_like(logits[step])
                if trie is not None:
                    removed[:] = -torch.inf
                    removed[torch.tensor(trie.allowed_tokens(target[:step]).astype("int64"))] = 0
                score += (logits[step] + removed).log_softmax(-1)[token].item()
            scores.append(score)
    return scores


@pytest.mark.parametrize("objective", ["full", "trie"])
def test_log_probabilities_are_those_of_one_pass_for_each_name(model, examples, encoding, trie, objective):
    over = trie if objective == "trie" else None
    with torch.no_grad():
        scores = name_log_probs(model, collate_preferences(examples, encoding.pad, over))
        expected = one_by_one(model, examples, over)
    assert scores.dtype == torch.float32
    assert scores.tolist() == pytest.approx(expected, abs=1e-4)
    assert max(scores) < -0.5  # none of the comparisons is of nothing


@pytest.mark.parametrize("objective", ["full", "trie"])
def test_log_probabilities_are_the_scores_that_the_search_gives(
    model, tokenizer, kb, encoding, trie, lists, examples, objective
):
    linker = GenerativeLinker(
        model,
        tokenizer,
        kb,
        template=Template(source_tokens=40, prefix_tokens=20),  # the mentions are shorter
        search=SearchSettings(beams=20, name_tokens=16),
        normaliser=objective,
    )
    mentions = [Mention.in_context("", item.prompt.surface) for item in lists]
    found = [{kb.key(name.name): name.score for name in result.names} for result in linker.find(mentions, 6)]
    expected = [found[i][answer.name] for i, item in enumerate(lists) for answer in item.answers]
    with torch.no_grad():
        scores = name_log_probs(
            model, collate_preferences(examples, encoding.pad, trie if objective == "trie" else None)
        )
    assert scores.tolist() == pytest.approx(expected, abs=1e-4)


# The module


@pytest.fixture(scope="module")
def with_reference(examples):
    """The examples with made-up log-probabilities of a reference."""
    return [replace(e, reference=[-1.0 - i for i in range(len(e.targets))]) for e in examples]


def of(model, loss, *, nll=0.0, beta=1.0, margin=0.0):
    return PreferenceLoss(model, loss, nll=nll, beta=beta, margin=margin)


def spread(scores: list[float], examples) -> list[list[float]]:
    values = iter(scores)
    return [[next(values) for _ in example.targets] for example in examples]


def test_the_loss_of_a_batch_is_the_sum_over_its_pairs_or_lists(model, with_reference, encoding):
    batch = collate_preferences(with_reference, encoding.pad)
    with torch.no_grad():
        scores = spread(one_by_one(model, with_reference), with_reference)
        found = {
            "dpo": of(model, "dpo", beta=0.3)(batch).item(),
            "simpo": of(model, "simpo", beta=2.0, margin=0.5)(batch).item(),
            "marginal": of(model, "marginal")(batch).item(),
            "likelihood": of(model, "likelihood")(batch).item(),
        }
    # Of the first list 0 and 2 are right; the second is all right; of the third the second name is.
    assert [e.pairs for e in with_reference] == [[(0, 1), (0, 3), (2, 1), (2, 3)], [], [(1, 0)]]
    dpo = simpo = marginal = likelihood = 0.0
    for e, s in zip(with_reference, scores, strict=True):
        n = [len(target) for target in e.targets]
        for c, r in e.pairs:
            dpo += softplus(-0.3 * ((s[c] - e.reference[c]) - (s[r] - e.reference[r])))
            simpo += softplus(0.5 - 2.0 * (s[c] / n[c] - s[r] / n[r]))
        shares = torch.softmax(torch.tensor(s), 0)
        marginal -= log(sum(share for share, right in zip(shares.tolist(), e.right, strict=True) if right))
        likelihood -= s[e.right.index(True)] / n[e.right.index(True)]
    expected = {"dpo": dpo, "simpo": simpo, "marginal": marginal, "likelihood": likelihood}
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", ["dpo", "simpo", "marginal"])
def test_so_much_of_the_likelihood_of_a_right_name_is_added(model, with_reference, encoding, loss):
    batch = collate_preferences(with_reference, encoding.pad)
    with torch.no_grad():
        scores = spread(one_by_one(model, with_reference), with_reference)
        added = of(model, loss, nll=0.5)(batch).item() - of(model, loss)(batch).item()
    if loss == "marginal":  # the first right name of each list
        learnt = [(i, e.right.index(True)) for i, e in enumerate(with_reference)]
    else:  # the chosen name of each pair
        learnt = [(i, chosen) for i, e in enumerate(with_reference) for chosen, _ in e.pairs]
    expected = -0.5 * sum(scores[i][name] / len(with_reference[i].targets[name]) for i, name in learnt)
    assert added == pytest.approx(expected, rel=1e-3)


def test_the_control_learns_nothing_from_wrong_names(model, lists, encoding):
    others = [
        replace(item, answers=tuple(a if a.right else replace(a, name="tidal colic") for a in item.answers))
        for item in lists
    ]
    batches = [
        collate_preferences(preference_examples(either, encoding, "all"), encoding.pad) for either in (lists, others)
    ]
    with torch.no_grad():
        for loss, is_same in (("likelihood", True), ("marginal", False)):
            first, second = (of(model, loss)(batch).item() for batch in batches)
            assert (first == pytest.approx(second, rel=1e-6)) == is_same


@pytest.mark.parametrize("objective", ["full", "trie"])
@pytest.mark.parametrize("loss", ["dpo", "simpo", "marginal", "likelihood"])
def test_lists_cut_apart_give_the_sum_and_gradients_of_all(model, with_reference, encoding, trie, objective, loss):
    over = trie if objective == "trie" else None

    def gradients(*cuts):
        model.zero_grad()
        total = sum(of(model, loss, nll=0.1)(collate_preferences(cut, encoding.pad, over)) for cut in cuts)
        total.backward()
        return total.item(), {name: p.grad.clone() for name, p in model.named_parameters()}

    whole, wanted = gradients(with_reference)
    parts, found = gradients(*([e] for e in with_reference))
    assert parts == pytest.approx(whole, rel=1e-5)
    for name, gradient in wanted.items():
        assert gradient.isfinite().all()
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4, msg=name)
    assert max(float(gradient.abs().max()) for gradient in wanted.values()) > 1e-3
