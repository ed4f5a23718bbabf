import subprocess
import sys
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import GaussianKernel, noise_prediction, perturbation
from dpm_ppl.likelihood.flow import FlowLikelihood, ProbabilityFlow, flow_log_density, flow_log_likelihood, flow_sample
from dpm_ppl.schedules import Cosine, Erasure, Learned, Linear
from tests import reference
from tests.comparisons import KEY, assert_exact, assert_within
from tests.instances import DIFFUSIONS, draw_data, small
from tests.oracles import AtRest, LinearNetwork, as_given, linear_diffusion

SCHEDULES = {
    "erasure": Erasure,
    "cosine": Cosine,
    "linear": lambda num_steps: Linear(num_steps, beta_T=40 / num_steps),  # ends at N(0, 1) to 1e-9
}
TIGHT = {"rtol": 1e-8, "atol": 1e-8}


def optimal(schedule, s2, edge="fixed"):
    """The linear reverse of N(0, s2), and Var x_1 under the data."""
    betas = np.asarray(schedule.betas, np.float64)
    moments = reference.second_moments(betas, s2)
    best = reference.optimal_reverse(betas, s2)
    if edge == "fixed":
        return linear_diffusion(schedule, best), moments[1]
    best.slope[0], best.variance[0] = np.sqrt(1 - betas[0]) * s2 / moments[1], s2 * betas[0] / moments[1]
    network = LinearNetwork(jnp.asarray(best.slope), jnp.log(jnp.asarray(best.variance)))
    return Diffusion(GaussianKernel(as_given), schedule, network, (), edge), moments[1]


def log_normal(x, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + np.square(x) / variance)


def error_at(make_schedule, num_steps, s2, **tolerances):
    """The largest error of log p(x_1) within three standard deviations."""
    diffusion, variance = optimal(make_schedule(num_steps), s2)
    x_1 = np.sqrt(variance) * np.linspace(-3, 3, 7)
    return np.abs(flow_log_density(diffusion, x_1, **tolerances) - log_normal(x_1, variance)).max()


@pytest.mark.parametrize("s2", [0.25, 4.0])
@pytest.mark.parametrize("schedule", ["erasure", "cosine", pytest.param("linear", marks=pytest.mark.slow)])
def test_density_converges_to_that_of_gaussian_data(schedule, s2, x64):
    coarse, fine = (error_at(SCHEDULES[schedule], num_steps, s2, **TIGHT) for num_steps in (100, 400))
    assert fine < 1e-3
    assert fine < coarse / 6


def test_density_in_single_precision():
    assert error_at(Cosine, 1000, 0.25) < 1e-3


@pytest.mark.parametrize("readout", [perturbation, noise_prediction])
@pytest.mark.parametrize("event_shape", [(), (2, 3)])
def test_network_at_rest_leaves_the_stationary_law(event_shape, readout, x64):
    diffusion = Diffusion(GaussianKernel(readout), Erasure(20, beta_1=0.001), AtRest(2), event_shape)
    x_1 = draw_data(diffusion, 4)
    assert_exact(flow_log_density(diffusion, x_1), diffusion.stationary().log_prob(x_1))


def test_velocity_is_what_noise_prediction_predicts(x64):
    diffusion = small(GaussianKernel(noise_prediction), Learned(Cosine(9)), (2, 3), edge="learned")
    flow = ProbabilityFlow(diffusion)
    x_t = draw_data(diffusion, len(flow.steps))
    assert_exact(flow.velocities(x_t, flow.steps), jax.vmap(diffusion.network)(x_t, flow.steps)[..., 0])


@pytest.mark.parametrize("edge", ["fixed", "learned"])
def test_velocity_passes_through_the_steps_and_is_linear_between_them(edge, x64):
    diffusion = small(GaussianKernel(noise_prediction), Cosine(9), edge=edge)
    flow = ProbabilityFlow(diffusion)
    x = jnp.asarray([0.3, -1.2])
    at_steps = eqx.filter_jit(flow.velocities)(jnp.broadcast_to(x, (len(flow.steps), 2)), flow.steps)
    between = 0.75 * flow.angles[:-1] + 0.25 * flow.angles[1:]
    angles = jnp.concatenate([flow.angles, between, 0.2 * flow.angles[:1]])
    expected = [at_steps, 0.75 * at_steps[:-1] + 0.25 * at_steps[1:], 0.2 * at_steps[:1]]
    assert_exact(jax.jit(jax.vmap(flow.velocity, (0, None)))(angles, x), jnp.concatenate(expected))
    assert len(flow.steps) == (8 if edge == "fixed" else 9)


