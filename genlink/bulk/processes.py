"""Several processes that share the work, as ``accelerate launch`` or ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Share", "share_of_this_process"]

# The first to finish waits for the last; the usual half an hour would end a long run.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Share:
    """Which of ``count`` processes this is, counted from 0, and how it waits for the others.

    ``device`` is the GPU of its own that it should take, None where there is one process or no GPU.
    """

    index: int = 0
    count: int = 1
    device: str | None = None
    wait: Callable[[], None] = lambda: None

    @property
    def is_first(self) -> bool:
        """Whether it is for this process to write the output and to speak."""
        return self.index == 0


def share_of_this_process() -> Share:
    """The share of this process; that of one alone asks for no torch."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Share()
    import torch
    from accelerate import PartialState

    has_gpu = torch.cuda.is_available()
    state = PartialState(cpu=not has_gpu, timeout=_PATIENCE)
    device = f"cuda:{state.local_process_index}" if has_gpu else None
    return Share(state.process_index, state.num_processes, device, state.wait_for_everyone)
