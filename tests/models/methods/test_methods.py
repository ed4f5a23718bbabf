"""What holds for every method on every kind of data, without training and after a little of it."""

import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpyro.infer import SVI, Trace_ELBO

from dpm_ppl import Dataset, InputError, estimate, fit, paired_difference, training
from dpm_ppl.methods.base import log_weights
from dpm_ppl.models.methods import METHODS
from dpm_ppl.models.methods._parts import repeats, updates_for
from tests.instances import instance
from tests.tiny import flat

LEVELS = 5


def make_data(kind: str, num: int = 300, seed: int = 0) -> Dataset:
    """Data of two clusters whose coordinates depend on each other."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(2, size=(num, 1, 1))
    if kind == "binary":
        return Dataset.from_binary((rng.uniform(size=(num, 2, 3)) < 0.2 + 0.6 * cluster).astype(int))
    if kind == "levels":
        return Dataset.from_levels(rng.binomial(LEVELS - 1, 0.2 + 0.6 * cluster, size=(num, 2, 3)), LEVELS)
    return Dataset.from_continuous(2.0 * cluster + 0.3 * rng.normal(size=(num, 2, 3)))


DATA = {kind: make_data(kind) for kind in ("continuous", "levels", "binary")}
PAIRS = [(name, kind) for name in METHODS for kind in DATA if (name, kind) != ("flow", "binary")]
WITHOUT_LATENTS = ("flow", "mixture", "gaussian")


def over(pairs, *, slow: str):
    """Methods with a kind of data each; what has the parts of two others is among the slow tests, as `name-kind`."""
    return pytest.mark.parametrize(
        ("name", "kind"),
        [instance(*pair, quick="-".join(pair) not in slow.split(), name="-".join(pair)) for pair in pairs],
    )


def draw(data: Dataset, num: int) -> jax.Array:
    return data.draw(jnp.asarray(data.values[:num]), jax.random.key(0))


def svi_of(program, optimiser=None, objective=None):
    return SVI(program.model, program.guide, optimiser or optax.sgd(1.0), loss=objective or Trace_ELBO())


def trained(recipe, data, num_updates=60):
    svi = svi_of(recipe.method, recipe.optimiser(num_updates), recipe.objective)
    settings = {"num_updates": num_updates, "batch_size": 64, "key": jax.random.key(0), "progress": False}
    return recipe.method.with_params(fit(svi, data, **settings, averaging=0.0).params)


@over(PAIRS, slow="vae-levels iwae-continuous iwae-binary hvae-levels")
def test_it_scores_data_and_draws_more_of_their_kind(name, kind):
    data = DATA[kind]
    recipe = METHODS[name](data)
    assert recipe.num_updates > 0
    assert 0 < recipe.batch_size <= data.num_points
    program, x_0, key = recipe.method, draw(data, 20), jax.random.key(5)
    program.check_data(data.values)
    assert np.isfinite(np.asarray(log_weights(program, x_0, key))).all()
    drawn = program.sample(jax.random.key(2), 20)
    assert drawn.shape == (20, *data.event_shape)
    given = data.units.as_given(drawn)
    if kind == "continuous":
        assert np.isfinite(given).all()
    else:
        assert set(np.unique(given)) <= set(range(LEVELS if kind == "levels" else 2))
    assert np.isfinite(np.asarray(log_weights(program, drawn, key))).all()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_training_raises_the_bound(name, kind):
    data = DATA[kind]
    recipe = METHODS[name](data)
    x_0, key = draw(data, 300), jax.random.key(5)
    before = np.asarray(log_weights(recipe.method, x_0, key))
    after = np.asarray(log_weights(trained(recipe, data), x_0, key))
    gain = paired_difference(after, before)
    # The guesses that moments and clusters make cannot be bettered by much, and not by a few updates.
    if name in WITHOUT_LATENTS and name != "flow":
        assert gain.mean > -4 * gain.se - 1e-4
    else:
        assert gain.mean > 4 * gain.se


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in WITHOUT_LATENTS else pytest.mark.slow)
        for name, kind in PAIRS
        if kind == "binary"
    ],
)
def test_the_weights_of_all_bit_vectors_add_up_to_one(name):
    data = Dataset.from_binary(DATA["binary"].source[:, 0])
    program = trained(METHODS[name](data), data)
    bits = jnp.asarray((np.arange(8)[:, None] >> np.arange(3)) & 1)
    keys = jax.random.split(jax.random.key(0), 1 if name in WITHOUT_LATENTS else 4000)
    log_weight = jax.jit(jax.vmap(lambda key: jax.vmap(program.log_weight)(bits, jax.random.split(key, 8))))(keys)
    total = estimate(np.exp(np.asarray(log_weight, np.float64)).sum(axis=1))
    if len(keys) == 1:
        assert total.mean == pytest.approx(1, abs=1e-5)
    else:
        assert abs(total.mean - 1) < 4 * total.se < 0.2


@over(
    [pair for pair in PAIRS if pair[0] != "iwae"],  # its program is VAE's
    slow="vae-levels vae-binary hvae-continuous hvae-levels flow-levels gaussian-binary",
)
def test_params_say_all_that_was_drawn_or_found_in_the_training_data(name, kind):
    """With the params of one recipe, that of another seed and other training data is the same program."""
    data, key = DATA[kind], jax.random.key(5)
    other = replace(data, source=make_data(kind, seed=1).source)
    program, elsewhere = METHODS[name](data).method, METHODS[name](other, seed=1).method
    params, others = (training.init(svi_of(one), key, draw(data, 4)).params for one in (program, elsewhere))
    assert not np.array_equal(flat(params), flat(others))
    expected, got = (log_weights(one.with_params(params), draw(data, 20), key) for one in (program, elsewhere))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("iwae", "gaussian")])
def test_a_seed_decides_where_a_method_begins(name):
    data = Dataset.from_continuous(np.random.default_rng(0).normal(size=(300, 2)))
    programs = [METHODS[name](data, seed=seed).method for seed in (0, 0, 1)]
    first, again, other = (
        flat(training.init(svi_of(one), jax.random.key(0), draw(data, 4)).params) for one in programs
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@over([*(("mixture", kind) for kind in DATA), ("flow", "continuous")], slow="mixture-binary")
def test_constants_among_the_params_stay_where_they_were(name, kind):
    recipe, data = METHODS[name](DATA[kind]), DATA[kind]
    start = training.init(svi_of(recipe.method), jax.random.key(0), draw(data, 4)).params
    params = trained(recipe, data, 5).params
    constants = {site for site in params if site.startswith(("start_", "log_own", "log_background", "order_"))}
    assert constants
    for site in params.keys() - {"log_shares"}:
        assert np.array_equal(flat(params[site]), flat(start[site])) == (site in constants)


def test_a_flow_refuses_bits_and_single_coordinates():
    with pytest.raises(InputError, match="continuous or level data"):
        METHODS["flow"](DATA["binary"])
    with pytest.raises(InputError, match="at least two coordinates"):
        METHODS["flow"](Dataset.from_continuous(np.random.default_rng(0).normal(size=20)))


def test_a_flow_says_how_to_get_flowjax(monkeypatch):
    monkeypatch.setitem(sys.modules, "flowjax.bijections", None)
    with pytest.raises(InputError, match=r"pip install 'dpm-ppl\[flow\]'"):
        METHODS["flow"](DATA["continuous"])


SINGLE = {
    "continuous": Dataset.from_continuous(np.random.default_rng(0).normal(size=50)),
    "levels": Dataset.from_levels(np.arange(50) % 3, 3),
    "binary": Dataset.from_binary(np.arange(50) % 2),
}


@over(
    [(name, kind) for name in METHODS if name not in ("flow", "iwae") for kind in SINGLE],  # IWAE's program is VAE's
    slow="vae-levels hvae-continuous hvae-binary",
)
def test_data_of_a_single_coordinate(name, kind):
    data = SINGLE[kind]
    program = METHODS[name](data).method
    assert np.isfinite(np.asarray(log_weights(program, jnp.asarray(data.values[:4]), jax.random.key(0)))).all()
    assert program.sample(jax.random.key(0), 3).shape == (3,)


@pytest.mark.parametrize(("name", "kind"), [("gaussian", "levels"), ("mixture", "continuous"), ("vae", "binary")])
def test_streamed_data_begin_as_resident_ones_do(name, kind):
    data = DATA[kind]
    streamed = replace(data, resident=False)
    ours, theirs = (METHODS[name](given).method for given in (streamed, data))
    x_0, key = draw(data, 10), jax.random.key(0)
    np.testing.assert_array_equal(log_weights(ours, x_0, key), log_weights(theirs, x_0, key))


def test_data_that_repeat_get_as_many_updates_as_there_may_be():
    few, many = (Dataset.from_continuous(np.arange(num) % values * 1.0) for num, values in ((60, 5), (60, 60)))
    assert repeats(few)
    assert not repeats(many)
    assert updates_for(few, 30, 1000) == 1000
    assert updates_for(many, 30, 1000, passes=100) == 200


def test_a_mixture_of_many_levels_is_of_gaussians():
    data = Dataset.from_levels(np.random.default_rng(0).integers(0, 256, (300, 2)), 256)
    program, key = METHODS["mixture"](data).method, jax.random.key(0)
    low, high = (jnp.asarray(data.values[:5]) + part / data.units.scale for part in (0.1, 0.9))
    assert not np.array_equal(log_weights(program, low, key), log_weights(program, high, key))
