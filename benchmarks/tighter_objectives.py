"""Training by tighter bounds against training by K, at equal network evaluations, over several seeds.

Every objective sees the same number of updates, and data times particles is the same in each: more particles come at
the price of fewer data. There are few steps and a small network, where a tighter bound has the most to gain.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.elbo import ELBO

from benchmarks import roll
from benchmarks.measurement import Measurement
from dpm_ppl import (
    Diffusion,
    DiffusionELBO,
    GaussianKernel,
    Learned,
    LogSNR,
    TimeMLP,
    bound,
    estimate,
    forward_chain,
    noise_prediction,
    paired_difference,
    reverse_chain,
)
from dpm_ppl.diffusion import ForwardChain, ReverseChain
from dpm_ppl.estimates import Estimate
from dpm_ppl.models._parts import adam
from dpm_ppl.objectives.importance_weighted import DoublyReparametrisedELBO, importance_weighted_elbo, renyi_elbo

NUM_STEPS = 10
PATHS_PER_UPDATE = 128
NUM_UPDATES = 2000
NUM_SEEDS = 4
NUM_TRAIN, NUM_HELDOUT = 20_000, 400
NUM_PATHS = 512
FIXED = LogSNR(NUM_STEPS, 6.0, -6.0)
LEARNED = Learned(FIXED)

OBJECTIVES: dict[str, tuple[LogSNR | Learned, ELBO]] = {
    "K, all steps": (FIXED, DiffusionELBO()),
    "Trace_ELBO": (FIXED, Trace_ELBO()),
    "importance-weighted, k = 4": (FIXED, importance_weighted_elbo(4)),
    "importance-weighted, k = 16": (FIXED, importance_weighted_elbo(16)),
    "Renyi, alpha = 0.5, k = 4": (FIXED, renyi_elbo(0.5, 4)),
    "learned schedule, K, all steps": (LEARNED, DiffusionELBO()),
    "learned schedule, importance-weighted, k = 4": (LEARNED, importance_weighted_elbo(4)),
    "learned schedule, doubly reparametrised, k = 4": (LEARNED, DoublyReparametrisedELBO(4)),
}


@dataclass(frozen=True)
class Score:
    """Held-out nats per point of the models of all seeds, shape `(seed,)`."""

    log_likelihood: np.ndarray
    K: np.ndarray


def measure() -> list[Measurement]:
    scores = _scores()
    return [
        Measurement(
            f"{name}: nats per point behind K",
            -_ahead(scores, name).mean,
            math.inf,
            f"log-likelihood {estimate(score.log_likelihood)}, K {estimate(score.K)}, {_ahead(scores, name)} ahead",
        )
        for name, score in scores.items()
        if name != _baseline(name)
    ]


def _baseline(name: str) -> str:
    return ("learned schedule, " if name.startswith("learned") else "") + "K, all steps"


def _ahead(scores: dict[str, Score], name: str) -> Estimate:
    """Held-out log-likelihood over that of plain K with the same schedule, paired by seed."""
    return paired_difference(scores[name].log_likelihood, scores[_baseline(name)].log_likelihood)


def _scores() -> dict[str, Score]:
    values = jnp.asarray(roll.points(NUM_TRAIN + NUM_HELDOUT))
    train, heldout = values[:NUM_TRAIN], values[NUM_TRAIN:]
    return {
        name: _score(_trained(schedule, objective, train), heldout)
        for name, (schedule, objective) in OBJECTIVES.items()
    }


def _diffusion(schedule: LogSNR | Learned, key: jax.Array) -> Diffusion:
    network = TimeMLP((2,), 2, NUM_STEPS, width=32, depth=1, fourier_frequencies=(1.0, 2.0, 4.0), key=key)
    return Diffusion(GaussianKernel(noise_prediction), schedule, network, (2,))


def _trained(schedule: LogSNR | Learned, objective: ELBO, train: jax.Array) -> list[Diffusion]:
    """One model for each seed; all objectives start from the same networks."""
    batch_size = PATHS_PER_UPDATE // objective.num_particles

    def run(start: Diffusion, key: jax.Array) -> Diffusion:
        chains = (partial(reverse_chain, start), partial(forward_chain, start))
        svi = SVI(*chains, adam(NUM_UPDATES, learning_rate=3e-3), loss=objective)

        def update(state, key: jax.Array):
            batch = train[jax.random.randint(key, (batch_size,), 0, len(train))]
            return svi.update(state, batch)[0], None

        init_key, batch_key = jax.random.split(key)
        state = svi.init(init_key, train[:batch_size])
        state, _ = jax.lax.scan(update, state, jax.random.split(batch_key, NUM_UPDATES))
        return eqx.filter(start.with_params(svi.get_params(state)), eqx.is_inexact_array)

    starts = [_diffusion(schedule, key) for key in jax.random.split(jax.random.key(0), NUM_SEEDS)]
    compiled: Callable = eqx.filter_jit(run)
    keys = jax.random.split(jax.random.key(1), NUM_SEEDS)
    return [eqx.combine(compiled(start, key), start) for start, key in zip(starts, keys, strict=True)]


def _score(models: list[Diffusion], heldout: jax.Array) -> Score:
    log_likelihood = [_log_likelihood(model, heldout, jax.random.key(2)) for model in models]
    K = [np.mean(bound(model, heldout, jax.random.key(3), num_draws=20).K) for model in models]
    return Score(np.asarray(log_likelihood, np.float64), np.asarray(K, np.float64))


@eqx.filter_jit
def _log_likelihood(diffusion: Diffusion, x_0: jax.Array, key: jax.Array) -> jax.Array:
    """Mean over the data of the log of the mean weight of `NUM_PATHS` paths."""

    def log_weights(key: jax.Array) -> jax.Array:
        forward = ForwardChain(diffusion, x_0)
        path = forward.sample(key)
        log_p = ReverseChain(diffusion).log_prob(path) + diffusion.edge_law(path[:, 0]).log_prob(x_0)
        return log_p - forward.log_prob(path)

    weights = jax.lax.map(log_weights, jax.random.split(key, NUM_PATHS), batch_size=8)
    return (jax.nn.logsumexp(weights, axis=0) - math.log(NUM_PATHS)).mean()


def main() -> None:
    scores = _scores()
    for name, score in scores.items():
        columns = [estimate(score.log_likelihood), estimate(score.K), _ahead(scores, name)]
        print(f"{name:48s} " + "  ".join(f"{column.mean:8.4f} ± {column.se:.4f}" for column in columns))


if __name__ == "__main__":
    sys.exit(main())
