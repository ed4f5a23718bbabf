"""Which proposal estimates log p(x_0) best at equal network evaluations: `python -m benchmarks.likelihood_proposals`.

Each proposal makes many estimates of a few data, every one from the same number of particles. A lower bound is better
the higher its mean and the less it varies.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from rich.console import Console
from rich.table import Table

from benchmarks import roll
from dpm_ppl import BernoulliKernel, Diffusion, DiffusionELBO, Erasure, GaussianKernel, TimeMLP, training
from dpm_ppl.likelihood.proposals.smc import BernoulliTwist, GaussianTwist, SequentialMonteCarlo, Twist
from dpm_ppl.likelihood.proposals.trajectories import AbstractProposal, Trajectories, antithetic_noise, stratified_noise
from dpm_ppl.networks import AbstractNetwork

NUM_PARTICLES, NUM_ESTIMATES, NUM_DATA = 32, 100, 6
NUM_STEPS = 50


class Case(NamedTuple):
    diffusion: Diffusion
    x_0: jax.Array
    twist: Twist
    """What can be guessed of the marginals from the law of the data."""


def linear_chain(num_coordinates: int = 4, variance: float = 0.04) -> Case:
    """Gaussian data under the best reverse chain they have."""
    schedule = Erasure(NUM_STEPS, beta_1=1e-3)
    steps = schedule.steps()
    before, after = (variance * jnp.exp(log_kept) + jnp.exp(log_noise) for log_kept, log_noise in _levels(steps))
    network = LinearNetwork(steps.alpha**0.5 * before / after, jnp.log(steps.beta * before / after))
    diffusion = Diffusion(GaussianKernel(_as_given), schedule, network, (num_coordinates,))
    x_0 = variance**0.5 * jax.random.normal(jax.random.key(0), (NUM_DATA, num_coordinates))
    return Case(diffusion, x_0, GaussianTwist(jnp.zeros(num_coordinates), jnp.full(num_coordinates, variance)))


def random_gaussian(scale: float) -> Case:
    diffusion = _random(GaussianKernel(), (2,), scale)
    x_0 = 0.3 + 0.6 * jax.random.normal(jax.random.key(0), (NUM_DATA, 2))
    return Case(diffusion, x_0, GaussianTwist(jnp.full(2, 0.3), jnp.full(2, 0.36)))


def random_bits(scale: float) -> Case:
    kernel = BernoulliKernel(0.5)
    x_0 = jax.random.bernoulli(jax.random.key(0), 0.35, (NUM_DATA, 8)).astype(int)
    return Case(_random(kernel, (8,), scale), x_0, BernoulliTwist(jnp.full(8, 0.35), kernel))


def trained_spiral(num_updates: int) -> Case:
    """A chain that has learned the shape of a spiral, but not all of its detail."""
    values = roll.points(20_000)
    diffusion = roll.diffusion(NUM_STEPS, width=64, depth=2)
    svi = roll.svi(diffusion, DiffusionELBO(num_sampled_steps=roll.NUM_SAMPLED_STEPS))
    options = {"num_updates": num_updates, "batch_size": roll.BATCH_SIZE, "averaging": 0.99, "progress": False}
    trained = diffusion.with_params(training.fit(svi, values, key=jax.random.key(0), **options).params)
    return Case(trained, jnp.asarray(values[:NUM_DATA]), MixtureTwist(jnp.asarray(values[-500:]), 0.01))


CASES: dict[str, Callable[[], Case]] = {
    "Gaussian, best linear chain": linear_chain,
    "Gaussian, random network": partial(random_gaussian, 0.5),
    "Gaussian, wilder network": partial(random_gaussian, 1.0),
    "bits, random network": partial(random_bits, 0.5),
    "bits, wilder network": partial(random_bits, 1.0),
    "spiral, trained a little": partial(trained_spiral, 300),
    "spiral, trained longer": partial(trained_spiral, 2000),
}


def proposals(case: Case) -> dict[str, AbstractProposal]:
    noise = {
        "antithetic pairs": Trajectories(antithetic_noise, 2),
        "stratified eights": Trajectories(stratified_noise, 8),
    }
    return {
        "trajectories": Trajectories(),
        **(noise if case.diffusion.kernel.reparametrised else {}),
        "SMC": SequentialMonteCarlo(NUM_PARTICLES),
        "SMC, twisted": SequentialMonteCarlo(NUM_PARTICLES, twist=case.twist),
    }


@eqx.filter_jit
def estimates(proposal: AbstractProposal, diffusion: Diffusion, x_0: jax.Array, key: jax.Array) -> jax.Array:
    """`(datum, estimate)`, each the log of a mean over `NUM_PARTICLES` particles."""
    num_draws = NUM_PARTICLES // proposal.num_particles

    def of_draw(x_0: jax.Array, key: jax.Array) -> jax.Array:
        return proposal.log_weight(diffusion, x_0, key, steps_chunk=None)

    def of_datum(inputs: tuple[jax.Array, jax.Array]) -> jax.Array:
        datum, keys = inputs
        draws = jax.vmap(jax.vmap(of_draw, (None, 0)), (None, 0))(datum, keys)
        return logsumexp(draws, axis=1) - jnp.log(num_draws)

    return jax.lax.map(of_datum, (x_0, jax.random.split(key, (len(x_0), NUM_ESTIMATES, num_draws))))


class MixtureTwist(eqx.Module):
    """psi_t of the forward marginals of a kernel density estimate, for data whose moments say too little."""

    points: jax.Array
    variance: float

    def __call__(self, x_t, step):
        def of_point(point: jax.Array) -> jax.Array:
            return GaussianTwist(point, jnp.full_like(point, self.variance))(x_t, step)

        return logsumexp(jax.vmap(of_point)(self.points), axis=0) - jnp.log(len(self.points))


class LinearNetwork(AbstractNetwork):
    """Mean and log variance of a linear reverse chain."""

    slope: jax.Array
    log_variance: jax.Array

    def __call__(self, x_t, step):
        log_variance = jnp.broadcast_to(self.log_variance[step.t - 1], x_t.shape)
        return jnp.stack([self.slope[step.t - 1] * x_t, log_variance], axis=-1)


def _as_given(location, scale, x_t, step):
    return location, scale


def _levels(steps):
    """log alpha_bar and log noise at t - 1 and at t."""
    return (steps.log_alpha_bar_prev, steps.log_noise_prev), (steps.log_alpha_bar, steps.log_noise)


def _random(kernel, event_shape: tuple[int, ...], scale: float) -> Diffusion:
    """A network with random weights in every layer, the larger with `scale` the farther from anything learned."""
    network = TimeMLP(event_shape, kernel.num_outputs, NUM_STEPS, width=8, depth=1, key=jax.random.key(0))
    generator = np.random.default_rng(0)

    def fill(leaf):
        values = scale * generator.normal(size=leaf.shape) / np.sqrt(leaf.shape[-1])
        return jnp.asarray(values, leaf.dtype)

    return Diffusion(kernel, Erasure(NUM_STEPS, beta_1=0.01), jax.tree.map(fill, network), event_shape)


def main() -> None:
    title = f"log of the mean of {NUM_PARTICLES} particles, T = {NUM_STEPS}; nats against plain trajectories"
    table = Table(title=title)
    for column in ("chain", "proposal", "mean", "rise", "se", "variance", "relative"):
        table.add_column(column, justify="left" if column in ("chain", "proposal") else "right")
    for name, build in CASES.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        case = build()
        plain = None
        for proposal_name, proposal in proposals(case).items():
            values = np.asarray(estimates(proposal, case.diffusion, case.x_0, jax.random.key(1)), np.float64)
            variance = values.var(axis=1, ddof=1).mean()
            plain = (values, variance) if plain is None else plain
            rise = values.mean() - plain[0].mean()
            se = np.sqrt((variance + plain[1]) / values.size)  # of estimates of the same data from other draws
            figures = (
                f"{values.mean():.3f}",
                f"{rise:+.3f}",
                f"{se:.3f}",
                f"{variance:.3g}",
                f"{variance / plain[1]:.2g}",
            )
            table.add_row(name, proposal_name, *figures, end_section=proposal_name == list(proposals(case))[-1])
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    main()
