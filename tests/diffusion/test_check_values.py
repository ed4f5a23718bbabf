"""The check values of the theory: closed forms, enumerations, and what no model can pass. In nats, or as said."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl.diffusion.bounds import bound, entropy_bounds
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, first_of_path, forward_chain, reverse_chain
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.sampling import sample
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, drift, noise_prediction, perturbation
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.schedules import Erasure, Fixed, Learned, LogSNR
from tests import reference
from tests.comparisons import assert_exact, assert_within
from tests.instances import FAMILIES, draw_data, instance, small
from tests.oracles import AtRest, LinearNetwork, PointOracle, SigmaPointKernel, as_given, linear_diffusion

KEY = jax.random.key(0)
ENTROPY = 0.5 * np.log(2 * np.pi * np.e)  # of N(0, 1)


# 1. A chain that has learned nothing.


@pytest.mark.parametrize(
    ("family", "edge"),
    [
        instance(family, edge, quick=(number % 2 == 0) == (edge == "fixed"), name=f"{name}-{edge}")
        for number, (name, family) in enumerate(FAMILIES.items())
        for edge in ("fixed", "learned")
    ],
)
def test_every_path_of_the_null_model_has_the_same_weight(family, edge, x64):
    """Any path that can be has the same importance weight, pi(x_0): there is no variance to average over."""
    diffusion = Diffusion(family.kernel, Erasure(4, beta_1=0.1), AtRest(family.kernel.num_outputs), (2,), edge)
    x_0 = draw_data(diffusion, 3)
    anywhere = jnp.asarray(np.random.default_rng(0).choice(family.points, (3, 4, 2)))
    if not np.isfinite(ForwardChain(diffusion, x_0).log_prob(anywhere)).all():  # nothing comes back from a mask
        anywhere = ForwardChain(diffusion, x_0).sample(KEY)

    @jax.jit
    def log_weights(path):
        edge = diffusion.edge_law(first_of_path(diffusion, path)).log_prob(x_0)
        return edge + ReverseChain(diffusion).log_prob(path) - ForwardChain(diffusion, x_0).log_prob(path)

    assert_exact(log_weights(anywhere), diffusion.null().log_prob(x_0))


@pytest.mark.parametrize("readout", [perturbation, drift, noise_prediction])
def test_the_null_bound_of_gaussian_data(readout, x64):
    diffusion = Diffusion(SigmaPointKernel(readout), LogSNR(5, first=9.0, last=-4.0), AtRest(2), (2,))
    result = bound(diffusion, draw_data(diffusion, 3), KEY, num_draws=2)
    assert_exact(result.K, result.L_null)
    assert_exact(result.K_minus_L_null, 0)


# 2. Gaussian data under the optimal linear reverse chain.

GAUSSIAN_TABLE = [  # s2, T, K, equation 14, E log p, Var x_0 under the model
    (1.0, 10, -1.4189385, -1.4189385, -1.4189385, 1.0),
    (1.0, 1000, -1.4189385, -1.4189385, -1.4189385, 1.0),
    (0.25, 10, -0.8194735, -0.8569735, -0.7698005, 0.3925),
    (0.25, 40, -0.7525767, -0.7619517, -0.7303491, 0.2870312),
    (0.25, 1000, -0.7269141, -0.7272891, -0.7258003, 0.2514992),
    (4.0, 10, -2.2231049, -2.0731049, -2.1183090, 3.43),
    (4.0, 1000, -2.1132106, -2.1117106, -2.1120863, 3.9940030),
]
over_gaussian_table = pytest.mark.parametrize(("s2", "num_steps", "K", "eq_14", "log_p", "variance"), GAUSSIAN_TABLE)


def gaussian_case(s2, num_steps, kernel=GaussianKernel):
    """The optimal diffusion for N(0, s2), and data with exactly its second moment."""
    reverse = reference.optimal_reverse(reference.erasure(num_steps), s2)
    return linear_diffusion(Erasure(num_steps), reverse, kernel), reverse, jnp.sqrt(s2) * jnp.array([1.0, -1.0])


@over_gaussian_table
def test_gaussian_data(s2, num_steps, K, eq_14, log_p, variance, x64):
    diffusion, reverse, x_0 = gaussian_case(s2, num_steps, SigmaPointKernel)
    betas = reference.erasure(num_steps)
    result = bound(diffusion, x_0, KEY, num_draws=2)
    expected = reference.trajectory_bound(betas, reverse, s2), reference.equation_14(betas, reverse, s2)
    np.testing.assert_allclose(expected, (K, eq_14), atol=1e-7)
    assert_exact((result.K.mean(), result.uncorrected.mean()), expected)
    assert_exact(result.step_divergences.mean(axis=0), reference.step_divergences(betas, reverse, s2))


@over_gaussian_table
def test_gaussian_model_density(s2, num_steps, K, eq_14, log_p, variance, x64):
    """The variance of x_0 under the model, followed down the library's own reverse laws."""
    diffusion, _, _ = gaussian_case(s2, num_steps)
    ones = jnp.ones(num_steps - 1)
    laws = [diffusion.edge_law(ones[0]), diffusion.reverse(ones, diffusion.steps[1:])]
    slope, spread = (np.concatenate([jnp.ravel(getattr(law, of)) for law in laws]) for of in ("mean", "variance"))
    got = reference.model_variance(reference.LinearReverse(slope, spread))
    assert got == pytest.approx(variance, abs=1e-7)
    assert reference.normal_cross_entropy(s2, got) == pytest.approx(log_p, abs=1e-7)
    assert log_p >= K - 1e-7


