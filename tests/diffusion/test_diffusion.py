"""A diffusion applies its kernel and its network to batches, and refuses parts and data that do not fit."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.networks import BumpMLP, RBFNetwork, SigmoidMLP, TimeMLP
from dpm_ppl.schedules import Erasure, Learned, Linear
from tests.instances import DIFFUSIONS, draw_data, small
from tests.oracles import AtRest

KEY = jax.random.key(0)
over_diffusions = pytest.mark.parametrize("make", DIFFUSIONS.values(), ids=DIFFUSIONS)


@eqx.filter_jit
def log_probs(diffusion, x, y, step):
    """Every law of a diffusion, from x to y at a step."""
    laws = [
        diffusion.transition(x, step),
        diffusion.marginal(x, step),
        diffusion.bridge(x, y, step),
        diffusion.reverse(x, step),
    ]
    return jnp.stack([law.log_prob(y) for law in laws])


@over_diffusions
def test_a_batch_is_its_elements(make):
    """One step for all, or one for each of them; log-probabilities are summed over the event."""
    diffusion = make()
    x, y = draw_data(diffusion, 6, seed=1), draw_data(diffusion, 6, seed=2)
    numbers = jnp.array([1, 4, 2, 3, 1, 2])  # index 1 is t = 2
    x, y = x.reshape(2, 3, *diffusion.event_shape), y.reshape(2, 3, *diffusion.event_shape)
    together = log_probs(diffusion, x, y, diffusion.steps[numbers.reshape(2, 3)])
    assert together.shape == (4, 2, 3)
    at_second = log_probs(diffusion, x, y, diffusion.steps[1])
    for i, number in zip(np.ndindex(2, 3), numbers, strict=True):
        alone = log_probs(diffusion, x[i], y[i], diffusion.steps[number])
        np.testing.assert_allclose(together[:, *i], alone, rtol=2e-4, atol=1e-5)
        if number == 1:
            np.testing.assert_allclose(at_second[:, *i], alone, rtol=2e-4, atol=1e-5)


@over_diffusions
def test_shapes_and_sizes(make):
    diffusion = make()
    assert diffusion.steps.t.tolist() == list(range(1, diffusion.num_steps + 1))
    assert diffusion.num_coordinates == np.prod(diffusion.event_shape)
    assert diffusion.stationary().event_shape == diffusion.event_shape
    law = diffusion.edge_law(draw_data(diffusion, 3))
    assert (law.batch_shape, law.event_shape) == ((3,), diffusion.event_shape)


@over_diffusions
def test_the_edge(make):
    """Fixed, it is that of a model that has learned nothing; learned, the reverse kernel at t = 1."""
    diffusion = make()
    x_1, x_0 = draw_data(diffusion, 3, seed=1), draw_data(diffusion, 3, seed=2)
    first = diffusion.steps[0]
    laws = {"fixed": diffusion.null_reverse(x_1, first), "learned": diffusion.reverse(x_1, first)}
    got = diffusion.edge_law(x_1).log_prob(x_0)
    np.testing.assert_array_equal(got, laws.pop(diffusion.edge).log_prob(x_0))
    assert (jnp.abs(got - next(iter(laws.values())).log_prob(x_0)) > 1e-3).all()


@over_diffusions
def test_trained_parameters_are_put_back(make):
    diffusion = make()
    params, static = eqx.partition(diffusion, eqx.is_inexact_array)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, params)
    for given in (doubled, {"diffusion$params": doubled}, {"diffusion$params": doubled, "other": jnp.zeros(2)}):
        got = diffusion.with_params(given)
        assert eqx.tree_equal(got, eqx.combine(doubled, static))


def network(event_shape=(2,), num_outputs=2):
    return TimeMLP(event_shape, num_outputs, 5, width=2, depth=1, num_time_frequencies=1, key=KEY)


def built(kernel=None, schedule=None, net=None, event_shape=(2,), edge="fixed"):
    return Diffusion(kernel or GaussianKernel(), schedule or Erasure(5), net or network(), event_shape, edge)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: built(event_shape=2), "event_shape: .* tuple .* got 2"),
        (lambda: built(event_shape=(0,)), r"event_shape: .* got 0"),
        (
            lambda: built(edge="free"),
            "edge: expected 'fixed' or 'learned'",
        ),
        (
            lambda: built(net=network((2,), 1)),
            r"network: .*\(2, 2\).* got shape \(2, 1\)",
        ),
        (
            lambda: built(BernoulliKernel()),
            r"network: .*\(2, 1\).* got shape \(2, 2\)",
        ),
        (
            lambda: built(net=network((3,))),
            "network: expected a network that takes x_t",
        ),
        (
            lambda: built(net=lambda x_t, step: jnp.zeros(2)),
            r"network: .* got shape \(2,\)",
        ),
        (lambda: built(net=3), "network: .* not callable"),
        *[
            (lambda net=net: built(schedule=Erasure(6), net=net), "network: .* made for .* T = 6, got .* 5")
            for net in (
                network(),
                SigmoidMLP((2,), 2, 5, key=jax.random.key(0)),
                RBFNetwork((2,), 2, 5, key=jax.random.key(0)),
                BumpMLP((2,), 2, 5, widths=(4,), key=jax.random.key(0)),
            )
        ],
        (
            lambda: built(GaussianKernel),
            "kernel: expected an instance of AbstractKernel",
        ),
        (lambda: built(schedule=[0.1, 0.5]), r"schedule: expected .* got \[0.1, 0.5\]"),
        (
            lambda: built(BernoulliKernel(), Learned(Linear(5)), network((2,), 1)),
            "schedule: expected a fixed schedule, as draws of BernoulliKernel have no derivative",
        ),
        (lambda: BernoulliKernel(0.0), "pi: expected a rate strictly between 0 and 1, got 0.0"),
        (lambda: BernoulliKernel(1.5), "pi: .* got 1.5"),
        (lambda: small(GaussianKernel(), Erasure(5)).with_params({"other": 1}), r"params: .* got keys \['other'\]"),
        (lambda: small(GaussianKernel(), Erasure(5)).with_params(3), "params: .* got int"),
        (
            lambda: small(GaussianKernel(), Erasure(5)).with_params(small(BernoulliKernel(), Erasure(5))),
            "params: expected the parameters of this diffusion",
        ),
    ],
)
def test_parts_that_do_not_fit(make, message, unchecked):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kernel", "x_0", "message"),
    [
        (GaussianKernel(), np.zeros((3, 4)), r"x_0: expected data of event shape \(2,\) .* got shape \(3, 4\)"),
        (GaussianKernel(), np.zeros(2), r"one data axis, got shape \(2,\)"),
        (GaussianKernel(), np.zeros((4, 3, 2)), "one data axis"),
        (GaussianKernel(), np.zeros(()), r"got shape \(\)"),
        (
            GaussianKernel(),
            np.array([[0.0, np.nan]]),
            r"x_0: expected finite values, .* first at index \(0, 1\)",
        ),
        (GaussianKernel(), np.array([[-np.inf, np.nan]]), "got 2 NaN or infinite"),
        (GaussianKernel(), np.array([["a", "b"]]), "x_0: expected real numbers, got dtype <U1"),
        (GaussianKernel(), np.zeros((1, 2), complex), "dtype complex128"),
        (BernoulliKernel(), np.array([[0.0, 0.5]]), "x_0: expected bits, 0 or 1, .* got 1 other values, the first 0.5"),
        (BernoulliKernel(), np.array([[0, 2]]), "the first 2;"),
        (BernoulliKernel(), np.array([[0, np.nan]]), "finite"),
    ],
)
def test_data_that_do_not_fit(kernel, x_0, message, unchecked):
    diffusion = Diffusion(kernel, Erasure(3), AtRest(kernel.num_outputs), (2,))
    with pytest.raises(InputError, match=message) as caught:
        diffusion.check_data(x_0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [bool, np.uint8, int, np.float32, float])
def test_bits_of_any_dtype_are_data(dtype):
    Diffusion(BernoulliKernel(), Erasure(3), AtRest(1), (2,)).check_data(np.array([[0, 1]], dtype))
