"""Measures over plain arrays: ranks, calibration, bootstrap intervals, paired tests. No corpus, policy or file."""

from __future__ import annotations

from genlink.metrics.bootstrap import Difference, Estimate, bootstrap_difference, bootstrap_ratios, bootstrap_sums
from genlink.metrics.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    negative_log_likelihoods,
    reliability_bins,
    squared_errors,
)
from genlink.metrics.paired import PairedComparison, compare_paired, mcnemar_p
from genlink.metrics.ranking import accuracy_at_k, hits_at_k, mean_reciprocal_rank, reciprocal_ranks

__all__ = [
    "Difference",
    "Estimate",
    "PairedComparison",
    "ReliabilityBin",
    "accuracy_at_k",
    "bootstrap_difference",
    "bootstrap_ratios",
    "bootstrap_sums",
    "compare_paired",
    "expected_calibration_error",
    "hits_at_k",
    "mcnemar_p",
    "mean_reciprocal_rank",
    "negative_log_likelihoods",
    "reciprocal_ranks",
    "reliability_bins",
    "squared_errors",
]
