"""How much a server takes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from genlink.errors import UsageError

__all__ = ["ServeSettings"]

# A character outside of the basic plane, as JSON may spell it: two escapes of six bytes.
_BYTES_PER_CHARACTER = 12
_BYTES_BESIDE_THE_TEXT = 65_536


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The limits of a server; what is beyond them is refused at once.

    ``text_characters`` and ``mentions`` of one request, ``ranks`` that it may ask for. ``queue``: mentions that may
    wait, of all requests; ``requests``: those that may be open. ``batch``: mentions of several requests that are linked
    together, ``wait_s`` how long a request waits for others to come along. ``timeout_s``: after which a request is
    given up.

    Raises UsageError for a number that is not positive.
    """

    text_characters: int = 50_000
    mentions: int = 200
    ranks: int = 50
    queue: int = 1_000
    requests: int = 256
    batch: int = 32
    wait_s: float = 0.003
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise UsageError(f"{name} is {value}, expected more than 0.")

    @property
    def body_bytes(self) -> int:
        """The longest body that a request can have whose text is not too long."""
        return _BYTES_BESIDE_THE_TEXT + _BYTES_PER_CHARACTER * self.text_characters
