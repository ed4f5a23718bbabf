"""What a kernel or a network may know about step t of a diffusion."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Step(eqx.Module):
    """One step t of the forward chain, or all of them along a leading axis `(T,)`.

    Everything is a logarithm, because the numbers that matter lie close to 0 or to 1: `1 - alpha_bar` formed by
    subtraction is noise below 1e-7 in float32. `log_noise` is log(1 - alpha_bar); `_prev` is the same at t - 1, where
    `log_noise_prev` is -inf for t = 1.
    """

    t: Int[Array, "*time"]
    log_alpha: Float[Array, "*time"]
    log_beta: Float[Array, "*time"]
    log_alpha_bar: Float[Array, "*time"]
    log_noise: Float[Array, "*time"]
    log_alpha_bar_prev: Float[Array, "*time"]
    log_noise_prev: Float[Array, "*time"]

    @property
    def alpha(self) -> Float[Array, "*time"]:
        """1 - beta_t."""
        return jnp.exp(self.log_alpha)

    @property
    def beta(self) -> Float[Array, "*time"]:
        """beta_t, the diffusion rate of the step."""
        return jnp.exp(self.log_beta)

    @property
    def alpha_bar(self) -> Float[Array, "*time"]:
        """prod_{s <= t} (1 - beta_s), the share of the signal that is left."""
        return jnp.exp(self.log_alpha_bar)

    @property
    def noise(self) -> Float[Array, "*time"]:
        """1 - alpha_bar_t, the share that is noise."""
        return jnp.exp(self.log_noise)

    @property
    def logit_beta(self) -> Float[Array, "*time"]:
        """log beta_t - log(1 - beta_t), +inf where beta_t = 1."""
        return self.log_beta - self.log_alpha

    @property
    def log_snr(self) -> Float[Array, "*time"]:
        """log alpha_bar_t - log(1 - alpha_bar_t), -inf where nothing of the signal is left."""
        return self.log_alpha_bar - self.log_noise

    def __getitem__(self, index) -> "Step":
        """The steps at `index` of the leading axis; step number t stands at index t - 1."""
        return jax.tree.map(lambda leaf: leaf[index], self)

    def __len__(self) -> int:
        return self.t.shape[0]


def fixed_steps(betas: np.ndarray) -> Step:
    """All steps of a schedule known in advance, computed in float64 whatever JAX works in.

    **Arguments:** `betas`, shape `(T,)`, in (0, 1].
    """
    betas = np.asarray(betas, np.float64)
    with np.errstate(divide="ignore"):  # beta_t = 1 leaves no signal: log 0 = -inf is the right answer
        return _accumulate(np, np.log1p(-betas), np.log(betas))


def traced_steps(log_alpha: Float[Array, " T"], log_beta: Float[Array, " T"]) -> Step:
    """All steps of a schedule that is being learned, differentiable; every beta_t must lie below 1."""
    return _accumulate(jnp, log_alpha, log_beta)


def _accumulate(xp, log_alpha, log_beta) -> Step:
    log_alpha_bar = xp.cumsum(log_alpha)
    log_noise = xp.log(-xp.expm1(log_alpha_bar))
    shifted = (
        xp.concatenate([xp.zeros(1), log_alpha_bar[:-1]]),
        xp.concatenate([xp.full(1, -xp.inf), log_noise[:-1]]),
    )
    columns = (log_alpha, log_beta, log_alpha_bar, log_noise, *shifted)
    return Step(jnp.arange(1, len(log_alpha) + 1), *(jnp.asarray(column, dtype=float) for column in columns))
