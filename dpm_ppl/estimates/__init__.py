"""Figures with their standard errors: of a mean, of a paired difference, of a whole from a part of it."""

from dpm_ppl.estimates.standard_errors import Estimate, estimate, finite_or_none, paired_difference
from dpm_ppl.estimates.subsets import extended_mean

__all__ = ["Estimate", "estimate", "extended_mean", "finite_or_none", "paired_difference"]
