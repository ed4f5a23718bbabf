"""Figures of single data: log-likelihoods and what is said of them.

Every repetition is one datum: of weights drawn from a law, or of a chain whose likelihood is known by other means.
"""

from collections.abc import Iterator
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from benchmarks.coverage.regimes import FRESH_WEIGHTS, UNSEEN_WEIGHTS, UNUSED_WEIGHTS, WEIGHTS, Sampler
from benchmarks.coverage.row import Measure, Row, covers, row
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, clean_rate
from dpm_ppl.likelihood import LogLikelihood, log_likelihood
from dpm_ppl.likelihood.diagnostics import RELIABLE
from dpm_ppl.likelihood.running import RunningWeights
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.schedules import Erasure, Fixed
from dpm_ppl.schedules.steps import Step
from tests import reference
from tests.instances import small
from tests.likelihood.exact import bits, probabilities_of_bits
from tests.oracles import atoms_diffusion, linear_diffusion

NUM_DRAWS = (64, 256, 1024)
LEAST = 0.94


class Sure(AbstractNetwork):
    """The same log-odds for every bit at every step."""

    log_odds: float = eqx.field(static=True)

    def __call__(self, x_t: jax.Array, step: Step) -> jax.Array:
        return jnp.full((*x_t.shape, 1), self.log_odds)


def laws_of_weights(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """The standard error of a log-mean weight, of all estimates and of those that are called reliable."""
    return _log_means(WEIGHTS, repetitions, rng)


def fresh_laws_of_weights(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """The same for laws that played little part or none in any choice."""
    return _log_means(FRESH_WEIGHTS | UNUSED_WEIGHTS, repetitions, rng)


def laws_with_a_rare_mode(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """What no verdict can see: how often the truth is missed where the draws show too little."""
    return (replace(row, least=0.0) for row in _log_means(UNSEEN_WEIGHTS, repetitions, rng))


def _log_means(laws: dict[str, Sampler], repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    for regime, draw in laws.items():
        for num_draws in NUM_DRAWS:
            running = RunningWeights(repetitions, seed=0)
            running.add(draw(rng, (repetitions, num_draws)))
            yield from _rows(regime, num_draws, LogLikelihood.of([running], 1), 0.0)


def gaussian_chains(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Optimal linear reverse chains of ten steps, for data narrower and wider than the noise."""
    for variance in (0.25, 4.0, 25.0):
        chain = linear_diffusion(Erasure(10), reference.optimal_reverse(reference.erasure(10), variance))
        spread = np.sqrt(_variance_of_model(chain))
        for x_0 in (0.0, 1.5):
            for num_draws in NUM_DRAWS[1:]:
                result = _repeated(chain, np.float32(x_0 * spread), repetitions, num_draws, rng)
                truth = norm.logpdf(np.float32(x_0 * spread), scale=spread)
                yield from _rows(f"Gaussian chain, variance {variance:g}, x_0 = {x_0:g} sd", num_draws, result, truth)


def chains_of_bits(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Small chains of bits, their probabilities by sums over all states, frequent and rare data alike."""
    for regime, (chain, states) in _chains_of_bits().items():
        probabilities = np.log(probabilities_of_bits(chain))
        vectors = bits(chain.num_coordinates)
        for state in states:
            place = int(np.flatnonzero((vectors == np.array(state)).all(axis=1))[0])
            for num_draws in (256, 512):
                result = _repeated(chain, np.array(state), repetitions, num_draws, rng)
                name = f"{regime}, x_0 = {''.join(map(str, state))}"
                yield from _rows(name, num_draws, result, probabilities[place])


def _chains_of_bits() -> dict[str, tuple[Diffusion, list[tuple[int, ...]]]]:
    """Chains that fit their data, and states that these never or seldom have."""
    kernel = BernoulliKernel(0.5, clean_rate)
    one, three = np.array([[0]]), np.array([[0, 0, 0], [1, 1, 1]])
    rare = np.array([[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    return {
        "one bit, always 0, beta_1 = 0.01": (atoms_diffusion(kernel, Erasure(100), one), [(0,), (1,)]),
        "one bit, always 0, beta_1 = 0.001": (atoms_diffusion(kernel, Erasure(100, beta_1=0.001), one), [(1,)]),
        "three equal bits, T = 50": (atoms_diffusion(kernel, Erasure(50), three), [(0, 0, 0), (0, 1, 0)]),
        "four bits, one state in 1,000": (
            atoms_diffusion(kernel, Erasure(40, beta_1=0.005), rare, np.array([0.5, 0.499, 0.001])),
            [(1, 1, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1)],
        ),
        "one bit, a network sure of 0, beta_1 = 0.01": (
            Diffusion(BernoulliKernel(0.5), Erasure(100), Sure(-9.0), (1,)),
            [(0,), (1,)],
        ),
        "one bit, a network sure of 0, beta_1 = 0.001": (
            Diffusion(BernoulliKernel(0.5), Erasure(100, beta_1=0.001), Sure(-9.0), (1,)),
            [(1,)],
        ),
        "five bits, a random network": (
            small(BernoulliKernel(0.2), Erasure(20), (5,), network="sigmoid", scale=3.0),
            [(0, 0, 0, 0, 0), (0, 1, 0, 1, 0)],
        ),
        "five bits, a random network, learned edge": (
            small(BernoulliKernel(0.2), Erasure(20), (5,), network="sigmoid", scale=3.0, edge="learned"),
            [(0, 0, 0, 0, 0), (0, 1, 0, 1, 0)],
        ),
        "five steps": (atoms_diffusion(kernel, Fixed(np.linspace(0.05, 0.9, 5)), three), [(0, 0, 0), (1, 0, 1)]),
    }


def _repeated(
    chain: Diffusion, x_0: np.ndarray, repetitions: int, num_draws: int, rng: np.random.Generator
) -> LogLikelihood:
    data = jnp.broadcast_to(jnp.asarray(x_0), (repetitions, *chain.event_shape))
    key = jax.random.key(int(rng.integers(2**31)))
    return log_likelihood(chain, data, key, num_draws, data_chunk=100, particles_chunk=256, steps_chunk=chain.num_steps)


def _variance_of_model(chain: Diffusion) -> float:
    """Of the linear chain's own draws, step by step."""
    variance = 1.0
    steps = chain.steps
    for t in range(chain.num_steps, 1, -1):
        law = chain.reverse(jnp.array([0.0, 1.0]), steps[t - 1])
        slope = float(law.mean[1] - law.mean[0])
        variance = slope**2 * variance + float(law.variance[0])
    return float(steps.alpha[0]) * variance + float(steps.beta[0])


def _rows(regime: str, num_draws: int, result: LogLikelihood, truth: float) -> Iterator[Row]:
    figure = f"log-likelihood, {num_draws:,} draws"
    hits = covers(result.log_likelihood, result.se, truth)
    reliable = result.verdict == RELIABLE
    yield row(regime, figure, hits, least=0.0)
    if reliable.any():
        share = float(reliable.mean())
        yield row(regime, f"{figure}, reliable", hits[reliable], reliable_share=share, least=LEAST)


MEASURES: tuple[Measure, ...] = (
    laws_of_weights,
    fresh_laws_of_weights,
    laws_with_a_rare_mode,
    gaussian_chains,
    chains_of_bits,
)
