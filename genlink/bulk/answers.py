"""Answers as lines of JSON, and a bounded memory of them: what reads alike is linked once."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b

from genlink.schema import Candidate, Mention, Prediction
from genlink.text import Normalisation, normalise

__all__ = ["Answers", "decode", "encode", "memory_of", "question_of"]

_BESIDE = 256  # what a remembered answer takes beside its characters: two objects and a place in the dictionary


def question_of(mention: Mention, context_characters: int, steps: Normalisation) -> bytes:
    """A digest of what a linker reads of a mention: two mentions that share it read alike.

    ``context_characters``: how much text on each side the linker can read.
    """
    parts = [mention.surface]
    if context_characters:
        parts.append(mention.context[max(0, mention.start - context_characters) : mention.start])
        parts.append(mention.context[mention.end : mention.end + context_characters])
    keys = repr([normalise(part, steps) for part in parts])
    return blake2b(keys.encode(), digest_size=16).digest()


def encode(prediction: Prediction) -> str:
    """The answer of a prediction as one line; the mention is not part of it."""
    candidates = [
        [c.concept_id, c.concept_name, c.name, c.score, c.rank, c.ambiguous, c.probability]
        for c in prediction.candidates
    ]
    return json.dumps([candidates, prediction.exact, prediction.is_nil])


def decode(line: str, mention: Mention) -> Prediction:
    """The prediction that has this answer. Raises ValueError or TypeError for a line that holds none."""
    candidates, exact, is_nil = json.loads(line)
    return Prediction(mention, tuple(Candidate(*candidate) for candidate in candidates), exact, is_nil)


def memory_of(answer: str) -> int:
    """About how many bytes a remembered answer takes."""
    return len(answer) + _BESIDE


class Answers:
    """The latest answers by question, about ``capacity`` bytes of them.

    What it holds follows from the questions and their answers alone. So one that is told the answers of finished parts
    again goes on as if it had asked for them itself, and asks the same questions together from then on.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._taken = 0
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def of(self, questions: Sequence[bytes], ask: Callable[[list[int]], Sequence[str]]) -> list[str]:
        """The answer to each question; ``ask`` answers those that are new, by the index of their first occurrence."""
        found: dict[bytes, str] = {}
        new: dict[bytes, int] = {}
        for i, question in enumerate(questions):
            if question in self._known:
                self._known.move_to_end(question)
                found[question] = self._known[question]
            else:
                new.setdefault(question, i)
        found.update(zip(new, ask(list(new.values())) if new else (), strict=True))
        for question in new:
            self._known[question] = found[question]
            self._taken += memory_of(found[question])
        while self._taken > self.capacity:
            self._taken -= memory_of(self._known.popitem(last=False)[1])
        return [found[question] for question in questions]