def test_equation_14_exceeds_the_truth_where_the_bound_does_not(x64):
    diffusion, reverse, x_0 = gaussian_case(4.0, 10, SigmaPointKernel)
    result = bound(diffusion, x_0, KEY, num_draws=2)
    truth = reference.normal_cross_entropy(4.0, reference.model_variance(reverse))
    assert result.K.mean() < truth - 0.1 < truth + 0.04 < result.uncorrected.mean()


@pytest.mark.parametrize("x_0", [0.0, 0.5, 3.0])
def test_gaussian_bound_of_one_datum(x_0, x64):
    """Of a single datum the second moment is hardly ever right: the closed form holds for it all the same."""
    diffusion, reverse, _ = gaussian_case(0.25, 10, SigmaPointKernel)
    result = bound(diffusion, jnp.array([x_0]), KEY, num_draws=2)
    assert_exact(result.K, [reference.trajectory_bound(reference.erasure(10), reverse, x_0**2)])


def test_gaussian_data_of_several_variances_score_the_sum_of_their_scalar_bounds(x64):
    """Eigenvalues along the axes, with their trace that of the identity, where a diagonal covariance loses nothing."""
    eigenvalues = np.array([0.25, 1.0, 1.75])
    betas = reference.erasure(10)
    chains = [reference.optimal_reverse(betas, s2) for s2 in eigenvalues]
    slope, variance = (jnp.stack([jnp.asarray(getattr(c, of)) for c in chains], 1) for of in ("slope", "variance"))
    kernel = SigmaPointKernel(as_given)
    diffusion = Diffusion(kernel, Erasure(10), LinearNetwork(slope, jnp.log(variance)), (3,))
    result = bound(diffusion, jnp.sqrt(eigenvalues) * jnp.array([[1.0], [-1.0]]), KEY, num_draws=2)
    scalars = zip(chains, eigenvalues, strict=True)
    expected = sum(reference.trajectory_bound(betas, chain, s2) for chain, s2 in scalars)
    assert_exact(result.K.mean(), expected)
    assert_exact(result.uncorrected.mean(), expected)  # the second moments match, so equation 14 is right here


