from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.smc.resampling import multinomial, residual, stratified, systematic
from tests.comparisons import KEY

RESAMPLINGS = {"multinomial": multinomial, "stratified": stratified, "systematic": systematic, "residual": residual}
over_resamplings = pytest.mark.parametrize("resample", RESAMPLINGS.values(), ids=RESAMPLINGS)

WEIGHTS = {
    "uneven": np.array([0.02, 0.31, 0.17, 0.0, 0.055, 0.4, 0.045]),
    "whole": np.array([3.0, 1.0, 0.0, 2.0, 1.0, 0.0, 0.0]) / 7,
    "tiny": np.array([1e-12, 0.5, 1e-30, 0.25, 0.25, 0.0, 1e-6]),
    "one takes all": np.eye(7)[4],
    "equal": np.full(7, 1 / 7),
}


def log(weights):
    with np.errstate(divide="ignore"):
        return jnp.asarray(np.log(weights), float)


@partial(jax.jit, static_argnums=0)
def _counts(resample, log_weights, keys):
    def one(key):
        return jnp.bincount(resample(key, log_weights), length=len(log_weights))

    return jax.vmap(one)(keys)


def counts(resample, weights, num=4000):
    """How often each particle is chosen, `(draw, particle)`."""
    return np.asarray(_counts(resample, log(weights), jax.random.split(KEY, num)), np.float64)


@over_resamplings
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_every_particle_is_chosen_in_proportion_to_its_weight(resample, weights):
    drawn = counts(resample, weights)
    expected = len(weights) * weights
    assert (drawn.sum(axis=1) == len(weights)).all()
    least = np.sqrt(expected % 1 * (1 - expected % 1))  # of any count with this mean: rare ones may not have been seen
    margin = 4 * np.maximum(drawn.std(axis=0, ddof=1), least) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - expected) <= margin + 1e-6).all()


@over_resamplings
@pytest.mark.parametrize("shift", [0.0, -500.0, 1e4])
def test_only_ratios_of_weights_count(resample, shift, x64):
    log_weights = log(WEIGHTS["uneven"])
    np.testing.assert_array_equal(resample(KEY, log_weights + shift), resample(KEY, log_weights))


def test_the_finer_the_strata_the_less_the_counts_vary():
    variance = {name: counts(resample, WEIGHTS["uneven"]).var(axis=0).sum() for name, resample in RESAMPLINGS.items()}
    assert variance["systematic"] < variance["stratified"] < variance["multinomial"]
    assert variance["residual"] < variance["multinomial"]


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_systematic_counts_are_rounded_expectations(weights, x64):
    away = counts(systematic, weights) - len(weights) * weights
    assert (np.abs(away) < 1 + 1e-9).all()


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_residual_counts_are_never_below_expectations_rounded_down(weights, x64):
    assert (counts(residual, weights) >= np.floor(len(weights) * weights - 1e-9)).all()


@pytest.mark.parametrize("resample", [stratified, systematic, residual])
@pytest.mark.parametrize("num", [2, 49, 1000])
def test_equal_weights_keep_every_particle(resample, num):
    np.testing.assert_array_equal(jax.jit(resample)(KEY, jnp.full(num, -3.7)), np.arange(num))


@over_resamplings
@pytest.mark.parametrize("place", [0, 17, 9_999])
def test_one_particle_has_all_the_weight(resample, place):
    log_weights = jnp.full(10_000, -jnp.inf).at[place].set(-80.0)
    assert (jax.jit(resample)(KEY, log_weights) == place).all()


@over_resamplings
def test_many_particles_in_single_precision(resample):
    """Half of the particles, the last one among them, are impossible; the others differ by orders of magnitude."""
    num = 10_000
    rng = np.random.default_rng(0)
    log_weights = np.where(np.arange(num) % 2, -np.inf, rng.normal(-200, 3, num)).astype(np.float32)
    ancestors = np.stack([jax.jit(resample)(key, jnp.asarray(log_weights)) for key in jax.random.split(KEY, 20)])
    assert ((ancestors >= 0) & (ancestors < num)).all()
    assert np.isfinite(log_weights[ancestors]).all()
    weights = np.exp(log_weights.astype(np.float64) - log_weights.max())
    weights /= weights.sum()
    # The mean of a function over the particles chosen, against that over the weighted ones.
    value = np.sin(np.arange(num))
    spread = np.sqrt(weights @ value**2 - (weights @ value) ** 2)
    assert abs(value[ancestors].mean() - weights @ value) < 4 * spread / np.sqrt(ancestors.size)


@over_resamplings
def test_positions_at_the_very_end_stay_on_the_last_particle(resample, monkeypatch):
    """The largest uniform there is, in single precision, among so many particles that adding it rounds up."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jnp.full(shape, 1 - 2.0**-24, dtype))
    ancestors = resample(KEY, jnp.zeros(10_000).at[-5:].set(-jnp.inf))
    assert ancestors.max() == 9_994


@over_resamplings
def test_the_very_end_is_the_last_particle_with_a_weight_whatever_the_weights_sum_to(resample, monkeypatch):
    """Of many sums some, divided by themselves as XLA divides on most processors, are not 1."""
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, dtype: jnp.full(shape, 1 - 2.0**-24, dtype))
    weights = np.random.default_rng(0).exponential(size=(500, 20)).astype(np.float32)
    log_weights = jnp.log(jnp.asarray(np.pad(weights, [(0, 0), (0, 3)])))
    ancestors = jax.vmap(partial(resample, KEY))(log_weights)
    assert ancestors.max() == 19


@over_resamplings
def test_side_by_side(resample):
    log_weights = jax.random.normal(KEY, (3, 50))
    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(resample))(keys, log_weights)
    np.testing.assert_array_equal(
        together, [jax.jit(resample)(*of_one) for of_one in zip(keys, log_weights, strict=True)]
    )
