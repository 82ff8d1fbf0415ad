"""What the encoder and the decoder read: strings only, no tokenizer.

The encoder sees the mention between two markers in its context, the decoder starts with the mention and a verb and goes
on with the concept's name, as in GenBioEL (arXiv 2204.05164):

    source          ... mutations in START breast cancer END susceptibility genes ...
    decoder prefix  breast cancer is
    target          malignant neoplasm of breast
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Template"]


@dataclass(frozen=True, slots=True)
class Template:
    """The markers, the decoder prefix and how much context is read.

    ``start`` and ``end`` are ordinary words of the tokenizer. ``prefix`` holds ``{mention}`` or is empty.
    ``context_tokens`` are read on each side of the mention, none by default; ``source_tokens`` bounds the whole source
    and ``prefix_tokens`` the decoder prefix, both counted in tokens. The mention itself is cropped last.
    """

    start: str = "START"
    end: str = "END"
    prefix: str = "{mention} is"
    context_tokens: int = 0
    source_tokens: int = 128
    prefix_tokens: int = 48

    def __post_init__(self) -> None:
        if self.prefix and "{mention}" not in self.prefix:
            raise ValueError(f"decoder prefix {self.prefix!r} does not hold {{mention}}")

    def decoder_prefix(self, mention: str) -> str:
        """The given start of the target, or an empty string."""
        return self.prefix.replace("{mention}", mention)
