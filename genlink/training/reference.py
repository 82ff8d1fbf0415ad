"""Log-probabilities under the reference model: computed once, kept on disk, checked before they are used again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import safe_open
from safetensors.torch import save
from transformers import BartForConditionalGeneration

from genlink.data.preference_batches import collate_preferences
from genlink.data.preferences import PreferenceExample
from genlink.data.tokenizer import tokenizer_hash
from genlink.errors import ModelError
from genlink.files import atomic_file
from genlink.linkers.generative import GenerativeLinker
from genlink.training.preferences import name_log_probs
from genlink.trie import NameTrie

__all__ = ["check_kin", "digest_of_examples", "with_reference"]

BATCH = 32


def check_kin(other: GenerativeLinker, policy: GenerativeLinker, name: str) -> None:
    """Raise ModelError where scores of another model, called ``name``, cannot be compared with those of the policy."""
    if tokenizer_hash(other.tokenizer) != tokenizer_hash(policy.tokenizer):
        problem = "spells with another tokenizer than the model that is trained"
    elif other.normaliser != policy.normaliser:
        problem = f"was trained with objective {other.normaliser}, this stage has {policy.normaliser}"
    elif other.template != policy.template:
        problem = "reads another template than this stage"
    else:
        return
    raise ModelError(f"{name}: {problem}. Take a model of the same kin, such as the one that the stage starts from.")


def with_reference(
    examples: Sequence[PreferenceExample],
    bart: BartForConditionalGeneration,
    path: Path,
    accelerator: Accelerator,
    *,
    pad: int,
    trie: NameTrie | None,
) -> list[PreferenceExample]:
    """The examples with the log-probability of each target under ``bart``, which drops nothing out here.

    They are kept in ``path``, a safetensors file, and taken from there if it is of the same examples, weights and
    precision.
    """
    facts = {
        "examples": digest_of_examples(examples, judged=False),
        "weights": _digest_of_weights(bart),
        "normaliser": "full" if trie is None else "trie",
        "precision": accelerator.mixed_precision,
    }
    values = _kept(path, facts)
    if values is None:
        values = _computed(examples, bart, accelerator, pad, trie)
        if accelerator.is_main_process:
            _keep(path, values, facts)
        accelerator.wait_for_everyone()
    filled, start = [], 0
    for example in examples:
        end = start + len(example.targets)
        filled.append(replace(example, reference=values[start:end].tolist()))
        start = end
    return filled


def _computed(
    examples: Sequence[PreferenceExample],
    bart: BartForConditionalGeneration,
    accelerator: Accelerator,
    pad: int,
    trie: NameTrie | None,
) -> torch.Tensor:
    # Like lengths together. Batches are cut alike for any number of processes, so that their numbers are the same.
    order = sorted(range(len(examples)), key=lambda i: (examples[i].cost, i))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    training = bart.training
    bart.eval()
    found: list[tuple[int, list[float]]] = []
    with torch.no_grad(), accelerator.autocast():
        for batch in batches[accelerator.process_index :: accelerator.num_processes]:
            tensors = collate_preferences([examples[i] for i in batch], pad, trie).to(accelerator.device)
            scores = iter(name_log_probs(bart, tensors).cpu().tolist())
            found.extend((i, [next(scores) for _ in examples[i].targets]) for i in batch)
    bart.train(training)
    by_example = dict(gather_object(found))
    return torch.tensor([score for i in range(len(examples)) for score in by_example[i]])


def _keep(path: Path, values: torch.Tensor, facts: dict[str, str]) -> None:
    with atomic_file(path, "wb") as f:
        f.write(save({"log_probs": values}, metadata=facts))


def _kept(path: Path, facts: dict[str, str]) -> torch.Tensor | None:
    """The kept values, if they are of these facts."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as f:
        values: torch.Tensor = f.get_tensor("log_probs")
        return values if f.metadata() == facts else None


def digest_of_examples(examples: Sequence[PreferenceExample], *, judged: bool) -> str:
    """The SHA-256 of examples, whatever their reference; if ``judged``, of what is right and of the pairs too."""
    digest = hashlib.sha256()
    for e in examples:
        digest.update(repr((e.source, e.prefix, e.targets, (e.right, e.pairs) if judged else ())).encode())
    return digest.hexdigest()


def _digest_of_weights(bart: BartForConditionalGeneration) -> str:
    digest = hashlib.sha256()
    for name, parameter in bart.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
