"""How noisy the gradient of an update is: K in continuous time beside K of T steps, at one network evaluation a datum.

A diffusion of the swiss roll is trained by `DiffusionELBO` on a log-SNR of `NUM_STEPS` steps. At its parameters, kept
as they are, each objective gives gradients of the network for one batch with many draws of steps and noise. All have
nearly the same mean. Reported is the trace of their covariance, and its ratio to that of the discrete objective, with
the error that the spread over `NUM_GROUPS` groups of keys gives it:

    discrete           one step a datum, stratified over the batch
    discrete, uniform  one step a datum, each drawn by itself
    continuous         one time a datum on the same log-SNR, spread evenly over the batch
    continuous, learned schedule   the same after the schedule between its ends has been trained for the variance

About two minutes on two quiet cores: `python -m benchmarks.gradient_noise`.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from benchmarks import roll
from dpm_ppl import Diffusion, DiffusionELBO, GaussianKernel, LogSNR, TimeMLP, training
from dpm_ppl._common.types import Array
from dpm_ppl.kernels import velocity
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.objectives import ContinuousELBO
from dpm_ppl.schedules import LearnedLogSNR, Step

NUM_STEPS, FIRST, LAST = 1000, 13.0, -8.0
BATCH_SIZE, NUM_UPDATES, NUM_SCHEDULE_UPDATES = 128, 1500, 400
NUM_GROUPS, KEYS_PER_GROUP = 8, 40


class ByLogSNR(AbstractNetwork):
    """A network that is told of time by the log-SNR alone, and so is the same under every schedule."""

    network: TimeMLP

    def __call__(self, x_t: Array, step: Step) -> Array:
        return self.network(x_t, eqx.tree_at(lambda one: one.t, step, jnp.zeros(())))


def _cost(objective: ContinuousELBO | DiffusionELBO) -> Callable[[Diffusion, Array, Array], Array]:
    return lambda diffusion, x_0, key: -objective.chain_cost(diffusion, diffusion, x_0, key, None).mean()


def _one_by_one(diffusion: Diffusion, x_0: Array, key: Array) -> Array:
    """The discrete cost with every datum a batch of its own: its step is drawn by itself."""
    cost = _cost(DiffusionELBO(num_sampled_steps=1))
    return jax.vmap(lambda x, key: cost(diffusion, x[None], key))(x_0, jax.random.split(key, len(x_0))).mean()


def _trained(x_0: Array) -> Diffusion:
    sizes = {"width": 32, "depth": 2, "fourier_frequencies": (1.0, 4.0, 16.0)}
    network = ByLogSNR(TimeMLP((2,), 2, NUM_STEPS, **sizes, key=jax.random.key(0)))
    diffusion = Diffusion(GaussianKernel(velocity), LogSNR(NUM_STEPS, FIRST, LAST), network, (2,))
    svi = roll.svi(diffusion, DiffusionELBO(num_sampled_steps=1))
    fitted = training.fit(
        svi, x_0, num_updates=NUM_UPDATES, batch_size=BATCH_SIZE, key=jax.random.key(1), averaging=0.99, progress=False
    )
    return diffusion.with_params(fitted.params)


def _with_learned_schedule(diffusion: Diffusion, x_0: Array) -> Diffusion:
    """The same network, under a schedule between the same ends that has been trained for the variance alone."""
    schedule = LearnedLogSNR(NUM_STEPS, FIRST, LAST)
    optimiser = optax.adam(0.03)
    cost = _cost(ContinuousELBO())

    @jax.jit
    def run(logits: Array) -> Array:
        def update(number: int, carry: tuple) -> tuple:
            logits, state = carry
            key = jax.random.fold_in(jax.random.key(2), number)
            batch = x_0[jax.random.randint(key, (BATCH_SIZE,), 0, len(x_0))]

            def of_logits(logits: Array) -> Array:
                return cost(_under(diffusion, eqx.tree_at(lambda one: one.logits, schedule, logits)), batch, key)

            step, state = optimiser.update(jax.grad(of_logits)(logits), state)
            return optax.apply_updates(logits, step), state

        return jax.lax.fori_loop(0, NUM_SCHEDULE_UPDATES, update, (logits, optimiser.init(logits)))[0]

    return _under(diffusion, eqx.tree_at(lambda one: one.logits, schedule, run(schedule.logits)))


def _under(diffusion: Diffusion, schedule: LearnedLogSNR) -> Diffusion:
    return Diffusion(diffusion.kernel, schedule, diffusion.network, diffusion.event_shape)


def _noise(cost: Callable, diffusion: Diffusion, x_0: Array) -> np.ndarray:
    """Trace of the covariance of the network's gradient, in groups of keys."""
    network, rest = eqx.partition(diffusion.network, eqx.is_inexact_array)

    def gradient(key: Array) -> Array:
        def of_network(network: ByLogSNR) -> Array:
            whole = eqx.tree_at(lambda one: one.network, diffusion, eqx.combine(network, rest))
            return cost(whole, x_0, key)

        return ravel_pytree(jax.grad(of_network)(network))[0]

    keys = jax.random.split(jax.random.key(3), NUM_GROUPS * KEYS_PER_GROUP)
    gradients = np.asarray(jax.jit(lambda keys: jax.lax.map(gradient, keys))(keys), np.float64)
    groups = gradients.reshape(NUM_GROUPS, KEYS_PER_GROUP, -1)
    return groups.var(axis=1, ddof=1).sum(axis=1)


def main() -> None:
    x_0 = jnp.asarray(roll.points(4096))
    discrete = _trained(x_0)
    batch = x_0[:BATCH_SIZE]
    learned = _with_learned_schedule(discrete, x_0)
    rows = {
        "discrete": (_cost(DiffusionELBO(num_sampled_steps=1)), discrete),
        "discrete, uniform": (_one_by_one, discrete),
        "continuous": (_cost(ContinuousELBO()), discrete),
        "continuous, learned schedule": (_cost(ContinuousELBO()), learned),
    }
    noise = {name: _noise(*row, batch) for name, row in rows.items()}
    print(f"{'objective':30} {'noise':>10} {'over discrete':>22}")
    for name, values in noise.items():
        ratio = values.mean() / noise["discrete"].mean()
        relative = [one.std(ddof=1) / np.sqrt(NUM_GROUPS) / one.mean() for one in (values, noise["discrete"])]
        print(f"{name:30} {values.mean():10.4g} {ratio:10.3f} ± {ratio * np.hypot(*relative):.3f}")


if __name__ == "__main__":
    main()