def test_ancestral_draws_of_the_gaussian_model():
    diffusion, _, _ = gaussian_case(0.25, 10)
    draws = np.asarray(sample(diffusion, KEY, 20_000), np.float64)
    assert_within(draws, 0.0)
    assert_within(draws**2, 0.3925)


# 4. Entropy bounds.


@pytest.mark.parametrize(
    ("s2", "lower", "exact", "uncorrected"),
    [(0.25, 0.4115, 0.4591, 0.5231), (1.0, 0.4115, 0.5231, 0.5231), (4.0, 0.4115, 0.5797, 0.5231)],
)
def test_gaussian_entropy_bounds(s2, lower, exact, uncorrected, x64):
    diffusion, reverse, x_0 = gaussian_case(s2, 10)
    entropies = ENTROPY + 0.5 * np.log(reverse.variance)
    got = entropy_bounds(diffusion, x_0, KEY)
    assert (got.lower[4], entropies[4], got.uncorrected_upper[4]) == pytest.approx(
        (lower, exact, uncorrected), abs=5e-5
    )
    assert got.lower[0] == -np.inf
    inner = slice(1, None)  # the reverse chain of this case is optimal from t = 2 on
    assert (got.lower[inner] <= entropies[inner] + 1e-12).all()
    assert (entropies[inner] <= got.upper[inner] + 1e-12).all()
    moments = reference.second_moments(reference.erasure(10), s2)
    assert_exact(got.upper - got.uncorrected_upper, -0.5 * np.diff(moments))
    noise, betas = np.arange(1, 11) / 10, reference.erasure(10)
    assert_exact(got.lower[inner], ENTROPY + 0.5 * np.log(betas[1:] * noise[:-1] / noise[1:]))


# 6. The importance weights.


@pytest.mark.parametrize("x_0", [0.0, 0.4, 1.1])
def test_importance_weights_average_to_the_model_density(x_0):
    diffusion, _, _ = gaussian_case(0.25, 10)
    repeated = jnp.full(5000, x_0)
    forward = ForwardChain(diffusion, repeated)
    path = forward.sample(KEY)
    edge = diffusion.edge_law(path[:, 0]).log_prob(repeated)
    log_weights = edge + ReverseChain(diffusion).log_prob(path) - forward.log_prob(path)
    assert_within(np.exp(log_weights), np.exp(-0.5 * x_0**2 / 0.3925) / np.sqrt(2 * np.pi * 0.3925))


# 11. A reverse kernel multiplied by a function r(x).


@pytest.mark.parametrize("readout", [perturbation, noise_prediction])
def test_multiplied_gaussian_kernel(readout, x64):
    """Equation 61 shifts the mean by variance times the gradient of log r: right up to the square of beta."""
    kernel, (_, space, weights, _) = GaussianKernel(readout), FAMILIES["gaussian"]

    def log_r(x):
        return -0.5 * (x - 1.5) ** 2 / 0.7

    def errors(beta):
        law = kernel.reverse(jnp.array([[0.2, -0.1]]), jnp.array([0.4]), Fixed([0.01, beta]).steps()[1])
        product = weights * np.exp(law.log_prob(space) + log_r(space))
        mean = (product @ space) / product.sum()
        variance = (product @ (space - mean) ** 2) / product.sum()
        shifted = law.mean[0] + law.variance[0] * jax.grad(log_r)(law.mean[0])
        return np.array([mean - shifted, variance - law.variance[0]]), law.variance[0]

    (coarse, coarse_variance), (fine, fine_variance) = errors(0.04), errors(0.02)
    order = np.log(np.abs(coarse / fine)) / np.log(coarse_variance / fine_variance)
    np.testing.assert_allclose(order, 2, atol=0.15)
    assert (np.abs(fine) < 4 * fine_variance**2).all()