def test_untrained_first_step_is_not_read():
    diffusion, _ = optimal(Cosine(400), 0.25)
    spoilt = eqx.tree_at(lambda d: d.network.slope, diffusion, diffusion.network.slope.at[0].set(jnp.nan))
    x_1 = draw_data(diffusion, 9)
    np.testing.assert_array_equal(flow_log_density(diffusion, x_1), flow_log_density(spoilt, x_1))


def nonlinear(event_shape=(), num_steps=6):
    return small(GaussianKernel(noise_prediction), Cosine(num_steps), event_shape, scale=0.8)


def grid(num_coordinates, end, num):
    """Points of an even grid (num ** num_coordinates, num_coordinates) and the volume of a cell."""
    axis = np.linspace(-end, end, num)
    points = np.stack(np.meshgrid(*[axis] * num_coordinates), axis=-1).reshape(-1, num_coordinates)
    return points, (axis[1] - axis[0]) ** num_coordinates


@pytest.mark.parametrize(("event_shape", "end", "num"), [((), 9, 601), ((2,), 9, 91)])
def test_density_of_a_random_network_integrates_to_one(event_shape, end, num, x64):
    diffusion = nonlinear(event_shape)
    points, volume = grid(diffusion.num_coordinates, end, num)
    log_density = flow_log_density(diffusion, points.reshape(-1, *event_shape), rtol=1e-6, atol=1e-6, data_chunk=8281)
    difference = np.abs(log_density - diffusion.stationary().log_prob(points.reshape(-1, *event_shape))).max()
    assert difference > 1  # far from what a network at rest would say
    assert abs(volume * np.exp(log_density).sum() - 1) < 1e-4


def test_samples_have_the_density(x64):
    diffusion = nonlinear()
    points, width = grid(1, 9, 601)
    x_1 = jnp.asarray(points[:, 0])
    weights = width * np.exp(flow_log_density(diffusion, x_1, rtol=1e-6, atol=1e-6, data_chunk=2000))
    edge = diffusion.edge_law(x_1)
    x_0 = np.asarray(flow_sample(diffusion, KEY, 4000))
    assert x_0.shape == (4000,)
    assert_within(x_0, (weights * edge.mean).sum())
    assert_within(np.abs(x_0) < 1, (weights * (edge.cdf(1.0) - edge.cdf(-1.0))).sum())
    assert_within(x_0**2, (weights * (edge.variance + edge.mean**2)).sum())


@pytest.mark.parametrize("s2", [0.25, 4.0])
def test_likelihood_of_gaussian_data_with_the_fixed_edge(s2):
    diffusion, variance = optimal(Cosine(400), s2)
    beta_1 = float(diffusion.schedule.betas[0])
    x_0 = np.sqrt(s2) * np.linspace(-2, 2, 9)
    result = flow_log_likelihood(diffusion, x_0, KEY, num_draws=128)
    assert result.log_weights.shape == result.num_solver_steps.shape == (9, 128)
    assert (result.se < 0.01).all()
    # Single precision adds what `test_density_in_single_precision` allows.
    exact = log_normal(x_0, (1 - beta_1) * variance + beta_1)
    assert (np.abs(result.log_likelihood - exact) < 4 * result.se + 1e-3).all()


def test_weights_have_no_variance_where_every_step_is_exact(x64):
    diffusion, _ = optimal(Cosine(400), 0.25, edge="learned")
    x_0 = np.linspace(-1, 1, 5)
    result = flow_log_likelihood(diffusion, x_0, KEY, num_draws=8, **TIGHT)
    np.testing.assert_allclose(result.log_weights, np.tile(log_normal(x_0, 0.25)[:, None], 8), atol=1e-4)


def test_standard_error_is_the_spread_of_repetitions():
    diffusion, _ = optimal(Erasure(10), 0.25)
    result = flow_log_likelihood(diffusion, np.full(400, 0.7), KEY, num_draws=32)
    assert result.num_draws == 32
    np.testing.assert_allclose(result.se.mean(), result.log_likelihood.std(), rtol=0.15)


def test_log_likelihood_is_the_log_mean_weight():
    result = FlowLikelihood(jnp.log(jnp.asarray([[1.0, 3.0], [2.0, 2.0]])) - 300, jnp.ones((2, 2), int))
    np.testing.assert_allclose(result.log_likelihood, np.log([2.0, 2.0]) - 300, rtol=1e-6)
    np.testing.assert_allclose(result.se, [0.5, 0.0], atol=1e-4)
    assert np.isnan(FlowLikelihood(jnp.zeros((3, 1)), jnp.ones((3, 1), int)).se).all()


