"""Guides of any model, and how good they are. Come here with a NumPyro model, a guide and what it was fitted to.

`evidence` gives the bound of a guide, the log evidence by importance weights and how far to trust both; with draws of
the posterior from elsewhere also bounds from above, which see what a guide has lost.
"""

from dpm_ppl.guides.evidence import evidence
from dpm_ppl.guides.weighing.forward import Forward
from dpm_ppl.guides.weighing.result import Evidence

__all__ = ["Evidence", "Forward", "evidence"]
