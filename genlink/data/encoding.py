"""Text to token ids, the same for training and for search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genlink.data.tokenizer import SubwordTokenizer, frame_of
from genlink.errors import ModelError, UsageError
from genlink.schema import Mention
from genlink.templates import Template
from genlink.text import Normalisation, normalise

__all__ = ["Encoding", "Example", "Prompt"]

# A token of biomedical text is rarely longer; more characters than that are cut off before the tokenizer sees them.
CHARACTERS_PER_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is known of a mention before it is linked: its surface and the text on both sides."""

    surface: str
    left: str = ""
    right: str = ""

    @classmethod
    def of(cls, mention: Mention, context_characters: int) -> Prompt:
        """The prompt of a mention with at most so many characters of context on each side."""
        if not context_characters:
            return cls(mention.surface)
        left = mention.context[max(0, mention.start - context_characters) : mention.start]
        right = mention.context[mention.end : mention.end + context_characters]
        return cls(mention.surface, left, right)


@dataclass(frozen=True, slots=True)
class Example:
    """A training example as token ids: ``prefix`` opens with the decoder start, ``target`` ends with the end token."""

    source: list[int]
    prefix: list[int]
    target: list[int]

    @property
    def cost(self) -> int:
        """Tokens that the model must read, for grouping examples of like length."""
        return len(self.source) + len(self.prefix) + len(self.target)


class Encoding:
    """A tokenizer, a template and a normalisation: how text becomes what the model reads.

    ``decoder_start`` is the model's own first decoder token (BART: its end token). The special tokens are the
    tokenizer's, never literals.
    """

    def __init__(
        self,
        tokenizer: SubwordTokenizer,
        template: Template,
        normalisation: Normalisation,
        decoder_start: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.normalisation = normalisation
        self.decoder_start = decoder_start
        begin, end, pad = frame_of(tokenizer)
        if begin is None or end is None or pad is None:
            raise ModelError("the tokenizer lacks a start, end or padding token. Use the tokenizer of a BART.")
        self.begin, self.end, self.pad = begin, end, pad
        self._opener, self._closer = self._ids([template.start, template.end])
        self._frame = 2 + len(self._opener) + len(self._closer)
        if template.source_tokens <= self._frame:
            raise UsageError(
                f"source_tokens {template.source_tokens} leaves no room for a mention: the markers {template.start}, "
                f"{template.end} and the special tokens take {self._frame}. Raise it, or choose other markers."
            )

    @property
    def context_characters(self) -> int:
        """How much text on each side of a mention can matter."""
        return self.template.context_tokens * CHARACTERS_PER_TOKEN

    def prompt(self, mention: Mention) -> Prompt:
        """The prompt of a mention, its context cut to what can be read."""
        return Prompt.of(mention, self.context_characters)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, each with one leading space (an empty text has none)."""
        spaced = [f" {text}" if text else "" for text in texts]
        if not spaced:  # which the tokenizer refuses
            return []
        ids: list[list[int]] = self.tokenizer(spaced, add_special_tokens=False)["input_ids"]
        return ids

    def names(self, keys: Sequence[str]) -> list[list[int]]:
        """Token ids of normalised names, without the end token."""
        return self._ids(keys)

    def sources(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Encoder input ids: the marked mention in its context, cropped around the mention.

        The mention comes first when room is short; then both sides share what is left, and a side that needs less
        leaves the rest to the other.
        """
        template, steps = self.template, self.normalisation
        bodies = self._ids([normalise(p.surface, steps) for p in prompts])
        if template.context_tokens:
            lefts = self._ids([normalise(p.left, steps) for p in prompts])
            rights = self._ids([normalise(p.right, steps) for p in prompts])
        else:
            lefts = rights = [[]] * len(prompts)
        sources = []
        for body, left, right in zip(bodies, lefts, rights, strict=True):
            body = body[: template.source_tokens - self._frame]
            room = template.source_tokens - self._frame - len(body)
            n_left, n_right = min(len(left), template.context_tokens), min(len(right), template.context_tokens)
            half = room // 2
            n_left = min(n_left, max(half, room - n_right))
            n_right = min(n_right, room - n_left)
            marked = [*self._opener, *body, *self._closer]
            sources.append([self.begin, *left[len(left) - n_left :], *marked, *right[:n_right], self.end])
        return sources

    def prefixes(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Decoder prefixes: the decoder start token and the template's prefix, its mention cropped to fit."""
        template = self.template
        if not template.prefix:
            return [[self.decoder_start] for _ in prompts]
        texts = [template.decoder_prefix(normalise(p.surface, self.normalisation)) for p in prompts]
        # The tail of the prefix holds the verb, so a long mention loses its beginning.
        return [[self.decoder_start, *ids[-template.prefix_tokens :]] for ids in self._ids(texts)]

    def examples(self, prompts: Sequence[Prompt], keys: Sequence[str], target_tokens: int) -> list[Example]:
        """Training examples: ``keys`` are the names to generate.

        Of a name with more than ``target_tokens`` the beginning is learnt, and no end where it does not end.
        """
        return [
            Example(source, prefix, [*name, self.end][:target_tokens])
            for source, prefix, name in zip(
                self.sources(prompts), self.prefixes(prompts), self.names(keys), strict=True
            )
        ]
