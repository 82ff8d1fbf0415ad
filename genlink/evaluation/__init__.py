"""Evaluation: a linker's predictions, scored under named policies, with intervals, and kept as result files."""

from __future__ import annotations

from genlink.evaluation.outcomes import Dropped, Outcome, score_outcomes
from genlink.evaluation.policy import PRESETS, Policy, choose_policy
from genlink.evaluation.predictions import PredictionRecord, read_predictions, to_record, write_predictions
from genlink.evaluation.report import Report, compare_predictions, score_predictions
from genlink.evaluation.results import read_result, write_result
from genlink.evaluation.training import TrainingFacts, training_facts, training_names

__all__ = [
    "PRESETS",
    "Dropped",
    "Outcome",
    "Policy",
    "PredictionRecord",
    "Report",
    "TrainingFacts",
    "choose_policy",
    "compare_predictions",
    "read_predictions",
    "read_result",
    "score_outcomes",
    "score_predictions",
    "to_record",
    "training_facts",
    "training_names",
    "write_predictions",
    "write_result",
]
