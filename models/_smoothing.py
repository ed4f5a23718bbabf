"""Where the training of readouts for each step begins: at readouts that change smoothly from one step to the next.

Of 2,000 steps with readouts of their own, each learns from the few data that happen to be drawn at it. But the best
readouts of neighbouring steps are nearly the same. So the layers are trained first with `SmoothReadouts`, which have a
hundredth of the numbers and learn from every draw. What these are at each step is where the network itself starts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import dpm_ppl as dpm
from dpm_ppl.models._parts import adam

if TYPE_CHECKING:
    import jax

NUM_UPDATES, BATCH_SIZE, NUM_SAMPLED_STEPS, LEARNING_RATE = 8_000, 250, 4, 3e-2


def smoothed(diffusion: dpm.Diffusion, train: dpm.Dataset, key: jax.Array) -> dpm.Diffusion:
    """The diffusion with layers and readouts of its network trained as long as the readouts are `SmoothReadouts`.

    The network is one that has `StepReadouts` as `readouts`, and it is that again in what is returned.

    **Raises:** `KeyboardInterrupt` where Ctrl-C has ended the training.
    """
    import equinox as eqx

    from dpm_ppl.networks.temporal import SmoothReadouts

    def readouts(diffusion: Any) -> Any:
        return diffusion.network.readouts

    _, num_outputs, num_features = readouts(diffusion).weights.shape
    recipe = dpm.experiments.Recipe(
        method=eqx.tree_at(readouts, diffusion, SmoothReadouts(num_features, num_outputs, diffusion.num_steps)),
        objective=dpm.DiffusionELBO(num_sampled_steps=NUM_SAMPLED_STEPS),
        optimiser=partial(adam, learning_rate=LEARNING_RATE),
        num_updates=NUM_UPDATES,
        batch_size=BATCH_SIZE,
    )
    result = dpm.fit(
        recipe.svi(), train, num_updates=NUM_UPDATES, batch_size=BATCH_SIZE, key=key, averaging=recipe.averaging
    )
    if result.interrupted:
        raise KeyboardInterrupt
    smooth = recipe.method.with_params(result.params)
    return eqx.tree_at(readouts, smooth, readouts(smooth).at(diffusion.steps))
