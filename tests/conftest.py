"""Settings that every test shares."""

from __future__ import annotations

import torch
from hypothesis import settings

# Tests run side by side; threads of one that wait for threads of another would only slow both down.
torch.set_num_threads(1)

# A loaded machine must not fail a property.
settings.register_profile("genlink", deadline=None)
settings.load_profile("genlink")
