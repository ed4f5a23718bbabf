"""`condition`: a trained diffusion, an observation and a method to a `Posterior`."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.checks import check_key, check_kind, check_known, check_some
from dpm_ppl._common.interruption import interruptible
from dpm_ppl._common.progress import count_display
from dpm_ppl._common.types import PRNGKey
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.likelihood.diagnostics import UNUSABLE
from dpm_ppl.posterior.methods import SMC, AbstractConditioning
from dpm_ppl.posterior.observations import AbstractObservation, AnyLikelihood, for_methods
from dpm_ppl.posterior.observed import maker
from dpm_ppl.posterior.recognition import Likelihood
from dpm_ppl.posterior.result import Posterior


@runtime_checkable
class Kept(Protocol):
    """Posteriors by the number of their observation; a dict is one."""

    def get(self, number: int, /) -> Posterior | None:
        """The posterior of this observation, if it is there."""
        ...

    def __setitem__(self, number: int, posterior: Posterior, /) -> None: ...


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
    - `method`: `SMC()` if not given; the others are `Twist`, `Gibbs`, `Variational`, `MCMC` and `Paper`.
    - `units`: those of the data that the diffusion was trained on (`dataset.units`). `likelihood`, `observed` and the
      draws are then in the units of the data as they were given.

    **Raises:** `InputError` for an observation that does not fit, and a method that cannot work with it.
    """
    method, key = _checked(diffusion, method, units, key, observed), check_key(key)
    observation = maker(diffusion, likelihood, observed, units)(observed)
    method.check(diffusion, for_methods(observation))
    return _posterior(diffusion, observation, observed, key, method, units)


def condition_each(
    diffusion: StepLaws,
    likelihood: Likelihood | AbstractObservation | None,
    observed: Any,
    *,
    key: PRNGKey,
    method: AbstractConditioning | None = None,
    units: Units | None = None,
    progress: bool = False,
    done: Kept | None = None,
) -> list[Posterior]:
    """`condition` for each of several observations; Ctrl-C ends it with those that are done.

    The likelihood is looked at once, and nothing is compiled anew from one observation to the next. All observations
    are checked before the first is worked on.

    **Arguments:** `progress` shows how many are done. `done` has posteriors by the number of their observation, which
    are not computed again, and takes the new ones as they come: a dict, or something that writes them to a file.
    """
    method, key = _checked(diffusion, method, units, key, observed), check_key(key)
    expected, remedy = "at least one observation", "pass observations along a first axis"
    check_kind("observed", observed, Sequence | np.ndarray | jax.Array, expected=expected, remedy=remedy)
    check_some("observed", observed if np.ndim(observed) else (), expected=expected, remedy=remedy)
    check_kind("done", done, Kept | None, expected="a dict or the like", remedy="it takes posteriors by number")
    make = maker(diffusion, likelihood, observed[0], units)
    return condition_all(
        diffusion,
        [make(one) for one in observed],
        observed,
        key=key,
        method=method,
        units=units,
        progress=progress,
        done=done,
    )


def condition_all(
    diffusion: StepLaws,
    observations: Sequence[AbstractObservation],
    observed: Any,
    *,
    key: PRNGKey,
    method: AbstractConditioning,
    units: Units | None,
    progress: bool,
    done: Kept | None,
) -> list[Posterior]:
    """`condition_each` of observations in the forms that the methods know; `observed` is what they were made of."""
    for one in observations:
        method.check(diffusion, for_methods(one))
    kept: Kept = {} if done is None else done
    found: list[Posterior] = []
    with interruptible("observations") as asked, count_display(progress, "observations", len(observations)) as show:
        for number, one in enumerate(observations):
            posterior = kept.get(number)
            if posterior is None:
                own = jax.random.fold_in(key, number)
                posterior = kept[number] = _posterior(diffusion, one, observed[number], own, method, units)
            found.append(posterior)
            show(len(found))
            if asked():
                break
    return found


def _posterior(
    diffusion: StepLaws,
    observation: AbstractObservation,
    observed: Any,
    key: PRNGKey,
    method: AbstractConditioning,
    units: Units | None,
) -> Posterior:
    log_det = float(observation.log_det)
    source = observation if isinstance(observation, AnyLikelihood) else observation.source
    drawn = method.draw(diffusion, for_methods(observation), key)
    evidence, bound, statistics = drawn.log_evidence, drawn.lower_bound, drawn.statistics
    if bound is not None:
        statistics = statistics | {"lower_bound": bound.mean + log_det, "lower_bound_se": bound.se}
    verdict, notices = drawn.verdict, drawn.notices
    if not np.isfinite(drawn.draws).all():
        verdict, notices = UNUSABLE, (*notices, "some draws are not finite: the observation is too sharp for the chain")
    return Posterior(
        method=method.name,
        draws=drawn.draws if units is None else units.unstandardise(drawn.draws),
        log_weights=drawn.log_weights,
        observed=np.asarray(observed),
        log_evidence=None if evidence is None else evidence + log_det,
        verdict=verdict,
        statistics=statistics,
        notices=notices,
        log_likelihood=None if source is None else np.asarray(source.pointwise(jnp.asarray(drawn.draws))),
    )


def _checked(diffusion: StepLaws, method: Any, units: Any, key: Any, observed: Any) -> AbstractConditioning:
    method = SMC() if method is None else method
    check_known(key=key, observed=observed)
    check_kind("units", units, Units | None, expected="those of the data", remedy="pass dataset.units")
    check_kind("diffusion", diffusion, StepLaws, expected="a Diffusion", remedy="train one with dpm_ppl.fit")
    remedy = "for example SMC(1024)"
    check_kind("method", method, AbstractConditioning, expected="a way to condition", remedy=remedy)
    return method
