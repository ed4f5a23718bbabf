"""Which of several methods is best on the same data: `compare_bounds` gives tables, paired differences and verdicts."""

from dpm_ppl.analysis.comparison.comparison import Comparison, compare_bounds

__all__ = ["Comparison", "compare_bounds"]
