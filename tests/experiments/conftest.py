"""The working directory of a toy experiment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import run_experiment
import yaml
from toy_experiment import (
    PLAN,
    RECIPE,
    SCRIPT,
    Run,
    begin,
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a recipe, where processes end at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_experiment, "begin", begin)
    monkeypatch.setattr(run_experiment, "POLL_SECONDS", 0)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def run(work: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs a plan, and returns the exit code."""

    def run_plan(*options: str, plan: dict[str, Any] = PLAN) -> int:
        (work / "plan.yaml").write_text(yaml.safe_dump(plan))
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "plan.yaml", *options])
        with pytest.raises(SystemExit) as exit_:
            run_experiment.run_command(run_experiment.main)
            sys.exit(0)  # --dry-run returns
        return int(str(exit_.value.code))

    return run_plan
