"""Rare states of discrete chains, which S trajectories may have missed without a trace.

Bits hardly move in the first steps: with beta_1 = 0.01 a bit flips once in two hundred trajectories. Where the model
has no other explanation of a datum than such a flip, trajectories without one all have the same, far too small weight,
and nothing in them says so. Here the first step is made with a rate large enough that about one coordinate changes,
which finds what a single early change can explain. With r the ratio of the probabilities of x_1 under both laws, and p
the estimate,

    E_jump[(w / p - 1) / r]  over jumps that S trajectories are likely to miss

is the share that p lacks, or has too much: nothing where the weight after a jump is what it is without, much where it
is far larger.
Real-valued noise needs no such help: its weights vary smoothly, and their tail can be seen to rise.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._types import Array, Batch, Datum, PRNGKey
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.likelihood.from_guide import latents_are_discrete
from dpm_ppl.likelihood.trajectories import as_noise, independent, log_weight_of_paths
from dpm_ppl.programs import Method, Program
from dpm_ppl.steps import Step, fixed_steps

NUM_JUMPS = 256
"""Trajectories with a jump for each datum: of 20 bits each single one changes alone about three times."""
_STREAM = np.uint32(2**32 - 1)
"""Folded into the key of a datum in place of the number of a draw."""
_ERRORS = 2.0
"""Standard errors added to the share, as it may rest on few jumps."""


def jumps_of(method: Method, x_0: Batch, number: Array, key: PRNGKey, steps_chunk: int | None) -> np.ndarray:
    """What finds the states that discrete draws may miss, `(datum, jump, 2)`, for data of these numbers.

    Without jumps where noise is real, and NaN for a program with discrete latent variables, for which none are known.
    """
    if isinstance(method, Program):
        unknown = any(latents_are_discrete(method, x_0.dtype))
        return np.full((len(x_0), int(unknown), 2), np.nan)
    if method.kernel.reparametrised:
        return np.empty((len(x_0), 0, 2))
    return np.asarray(_jumps(method, x_0, number, key, steps_chunk), np.float64)


@eqx.filter_jit
def _jumps(diffusion: Diffusion, x_0: Batch, number: Array, key: PRNGKey, steps_chunk: int | None) -> Array:
    def of_datum(inputs: tuple[Array, Array]) -> Array:
        datum, number = inputs
        datum_key = jax.random.fold_in(jax.random.fold_in(key, number), _STREAM)
        return log_weights_of_jumps(diffusion, datum, datum_key, steps_chunk)

    return jax.lax.map(of_datum, (x_0, number))


def log_weights_of_jumps(diffusion: Diffusion, x_0: Datum, key: PRNGKey, steps_chunk: int | None) -> Array:
    """log w and log r of `NUM_JUMPS` trajectories whose first step is a jump, `(jump, 2)`."""
    jump_key, path_key = jax.random.split(key)
    start = as_noise(diffusion, jnp.broadcast_to(x_0, (NUM_JUMPS, *x_0.shape)))
    jump = diffusion.transition(start, _jump_step(diffusion))
    x_1 = jump.sample(jump_key)
    log_ratio = jump.log_prob(x_1) - diffusion.transition(start, diffusion.steps[0]).log_prob(x_1)
    log_w = log_weight_of_paths(
        diffusion, jnp.broadcast_to(x_0, start.shape), path_key, independent, steps_chunk, x_1=x_1
    )
    return jnp.stack([log_w, log_ratio], axis=-1)


def _jump_step(diffusion: Diffusion) -> Step:
    """A first step that redraws two coordinates of a datum on average."""
    return fixed_steps(np.array([min(1.0, 2 / diffusion.num_coordinates)]))[0]


def hidden_mass(jumps: np.ndarray, log_likelihood: np.ndarray, num_draws: int) -> np.ndarray:
    """By how much jumps that `num_draws` draws are likely to miss would move log p(x_0), nats, `(datum,)`.

    **Arguments:** `jumps`, as `log_weights_of_jumps` gives them, `(datum, jump, 2)`. Zero where there are none, as none
    are needed, and NaN where they are NaN.
    """
    if jumps.shape[1] == 0:
        return np.zeros(len(jumps))
    log_w, log_ratio = jumps[..., 0], jumps[..., 1]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        seldom = log_ratio > np.log(num_draws / jumps.shape[1])  # made more often here than by all the draws
        share = np.where(seldom, np.exp(log_w - log_likelihood[:, None] - log_ratio) - np.exp(-log_ratio), 0.0)
        share = np.where(np.isnan(log_w), np.nan, share)
        error = share.std(axis=1, ddof=1) / np.sqrt(share.shape[1]) if share.shape[1] > 1 else np.nan
        return np.log1p(np.abs(share.mean(axis=1)) + _ERRORS * error)
