"""What the five laws of every kernel owe one another, by sums over the space of one coordinate."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions.kl import kl_divergence

from dpm_ppl.schedules.steps import fixed_steps
from tests.instances import FAMILIES, SCHEDULES

T = 5
ENDS = np.array([1e-8, 0.3, 0.5, 1.0])  # hardly any noise at first, nothing of the signal at last

over_families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
over_schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def column(steps, ndim):
    """All steps along a first axis, before `ndim` axes of values."""
    return jax.tree.map(lambda leaf: jnp.reshape(leaf, (-1, *[1] * ndim)), steps)


def data_among(family):
    """The points that a datum may have, a mask not among them."""
    points = jnp.asarray(family.points)
    return points[np.isfinite(family.kernel.null(points.shape).log_prob(points))]


def assert_equal(got, expected, rtol=1e-9):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


def random_outputs(kernel, shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(*shape, kernel.num_outputs)), float)


@eqx.filter_jit
def tables(kernel, points, space, steps):
    """Log-probabilities, shape (T, from, to): of every law from a few points to the whole space, and back."""
    step = column(steps, 2)
    start, end = points[:, None], space[None, :]
    start, end = (jnp.broadcast_to(x, (len(steps), *x.shape)) for x in (start, end))
    outputs = random_outputs(kernel, start.shape)
    return {
        "stationary": kernel.stationary((1,)).log_prob(space),
        "stationary at points": kernel.stationary((1,)).log_prob(points),
        "transition": kernel.transition(start, step).log_prob(end),
        "transition back": kernel.transition(end, step).log_prob(start),
        "null": kernel.null((*end.shape[:1], 1, len(space)), step).log_prob(space),
        "null at points": kernel.null((len(points),)).log_prob(points),
        "null reverse": kernel.null_reverse(end, step).log_prob(start),
        "marginal": kernel.marginal(start, step).log_prob(end),
        "bridge": kernel.bridge(start, start[:, ::-1], step).log_prob(end)[1:],
        "reverse": kernel.reverse(outputs, start, step).log_prob(end),
    }


@over_families
@over_schedules
def test_every_law_is_normalised(family, schedule, x64):
    table = tables(family.kernel, family.points, family.space, schedule(T).steps())
    for law in ("stationary", "transition", "marginal", "bridge", "reverse", "null"):
        assert_equal(np.exp(table[law]) @ family.weights, 1)


@over_families
@over_schedules
def test_the_chain_is_reversed_by_what_has_learned_nothing(family, schedule, x64):
    """null_{t-1}(x) T(y | x) = null_t(y) null_reverse(x | y): for most kernels that they are reversible."""
    table = tables(family.kernel, family.points, family.space, schedule(T).steps())
    to_points = np.searchsorted(family.space, family.points - 1e-6)
    at_points = np.concatenate([table["null at points"][None], table["null"][:-1, 0, to_points]])
    assert_equal(at_points[:, :, None] + table["transition"], table["null"] + table["null reverse"])


@over_families
@over_schedules
def test_the_transition_keeps_the_stationary_law(family, schedule, x64):
    table = tables(family.kernel, family.points, family.space, schedule(T).steps())
    after = np.exp(table["stationary"] + table["transition back"]) @ family.weights
    assert_equal(after, np.broadcast_to(np.exp(table["stationary at points"]), after.shape))


@over_families
@over_schedules
def test_marginals_are_composed_of_transitions(family, schedule, x64):
    """sum over x_{t-1} of q(x_{t-1} | x_0) T(x_t | x_{t-1}) = q(x_t | x_0), and q(x_1 | x_0) = T(x_1 | x_0)."""
    points, space, weights = family.points, family.space, family.weights
    table = tables(family.kernel, points, space, schedule(T).steps())
    to_points = np.searchsorted(space, points - 1e-6)
    composed = np.exp(table["marginal"][:-1]) * weights @ np.exp(np.swapaxes(table["transition back"], 1, 2)[1:])
    assert_equal(composed, np.exp(table["marginal"])[1:, :, to_points])
    assert_equal(table["marginal"][0], table["transition"][0])


@eqx.filter_jit
def bayes(kernel, x, steps):
    """Both sides of Bayes' rule for the bridge where x_0 may become x_t, shape (T - 1, x_t, x_0, x_{t-1})."""
    prev, step = column(steps[:-1], 3), column(steps[1:], 3)
    grids = jnp.meshgrid(x, x, x, indexing="ij")
    x_t, x_0, x_prev = (jnp.broadcast_to(grid, (len(steps) - 1, *grid.shape)) for grid in grids)
    forward = kernel.marginal(x_0, prev).log_prob(x_prev) + kernel.transition(x_prev, step).log_prob(x_t)
    log_marginal = kernel.marginal(x_0, step).log_prob(x_t)
    possible = jnp.isfinite(log_marginal)
    return [
        jnp.where(possible, law, 0) for law in (kernel.bridge(x_t, x_0, step).log_prob(x_prev), forward - log_marginal)
    ]


