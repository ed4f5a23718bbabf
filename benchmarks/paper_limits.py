"""What the paper's swiss roll could reach at all: exact, in 40 steps with any network, and with its own network.

    python -m benchmarks.paper_limits --noises 0.02 0.05

With factorised normal reverse steps the best mean is E[x_{t-1} | x_t] and the best variance that of each coordinate
given x_t. From the signal-to-noise ratio a to a smaller one b such a step costs E log(1 + (a - b) Var(x_0 | x_b)) / 2
of K in every coordinate, so that the best of all schedules of T steps is a shortest path over a grid of ratios.
Variances are by quadrature over the roll's angle; the data are random, the same for all ratios.
"""

import math
import sys
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import tyro

import dpm_ppl as dpm
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.estimates import Estimate
from dpm_ppl.experiments.streams import Stream, key_of
from dpm_ppl.models.swissroll import FIRST_ANGLE, LAST_ANGLE, SwissRoll, spiral

NODES_PER_DEVIATION = 2
LENGTH = 90.0  # of the roll, somewhat more than it is
LOG_SNRS = np.arange(-6.0, 18.0, 0.3)


@dataclass(frozen=True)
class Options:
    """K of the swiss roll with the paper's T and network, and the most that it could be, for several noises."""

    noises: tuple[float, ...] = (0.01, 0.015, 0.02, 0.05, 0.1, 0.5)
    """Standard deviations of the points around the spiral."""
    num_steps: int = 40
    num_points: int = 10_000
    """Data behind a limit."""
    fit: bool = True
    """Fit the paper's network too."""


@partial(jax.jit, static_argnames="num_nodes")
def posterior_variance(
    y: jax.Array,
    clean_variance: jax.Array,
    noise_variance: float,
    shift: jax.Array,
    scale: jax.Array,
    num_nodes: int,
) -> jax.Array:
    """Var(x_0 | x_0 + noise = y) per coordinate, `(datum, 2)`, of the standardised roll."""
    angle = FIRST_ANGLE + (LAST_ANGLE - FIRST_ANGLE) * (jnp.arange(num_nodes) + 0.5) / num_nodes
    centre = (spiral(angle, jnp) - shift) / scale
    total = clean_variance + noise_variance

    def of_one(y: jax.Array) -> jax.Array:
        weight = jax.nn.softmax(-0.5 * (jnp.square(y - centre) / total).sum(axis=1))
        spread = weight @ jnp.square(centre - weight @ centre)
        return jnp.square(noise_variance / total) * spread + clean_variance * noise_variance / total

    return jax.lax.map(of_one, y, batch_size=max(2**22 // num_nodes, 1))


def limit(noise: float, num_steps: int, num_points: int) -> Estimate:
    """The highest K of `num_steps` factorised steps with a fixed edge and the best schedule, bits per point."""
    task = SwissRoll(noise=noise).task(0)
    units, x_0 = task.train.units, jnp.asarray(task.heldout.values[:num_points])
    eps = jax.random.normal(jax.random.key(0), x_0.shape)
    clean = jnp.asarray((noise / units.scale) ** 2, float)
    variances = []
    for log_snr in LOG_SNRS:
        noise_variance = math.exp(-log_snr)
        width = math.sqrt(noise**2 + noise_variance * float(np.min(units.scale)) ** 2)
        num_nodes = 2 ** math.ceil(math.log2(max(NODES_PER_DEVIATION * LENGTH / width, 64)))
        y = x_0 + math.sqrt(noise_variance) * eps
        shift, scale = jnp.asarray(units.shift, float), jnp.asarray(units.scale, float)
        variances.append(np.asarray(posterior_variance(y, clean, noise_variance, shift, scale, num_nodes)))
    K = best_path(np.stack(variances).astype(float), np.asarray(x_0, float), num_steps)
    return dpm.estimate(K / math.log(2))


def best_path(variances: np.ndarray, x_0: np.ndarray, num_steps: int) -> np.ndarray:
    """K of every datum, nats, with the schedule of the highest mean, `(datum,)`.

    `variances` are Var(x_0 | x_t) at each of `LOG_SNRS`, `(ratio, datum, coordinate)`.
    """
    snr = np.exp(LOG_SNRS)
    alpha_bar, noise = snr[:, None] / (1 + snr[:, None]), 1 / (1 + snr[:, None])
    squares, num_coordinates = np.square(x_0).sum(axis=1), x_0.shape[1]

    def cost(first: int | slice, last: int) -> np.ndarray:
        """Of a step from one ratio, or several, down to another, for every datum."""
        gained = (snr[first, None, None] - snr[last]) * variances[last]
        return 0.5 * np.log1p(gained).sum(axis=-1)

    mean_cost = np.full((len(snr), len(snr)), np.inf)
    for last in range(len(snr) - 1):
        mean_cost[last + 1 :, last] = cost(slice(last + 1, None), last).mean(axis=1)
    end = -0.5 * (alpha_bar * (squares - num_coordinates) - num_coordinates * np.log(noise))
    edge = -0.5 * num_coordinates * np.log(2 * np.pi * noise) - 0.5 * (noise * squares + num_coordinates * alpha_bar)
    best, following = end.mean(axis=1), []
    for _ in range(num_steps - 1):
        following.append((best - mean_cost).argmax(axis=1))
        best = (best - mean_cost).max(axis=1)
    place = int((best + edge.mean(axis=1)).argmax())
    K = edge[place]
    for after in reversed(following):
        K, place = K - cost(place, after[place]).ravel(), int(after[place])
    return K + end[place]


def fitted(noise: float) -> tuple[Estimate, Estimate]:
    """K of the paper's network as its training begins, and the exact log-likelihood, bits per point."""
    experiment = SwissRoll(noise=noise, variant="paper").experiment()
    method = experiment.recipe.started(experiment.task.train, key_of(0, Stream.START)).method
    data, task = experiment.task.heldout, experiment.task
    key = key_of(0, Stream.HELDOUT)
    scores = dpm.evaluation.evaluate(
        method, data, dpm.evaluation.Keys(key, key, key), num_draws=1, exact=task.exact
    ).scores
    assert scores.exact is not None
    return scores.K, scores.exact


def main(options: Options) -> None:
    rows = []
    for noise in options.noises:
        print(f"noise {noise:g} ...", file=sys.stderr, flush=True)
        highest = limit(noise, options.num_steps, options.num_points)
        K, exact = (figure.plus_minus() for figure in fitted(noise)) if options.fit else ("", "")
        rows.append([f"{noise:g}", exact, highest.plus_minus(), K])
    headings = ["noise", "exact", f"limit of {options.num_steps} steps", "K of the paper's network"]
    print(TextTable("Swiss roll, bits/point of standardised data", headings, rows).to_text())


if __name__ == "__main__":
    main(tyro.cli(Options))