@pytest.mark.parametrize("kernel", [BernoulliKernel(0.3), BernoulliKernel(0.5, clean_rate)], ids=str)
def test_multiplied_bernoulli_kernel(kernel, x64):
    """The log-odds of r add to those of the reverse kernel."""
    x = jnp.array([0, 1])
    law = kernel.reverse(jnp.array([[0.4], [-1.0]]), x, Erasure(5).steps()[2])
    r = {1: 0.8, 0: 0.3}
    on, off = (np.exp(law.log_prob(jnp.full(2, bit))) * r[bit] for bit in (1, 0))
    assert_exact(np.log(on / off), law.logits + np.log(r[1] / r[0]))
    c, d = np.asarray(law.probs), r[1] / (r[0] + r[1])
    assert_exact(on / (on + off), c * d / (c * d + (1 - c) * (1 - d)))


# 12. What no model can pass with the fixed edge.


@pytest.mark.parametrize("beta_1", [0.1, 1e-3])
@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
def test_the_first_rate_caps_the_bound(scale, beta_1, x64):
    x_0 = draw_data(diffusion := small(GaussianKernel(), Erasure(8, beta_1=beta_1), scale=scale), 100)
    x_0 /= jnp.sqrt(jnp.square(x_0).mean())
    assert bound(diffusion, x_0, KEY).K.mean() <= -2 * (ENTROPY + 0.5 * np.log(beta_1))


@pytest.mark.parametrize("beta_1", [0.1, 1e-3])
def test_the_cap_is_reached_where_the_data_are_certain(beta_1, x64):
    """With all data at one point, the bridge to it is the best reverse chain, and loses nothing."""
    diffusion = Diffusion(GaussianKernel(as_given), Erasure(8, beta_1=beta_1), PointOracle(1.0), ())
    assert_exact(bound(diffusion, jnp.ones(2), KEY).K, -(ENTROPY + 0.5 * np.log(beta_1)))


# 13. The gradient with frozen noise.


def by_complex_step(function, x, size=1e-30):
    """The gradient of a real function, to rounding: its value just beside the real axis."""
    return np.array([function(x + 1j * size * direction).imag / size for direction in np.eye(len(x))])


def test_the_gradient_in_the_rates_is_that_of_the_whole_bound(x64):
    """Frozen noise, entropies included, at a reverse chain that stays as it is; the first rate is held."""
    schedule = Learned(Fixed([0.05, 0.3, 0.1, 0.25, 0.6, 0.4]))
    betas = np.asarray(schedule.betas)
    optimal = reference.optimal_reverse(betas, 0.25)
    reverse = reference.LinearReverse(0.95 * optimal.slope, 1.1 * optimal.variance)
    diffusion = linear_diffusion(schedule, reverse, SigmaPointKernel)
    in_betas = by_complex_step(lambda betas: reference.trajectory_bound(betas, reverse, 0.25), betas)
    expected = (in_betas * betas * (1 - betas))[1:]  # in the log-odds of the rates

    def by_bound(schedule):
        return bound_of(eqx.tree_at(lambda d: d.schedule, diffusion, schedule), jnp.array([0.5, -0.5]))

    def by_objective(schedule):
        return (
            -loss_of(eqx.tree_at(lambda d: d.schedule, diffusion, schedule), 0.5 * jnp.array([1.0, 1.0, -1.0, -1.0]))
            / 4
        )

    for K in (by_bound, by_objective):
        value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(K))(schedule)
        assert_exact(value, reference.trajectory_bound(betas, reverse, 0.25))
        assert_exact(gradient.logits, expected)


def bound_of(diffusion, x_0):
    return bound(diffusion, x_0, KEY, num_draws=2, steps_chunk=diffusion.num_steps).K.mean()


def loss_of(diffusion, x_0):
    model, guide = partial(reverse_chain, diffusion), partial(forward_chain, diffusion)
    return DiffusionELBO().loss(KEY, {}, model, guide, x_0)
