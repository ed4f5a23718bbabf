"""Plots of results, on ArviZ's `PlotCollection`: every function returns the collection and shows nothing.

Bounds: `plot_bound_per_step` says where the nats go, `plot_ladder` what more particles bring, `plot_figures` which
method is best. Weights: `plot_weights`, `plot_khat_per_datum` and `plot_exact_against_estimated` say how far to trust
them. Draws: `plot_draws` suits any data, `plot_posterior` what follows from observations. A diffusion: `plot_schedule`,
`plot_entropy_bounds`, and the paper's figures.
"""

from dpm_ppl.analysis.plots.chain import plot_bound_per_step, plot_entropy_bounds, plot_schedule
from dpm_ppl.analysis.plots.curves import plot_ladder, plot_ladder_values, plot_training
from dpm_ppl.analysis.plots.draws import plot_draws
from dpm_ppl.analysis.plots.forest import plot_figures
from dpm_ppl.analysis.plots.grids import plot_image_grid
from dpm_ppl.analysis.plots.pairs import plot_pairs
from dpm_ppl.analysis.plots.posterior import plot_posterior
from dpm_ppl.analysis.plots.raster import plot_figure_two, plot_raster
from dpm_ppl.analysis.plots.slices import plot_figure_one, plot_slices
from dpm_ppl.analysis.plots.weights import plot_exact_against_estimated, plot_khat_per_datum, plot_weights

__all__ = [
    "plot_bound_per_step",
    "plot_draws",
    "plot_entropy_bounds",
    "plot_exact_against_estimated",
    "plot_figure_one",
    "plot_figure_two",
    "plot_figures",
    "plot_image_grid",
    "plot_khat_per_datum",
    "plot_ladder",
    "plot_ladder_values",
    "plot_pairs",
    "plot_posterior",
    "plot_raster",
    "plot_schedule",
    "plot_slices",
    "plot_training",
    "plot_weights",
]
