"""`AbstractChainPair`: a chain that generates and one that leads back, told by how they depart from a reversible one.

The reversible step T = N(sqrt(1 - beta) x, beta) leaves N(0, I) as it is, log T(y | x) - log T(x | y) = log N(y) - log
N(x). So, along a path x_0 ... x_K that starts at N(0, I),

    log N(x_0) + sum_k log F(x_{k+1} | x_k) - log B(x_k | x_{k+1})
        = log N(x_K) + sum_k [log F/T](x_{k+1} | x_k) - [log B/T](x_k | x_{k+1}).

On the right each bracket is zero, and not a difference of large numbers, where a chain departs from T by nothing.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from dpm_ppl._common.types import Array, Float
from dpm_ppl.schedules.steps import Step

Point = Float[Array, " size"]


class Departure(NamedTuple):
    """How far the normal law of one step lies from the reversible one; zeros are that one itself."""

    shift: Point
    """Of the mean, in deviations sqrt(beta)."""
    log_scale: Point
    """Logarithm of its deviation over sqrt(beta)."""

    def log_ratio(self, residual: Point) -> Float[Array, ""]:
        """Log-density over that of the reversible step, of the value that lies `residual` deviations from its mean."""
        noise = (residual - self.shift) * jnp.exp(-self.log_scale)
        return jnp.sum(0.5 * (residual**2 - noise**2) - self.log_scale)


class AbstractChainPair(eqx.Module):
    """Two Markov chains over paths x_0 ... x_K of vectors, where x_0 comes from N(0, I) and x_K is what is generated.

    `forward` is the law of the next point and `backward` that of the one before. Either may read `score`, how the
    gradient of the target's log-density differs from that of N(0, I) at the point it starts from. A pair starts with no
    departure at all: x_K then has the law N(0, I), whatever the steps.
    """

    @abc.abstractmethod
    def steps(self) -> Step:
        """What `forward` and `backward` are told of the step from x_k to x_{k+1}, k = 0 ... K - 1, along `(K,)`."""

    @abc.abstractmethod
    def forward(self, x: Point, score: Point, step: Step) -> Departure:
        """Of the law of x_{k+1}, from x_k and the score there."""

    @abc.abstractmethod
    def backward(self, x: Point, score: Point, step: Step) -> Departure:
        """Of the law of x_k, from x_{k+1} and the score there."""

    def held(self) -> "AbstractChainPair":
        """The same pair, to whose parameters no gradient goes."""
        return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, self)
