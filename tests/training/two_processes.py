"""Run by torchrun, see test_two_processes: runs of some recipes, the last one interrupted and resumed.

Arguments: recipes to carry out, and one that is interrupted.
"""

from __future__ import annotations

import sys
from functools import partial

from genlink.config import read_train_config
from genlink.training import stages

*whole, interrupted = map(read_train_config, sys.argv[1:])
for recipe in whole:
    stages.run_stage(recipe)
train = stages.train
stages.train = partial(train, stop_at=3)
stages.run_stage(interrupted)
stages.train = train
stages.run_stage(interrupted, resume=True)
