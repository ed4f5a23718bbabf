"""The law of levels is a density that adds up to the law of the levels."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from dpm_ppl import Dataset
from dpm_ppl.models.methods.observations import LevelLaw, Observations, perceptron

LOGITS = jnp.array([[0.3, -1.0, 2.0, 0.0], [1.0, 1.0, -3.0, 0.5]])
LOWER, WIDTH = jnp.array([-1.3, 0.2]), jnp.array([0.4, 1.7])


def dataset(num_levels: int, shape=(2, 3), num: int = 200) -> Dataset:
    return Dataset.from_levels(np.random.default_rng(0).integers(num_levels, size=(num, *shape)), num_levels)


def test_it_integrates_to_one_and_to_the_share_of_each_level():
    law = LevelLaw(LOGITS, LOWER, WIDTH)
    place = (np.arange(4000) + 0.5) / 1000  # a thousand midpoints in each interval, in levels
    density = np.exp(law.log_prob(LOWER + WIDTH * place[:, None]))
    mass = (density * WIDTH / 1000).reshape(4, 1000, 2).sum(axis=1)
    np.testing.assert_allclose(mass.T, jax.nn.softmax(LOGITS), rtol=1e-4)


def test_it_is_nothing_outside():
    law = LevelLaw(LOGITS, LOWER, WIDTH)
    assert np.isneginf(law.log_prob(LOWER - 0.01 * WIDTH)).all()
    assert np.isneginf(law.log_prob(LOWER + 4.01 * WIDTH)).all()


def test_draws_have_the_shares_and_fill_the_intervals():
    drawn = LevelLaw(LOGITS, LOWER, WIDTH).sample(jax.random.key(0), (20_000,))
    level, within = np.divmod((drawn - LOWER) / WIDTH, 1.0)
    share = (level[..., None] == np.arange(4)).mean(axis=0)
    expected = np.asarray(jax.nn.softmax(LOGITS))
    assert (np.abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 20_000)).all()
    assert (np.abs(within.mean(axis=0) - 0.5) < 4 / np.sqrt(12 * 20_000)).all()
    assert (np.abs(within.var(axis=0) - 1 / 12) < 4 / np.sqrt(180 * 20_000)).all()


@pytest.mark.parametrize("num_levels", [2, 17, 256])
def test_its_levels_are_those_of_the_units(num_levels):
    data = dataset(num_levels)
    observations = Observations.of(data)
    logits = jax.random.normal(jax.random.key(0), (2, 3, num_levels))
    law = observations.law(logits)
    expected = dist.Categorical(logits=logits).to_event(2).log_prob(data.source) + 6 * np.log(data.units.scale)
    # Both at the lower ends of the intervals, where rounding could go to the level below, and inside of them.
    for x_0 in (jnp.asarray(data.values), data.draw(jnp.asarray(data.values), jax.random.key(1))):
        np.testing.assert_allclose(law.log_prob(x_0), expected, rtol=1e-5, atol=1e-3)


def test_units_of_their_own_for_each_coordinate():
    values = np.random.default_rng(0).integers(4, size=(100, 2, 3))
    data = Dataset.from_levels(values, 4, per_coordinate=True)
    logits = jax.random.normal(jax.random.key(0), (2, 3, 4))
    expected = dist.Categorical(logits=logits).to_event(2).log_prob(values) - data.log_det
    np.testing.assert_allclose(
        Observations.of(data).law(logits).log_prob(jnp.asarray(data.values)), expected, rtol=1e-4
    )


def test_bits_per_dim_are_those_of_the_levels():
    data = dataset(5)
    logits = jax.random.normal(jax.random.key(0), (2, 3, 5))
    log_density = Observations.of(data).law(logits).log_prob(jnp.asarray(data.values))
    log_share = dist.Categorical(logits=logits).to_event(2).log_prob(data.source)
    np.testing.assert_allclose(data.units.bits_per_dim(log_density), -log_share / (6 * np.log(2)), rtol=1e-4)


@pytest.mark.parametrize("kind", ["binary", "levels"])
def test_decoders_begin_at_the_shares_of_each_coordinate(kind):
    rng = np.random.default_rng(0)
    values = rng.binomial(1 if kind == "binary" else 3, [0.1, 0.5, 0.9], size=(4000, 3))
    data = Dataset.from_binary(values) if kind == "binary" else Dataset.from_levels(values, 4)
    observations = Observations.of(data)
    sizes = {"width": 4, "depth": 1, "key": jax.random.key(0)}
    moved = observations.decoder(2, **sizes)(jnp.ones(2)) - perceptron(2, observations.size, **sizes)(jnp.ones(2))
    law = observations.decoded(moved)
    share = np.stack([(values == value).mean(axis=0) for value in range(values.max() + 1)])
    expected = (share * np.log(np.where(share > 0, share, 1))).sum() - 3 * np.log(data.units.scale) * -1 * (
        kind == "levels"
    )
    np.testing.assert_allclose(law.log_prob(jnp.asarray(data.values)).mean(), expected, rtol=1e-3)


def test_features_of_levels_do_not_see_the_noise():
    data = dataset(17)
    observations, rows = Observations.of(data), jnp.asarray(data.values)
    clean = observations.features(rows)
    np.testing.assert_allclose(observations.features(data.draw(rows, jax.random.key(3))), clean, rtol=1e-5)
    assert clean.shape == (200, observations.num_features)
    np.testing.assert_array_equal(data.units.as_given(clean.reshape(200, 2, 3)), data.source)
