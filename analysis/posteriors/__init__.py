"""How good approximations of a posterior are. Come here with draws of guides, of MCMC, or of anything else.

- `compare_posteriors` puts them side by side: distances to a reference, importance weights, a verdict, trees for ArviZ.
- `sliced_wasserstein`, `maximum_mean_discrepancy` and `classifier_two_sample` are distances of any two sets of draws.
- `conditioned_tree` keeps what `dpm_ppl.posterior.condition` returns, for one observation or several.
- `weighted_draws` draws from a `FittedGuide` with log-weights, and `check_weights` says what these tell.
- `calibrate` says whether a method of approximation is right on average over the prior.
- `plot_densities`, `plot_intervals`, `plot_ranks` and `plot_calibration` draw what comes out.
"""

from dpm_ppl.analysis.posteriors.calibration import Calibration, calibrate, plot_calibration, prior_simulator
from dpm_ppl.analysis.posteriors.comparison import PosteriorComparison, compare_posteriors
from dpm_ppl.analysis.posteriors.conditioned import conditioned_tree
from dpm_ppl.analysis.posteriors.distances import (
    Distance,
    classifier_two_sample,
    maximum_mean_discrepancy,
    sliced_wasserstein,
)
from dpm_ppl.analysis.posteriors.draws import posterior_tree, weighted_draws
from dpm_ppl.analysis.posteriors.plots import plot_densities, plot_intervals, plot_ranks
from dpm_ppl.analysis.posteriors.rows import PosteriorRow
from dpm_ppl.analysis.posteriors.weight_checks import WeightCheck, check_weights
from dpm_ppl.guides import FittedGuide

__all__ = [
    "Calibration",
    "Distance",
    "FittedGuide",
    "PosteriorComparison",
    "PosteriorRow",
    "WeightCheck",
    "calibrate",
    "check_weights",
    "classifier_two_sample",
    "compare_posteriors",
    "conditioned_tree",
    "maximum_mean_discrepancy",
    "plot_calibration",
    "plot_densities",
    "plot_intervals",
    "plot_ranks",
    "posterior_tree",
    "prior_simulator",
    "sliced_wasserstein",
    "weighted_draws",
]