@pytest.mark.parametrize(("event_shape", "num_probes"), [((2,), 1), pytest.param((2, 3), 4, marks=pytest.mark.slow)])
def test_traces_agree_on_average(event_shape, num_probes, x64):
    diffusion = nonlinear(event_shape)
    score = partial(flow_log_likelihood, diffusion, draw_data(diffusion, 2), KEY, num_draws=200)
    noise = score(trace="hutchinson", num_probes=num_probes).log_weights - score().log_weights
    assert (noise.std(axis=1) > 0.02).all()
    for of_datum in noise:
        assert_within(of_datum, 0.0)


def test_traces_are_one_for_scalars_and_chunks_do_not_matter(x64):
    diffusion = DIFFUSIONS["gaussian, scalar data, learned schedule"]()
    score = partial(flow_log_likelihood, diffusion, draw_data(diffusion, 4), KEY, num_draws=3)
    assert_exact(score(trace="hutchinson", data_chunk=2).log_weights, score(data_chunk=100).log_weights)


def test_flow_down_undoes_flow_up(x64):
    diffusion = nonlinear((2, 3))
    flow = ProbabilityFlow(diffusion)
    x_1, no_probes = draw_data(diffusion, 1)[0], jnp.zeros((0, 2, 3))
    x_T, integral, _ = flow.solve(x_1, no_probes, up=True, **TIGHT)
    np.testing.assert_allclose(flow.solve(x_T, no_probes, up=False, **TIGHT)[0], x_1, atol=1e-5)
    assert jnp.abs(x_T - x_1).max() > 0.3
    assert integral == 0.0


def test_scoring_again_compiles_nothing():
    diffusion, _ = optimal(Cosine(400), 0.25)
    data = [draw_data(diffusion, 9, seed) for seed in (0, 1)]
    for score in (
        lambda x, key: flow_log_likelihood(diffusion, x, key, num_draws=128),
        lambda x, key: flow_log_density(diffusion, x),
        lambda x, key: flow_sample(diffusion, key, 3),
    ):
        score(data[0], KEY)
        with jax.no_tracing():
            score(data[1], jax.random.key(2))


DATA = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda d: flow_log_likelihood(d, DATA, KEY, num_draws=0), "num_draws: expected a positive integer, got 0"),
        (lambda d: flow_log_likelihood(d, DATA, KEY, num_draws=None), "num_draws: .* got None"),
        (lambda d: flow_log_likelihood(d, DATA, KEY, num_probes=0), "num_probes: .* got 0"),
        (lambda d: flow_log_likelihood(d, DATA, KEY, data_chunk=0), "data_chunk: .* got 0"),
        (lambda d: flow_log_likelihood(d, DATA, KEY, trace="full"), "trace: expected 'exact' or 'hutchinson', got 'fu"),
        (lambda d: flow_log_likelihood(d, DATA, KEY, rtol=0.0), "rtol: .* got 0.0"),
        (lambda d: flow_log_likelihood(d, np.zeros((3, 4)), KEY), "x_0: expected data of event shape"),
        (lambda d: flow_log_likelihood(d, np.full((3, 2), np.nan), KEY), "x_0: expected finite values"),
        (lambda d: flow_log_likelihood(d, DATA[:0], KEY), "x_0: expected at least one datum, got none"),
        (lambda d: flow_log_density(d, np.zeros((3, 4))), "x_1: expected data of event shape"),
        (lambda d: flow_log_density(d, DATA, atol=-1.0), "atol: .* got -1.0"),
        (lambda d: flow_sample(d, KEY, 0), "num_samples: .* got 0"),
    ],
)
def test_bad_input(score, message, unchecked):
    with pytest.raises(InputError, match=message) as caught:
        score(DIFFUSIONS["gaussian"]())
    assert "\n" not in str(caught.value)


def test_bits_do_not_flow():
    diffusion = DIFFUSIONS["bernoulli"]()
    with pytest.raises(InputError, match=r"diffusion: expected a Gaussian kernel.* got BernoulliKernel"):
        flow_log_likelihood(diffusion, draw_data(diffusion, 2), KEY)


def test_missing_diffrax_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(InputError, match=r"diffrax: .*; pip install 'dpm-ppl\[ode\]'"):
        flow_log_likelihood(DIFFUSIONS["gaussian"](), DATA, KEY)


def test_diffrax_is_imported_on_first_use_only():
    lines = "import sys, dpm_ppl.likelihood.flow; sys.exit('diffrax' in sys.modules)"
    subprocess.run([sys.executable, "-c", lines], check=True)
