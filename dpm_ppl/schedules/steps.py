"""`Step`: what a kernel or a network is told of step t, and of all steps at once, in logarithms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from dpm_ppl._common.errors import InputError


class Step(eqx.Module):
    """One step t of the forward chain, or all of them along a leading axis `(T,)`.

    Everything is a logarithm, because the numbers that matter lie close to 0 or to 1: `1 - alpha_bar` formed by
    subtraction is noise below 1e-7 in float32. `log_noise` is log(1 - alpha_bar); `_prev` is the same at t - 1, where
    `log_noise_prev` is -inf for t = 1.

    So do the differences between two steps. `log_noise_gain` is log((noise_t - noise_{t-1}) / noise_t), the share of
    the noise that is new, and `log_noise_ratio` is log(noise_{t-1} / noise_t), the share that was there before; it is
    also the ratio of the bridge's variance to beta_t. The two shares add up to 1.

    `t` is a whole number, but for a step between two of them in continuous time.
    """

    t: Real[Array, "*time"]
    log_alpha: Float[Array, "*time"]
    log_beta: Float[Array, "*time"]
    log_alpha_bar: Float[Array, "*time"]
    log_noise: Float[Array, "*time"]
    log_alpha_bar_prev: Float[Array, "*time"]
    log_noise_prev: Float[Array, "*time"]
    log_noise_gain: Float[Array, "*time"]
    log_noise_ratio: Float[Array, "*time"]

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
    with np.errstate(divide="ignore", over="ignore"):  # beta_t = 1 leaves no signal: log 0 = -inf is the right answer
        return _accumulate(np, np.log1p(-betas), np.log(betas))


def traced_steps(log_alpha: Float[Array, " T"], log_beta: Float[Array, " T"]) -> Step:
    """All steps of a schedule that is being learned, differentiable; every beta_t must lie below 1."""
    return _accumulate(jnp, log_alpha, log_beta)


def step_down(t: Real[Array, "*time"], log_snr: Float[Array, "*time"], drop: Float[Array, "*time"]) -> Step:
    """The steps that end at these log-SNRs and start from ones higher by `drop` > 0, which may be as small as it likes.

    Differentiable, and no two numbers of a step are subtracted: sigmoid(a) - sigmoid(b) is
    sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
    """
    log_lost = jnp.log(-jnp.expm1(-drop))
    log_alpha_bar, log_noise = jax.nn.log_sigmoid(log_snr), jax.nn.log_sigmoid(-log_snr)
    log_alpha_bar_prev, log_noise_prev = jax.nn.log_sigmoid(log_snr + drop), jax.nn.log_sigmoid(-log_snr - drop)
    log_beta, log_gain = log_noise + log_lost, log_alpha_bar_prev + log_lost
    bars = (log_alpha_bar, log_noise, log_alpha_bar_prev, log_noise_prev)
    return Step(t, _log_rest(log_beta), log_beta, *bars, log_gain, _log_rest(log_gain))


def steps_from_log_snr(log_snr: Float[Array, " T"]) -> Step:
    """All steps 1..T of a chain with these log-SNRs, differentiable; they must fall."""
    later = step_down(jnp.arange(2, len(log_snr) + 1), log_snr[1:], log_snr[:-1] - log_snr[1:])
    kept, noise = jax.nn.log_sigmoid(log_snr[0]), jax.nn.log_sigmoid(-log_snr[0])
    sure, never = jnp.zeros_like(kept), jnp.full_like(kept, -jnp.inf)
    first = Step(jnp.asarray(1), kept, noise, kept, noise, sure, never, sure, never)
    return jax.tree.map(lambda one, rest: jnp.concatenate([one[None], rest]), first, later)


def smallest_rates() -> tuple[float, float]:
    """The smallest beta_1, and the smallest rate of a later step, that move a value in the precision JAX works in.

    A step that is added to x is rounded to the spacing of numbers near x. Where the deviation sqrt(beta_1) of x_1 from
    the datum is at least 16 times the spacing at 1, and that of a later step 4 times, rounding adds less than a
    thousandth to the variance of the first and 2% to that of the others, for values up to 4.
    """
    spacing = float(jnp.finfo(jnp.result_type(float)).eps)
    return (16 * spacing) ** 2, (4 * spacing) ** 2


def check_steps_move(argument: str, steps: Step) -> None:
    """Raise `InputError` where concrete steps from the first on have rates below `smallest_rates`."""
    rates = np.exp(np.asarray(steps.log_beta, np.float64))
    first, later = smallest_rates()
    smallest = np.where(np.arange(len(rates)) == 0, first, later)
    lost = rates < smallest * (1 - 1e-5)  # rates from float32 logarithms err as much
    if lost.any():
        at, precision = int(np.argmax(lost)), jnp.result_type(float)
        raise InputError(
            argument,
            expected=f"beta_1 >= {first:.1e} and later rates >= {later:.1e}, as {precision} rounds smaller steps away",
            got=f"{int(lost.sum())} below, the first beta_{at + 1} = {rates[at]:.1e}",
            remedy="raise them (first <= 26 for LogSNR) or call jax.config.update('jax_enable_x64', True)",
        )


def longer_steps(steps: Step, times: Int[Array, " kept"]) -> Step:
    """The steps between these times t alone, which rise from 1 to T, numbered anew."""
    stretch = jnp.searchsorted(times, steps.t)  # which of the longer steps each belongs to
    log_alpha = jnp.zeros(len(times)).at[stretch].add(steps.log_alpha)
    log_beta = jnp.log(-jnp.expm1(log_alpha)).at[0].set(steps.log_beta[0])
    kept = steps[times - 1]
    return _with_differences(jnp, log_alpha, log_beta, kept.log_alpha_bar, kept.log_noise)


def _accumulate(xp, log_alpha, log_beta) -> Step:
    log_alpha_bar = xp.cumsum(log_alpha)
    return _with_differences(xp, log_alpha, log_beta, log_alpha_bar, xp.log(-xp.expm1(log_alpha_bar)))


def _with_differences(xp, log_alpha, log_beta, log_alpha_bar, log_noise) -> Step:
    log_alpha_bar_prev = xp.concatenate([xp.zeros(1), log_alpha_bar[:-1]])
    log_noise_prev = xp.concatenate([xp.full(1, -xp.inf), log_noise[:-1]])
    log_gain = xp.minimum(log_alpha_bar_prev + log_beta - log_noise, 0.0)
    # Where little is gained the two noises are too alike to be divided.
    log_ratio = xp.where(
        log_gain < _LOG_HALF, xp.log1p(-xp.exp(xp.minimum(log_gain, _LOG_HALF))), log_noise_prev - log_noise
    )
    columns = (log_alpha, log_beta, log_alpha_bar, log_noise, log_alpha_bar_prev, log_noise_prev, log_gain, log_ratio)
    return Step(jnp.arange(1, len(log_alpha) + 1), *(jnp.asarray(column, dtype=float) for column in columns))


def _log_rest(log_share: Float[Array, "*time"]) -> Float[Array, "*time"]:
    """log(1 - share), for shares below 1."""
    small = log_share < _LOG_HALF
    of_small = jnp.log1p(-jnp.exp(jnp.where(small, log_share, -1.0)))
    return jnp.where(small, of_small, jnp.log(-jnp.expm1(jnp.where(small, -1.0, log_share))))


_LOG_HALF = float(np.log(0.5))
