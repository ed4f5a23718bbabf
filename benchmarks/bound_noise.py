"""How much K of one datum varies from one evaluation to the next, at the same number of network evaluations.

    independent    x_t drawn for every step and every draw by itself, divergences in closed form
    path           the mean log-weight of forward paths, whose expectation is K too
    bound          what `bound` and all scores use: closed form, the noise of x_t shared out between steps and draws

For each problem: K in nats, the root mean square deviation per datum of `NUM_DRAWS` draws (`NUM_DRAWS` x T evaluations
per datum), and by how much that of `bound` is less than with independent x_t. A few minutes on two cores.

`python -m benchmarks.bound_noise RUN ...` looks at fitted diffusions of the zoo instead.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl import Diffusion, GaussianKernel, LogSNR, bound, fit, noise_prediction
from dpm_ppl._common.sums import accurate_sum
from dpm_ppl._common.types import Array
from dpm_ppl.app import runs
from dpm_ppl.diffusion.lattice import uniforms
from dpm_ppl.diffusion.terms import end_divergence, fixed_edge, step_divergences
from dpm_ppl.experiments.experiment import Experiment
from dpm_ppl.likelihood.proposals.trajectories import independent, log_weight_of_paths
from dpm_ppl.models import EXPERIMENTS, heartbeats, swissroll
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.schedules.steps import Step

NUM_DRAWS, NUM_POINTS, NUM_REPETITIONS = 4, 100, 6
GAUSSIAN = LogSNR(1000, 16.1, -8.0)


class BestForGaussian(AbstractNetwork):
    """The mean of the best reverse chain for data from N(0, s2), at the variance of the forward kernel."""

    s2: float = eqx.field(static=True)

    def __call__(self, x_t: Array, step: Step) -> Array:
        variance = step.alpha_bar * self.s2 + step.noise
        location = jnp.exp(0.5 * (step.log_alpha_bar + step.log_noise)) * (1 - self.s2) / variance * x_t
        return jnp.stack([location, jnp.zeros_like(x_t)], axis=-1)


def _by_steps(diffusion: Diffusion, x_0: Array, key: Array) -> Array:
    """One draw of K per datum from independent x_t; the fixed edge."""

    def points(t: Array) -> Array:
        return uniforms(jax.random.fold_in(key, t), x_0.shape)

    divergences = step_divergences(diffusion, diffusion, x_0, points, chunk_size=100)
    return fixed_edge(diffusion, x_0) - accurate_sum(divergences) - end_divergence(diffusion, x_0)


def _by_paths(diffusion: Diffusion, x_0: Array, key: Array) -> Array:
    return log_weight_of_paths(diffusion, x_0, key, independent, 100)


def _shared(diffusion: Diffusion, x_0: Array, key: Array) -> Array:
    return bound(diffusion, x_0, key, num_draws=NUM_DRAWS).K


def _averaged(form: Callable[[Diffusion, Array, Array], Array]) -> Callable[[Diffusion, Array, Array], Array]:
    compiled: Callable = eqx.filter_jit(form)

    def average(diffusion: Diffusion, x_0: Array, key: Array) -> Array:
        return jnp.mean(jnp.stack([compiled(diffusion, x_0, k) for k in jax.random.split(key, NUM_DRAWS)]), axis=0)

    return average


FORMS = {"independent": _averaged(_by_steps), "path": _averaged(_by_paths), "bound": _shared}


def _fitted(experiment: Experiment, num_updates: int) -> tuple[Diffusion, Array]:
    svi, options = (
        experiment.recipe.svi(num_updates),
        {"batch_size": experiment.recipe.batch_size, "averaging": experiment.recipe.averaging},
    )
    fitted = fit(svi, experiment.task.train, num_updates=num_updates, key=jax.random.key(0), progress=False, **options)
    assert isinstance(experiment.recipe.method, Diffusion)
    return experiment.recipe.method.with_params(fitted.params), _heldout(experiment)


def _of_run(path: str) -> tuple[Diffusion, Array]:
    run = runs.open_run(Path(path), "RUN")
    experiment = run.declare(EXPERIMENTS)
    trained, _ = runs.trained(run, experiment)
    assert isinstance(trained, Diffusion)
    return trained, _heldout(experiment)


def _heldout(experiment: Experiment) -> Array:
    return experiment.task.heldout.draw(experiment.task.heldout.rows(np.arange(NUM_POINTS)), jax.random.key(1))


def _gaussian(s2: float) -> tuple[Diffusion, Array]:
    diffusion = Diffusion(GaussianKernel(noise_prediction), GAUSSIAN, BestForGaussian(s2), (1,))
    return diffusion, np.sqrt(s2) * jax.random.normal(jax.random.key(0), (NUM_POINTS, 1))


PROBLEMS = {
    "best chain, N(0, 1)": lambda: _gaussian(1.0),
    "best chain, N(0, 0.25)": lambda: _gaussian(0.25),
    "swiss roll, 300 updates": lambda: _fitted(swissroll.SwissRoll().experiment(), 300),
    "heartbeat, 300 updates": lambda: _fitted(heartbeats.Heartbeat().experiment(), 300),
}


def main(paths: list[str]) -> None:
    print(f"{'':26} {'K, nats':>9} " + " ".join(f"{form:>12}" for form in FORMS) + f" {'gain':>6}")
    for problem, make in ({path: partial(_of_run, path) for path in paths} or PROBLEMS).items():
        diffusion, x_0 = make()
        keys = jax.random.split(jax.random.key(2), NUM_REPETITIONS)
        values = {form: np.stack([draw(diffusion, x_0, key) for key in keys]) for form, draw in FORMS.items()}
        spread = {form: np.sqrt(K.astype(np.float64).var(axis=0, ddof=1).mean()) for form, K in values.items()}
        figures = " ".join(f"{spread[form]:12.4f}" for form in FORMS)
        gain = spread["independent"] / spread["bound"]
        print(f"{problem:26} {values['bound'].mean():9.4f} {figures} {gain:6.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
