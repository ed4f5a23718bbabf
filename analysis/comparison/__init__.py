"""Methods compared on the same held-out data: one table, paired differences, and verdicts in words."""

from dpm_ppl.analysis.comparison.comparison import Comparison, compare_bounds

__all__ = ["Comparison", "compare_bounds"]
