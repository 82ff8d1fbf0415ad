"""The objective, worked out by hand, and the model asked about target tokens only."""

from __future__ import annotations

from math import log

import pytest
import torch

from genlink.data.batches import IGNORED, collate
from genlink.training.losses import TargetLogits, target_loss

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


def test_logits_of_target_tokens_are_those_of_the_whole_model(make_model, batches, tokenizer):
    model = make_model().eval()
    torch.nn.init.normal_(model.final_logits_bias)
    batch = collate(batches.batch(0), tokenizer.pad_token_id)
    with torch.no_grad():
        found = TargetLogits(model)(batch)
        whole = model(
            input_ids=batch.source, attention_mask=batch.source_mask, decoder_input_ids=batch.decoder_input
        ).logits
    assert len(found) < whole.shape[0] * whole.shape[1]
    torch.testing.assert_close(found, whole[batch.labels != IGNORED])
