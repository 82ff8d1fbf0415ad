"""From a corpus, a knowledge base and a training set to what a linker is given under a policy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from genlink.errors import UsageError
from genlink.evaluation.policy import Policy
from genlink.evaluation.training import TrainingFacts, training_facts, training_names
from genlink.kb import KnowledgeBase
from genlink.preprocessing import prepare
from genlink.schema import Document, Mention

__all__ = ["Setting", "prepare_setting"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is linked and in which dictionary.

    ``kb`` holds the training names already if the policy says so, ``names_added`` counts them as (concept, name) pairs.
    ``training`` is None where no training set was given.
    """

    mentions: list[Mention]
    kb: KnowledgeBase
    training: TrainingFacts | None
    names_added: int


def prepare_setting(
    documents: Sequence[Document],
    kb: KnowledgeBase,
    policy: Policy,
    *,
    training: Sequence[Document] = (),
    types: Collection[str] = (),
) -> Setting:
    """Prepare both corpora alike, keep the mentions of the given ``types`` (all if empty), extend the dictionary.

    Raises UsageError where the policy needs training documents and there are none, and where no mention is left.
    """
    if policy.dictionary == "kb+train" and not training:
        raise UsageError(
            "The policy's dictionary is kb+train, so its names come from a training corpus too. "
            "Give one with --train, or say --dictionary kb."
        )
    mentions = prepare(documents, policy.preprocessing)
    kept = [mention for mention in mentions if not types or mention.type in types]
    if not kept:
        found = ", ".join(sorted({mention.type or "none" for mention in mentions}))
        raise UsageError(f"No mention of type {', '.join(sorted(types))}. The corpus has: {found or 'none'}.")
    learnt = [mention for mention in prepare(training, policy.preprocessing) if not types or mention.type in types]
    facts = training_facts(learnt, kb) if training else None
    names = training_names(learnt, kb) if policy.dictionary == "kb+train" else {}
    extended = kb.overlay(names) if names else kb
    return Setting(kept, extended, facts, sum(map(len, names.values())))
