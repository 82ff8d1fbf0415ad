"""Training with less memory: the same gradients by gradient checkpointing, and ways of FSDP that are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType

from genlink.config import TrainConfig
from genlink.data.batches import collate
from genlink.data.preference_batches import collate_preferences
from genlink.data.preferences import PreferenceExample
from genlink.data.spelling import spell_trie
from genlink.errors import UsageError
from genlink.linkers.bart import set_gradient_checkpointing
from genlink.training.losses import TargetLoss
from genlink.training.preferences import PreferenceLoss
from genlink.training.sharding import check_sharding
from genlink.training.stages import run_stage

pytestmark = pytest.mark.usefixtures("accelerator")

LOSSES = ("dpo", "simpo", "marginal", "likelihood")


@pytest.fixture
def lists(batches, encoding):
    """Two lists of two names, with one pair each."""
    first, second = batches.batch(0)[:2]
    moth, gout = ([*name, encoding.end] for name in encoding.names(["moth lung", "blue gout"]))
    return [
        PreferenceExample(e.source, e.prefix, [moth, gout], [i == 0, i == 1], [(i, 1 - i)], [-3.0, -4.0])
        for i, e in enumerate((first, second))
    ]


def preference_loss(bart, loss: str) -> PreferenceLoss:
    return PreferenceLoss(bart, loss, nll=0.0 if loss == "likelihood" else 0.1, beta=0.5, margin=0.1)


def learn(loss: torch.nn.Module, batch) -> tuple[dict[str, torch.Tensor], int]:
    """All gradients, and how many numbers the forward pass kept for them beside the weights."""
    weights = {p.untyped_storage().data_ptr() for p in loss.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().size()
        return tensor

    loss.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = loss(batch)
    value.backward()
    return {name: p.grad for name, p in loss.named_parameters()}, sum(kept.values())


@pytest.mark.parametrize("objective", ["pairs of names", *LOSSES])
def test_gradient_checkpointing_gives_the_same_gradients_from_less_memory(
    make_model, batches, lists, tokenizer, objective
):
    found = []
    for checkpoints in (False, True):
        bart = make_model(layers=2)
        if checkpoints:
            set_gradient_checkpointing(bart)
        if objective in LOSSES:
            loss, batch = preference_loss(bart, objective), collate_preferences(lists, tokenizer.pad_token_id)
        else:
            loss, batch = TargetLoss(bart), collate(batches.batch(0), tokenizer.pad_token_id)
        found.append(learn(loss, batch))
    (plain, much), (recomputed, little) = found
    assert all(torch.equal(plain[name], recomputed[name]) for name in plain)
    assert little < much / 2


def test_a_recipe_asks_for_it_and_the_saved_model_knows_nothing_of_it(recipe, tmp_path, monkeypatch):
    recomputed = []
    checkpoint = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        "transformers.modeling_utils.checkpoint", lambda *a, **k: recomputed.append(k) or checkpoint(*a, **k)
    )
    models = []
    for name, checkpoints in (("kept", False), ("recomputed", True)):
        values = recipe(tmp_path / name, optimiser={"steps": 2, "batch_size": 4, "micro_batch_size": 2})
        values["model"]["gradient_checkpointing"] = checkpoints
        run_stage(TrainConfig.model_validate(values))
        # A layer of each stack, in each micro-batch; nothing of it where the model is scored.
        assert len(recomputed) == (2 * 2 * 2 if checkpoints else 0)
        models.append((tmp_path / name / "model" / "model.safetensors").read_bytes())
        assert "checkpointing" not in json.dumps(json.loads((tmp_path / name / "model" / "config.json").read_text()))
    assert models[0] == models[1]  # dropout and all
    # It may be changed when a run goes on, say after it ran out of memory.
    values["model"]["gradient_checkpointing"] = False
    assert run_stage(TrainConfig.model_validate(values), resume=True).step == 2


@pytest.mark.parametrize("decides", [True, False], ids=["trie", "trie of one name"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_micro_batch_that_teaches_nothing_gives_every_weight_a_gradient(
    make_model, lists, trie, encoding, tokenizer, loss, decides
):
    """Or processes would wait for each other when they exchange gradients."""
    if decides:
        without = [replace(lists[0], pairs=[])]
    else:
        trie = spell_trie(["moth lung"], encoding, 16)
        without = [replace(lists[0], targets=lists[0].targets[:1] * 2, pairs=[])]
    module = preference_loss(make_model(), loss)
    gradients, _ = learn(module, collate_preferences(without, tokenizer.pad_token_id, trie))
    assert all(gradient is not None for gradient in gradients.values())
    if not decides or loss in ("dpo", "simpo"):
        assert all(gradient.abs().max() == 0 for gradient in gradients.values())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"fsdp_version": 1}, "fsdp_version is 1: set it to 2"),
        ({"cpu_ram_efficient_loading": True}, "leaves processes without a model to score: set it to false"),
        ({"activation_checkpointing": True}, r"set model\.gradient_checkpointing instead"),
    ],
)
def test_ways_of_fsdp_that_would_train_another_model_are_refused(change, problem):
    right = {"fsdp_version": 2, "cpu_ram_efficient_loading": False, "activation_checkpointing": False}
    for distributed_type, settings in ((DistributedType.NO, change), (DistributedType.FSDP, {})):
        state = SimpleNamespace(fsdp_plugin=SimpleNamespace(**right | settings))
        check_sharding(SimpleNamespace(distributed_type=distributed_type, state=state))
    state = SimpleNamespace(fsdp_plugin=SimpleNamespace(**right | change))
    with pytest.raises(UsageError, match=problem):
        check_sharding(SimpleNamespace(distributed_type=DistributedType.FSDP, state=state))
