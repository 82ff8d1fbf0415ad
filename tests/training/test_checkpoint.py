"""Checkpoints: everything that training needs to go on, whole or not at all, of this model and no other."""

from __future__ import annotations

import errno

import pytest
import torch

from genlink.errors import DataError, ModelError
from genlink.training import checkpoint as module
from genlink.training.checkpoint import load_checkpoint, read_progress, save_checkpoint


def trained(model, steps: int = 2):
    """A model and its optimiser after some steps."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    for _ in range(steps):
        inputs = torch.tensor([[0, 7, 2]])
        model(input_ids=inputs, decoder_input_ids=inputs).logits.square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    return model, optimiser


def weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_everything_comes_back(make_model, tmp_path):
    model, optimiser = trained(make_model())
    states = [torch.get_rng_state(), torch.get_rng_state().flip(0)]
    save_checkpoint(tmp_path / "c", model, optimiser, states, {"step": 2, "best": 0.1})
    assert read_progress(tmp_path / "c") == {"step": 2, "best": 0.1}

    other = make_model()
    fresh = torch.optim.AdamW(other.parameters(), lr=0.1, fused=True)
    state, progress = load_checkpoint(tmp_path / "c", other, fresh, process=1, processes=2)
    assert torch.equal(state, states[1])
    assert progress == {"step": 2, "best": 0.1}
    expected, found = weights(model), weights(other)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert other.lm_head.weight is other.model.shared.weight  # tied before, tied after
    # They stay equal when both go on: the moments and the number of steps are there too.
    trained_on = []
    for m, o in ((model, optimiser), (other, fresh)):
        inputs = torch.tensor([[0, 9, 2]])
        m(input_ids=inputs, decoder_input_ids=inputs).logits.square().sum().backward()
        o.step()
        trained_on.append(weights(m))
    assert all(torch.equal(trained_on[0][name], trained_on[1][name]) for name in expected)
    assert any(not torch.equal(trained_on[0][name], expected[name]) for name in expected)


def test_a_checkpoint_of_another_model_is_refused(make_model, tmp_path):
    save_checkpoint(tmp_path / "c", *trained(make_model()), [torch.get_rng_state()], {})
    other = make_model(layers=2)
    before = weights(other)
    with pytest.raises(ModelError, match="holds another model than the recipe asks for"):
        load_checkpoint(tmp_path / "c", other, torch.optim.AdamW(other.parameters()), process=0, processes=1)
    assert all(torch.equal(before[name], p) for name, p in other.named_parameters())


def test_a_checkpoint_of_another_number_of_processes_is_refused(make_model, tmp_path):
    save_checkpoint(tmp_path / "c", *trained(make_model()), [torch.get_rng_state()], {})
    said = r"was written by 1 process, this run has 2\. Go on with 1 \(accelerate launch --num_processes 1\)"
    with pytest.raises(ModelError, match=said):
        load_checkpoint(tmp_path / "c", *trained(make_model(), 0), process=0, processes=2)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_interruption_while_saving_leaves_the_old_checkpoint(make_model, tmp_path, monkeypatch, failing):
    model, optimiser = trained(make_model())
    save_checkpoint(tmp_path / "c", model, optimiser, [torch.get_rng_state()], {"step": 2})
    before = weights(model)
    trained(model)
    written, save = [], module.save_file

    def full(tensors: dict[str, torch.Tensor], path: object) -> None:
        written.append(path)
        if len(written) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path)

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path / "c", model, optimiser, [torch.get_rng_state()], {"step": 4})
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    other = make_model()
    _, progress = load_checkpoint(tmp_path / "c", *trained(other, 0), process=0, processes=1)
    assert progress == {"step": 2}
    assert all(torch.equal(before[name], p) for name, p in other.named_parameters())


def test_a_directory_that_is_no_checkpoint_is_refused(make_model, tmp_path):
    with pytest.raises(DataError, match=r"has no manifest\.json, so it is not a complete training checkpoint"):
        load_checkpoint(tmp_path, *trained(make_model(), 0), process=0, processes=1)
