"""An update of a diffusion guide over one written by hand for the same estimator; its compilation and its memory."""

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro.infer import SVI
from numpyro.infer.autoguide import AutoMultivariateNormal

from benchmarks import guide_by_hand
from benchmarks.measurement import Measurement, median_ratio, seconds
from dpm_ppl import estimate
from dpm_ppl._common.memory import peak_bytes
from dpm_ppl.guides import AutoDiffusion, PathDerivativeELBO

SIZE, NUM_DATA = 50, 200
NUM_STEPS, NUM_PARTICLES = 8, 16
UPDATES_PER_TURN, NUM_TURNS = 20, 30
NUM_KEYS = 400
MOST_COMPILE_SECONDS = 20.0


def features() -> tuple[jax.Array, jax.Array]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(NUM_DATA, SIZE)) / np.sqrt(SIZE)
    y = generator.uniform(size=NUM_DATA) < 1 / (1 + np.exp(-4 * x[:, 0]))
    return jnp.asarray(x, float), jnp.asarray(y, float)


def model(x: jax.Array, y: jax.Array) -> None:
    w: Any = numpyro.sample("w", dist.Normal(0, 1).expand([SIZE]).to_event(1))
    with numpyro.plate("data", len(y)):
        numpyro.sample("y", dist.Bernoulli(logits=x @ w), obs=y)


def log_joint(x: jax.Array, y: jax.Array, w: jax.Array) -> jax.Array:
    logits = x @ w
    likelihood = jnp.sum(y * logits - jax.nn.softplus(logits))
    return likelihood - 0.5 * jnp.sum(w**2 + jnp.log(2 * jnp.pi))


def measure() -> list[Measurement]:
    x, y = features()
    svi, state = _svi(NUM_STEPS, x, y)
    params = svi.get_params(state)
    optimiser = optax.adam(1e-3)

    def updates(state: Any) -> Any:
        return jax.lax.scan(lambda state, _: svi.update(state, x, y), state, length=UPDATES_PER_TURN)

    began = time.process_time()
    by_guide = jax.jit(updates).lower(state).compile()
    compilation = time.process_time() - began

    pair, static = eqx.partition(_pair(svi, params), eqx.is_inexact_array)
    loc, scale_tril = params["auto_base_loc"], params["auto_base_scale_tril"]

    def loss(arrays: Any, key: jax.Array) -> jax.Array:
        joint = lambda w: log_joint(x, y, w)  # noqa: E731
        return guide_by_hand.negative_bound(eqx.combine(arrays, static), joint, loc, scale_tril, key, NUM_PARTICLES)

    by_hand = guide_by_hand.training_loop(loss, optimiser, UPDATES_PER_TURN)
    _check_same_estimator(svi, params, loss, pair, x, y)
    of_guide, of_hand = [], []
    start = pair, optimiser.init(pair), jax.random.key(2)
    jax.block_until_ready((by_hand(*start), by_guide(state)))
    for _ in range(NUM_TURNS):
        of_guide.append(seconds(lambda: by_guide(state)) / UPDATES_PER_TURN)
        of_hand.append(seconds(lambda: by_hand(*start)) / UPDATES_PER_TURN)
    shape = f"{NUM_STEPS} steps, {SIZE} dimensions"
    name = f"guide, time per update over one by hand ({shape})"
    return [
        median_ratio(name, of_guide, of_hand, 1.10),
        Measurement(
            f"guide, processor seconds to compile its updates ({shape})", compilation, MOST_COMPILE_SECONDS, ""
        ),
        _memory(x, y),
    ]


def _svi(num_steps: int, x: jax.Array, y: jax.Array) -> tuple[SVI, Any]:
    base_params = {"auto_base_loc": jnp.zeros(SIZE), "auto_base_scale_tril": 0.8 * jnp.eye(SIZE)}
    guide = AutoDiffusion(model, AutoMultivariateNormal, num_steps, base_params=base_params)
    svi = SVI(model, guide, optax.adam(1e-3), PathDerivativeELBO(NUM_PARTICLES))
    return svi, svi.init(jax.random.key(0), x, y)


def _pair(svi: SVI, params: dict[str, Any]) -> Any:
    guide: Any = svi.guide
    return eqx.combine(params[f"{guide.chain_site}$params"], guide.get_posterior(params).pair)


def _memory(x: jax.Array, y: jax.Array) -> Measurement:
    """What the third and fourth quarter of a chain take beyond the first two, over what these take beyond the first."""
    peaks = []
    for num_steps in (16, 32, 64):
        svi, state = _svi(num_steps, x, y)
        peaks.append(peak_bytes(jax.jit(svi.update), state, x, y))
    first, second, third = peaks
    megabytes = ", ".join(f"{peak / 2**20:.1f}" for peak in peaks)
    growth = (third - second) / max(second - first, 1)
    return Measurement("guide, memory of 64 steps beyond 32 over that of 32 beyond 16", growth, 2.2, f"{megabytes} MiB")


def _check_same_estimator(svi: SVI, params: dict[str, Any], loss: Any, pair: Any, x: jax.Array, y: jax.Array) -> None:
    """Over many keys, the two losses and the norms of their gradients must have the same means."""
    name = f"{svi.guide.chain_site}$params"  # type: ignore[attr-defined]

    def of_guide(key: jax.Array) -> jax.Array:
        def by_pair(arrays: Any) -> jax.Array:
            return svi.loss.loss(key, {**params, name: arrays}, svi.model, svi.guide, x, y)

        value, gradient = jax.value_and_grad(by_pair)(params[name])
        return jnp.stack([value, optax.tree.norm(gradient)])

    def of_hand(key: jax.Array) -> jax.Array:
        value, gradient = jax.value_and_grad(loss)(pair, key)
        return jnp.stack([value, optax.tree.norm(gradient)])

    keys = jax.random.split(jax.random.key(3), 2 * NUM_KEYS)
    one = estimate(jax.jit(lambda keys: jax.lax.map(of_guide, keys))(keys[:NUM_KEYS]))
    other = estimate(jax.jit(lambda keys: jax.lax.map(of_hand, keys))(keys[NUM_KEYS:]))
    apart = np.abs(one.mean - other.mean) / np.hypot(one.se, other.se)
    if not np.all(apart < 4):
        raise RuntimeError(f"the two do not have the same estimator: {one} and {other}, loss and norm of its gradient")
