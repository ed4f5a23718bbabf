"""`condition`: a trained diffusion, an observation and a method to a `Posterior`."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from dpm_ppl._common.checks import check_key, check_kind
from dpm_ppl._common.interruption import interruptible
from dpm_ppl._common.progress import count_display
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.methods import SMC, AbstractConditioning
from dpm_ppl.posterior.observations import AbstractObservation
from dpm_ppl.posterior.recognition import Likelihood, known_coordinates, recognised
from dpm_ppl.posterior.result import Posterior


def condition(
    diffusion: StepLaws,
    likelihood: Likelihood | AbstractObservation | None,
    observed: Any,
    *,
    key: PRNGKey,
    method: AbstractConditioning | None = None,
    units: Units | None = None,
) -> Posterior:
    """x_0 under the diffusion, given an observation: p(x_0) r(x_0) / E_p[r(x_0)] (paper, section 2.5).

    **Arguments:**

    - `likelihood`: the law of what is observed given x_0, as a function from x_0 to a NumPyro distribution such as
      `lambda x_0: dist.Normal(A @ x_0, 0.1)`, or as a NumPyro model with one sample site. Normal laws whose mean is
      linear in x_0 and products over bits are recognised, and used as such. None: some coordinates are known exactly.
    - `observed`: the observation; without a likelihood of the event shape, with NaN where nothing was observed.
    - `method`: `SMC()` if not given; the others are `Paper`, `Twist`, `Gibbs` and `MCMC`.
    - `units`: those of the data that the diffusion was trained on (`dataset.units`). `likelihood`, `observed` and the
      draws are then in the units of the data as they were given.

    **Raises:** `InputError` for an observation that does not fit, and a method that cannot work with it.
    """
    method = SMC() if method is None else method
    key = check_key(key)
    check_kind("diffusion", diffusion, StepLaws, expected="a Diffusion", remedy="train one with dpm_ppl.fit")
    remedy = "for example SMC(1024)"
    check_kind("method", method, AbstractConditioning, expected="a way to condition", remedy=remedy)
    observation = _observation(diffusion, likelihood, observed, units)
    log_det = float(observation.log_det)
    # A number of Python's is a constant of what is compiled: another one would compile it anew.
    observation = eqx.tree_at(lambda one: one.log_det, observation, 0.0)
    method.check(diffusion, observation)
    drawn = method.draw(diffusion, observation, key)
    evidence = drawn.log_evidence
    return Posterior(
        method=method.name,
        draws=drawn.draws if units is None else units.unstandardise(drawn.draws),
        log_weights=drawn.log_weights,
        observed=np.asarray(observed),
        log_evidence=None if evidence is None else evidence + log_det,
        verdict=drawn.verdict,
        statistics=drawn.statistics,
        notices=drawn.notices,
    )


def condition_each(
    diffusion: StepLaws,
    likelihood: Likelihood | AbstractObservation | None,
    observed: Any,
    *,
    key: PRNGKey,
    method: AbstractConditioning | None = None,
    units: Units | None = None,
    progress: bool = False,
) -> list[Posterior]:
    """`condition` for each of several observations; Ctrl-C ends it with those that are done.

    Nothing is compiled anew from one observation to the next. `progress` shows how many are done.
    """
    found: list[Posterior] = []
    with interruptible("observations") as asked, count_display(progress, "observations", len(observed)) as show:
        for number, one in enumerate(observed):
            options = {"key": jax.random.fold_in(key, number), "method": method, "units": units}
            found.append(condition(diffusion, likelihood, one, **options))
            show(len(found))
            if asked():
                break
    return found


def _observation(diffusion: StepLaws, likelihood: Any, observed: Any, units: Units | None) -> AbstractObservation:
    if isinstance(likelihood, AbstractObservation):
        return likelihood
    if likelihood is None:
        return known_coordinates(diffusion, observed, units)
    return recognised(diffusion, likelihood, observed, units)
