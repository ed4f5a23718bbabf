import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.objectives.step_sampling import (
    DECAY,
    MIN_VISITS,
    UNIFORM_SHARE,
    initial_step_losses,
    step_probabilities,
    stratified_steps,
    update_step_losses,
)

KEYS = jax.random.split(jax.random.key(0), 4000)
PROBABILITIES = jnp.array([0.1, 0.4, 0.05, 0.25, 0.2])


def sampled(num_data, num_sampled_steps, num_terms, probabilities=None):
    return jax.jit(jax.vmap(lambda key: stratified_steps(key, num_data, num_sampled_steps, num_terms, probabilities)))(
        KEYS
    )


@pytest.mark.parametrize("probabilities", [None, PROBABILITIES], ids=["uniform", "importance"])
@pytest.mark.parametrize(("num_data", "num_sampled_steps"), [(1, 1), (3, 1), (1, 4), (4, 3)])
def test_every_draw_by_itself_gives_the_sum_over_steps(probabilities, num_data, num_sampled_steps):
    """For each datum and each of its draws, factor times term has the sum of the terms as its mean."""
    terms = jnp.array([3.0, -1.0, 0.5, 2.0, 7.0])
    index, factor = sampled(num_data, num_sampled_steps, 5, probabilities)
    assert index.shape == factor.shape == (len(KEYS), num_data, num_sampled_steps)
    estimates = np.asarray(factor * terms[index], np.float64)
    se = estimates.std(axis=0) / np.sqrt(len(KEYS))
    assert (np.abs(estimates.mean(axis=0) - float(terms.sum())) < 4.5 * se).all()


@pytest.mark.parametrize(("num_data", "num_sampled_steps"), [(10, 1), (1, 10), (5, 4)])
def test_a_batch_is_spread_evenly(num_data, num_sampled_steps):
    """Of 5 steps each gets its exact share of the batch's draws."""
    index, factor = sampled(num_data, num_sampled_steps, 5)
    counts = jax.vmap(lambda i: jnp.bincount(i.ravel(), length=5))(index)
    assert (counts == num_data * num_sampled_steps // 5).all()
    assert (factor == 5).all()


def test_a_batch_is_spread_by_the_probabilities():
    index, factor = sampled(50, 2, 5, PROBABILITIES)
    counts = jax.vmap(lambda i: jnp.bincount(i.ravel(), length=5))(index)
    assert (jnp.abs(counts - 100 * PROBABILITIES) <= 1).all()
    np.testing.assert_allclose(factor, 1 / PROBABILITIES[index], rtol=1e-6)


def test_draws_of_one_datum_differ():
    index, _ = sampled(3, 5, 5)
    assert (jnp.sort(index, axis=-1) == jnp.arange(5)).all()


@pytest.mark.parametrize("num_terms", [1, 3, 1999])
def test_indices_stay_within_the_steps(num_terms):
    for probabilities in (None, jnp.full(num_terms, 1 / num_terms)):
        index, _ = sampled(2, 2, num_terms, probabilities)
        assert ((index >= 0) & (index < num_terms)).all()


def test_losses_are_trusted_once_every_step_was_seen_often_enough():
    losses = {"mean_square": jnp.array([9.0, 1.0]), "visits": jnp.array([1000, MIN_VISITS - 1])}
    np.testing.assert_allclose(step_probabilities(losses), 0.5)
    trusted = step_probabilities(losses | {"visits": jnp.array([1000, MIN_VISITS])})
    np.testing.assert_allclose(trusted, UNIFORM_SHARE / 2 + (1 - UNIFORM_SHARE) * np.array([0.75, 0.25]), rtol=1e-6)
    assert trusted.sum() == pytest.approx(1)


def test_running_losses():
    """The first visits set the estimate, later ones move it; steps that were not visited keep theirs."""
    losses = update_step_losses(initial_step_losses(3), jnp.array([0, 0, 2]), jnp.array([1.0, 3.0, 2.0]))
    np.testing.assert_allclose(losses["mean_square"], [5, 1, 4])
    assert losses["visits"].tolist() == [2, 0, 1]
    losses = update_step_losses(losses, jnp.array([2]), jnp.array([6.0]))
    np.testing.assert_allclose(losses["mean_square"], [5, 1, DECAY * 4 + (1 - DECAY) * 36], rtol=1e-6)
    assert losses["visits"].tolist() == [2, 0, 2]
