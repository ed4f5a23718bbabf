"""Importance weights of paths that start with a jump, which finds states that a discrete chain seldom visits.

Bits hardly move in the first steps: with beta_1 = 0.01 a bit flips once in two hundred paths. Where the model has no
other explanation of a datum than such a flip, paths without one all have the same, far too small weight. Here the
first step is made with a rate large enough that about one coordinate changes. What is found is weighted in
`dpm_ppl.likelihood.hidden_states`.
Real-valued noise needs no such help: its weights vary smoothly, and their tail can be seen to rise.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from dpm_ppl._common.memory import size_within_budget
from dpm_ppl._common.types import Array, Batch, Datum, PRNGKey
from dpm_ppl.diffusion.paths import as_noise, independent, log_weight_of_paths
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.schedules.steps import Step, fixed_steps

NUM_JUMPS = 256
"""Paths with a jump for each datum: of 20 bits each single one changes alone about three times."""
_STREAM = np.uint32(2**32 - 1)
"""Folded into the key of a datum in place of the number of a draw."""


def jumps(diffusion: StepLaws, x_0: Batch, number: Array, key: PRNGKey, steps_chunk: int | None) -> Array:
    """`log_weights_of_jumps` for data of these numbers, `(datum, jump, 2)`.

    By default at most 20 steps are evaluated side by side, and fewer where the memory budget says so.
    """
    given = diffusion, x_0, number, key
    return _jumps(*given, size_within_budget(_jumps, *given, given=steps_chunk, most=20))


@eqx.filter_jit
def _jumps(diffusion: StepLaws, x_0: Batch, number: Array, key: PRNGKey, steps_chunk: int) -> Array:
    def of_datum(inputs: tuple[Array, Array]) -> Array:
        datum, number = inputs
        datum_key = jax.random.fold_in(jax.random.fold_in(key, number), _STREAM)
        return log_weights_of_jumps(diffusion, datum, datum_key, steps_chunk)

    return jax.lax.map(of_datum, (x_0, number))


def log_weights_of_jumps(diffusion: StepLaws, x_0: Datum, key: PRNGKey, steps_chunk: int | None) -> Array:
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


def _jump_step(diffusion: StepLaws) -> Step:
    """A first step that redraws two coordinates of a datum on average."""
    return fixed_steps(np.array([min(1.0, 2 / diffusion.num_coordinates)]))[0]
