"""`PathLaw`: the law of the path x_0 ... x_K that a guide draws, and of its weight."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from dpm_ppl._common.numpyro_seam import Distribution
from dpm_ppl._common.types import Array, Cost, Float, PRNGKey
from dpm_ppl.guides.chains.base import AbstractChainPair, Point
from dpm_ppl.schedules.steps import Step

Path = Float[Array, "points size"]
Score = Callable[[Point], Point]


class PathLaw(Distribution):
    """Paths x_0 ... x_K of the chain that generates, whose end z = T(x_K) is a draw of the latent vector.

    Batch shape `()`, event shape `(K + 1, size)`. Its density is that of the path over the density that the chain back
    has of x_0 ... x_{K-1} given x_K: so it stands for log q(z), and log p(z) less it is the log-weight of the draw,
    whose mean over draws bounds the log evidence from below, and the mean of whose exponential is the evidence.

    `score` gives the score of the target at a point. The chains read it, and gradients of a path go through it.
    """

    arg_constraints = {}
    support: Any = constraints.independent(constraints.real, 2)

    def __init__(
        self, pair: AbstractChainPair, transform: Transform, size: int, score: Score, *, is_held: bool = False
    ):
        self.pair, self.transform, self.size, self.score, self.is_held = pair, transform, size, score, is_held
        Distribution.__init__(self, (), (len(pair.steps()) + 1, size), validate_args=False)

    @property
    def has_rsample(self) -> bool:
        return True

    def with_path_derivative(self) -> "PathLaw":
        """The same law, in whose density the parameters of the chain that generates are held (Roeder et al. 2017)."""
        return PathLaw(self.pair, self.transform, self.size, self.score, is_held=True)

    def end(self, path: Path) -> Point:
        """The latent vector z, as it is before constraints, that a path leads to."""
        return jnp.asarray(self.transform(path[-1]))

    def rsample(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.sample_with_intermediates(key, sample_shape)[0]

    def sample(self, key: PRNGKey | None, sample_shape: tuple[int, ...] = ()) -> Array:
        assert key is not None
        return self.sample_with_intermediates(key, sample_shape)[0]

    def sample_with_intermediates(self, key: PRNGKey, sample_shape: tuple[int, ...] = ()) -> tuple[Array, list[Any]]:
        """Paths and the logarithms of their densities, which cost little beside the draws."""
        draw = self._draw
        for _ in sample_shape:
            draw = jax.vmap(draw)
        keys = jax.random.split(key, sample_shape) if sample_shape else key
        path, log_density = draw(keys)
        return path, [log_density]

    def log_prob(self, value: Any, intermediates: list[Any] | None = None) -> Cost:
        if intermediates:
            return intermediates[0]
        log_density = self._log_density
        for _ in jnp.shape(value)[:-2]:
            log_density = jax.vmap(log_density)
        return log_density(jnp.asarray(value))

    def lead_back(self, key: PRNGKey, x_end: Point) -> Path:
        """A path to `x_end`, the rest of it drawn by the chain that leads back.

        With z from the posterior, log p(z) less the log-density of such a path bounds the log evidence from above.
        """

        def back(x: Point, at: tuple[Step, PRNGKey]) -> tuple[Point, Point]:
            step, key = at
            shift, log_scale = self.pair.backward(x, self.score(x), step)
            residual = shift + jnp.exp(log_scale) * jax.random.normal(key, x.shape, x.dtype)
            before = _moved(x, residual, step)
            return before, before

        keys = jax.random.split(key, self.event_shape[0] - 1)
        _, path = jax.lax.scan(back, x_end, (self.pair.steps(), keys), reverse=True)
        return jnp.concatenate([path, x_end[None]])

    def _draw(self, key: PRNGKey) -> tuple[Path, Cost]:
        steps = self.pair.steps()
        weighing = self.pair.held() if self.is_held else self.pair
        noises = jax.random.normal(key, self.event_shape)

        def out(x: Point, at: tuple[Step, Point]) -> tuple[Point, tuple[Point, Point, Point, Cost]]:
            step, noise = at
            score = self.score(x)
            shift, log_scale = self.pair.forward(x, score, step)
            residual = shift + jnp.exp(log_scale) * noise
            gain = weighing.forward(x, score, step).log_ratio(residual)
            return _moved(x, residual, step), (x, score, residual, gain)

        x_end, (path, scores, residuals, gains) = jax.lax.scan(out, noises[0], (steps, noises[1:]))
        path, scores = jnp.concatenate([path, x_end[None]]), jnp.concatenate([scores, self.score(x_end)[None]])
        losses = jax.vmap(self._back_ratio)(path[:-1], residuals, path[1:], scores[1:], steps)
        return path, self._log_end(x_end) + gains.sum() - losses.sum()

    def _log_density(self, path: Path) -> Cost:
        steps, scores = self.pair.steps(), jax.vmap(self.score)(path)
        weighing = self.pair.held() if self.is_held else self.pair

        def gain(x: Point, x_next: Point, score: Point, step: Step) -> tuple[Point, Cost]:
            residual = (x_next - jnp.exp(0.5 * step.log_alpha) * x) * jnp.exp(-0.5 * step.log_beta)
            return residual, weighing.forward(x, score, step).log_ratio(residual)

        residuals, gains = jax.vmap(gain)(path[:-1], path[1:], scores[:-1], steps)
        losses = jax.vmap(self._back_ratio)(path[:-1], residuals, path[1:], scores[1:], steps)
        return self._log_end(path[-1]) + gains.sum() - losses.sum()

    def _back_ratio(self, x: Point, residual: Point, x_next: Point, score: Point, step: Step) -> Cost:
        """Of the step back to x, from the residual of the step out, so that no two points close by are subtracted."""
        way_back = jnp.exp(0.5 * step.log_beta) * x - jnp.exp(0.5 * step.log_alpha) * residual
        return self.pair.backward(x_next, score, step).log_ratio(way_back)

    def _log_end(self, x_end: Point) -> Cost:
        """Log-density that the base has at T(x_end)."""
        z, intermediates = self.transform.call_with_intermediates(x_end)
        log_det = self.transform.log_abs_det_jacobian(x_end, z, intermediates)
        return -0.5 * jnp.sum(x_end**2 + jnp.log(2 * jnp.pi)) - log_det


def _moved(x: Point, residual: Point, step: Step) -> Point:
    return jnp.exp(0.5 * step.log_alpha) * x + jnp.exp(0.5 * step.log_beta) * residual
