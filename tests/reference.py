"""The same numbers by another road: plain NumPy in float64, which shares nothing but equations with the library.

Steps are t = 1..T at index t - 1. Everything is in nats, averaged over data, and per coordinate for Gaussian data.
"""

from typing import NamedTuple

import numpy as np


class LinearReverse(NamedTuple):
    """p(x_{t-1} | x_t) = N(slope x_t, variance) for every t; the entries at t = 1 are those of the fixed edge."""

    slope: np.ndarray
    variance: np.ndarray


def erasure(num_steps: int) -> np.ndarray:
    return 1 / np.arange(num_steps, 0, -1)


def second_moments(betas, second_moment):
    """E x_t^2 for t = 0..T when E x_0^2 is given."""
    alpha_bar = np.concatenate([np.ones(1), np.cumprod(1 - betas)])
    return alpha_bar * second_moment + 1 - alpha_bar


def optimal_reverse(betas: np.ndarray, s2: float) -> LinearReverse:
    """The exact reverse of the forward chain of N(0, s2), but for the fixed edge."""
    moments = second_moments(betas, s2)
    slope = np.sqrt(1 - betas) * moments[:-1] / moments[1:]
    variance = moments[:-1] * betas / moments[1:]
    slope[0], variance[0] = np.sqrt(1 - betas[0]), betas[0]
    return LinearReverse(slope, variance)


def trajectory_bound(betas, reverse: LinearReverse, second_moment):
    """K by its definition, E_q[log p(x_T) + sum_t log p(x_{t-1} | x_t) - log q(x_t | x_{t-1})]; the edge is fixed.

    Works for complex `betas`, whose imaginary parts carry derivatives.
    """
    moments = second_moments(betas, second_moment)
    slope = np.concatenate([np.sqrt(1 - betas[:1]), reverse.slope[1:]])
    variance = np.concatenate([betas[:1], reverse.variance[1:]])
    before, after, across = moments[:-1], moments[1:], np.sqrt(1 - betas) * moments[:-1]
    log_reverse = -0.5 * (np.log(2 * np.pi * variance) + (before - 2 * slope * across + slope**2 * after) / variance)
    log_forward = -0.5 * np.log(2 * np.pi * np.e * betas)
    log_end = -0.5 * (np.log(2 * np.pi) + moments[-1])
    return log_end + np.sum(log_reverse - log_forward)


def step_divergences(betas: np.ndarray, reverse: LinearReverse, second_moment: float) -> np.ndarray:
    """E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) for t = 2..T."""
    alpha_bar = np.cumprod(1 - betas)
    before, after, beta = alpha_bar[:-1], alpha_bar[1:], betas[1:]
    from_x_0 = np.sqrt(before) * beta / (1 - after)
    excess = np.sqrt(1 - beta) * (1 - before) / (1 - after) - reverse.slope[1:]  # what multiplies x_t
    square = from_x_0**2 * second_moment + 2 * from_x_0 * excess * np.sqrt(after) * second_moment
    square += excess**2 * (after * second_moment + 1 - after)
    bridge = beta * (1 - before) / (1 - after)
    return 0.5 * (np.log(reverse.variance[1:] / bridge) + (bridge + square) / reverse.variance[1:] - 1)


def equation_14(betas: np.ndarray, reverse: LinearReverse, second_moment: float) -> float:
    """The KL + entropy form as the paper prints it."""
    entropies = 0.5 * (np.log(1 - np.prod(1 - betas)) - np.log(2 * np.pi * np.e * betas[0]))
    return entropies - step_divergences(betas, reverse, second_moment).sum()


def model_variance(reverse: LinearReverse) -> float:
    """Var x_0 under the model."""
    variance = 1.0
    for slope, spread in zip(reverse.slope[::-1], reverse.variance[::-1], strict=True):
        variance = slope**2 * variance + spread
    return variance


def normal_cross_entropy(s2: float, variance: float) -> float:
    """E log N(x; 0, variance) over N(0, s2)."""
    return -0.5 * (np.log(2 * np.pi * variance) + s2 / variance)


# Bits: sums over all states of a few of them, and over the atoms that make up the data.


def all_states(num_bits: int) -> np.ndarray:
    return np.array(list(np.ndindex(*[2] * num_bits)))


def pulses(num_bits: int, period: int = 5) -> np.ndarray:
    """The heartbeats: one pulse in every `period` bits, in each of its phases."""
    return np.array([[int(i % period == phase) for i in range(num_bits)] for phase in range(period)])


def bit_laws(atoms: np.ndarray, states: np.ndarray, betas: np.ndarray, pi: float, t: int):
    """q(x_t | x_0) (atom, state) and P(x_{t-1, i} = 1 | x_t, x_0) (atom, state, bit), for every atom x_0."""

    def kept(share, value):
        return share * value + (1 - share) * pi

    alpha_bar = np.concatenate([[1.0], np.cumprod(1 - betas)])
    on = kept(alpha_bar[t], atoms)[:, None]
    marginal = np.where(states == 1, on, 1 - on).prod(axis=-1)
    before = kept(alpha_bar[t - 1], atoms)[:, None]
    if_on, if_off = (kept(1 - betas[t - 1], value) for value in (1, 0))
    if_on, if_off = (np.where(states == 1, p, 1 - p) for p in (if_on, if_off))
    return marginal, before * if_on / (before * if_on + (1 - before) * if_off)


def bit_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def best_factorised_bound(atoms: np.ndarray, weights: np.ndarray, betas: np.ndarray, pi: float) -> float:
    """The largest K that reverse kernels of independent bits can reach with the fixed edge, by enumeration."""
    states = all_states(atoms.shape[1])
    divergence = 0.0
    for t in range(2, len(betas) + 1):
        marginal, bridge = bit_laws(atoms, states, betas, pi, t)
        joint = weights[:, None] * marginal
        best = (joint[..., None] * bridge).sum(axis=0) / joint.sum(axis=0)[:, None]
        divergence += (joint[..., None] * bit_divergence(bridge, best)).sum()
    log_pi = np.where(atoms == 1, np.log(pi), np.log(1 - pi)).sum(axis=1)
    ends = [
        bit_divergence(share * atoms + (1 - share) * pi, pi).sum(axis=1) for share in (1 - betas[0], np.prod(1 - betas))
    ]
    return weights @ (log_pi + ends[0] - ends[1]) - divergence
