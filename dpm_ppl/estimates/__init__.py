"""Numbers with their standard errors. Come here to average what was measured of single data.

- `estimate` gives a mean over data as an `Estimate`, which formats itself with error and unit.
- `paired_difference` compares two methods on the same data; the errors of two separate means would be too large.
- `extended_mean` is for costly values that are known of some data only: it gives their mean over all data.
"""

from dpm_ppl.estimates.standard_errors import Estimate, estimate, paired_difference
from dpm_ppl.estimates.subsets import extended_mean

__all__ = ["Estimate", "estimate", "extended_mean", "paired_difference"]
