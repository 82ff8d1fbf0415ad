"""Log-probabilities under a reference: computed once, and never used for another model or other lists."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genlink.data.answers import Answer, AnswerList
from genlink.data.encoding import Prompt
from genlink.data.preference_batches import collate_preferences
from genlink.data.preferences import preference_examples
from genlink.training import reference
from genlink.training.preferences import name_log_probs
from genlink.training.reference import with_reference


@pytest.fixture
def examples(kb, encoding):
    """Each name as a question, with itself and some others as answers."""
    names = [kb.key(i) for i in range(kb.n_keys)]
    lists = [
        AnswerList(Prompt(name), (), (Answer(name, True), *(Answer(other, False) for other in names[: i % 4])))
        for i, name in enumerate(names)
    ]
    return preference_examples(lists, encoding, "all")


@pytest.fixture
def computed(monkeypatch):
    """How many names were computed, batch by batch."""
    counts: list[int] = []

    def spy(bart, batch):
        counts.append(len(batch.owner))
        assert not bart.training and not torch.is_grad_enabled()
        return name_log_probs(bart, batch)

    monkeypatch.setattr(reference, "name_log_probs", spy)
    return counts


def test_each_name_gets_its_own_log_probability(
    examples, make_model, encoding, trie, accelerator, tmp_path, monkeypatch, computed
):
    monkeypatch.setattr(reference, "BATCH", 3)
    model = make_model(dropout=0.5).train()
    for over in (None, trie):
        path = tmp_path / f"{over is None}.safetensors"
        filled = with_reference(examples, model, path, accelerator, pad=encoding.pad, trie=over)
        assert model.training  # dropout was off, and is on again
        assert [replace(e, reference=None) for e in filled] == examples
        model.eval()
        for example in filled:
            with torch.no_grad():
                alone = name_log_probs(model, collate_preferences([example], encoding.pad, over))
            assert example.reference == pytest.approx(alone.tolist(), abs=1e-4)
        model.train()
    assert len(computed) == 2 * -(-len(examples) // 3)
    assert sum(computed) == 2 * sum(len(e.targets) for e in examples)


def test_what_is_kept_is_used_again_unless_weights_lists_or_objective_differ(
    examples, make_model, encoding, trie, accelerator, tmp_path, computed
):
    path, model = tmp_path / "reference.safetensors", make_model()

    def computes(lists, over=None) -> bool:
        before = len(computed)
        found = with_reference(lists, model, path, accelerator, pad=encoding.pad, trie=over)
        assert all(e.reference is not None and len(e.reference) == len(e.targets) for e in found)
        return len(computed) > before

    assert computes(examples)
    assert not computes(examples)
    # Flags and pairs change nothing that the reference says.
    assert not computes([replace(e, right=[not right for right in e.right], pairs=[]) for e in examples])
    assert computes(examples[:-1])
    assert not computes(examples[:-1])
    assert computes([replace(examples[0], prefix=examples[1].prefix), *examples[1:]])
    assert computes(examples, trie)
    assert not computes(examples, trie)
    with torch.no_grad():
        next(model.parameters())[5, 5] += 1e-6
    assert computes(examples, trie)


def test_kept_and_computed_values_are_the_same(examples, make_model, encoding, accelerator, tmp_path):
    path = tmp_path / "reference.safetensors"
    first, again = (
        with_reference(examples, make_model(), path, accelerator, pad=encoding.pad, trie=None) for _ in range(2)
    )
    assert first == again
