"""Measures over plain arrays: ranking, bootstrap intervals, paired tests. No corpus, no policy, no file."""

from __future__ import annotations

from genlink.metrics.bootstrap import Estimate, bootstrap_ratios
from genlink.metrics.paired import PairedComparison, compare_paired, mcnemar_p
from genlink.metrics.ranking import accuracy_at_k, hits_at_k, mean_reciprocal_rank, reciprocal_ranks

__all__ = [
    "Estimate",
    "PairedComparison",
    "accuracy_at_k",
    "bootstrap_ratios",
    "compare_paired",
    "hits_at_k",
    "mcnemar_p",
    "mean_reciprocal_rank",
    "reciprocal_ranks",
]
