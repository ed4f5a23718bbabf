"""Guides as ArviZ has posteriors. Come here with what `dpm_ppl.guides.evidence` returns.

`evidence_tree` makes a `DataTree` of it, for `az.loo`, `az.compare` and `az.plot_*`.
"""

from dpm_ppl.analysis.guides.tree import evidence_tree

__all__ = ["evidence_tree"]
