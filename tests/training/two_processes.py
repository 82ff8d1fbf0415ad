"""Run by torchrun, see test_two_processes: three runs of a recipe, the last one interrupted and resumed.

Arguments: a recipe without dropout, one with dropout, and the same with another output.
"""

from __future__ import annotations

import sys
from functools import partial

from genlink.config import read_train_config
from genlink.training import stages

plain, dropout, interrupted = map(read_train_config, sys.argv[1:])
stages.run_stage(plain)
stages.run_stage(dropout)
train = stages.train
stages.train = partial(train, stop_at=3)
stages.run_stage(interrupted)
stages.train = train
stages.run_stage(interrupted, resume=True)
