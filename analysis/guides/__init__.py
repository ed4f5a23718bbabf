"""Guides of one model side by side, and as ArviZ has posteriors. Come here to see which guide to trust, and how far.

- `compare_guides` fits guides by the same budget and gives a `GuideComparison` of `GuideEntry`s: one table of bounds,
  evidences, diagnostics and distances, with a verdict on each.
- `evidence_tree` makes a `DataTree` of what `dpm_ppl.guides.evidence` returns, for `az.loo`, `az.compare` and
  `az.plot_*`.
"""

from dpm_ppl.analysis.guides.comparison import GuideComparison, GuideEntry, compare_guides
from dpm_ppl.analysis.guides.tree import evidence_tree

__all__ = ["GuideComparison", "GuideEntry", "compare_guides", "evidence_tree"]
