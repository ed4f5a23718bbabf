"""`fit_guide`: fits any NumPyro guide with defaults that hold for most models; an `AutoDiffusion` in two stages.

First the base by itself, then the chains and the base together. What is kept of each stage are the averaged parameters
of its best evaluation, on noise that training does not see; what is reported is from noise that nothing was chosen on.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpyro.infer.autoguide import AutoDelta, AutoGuide

from dpm_ppl._common.checks import check_key, check_kind, whole_number
from dpm_ppl._common.errors import InputError, TrainingError
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl._common.wording import short_repr
from dpm_ppl.estimates import Estimate, estimate, paired_difference
from dpm_ppl.guides.auto_diffusion import AutoDiffusion
from dpm_ppl.guides.fitted import FittedGuide
from dpm_ppl.guides.stage import BOUND, FitSettings, Stage
from dpm_ppl.training import FitResult

FALL_BACK_ERRORS = 3.0
"""Standard errors by which a trained guide must be worse than its base for the base to take its place."""
SMALLEST_FALL = 1e-4
"""Nats below which a fall of the bound is rounding."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GuideFit(FittedGuide):
    """A guide with its parameters, as `fit_guide` leaves it; figures in nats, each from draws of noise of its own.

    - `guide`, `params`: for `guide.sample_posterior(key, params, *args)` and wherever NumPyro asks for the two.
    - `elbo`: the evidence lower bound; `base_elbo` that of the base by itself, and `gain` their difference over the
      same keys, where the guide is an `AutoDiffusion` on a base that was fitted before it.
    - `fell_back`: whether training failed, so that what is here is the base itself. `notices` say why, and what else
      is to be known of the fit.
    - `num_skipped`: updates that were dropped as their loss or gradient was not finite. `metrics`: the rows of `fit`,
      by stage; `interrupted`: whether by Ctrl-C.
    """

    __repr__ = short_repr

    guide: AutoGuide
    params: dict[str, Any]
    elbo: Estimate
    base_elbo: Estimate | None
    gain: Estimate | None
    fell_back: bool
    num_skipped: int
    metrics: dict[str, list[dict[str, Any]]]
    interrupted: bool
    notices: tuple[str, ...]

    def sample(self, key: PRNGKey, num_draws: int) -> dict[str, Array]:
        """Draws of all sites, `(num_draws, ...)`, at the arguments of the fit."""
        shape = (whole_number("num_draws", num_draws),)
        return self.guide.sample_posterior(check_key(key), self.params, *self.args, sample_shape=shape, **self.kwargs)

    def __str__(self) -> str:
        line = f"ELBO {self.elbo.format('nats')}"
        if self.gain is not None and self.base_elbo is not None:
            line += f"; base {self.base_elbo.plus_minus()}, gain {self.gain.plus_minus()}"
        return "\n".join([line, *self.notices])


def fit_guide(
    guide: AutoGuide, key: PRNGKey, *args: Any, settings: FitSettings | None = None, **kwargs: Any
) -> GuideFit:
    """Fits a NumPyro guide to the posterior at `args` and `kwargs`, those of its model.

    The base of an `AutoDiffusion` comes first, unless it has params or `train_base` is true. From there it is trained
    on with the chains, which gains where they want another base than is best by itself; `train_base=False` holds it. A
    trained guide whose bound is below that of its fitted base by more than three standard errors, or cannot be
    computed, is given up: the result is that base, with a notice and a warning.

    **Raises:** `InputError` as the guide does, and for a guide that is none; `TrainingError` where a guide that is no
    `AutoDiffusion`, or the base of one, cannot be trained.
    """
    check_kind("guide", guide, AutoGuide, expected="a NumPyro guide", remedy="for example AutoDiffusion(model)")
    if isinstance(guide, AutoDelta):
        remedy = "use AutoLaplaceApproximation, whose law around the mode has one"
        raise InputError("guide", expected="a guide with a density", got="AutoDelta", remedy=remedy)
    chosen = FitSettings() if settings is None else settings
    set_up_key, base_key, guide_key, held_out, fresh = jax.random.split(check_key(key), 5)
    results: dict[str, FitResult] = {}
    stages: list[Stage] = []
    base_share = 0.0
    if isinstance(guide, AutoDiffusion):
        guide.look_at(set_up_key, *args, **kwargs)  # refused before the base is trained
        if guide.base_params is None and not guide.train_base:
            base_share = chosen.num_base_updates / (chosen.num_base_updates + chosen.num_updates)
            stages.append(Stage(guide.base, "base", chosen, args, kwargs, set_up_key, share=base_share))
            results["base"] = stages[0].trained(base_key, held_out)
            guide = guide.with_base(results["base"].params, train_base=guide.train_base is None)
    stage = Stage(guide, "guide", chosen, args, kwargs, set_up_key, share=1 - base_share)
    stages.append(stage)
    compared = isinstance(guide, AutoDiffusion) and guide.base_params is not None
    first = params = stage.first_params(guide_key)
    failure = None
    if not any(result.interrupted for result in results.values()):
        try:
            results["guide"] = stage.trained(guide_key, held_out)
            params = results["guide"].params
        except TrainingError as error:
            if not compared:
                raise
            failure = f"training failed ({error})"
    base_elbo, gain = None, None
    values = stage.log_weights(params, fresh, chosen.num_draws)
    if compared:
        of_base = stage.log_weights(first, fresh, chosen.num_draws)
        base_elbo, gain = estimate(of_base), paired_difference(values, of_base)
        if failure is None and not np.isfinite(values).all():
            failure = f"{int((~np.isfinite(values)).sum()):,} of {len(values):,} trained draws have no finite weight"
        elif failure is None and gain.mean < -(FALL_BACK_ERRORS * gain.se + SMALLEST_FALL):
            failure = f"training made the bound worse by {(-gain).format('nats')}"
        if failure is not None:
            params, values, gain = first, of_base, paired_difference(of_base, of_base)
    notices = [f"{failure}: what is returned is the base guide itself"] if failure else []
    if failure:
        warnings.warn(notices[0], UserWarning, stacklevel=2)
    return GuideFit(
        guide=guide,
        params=params,
        elbo=estimate(values),
        base_elbo=base_elbo,
        gain=gain,
        fell_back=failure is not None,
        num_skipped=sum(int(result.state.num_skipped) for result in results.values()),
        metrics={name: result.metrics for name, result in results.items()},
        interrupted=any(result.interrupted for result in results.values()),
        notices=(*notices, *_remarks(stages, results)),
        args=args,
        kwargs=kwargs,
    )


def _remarks(stages: list[Stage], results: dict[str, FitResult]) -> list[str]:
    """What is to be known of stages whose rate was lowered, that dropped updates or ended early."""
    found = []
    for stage in stages:
        found += stage.notices
        if stage.name not in results:
            continue
        result = results[stage.name]
        done, num_skipped = int(result.state.num_updates), int(result.state.num_skipped)
        if num_skipped:
            found.append(f"{num_skipped:,} of {done:,} updates of the {stage.name} were not finite and dropped")
        if done < stage.num_updates and not result.interrupted:
            bounds = ", ".join(f"{row[BOUND]:.3f}" for row in result.metrics[-(stage.settings.patience or 0) - 1 :])
            stopped = f"the {stage.name} stopped at update {done:,} of {stage.num_updates:,}"
            found.append(f"{stopped}: its last bounds were {bounds} nats")
    return found
