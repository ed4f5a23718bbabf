"""`flow`: a normalising flow by flowjax as the law of the data themselves, with an exact likelihood and no latents."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
from numpyro.infer import Trace_ELBO

from dpm_ppl._common.errors import InputError
from dpm_ppl._common.types import Array, Batch
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.experiments import Recipe
from dpm_ppl.methods.program import Program
from dpm_ppl.models._parts import adam, network_key
from dpm_ppl.models.methods._parts import held, num_data, updates_for


def flow(train: Dataset, seed: int = 0) -> Recipe:
    """A masked autoregressive flow (Papamakarios et al. 2017) with rational-quadratic splines (Durkan et al. 2019).

    Levels are dequantised by uniform noise, so that the likelihood of the levels is bounded from below.

    **Raises:** `InputError` for bits, on which a flow is not defined, for data of one coordinate, and where flowjax is
    not installed.
    """
    units = train.units
    if units.kind == "binary" or units.num_coordinates < 2:
        raise InputError(
            "train",
            expected="continuous or level data of at least two coordinates",
            got=f"{units.kind} data of event shape {units.event_shape}",
            remedy="leave the flow out, and compare with a mixture",
        )
    plane = units.num_coordinates <= 8
    batch_size = min(512 if plane else 128, train.num_points)
    sizes = {"num_layers": 6, "num_knots": 16} if plane else {"num_layers": 4, "width": 128}
    return Recipe(
        method=program(train, seed, **sizes),
        objective=Trace_ELBO(),
        optimiser=partial(adam, learning_rate=5e-3 if plane else 1e-3),
        num_updates=updates_for(train, batch_size, 15_000),
        batch_size=batch_size,
    )


def program(
    train: Dataset,
    seed: int = 0,
    *,
    num_layers: int = 8,
    num_knots: int = 8,
    width: int = 64,
    depth: int = 1,
    interval: float = 3.0,
) -> Program:
    """x_0 from a standard normal vector through layers of splines, whose knots depend on the coordinates before.

    The order of the coordinates is drawn anew for each layer.
    """
    try:
        from flowjax.bijections import RationalQuadraticSpline, Reshape
        from flowjax.distributions import StandardNormal, Transformed
        from flowjax.experimental.numpyro import distribution_to_numpyro, register_params
        from flowjax.flows import masked_autoregressive_flow
    except ImportError as error:
        raise InputError(
            "method", expected="flowjax", got="none installed", remedy="pip install 'dpm-ppl[flow]'"
        ) from error
    size, event_shape = train.units.num_coordinates, train.event_shape
    vector = masked_autoregressive_flow(
        network_key(seed),
        base_dist=StandardNormal((size,)),
        transformer=RationalQuadraticSpline(knots=num_knots, interval=interval),
        flow_layers=num_layers,
        nn_width=width,
        nn_depth=depth,
        nn_activation=jax.nn.silu,
    )
    start = Transformed(StandardNormal(event_shape), Reshape(vector.bijection, event_shape))
    drawn, rest = eqx.partition(start, _is_order)
    orders, places = jax.tree.flatten(drawn)

    def model(x_0: Batch | None = None, num_points: int | None = None) -> Array:
        kept = [held(f"order_{number}", order) for number, order in enumerate(orders)]
        flow = eqx.combine(jax.tree.unflatten(places, kept), rest)
        law = distribution_to_numpyro(register_params("flow", flow))
        with numpyro.plate("data", num_data(x_0, num_points)):
            return numpyro.sample("x_0", law, obs=x_0)

    return Program(model, event_shape=train.event_shape)


def _is_order(leaf: Any) -> bool:
    """Whether a leaf is a permutation of coordinates; the other arrays of a flow are trained, or follow from sizes."""
    return eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.integer)
