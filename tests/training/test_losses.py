"""The objectives, worked out by hand, and a model that is asked about nothing else."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch

from genlink.data.batches import collate
from genlink.data.decisions import Decisions, find_decisions
from genlink.data.encoding import Prompt
from genlink.training.losses import TargetLoss, target_loss, trie_loss
from genlink.trie import NameTrie

# Odds of 1 : 2 : 5 for three tokens, and even ones.
ODDS = torch.tensor([[[0.0, log(2), log(5)], [0.0, 0.0, 0.0]]])


def test_the_loss_is_the_sum_over_the_target_tokens():
    # The second token has probability 2/8, any of three even ones 1/3.
    assert float(target_loss(ODDS, torch.tensor([[1, 2]]))) == pytest.approx(log(4) + log(3))


def test_a_place_without_a_label_costs_nothing():
    assert float(target_loss(ODDS, torch.tensor([[1, -100]]))) == pytest.approx(log(4))
    assert float(target_loss(ODDS, torch.tensor([[-100, -100]]))) == 0.0


def test_label_smoothing_gives_its_share_to_the_mean_over_the_vocabulary():
    mean = (log(8) + log(4) + log(8 / 5)) / 3
    loss = target_loss(ODDS, torch.tensor([[1, -100]]), label_smoothing=0.3)
    assert float(loss) == pytest.approx(0.7 * log(4) + 0.3 * mean)
    # Over even odds it makes no difference.
    assert float(target_loss(ODDS, torch.tensor([[-100, 0]]), label_smoothing=0.3)) == pytest.approx(log(3))


def test_logits_in_half_precision_are_summed_in_full():
    many = torch.zeros(3000, 3, dtype=torch.bfloat16)
    loss = target_loss(many, torch.zeros(3000, dtype=torch.long))
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(3000 * log(3), rel=1e-4)


# The objective over the trie


def test_the_loss_of_a_name_is_that_of_its_decisions_by_hand():
    # root -5-> 1, -6-> 2;  1 -7-> 3;  2 -END-> 4;  3 -END-> 5, -8-> 6, -9-> 7;  6 -END-> 8;  7 -END-> 9
    end = 2
    trie = NameTrie.build([5, 7, 5, 7, 8, 5, 7, 9, 6], [0, 2, 5, 8, 9], end)
    # The same logits everywhere: odds of 1 : 3 : 1 for end, 5 and 6, and of 7, 4 and 5 for the tokens 7, 8 and 9.
    odds = torch.zeros(10)
    odds[[end, 5, 6, 7, 8, 9]] = torch.tensor([1.0, 3, 1, 7, 4, 5]).log()

    def loss(*targets: list[int]) -> float:
        parts = find_decisions(trie, targets, [0] * len(targets))
        # Half of each logit is the bias's.
        return sum(float(trie_loss(torch.ones(len(d.rows), 1), odds[:, None] / 2, odds / 2, d)) for d in parts)

    assert loss([6, end]) == pytest.approx(log(4))  # 1 of 3 + 1, and then nothing but the end is possible
    assert loss([5, 7, end]) == pytest.approx(log(4 / 3) + log(10))  # 1 of 1 + 4 + 5
    assert loss([5, 7, 9, end]) == pytest.approx(log(4 / 3) + log(2))
    assert loss([5, 7, 9, end], [6, end]) == pytest.approx(log(4 / 3) + log(2) + log(4))
    assert loss([5, 7, 3]) == pytest.approx(log(4 / 3))  # cut, and in the trie no further than its second token


def naive_trie_loss(model, examples, trie) -> torch.Tensor:
    """All logits of the whole model, one example after the other, those of other tokens than the children removed."""
    total = torch.zeros(())
    for example in examples:
        logits = model(
            input_ids=torch.tensor([example.source]), decoder_input_ids=torch.tensor([example.prefix + example.target])
        ).logits[0, len(example.prefix) - 1 :]
        for step, token in enumerate(example.target):
            allowed = torch.tensor(trie.allowed_tokens(example.target[:step]).astype("int64"))
            if token not in allowed:  # cut, and not in the trie
                break
            removed = torch.full_like(logits[step], -torch.inf)
            removed[allowed] = 0
            total = total - (logits[step] + removed).log_softmax(-1)[token]
    return total


def gradients(model, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.fixture
def model(make_decided_model):
    return make_decided_model()


@pytest.fixture
def examples(batches, encoding, trie):
    """Two batches, and a name cut after as many tokens as the trie has of the longest."""
    prompt = Prompt("silver fever")
    (cut,) = encoding.examples([prompt], ["silver fever of the moth and of the tides"], 12)
    assert cut.target[-1] != encoding.end
    assert trie.find(cut.target[:2]) is not None
    return [*batches.batch(0), *batches.batch(1), cut]


def test_loss_and_gradients_are_those_of_all_logits_masked(model, examples, trie, encoding):
    loss = TargetLoss(model)(collate(examples, encoding.pad, trie, labelled=False))
    expected = naive_trie_loss(model, examples, trie)
    torch.testing.assert_close(loss, expected)
    assert float(loss.detach()) > 1
    found, wanted = gradients(model, loss), gradients(model, expected)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], atol=1e-5, rtol=1e-4, msg=name)


def test_the_probabilities_of_all_names_sum_to_one(model, kb, trie, encoding):
    keys = [kb.key(i) for i in range(kb.n_keys)]
    examples = encoding.examples([Prompt("glassy bones")] * len(keys), keys, 16)
    with torch.no_grad():
        losses = [TargetLoss(model)(collate([e], encoding.pad, trie, labelled=False)) for e in examples]
    probabilities = torch.stack(losses).neg().exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert float(probabilities.max()) < 0.9


def test_what_is_cut_changes_neither_loss_nor_gradients(model, examples, trie, encoding):
    whole, cut = (collate(examples, encoding.pad, trie, labelled=labelled) for labelled in (True, False))
    assert cut.decoder_input.shape[1] < whole.decoder_input.shape[1]
    losses = [TargetLoss(model)(batch) for batch in (replace(whole, labels=None), cut)]
    torch.testing.assert_close(*losses)
    first, second = (gradients(model, loss) for loss in losses)
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=1e-4, msg=name)


def test_a_share_of_the_full_objective_is_added(model, examples, trie, encoding):
    with torch.no_grad():
        over_trie = TargetLoss(model)(collate(examples, encoding.pad, trie, labelled=False))
        full = TargetLoss(model, label_smoothing=0.2)(collate(examples, encoding.pad))
        both = TargetLoss(model, full_weight=0.3, label_smoothing=0.2)(collate(examples, encoding.pad, trie))
    assert float(both) == pytest.approx(float(over_trie) + 0.3 * float(full), rel=1e-5)
    assert float(over_trie) < float(full)


def test_the_full_objective_is_the_target_loss_of_the_whole_model(model, examples, encoding):
    batch = collate(examples, encoding.pad)
    with torch.no_grad():
        found = TargetLoss(model, label_smoothing=0.2)(batch)
        whole = model(
            input_ids=batch.source, attention_mask=batch.source_mask, decoder_input_ids=batch.decoder_input
        ).logits
    torch.testing.assert_close(found, target_loss(whole, batch.labels, 0.2))


@pytest.mark.parametrize("objective", ["full", "trie"])
def test_no_more_logits_are_computed_than_the_objective_asks_for(
    model, examples, trie, encoding, objective, monkeypatch
):
    computed, linear = [], torch.nn.functional.linear

    def counting(x, weight, bias=None):
        result = linear(x, weight, bias)
        if x.shape[-1] == 16 and len(weight) not in (16, 64):  # neither attention nor feed-forward: the head
            computed.append(tuple(result.shape))
        return result

    monkeypatch.setattr(torch.nn.functional, "linear", counting)
    batch = collate(examples, encoding.pad, *([] if objective == "full" else [trie]), labelled=objective == "full")
    TargetLoss(model)(batch)
    if objective == "full":
        assert computed == [(sum(len(e.target) for e in examples), model.config.vocab_size)]
    else:
        at_root = len(trie.allowed_tokens([]))
        assert computed[0] == (len(examples), at_root)
        assert len(computed) == 2
        assert computed[1] == (len(batch.decisions[1].rows), len(batch.decisions[1].tokens))
        assert at_root + computed[1][1] < model.config.vocab_size / 3


def test_a_batch_that_decides_nothing_costs_nothing_and_has_gradients_of_zero(model, encoding):
    (name,) = encoding.names(["moth lung"])
    only = NameTrie.build(name, [0, len(name)], encoding.end)
    (example,) = encoding.examples([Prompt("moth")], ["moth lung"], 16)
    batch = collate([example], encoding.pad, only, labelled=False)
    assert batch.decoder_input.tolist() == [example.prefix]
    loss = TargetLoss(model)(batch)
    assert float(loss.detach()) == 0
    # A gradient that is missing would leave processes waiting for each other.
    assert all(not gradient.any() for gradient in gradients(model, loss).values())


def test_in_half_precision_the_softmax_is_still_taken_in_full(model, examples, trie, encoding):
    batch = collate(examples, encoding.pad, trie, labelled=False)
    with torch.no_grad():
        exact = TargetLoss(model)(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = TargetLoss(model)(batch)
    assert rounded.dtype == torch.float32
    assert float(rounded) != float(exact)
    assert float(rounded) == pytest.approx(float(exact), rel=0.02)
    # Sums of bfloat16 end at 256 ones: a wide softmax would come out too small by far.
    n = 3000
    wide = Decisions(*(torch.zeros(1, dtype=torch.long),) * 2, torch.arange(n), torch.zeros(1, dtype=torch.long), None)
    flat = trie_loss(
        torch.zeros(1, 4, dtype=torch.bfloat16), torch.zeros(n, 4, dtype=torch.bfloat16), torch.zeros(n), wide
    )
    assert float(flat) == pytest.approx(log(n), rel=1e-6)
