"""A latent of a NumPyro program whose prior is a diffusion, for SVI and NUTS as they are."""

import jax
import jax.numpy as jnp
import numpyro

from dpm_ppl._common.checks import check_kind
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.numpyro_seam import Normal
from dpm_ppl._common.numpyro_seam import sample as sample_site
from dpm_ppl._common.types import Array, Batch
from dpm_ppl.data.units import Units
from dpm_ppl.diffusion.step_laws import StepLaws
from dpm_ppl.posterior.twists.tilts import normal_step
from dpm_ppl.schedules.steps import Step


def latent(name: str, diffusion: StepLaws, units: Units | None = None) -> Batch:
    """x_0 of the reverse chain as a latent of a program, `(*plates, *event_shape)`; in `units` if they are given.

    The program samples the noise of x_T and of every step at a site `{name}_noise`, of event shape
    `(T + 1, *event_shape)` and standard normal, and x_0 is a deterministic site `name` of it. So any guide,
    `Trace_ELBO` and NUTS work as on any other latent, beside other latents and under any likelihood; a plate gives one
    x_0 for each of its elements. Each gradient takes a pass through the whole chain: it is for T up to a hundred or so.

    **Raises:** `InputError` for data whose noise is not normal, such as bits.
    """
    check_kind("diffusion", diffusion, StepLaws, expected="a Diffusion", remedy="train one with dpm_ppl.fit")
    if not diffusion.kernel.reparametrised:
        raise InputError(
            "diffusion",
            expected="one of real data, which are a function of normal noise",
            got=type(diffusion.kernel).__name__,
            remedy="use the sites ReverseChain and ForwardChain with DiffusionELBO, or condition",
        )
    shape = (diffusion.num_steps + 1, *diffusion.event_shape)
    noise = sample_site(f"{name}_noise", Normal(jnp.zeros(shape), 1.0).to_event(len(shape)))
    x_0 = x_0_of_noise(diffusion, noise)
    x_0 = x_0 if units is None else x_0 * units.scale + units.shift
    numpyro.deterministic(name, x_0)
    return x_0


def x_0_of_noise(diffusion: StepLaws, noise: Array) -> Batch:
    """x_0 as the chain makes it of its noise, `(*batch, T + 1, *event_shape)`: the last step's first, x_T's last."""

    def down(x_t: Array, inputs: tuple[Step, Array]) -> tuple[Array, None]:
        step, own = inputs
        return normal_step(diffusion.reverse(x_t, step)).at(own), None

    flat = noise.reshape(-1, diffusion.num_steps + 1, *diffusion.event_shape)
    above = diffusion.steps[1:], jnp.moveaxis(flat[:, 1:-1], 1, 0)
    x_1, _ = jax.lax.scan(down, flat[:, -1], above, reverse=True)
    x_0 = normal_step(diffusion.edge_law(x_1)).at(flat[:, 0])
    return x_0.reshape(*noise.shape[: noise.ndim - diffusion.event_dim - 1], *diffusion.event_shape)