@over_families
@over_schedules
def test_the_bridge_is_bayes_rule(family, schedule, x64):
    assert_equal(*bayes(family.kernel, family.points, schedule(T).steps()))


@over_families
def test_the_bridge_at_its_ends(family, x64):
    """At t = 1 it is the point x_0, and where beta_T = 1 it no longer looks at x_T."""
    kernel, x = family.kernel, jnp.asarray(family.points)
    steps = fixed_steps(ENDS)
    at_first = kernel.bridge(x[::-1], x, steps[0])
    assert_equal(at_first.mean, x)
    assert_equal(at_first.variance, 0)
    assert_equal(at_first.sample(jax.random.key(0)), x)
    assert_equal(kernel.bridge(x[::-1], x, steps[-1]).mean, kernel.marginal(x, steps[-2]).mean)


@eqx.filter_jit
def at_rest(kernel, x, steps):
    """Mean and variance of the reverse law for zero outputs, and of that of a model that has learned nothing."""
    x, step = jnp.broadcast_to(x, (len(steps), len(x))), column(steps, 1)
    laws = kernel.reverse(jnp.zeros((*x.shape, kernel.num_outputs)), x, step), kernel.null_reverse(x, step)
    return [jnp.stack([law.mean, law.variance]) for law in laws]


@over_families
@over_schedules
def test_zero_outputs_have_learned_nothing(family, schedule, x64):
    for steps in (schedule(T).steps(), fixed_steps(ENDS)):
        assert_equal(*at_rest(family.kernel, family.points, steps))


@over_families
def test_divergences_are_those_of_the_sums(family, x64):
    kernel, space, weights = family.kernel, family.space, family.weights
    x_0 = data_among(family)
    step = fixed_steps(np.array([0.1, 0.3]))[1]
    x_t = kernel.marginal(x_0, step).sample(jax.random.key(0))
    bridge, reverse = kernel.bridge(x_t, x_0, step), kernel.reverse(random_outputs(kernel, x_t.shape), x_t, step)
    log_p, log_q = (np.asarray(law.log_prob(space[:, None])) for law in (bridge, reverse))
    apart = np.subtract(log_p, log_q, where=np.isfinite(log_p), out=np.zeros_like(log_p))
    assert_equal(kl_divergence(bridge, reverse), weights @ (np.exp(log_p) * apart))
    assert_equal(kl_divergence(bridge, bridge), 0)


@over_families
def test_laws_act_on_every_coordinate_by_itself(family, x64):
    """Values of any shape, each with the rate of its own step."""
    kernel, _, _, points = family
    rng = np.random.default_rng(1)
    x, y = (jnp.asarray(rng.choice(points, size=(2, T, 2))) for _ in range(2))
    outputs = random_outputs(kernel, x.shape)
    steps = SCHEDULES["erasure"](T).steps()
    laws = {
        "transition": lambda x, y, outputs, step: kernel.transition(x, step),
        "marginal": lambda x, y, outputs, step: kernel.marginal(x, step),
        "bridge": lambda x, y, outputs, step: kernel.bridge(x, y, step),
        "reverse": lambda x, y, outputs, step: kernel.reverse(outputs, x, step),
    }
    for law in laws.values():
        together = law(x, y, outputs, column(steps, 1))
        assert together.batch_shape == x.shape
        assert together.event_shape == ()
        assert together.sample(jax.random.key(0)).shape == x.shape
        for i in np.ndindex(*x.shape):
            alone = law(x[i], y[i], outputs[i], steps[i[1]])
            assert_equal(alone.mean, together.mean[i])
            assert_equal(alone.variance, together.variance[i])


@over_families
def test_draws_lie_in_the_space_and_have_the_laws_moments(family):
    kernel, _, _, points = family
    law = kernel.marginal(jnp.broadcast_to(points, (20_000, len(points))), fixed_steps(ENDS)[1])
    draws = law.sample(jax.random.key(0))
    assert law.support(draws).all()
    se = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - law.mean[0]) <= 4 * se).all()


@over_families
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_the_ends_of_the_chain_are_stable_in_float32(family, scale):
    """Values and gradients stay finite at beta_1 = 1e-8, t = 1 and beta_T = 1, however far the outputs go."""
    kernel, x_0 = family.kernel, data_among(family).astype(jnp.float32)
    x_0 = jnp.broadcast_to(x_0, (len(ENDS), len(x_0)))
    step = column(fixed_steps(ENDS), 1)
    outputs = scale * random_outputs(kernel, x_0.shape)
    keys = jax.random.split(jax.random.key(0))

    @jax.jit
    @jax.value_and_grad
    def total(outputs):
        x_t = kernel.marginal(x_0, step).sample(keys[0])
        bridge = kernel.bridge(x_t, x_0, step)
        divergence = kl_divergence(bridge, kernel.reverse(outputs, x_t, step))[1:]
        return kernel.reverse(outputs, x_t, step).log_prob(bridge.sample(keys[1])).sum() + divergence.sum()

    value, gradient = total(outputs)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert gradient.dtype == jnp.float32
