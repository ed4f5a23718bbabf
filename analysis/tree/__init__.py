"""Results as an xarray `DataTree`, as ArviZ takes it, in memory and in files.

`bound_group`, `weights_group` and `pointwise_group` label results, `to_datatree` puts them together, `save` and `load`
keep them, and `held_out_elpd` makes what `az.compare` takes.
"""

from dpm_ppl.analysis.tree.files import check_store, load, save
from dpm_ppl.analysis.tree.tree import bound_group, held_out_elpd, pointwise_group, to_datatree, weights_group

__all__ = [
    "bound_group",
    "check_store",
    "held_out_elpd",
    "load",
    "pointwise_group",
    "save",
    "to_datatree",
    "weights_group",
]
