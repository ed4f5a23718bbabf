"""Posteriors that are known in closed form: a chain that has learned nothing, and chains that are linear."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from benchmarks.measurement import compiled_programs
from dpm_ppl.networks import AbstractNetwork
from dpm_ppl.posterior import MCMC, SMC, Gibbs, Paper, Twist, condition, condition_each
from dpm_ppl.posterior.observations import NormalCoordinates
from dpm_ppl.posterior.particles import relative_variance, run
from dpm_ppl.posterior.twists import ByGradient, ByVariance, LinearChainTwist, OfMeasurements, PaperTwist, twist_for
from dpm_ppl.smc import multinomial, systematic

KEY = jax.random.key(0)


class Nothing(AbstractNetwork):
    """A network that has learned nothing: the chain's x_0 is standard normal."""

    event_shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x_t, step):
        return jnp.zeros((*self.event_shape, 2))


class Linear(AbstractNetwork):
    """The best network for normal data with this covariance: the mean of x_0 given x_t, and its variance."""

    covariance: jax.Array
    event_shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x_t, step):
        size = len(self.covariance)
        gain = jnp.linalg.solve(step.alpha_bar * self.covariance + step.noise * jnp.eye(size), self.covariance)
        mean = jnp.exp(0.5 * step.log_alpha_bar) * gain.T @ x_t
        variance = jnp.diag(self.covariance - step.alpha_bar * gain.T @ self.covariance)
        location = (jnp.exp(0.5 * step.log_alpha_bar) * x_t - mean) * jnp.exp(-0.5 * step.log_noise)
        share = jnp.clip(variance / step.noise, 1e-6, 1.0)
        log_ratio = jnp.log(jnp.exp(step.log_noise_ratio) + jnp.exp(step.log_noise_gain) * share)
        lowest = jnp.where(jnp.isneginf(step.log_noise_ratio), -1.0, step.log_noise_ratio)
        scale = -2 * jnp.arctanh(jnp.clip(log_ratio / lowest, 0.0, 1 - 1e-6))
        return jnp.stack([location, scale], axis=-1)


def null_model(num_steps=30):
    return dpm.Diffusion(dpm.GaussianKernel(dpm.noise_prediction), dpm.Erasure(num_steps), Nothing((1,)), (1,))


def correlated(num_steps=40, rho=0.9):
    covariance = jnp.array([[1.0, rho], [rho, 1.0]])
    kernel, schedule = dpm.GaussianKernel(dpm.noise_prediction), dpm.LogSNR(num_steps, 9.0, -9.0)
    return dpm.Diffusion(kernel, schedule, Linear(covariance, (2,)), (2,))


@eqx.filter_jit
def laws_of_linear(diffusion):
    """The slope of the mean, its value at zero and the variance: of every step, t = 1 first, and of the edge."""
    zero = jnp.zeros(diffusion.num_coordinates)

    def parts(law):
        here = law(zero[None])
        return jax.jacfwd(lambda x: law(x[None]).mean[0])(zero), here.mean[0], here.variance[0]

    steps = jax.vmap(lambda step: parts(lambda x: diffusion.reverse(x, step)))(diffusion.steps)
    return steps, parts(diffusion.edge_law)


def law_of_linear(diffusion):
    """Mean and covariance of x_0 under a linear chain, by pushing them down step by step."""
    size = diffusion.num_coordinates
    mean, covariance = np.zeros(size), np.eye(size)
    steps, edge = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), laws_of_linear(diffusion))
    for t in range(diffusion.num_steps, 0, -1):
        slope, at_zero, variance = (leaf[t - 1] for leaf in steps) if t > 1 else edge
        mean = slope @ mean + at_zero
        covariance = slope @ covariance @ slope.T + np.diag(variance)
    return mean, covariance


METHODS = {
    "twist": Twist(num_draws=4000),
    "smc": SMC(num_particles=4000, proposal=Twist(covariance="variance")),
    "smc of the paper's moves": SMC(num_particles=4000, proposal=Paper(annealed=True)),
    "gibbs": Gibbs(num_particles=16, num_sweeps=2000, num_warmup=50),
    "mcmc": MCMC(num_warmup=200, num_samples=500, num_chains=4),
}


@pytest.mark.parametrize(
    ("name", "y", "variance"),
    [
        pytest.param(name, 1.5, variance, marks=[pytest.mark.slow] * (name == "mcmc" and variance > 1))
        for name in METHODS
        for variance in (1.0, 4.0)
    ],
)
def test_methods_find_the_conjugate_posterior(name, y, variance):
    found = condition(
        null_model(), lambda x_0: dist.Normal(x_0, jnp.sqrt(variance)), jnp.array([y]), key=KEY, method=METHODS[name]
    )
    mean, spread = y / (1 + variance), variance / (1 + variance)
    effective = found.statistics["smallest_ess"] if name in ("gibbs", "mcmc") else found.ess
    assert found.verdict == "reliable"
    assert abs(found.mean()[0] - mean) < 4 * np.sqrt(spread / effective)
    assert abs(found.std()[0] ** 2 - spread) < 4 * spread * np.sqrt(2 / effective)
    if name != "mcmc":
        assert found.log_evidence is not None
        exact = dist.Normal(0.0, np.sqrt(1 + variance)).log_prob(y)
        assert abs(found.log_evidence.mean - exact) < 4 * found.log_evidence.se + 1e-5


@pytest.mark.parametrize(("annealed", "mean", "variance"), [(False, 1.0, 0.333), (True, 0.694, 0.433)])
def test_the_papers_recipe_is_biased_by_a_known_amount(annealed, mean, variance):
    diffusion, num = null_model(1000), 20_000
    found = condition(
        diffusion, lambda x_0: dist.Normal(x_0, 1.0), jnp.array([1.5]), key=KEY, method=Paper(num, annealed)
    )
    assert found.verdict == "approximate"
    assert found.log_evidence is None
    assert abs(found.mean()[0] - mean) < 4 * np.sqrt(variance / num) + 0.002  # printed to three digits, T is finite
    assert abs(found.std()[0] ** 2 - variance) < 4 * variance * np.sqrt(2 / num) + 0.002
    assert abs(found.mean()[0] - 0.75) > 10 * np.sqrt(variance / num)


def observation(seen, variance):
    seen = jnp.asarray(seen)
    return NormalCoordinates(jnp.full(2, 1.3), jnp.full(2, variance), seen, (2,))


@pytest.mark.parametrize("variance", [0.0, 0.25])
@pytest.mark.parametrize("kind", ["exact", "jacobian", "variance"])
def test_inpainting_of_correlated_data(kind, variance):
    diffusion = correlated()
    seen = observation([True, False], variance)
    twist = twist_for(diffusion, seen, None if kind == "exact" else kind, exact=kind == "exact")
    wanted = {"exact": LinearChainTwist, "jacobian": OfMeasurements, "variance": ByVariance}[kind]
    assert type(twist) is wanted
    state, _ = run(diffusion, twist, seen, KEY, 8000, systematic, 0.5)
    weights, x_0 = np.exp(np.asarray(state.log_weights, np.float64)), np.asarray(state.particles, np.float64)
    mean, covariance = law_of_linear(diffusion)
    gain = covariance[:, 0] / (covariance[0, 0] + variance)
    exact = mean + gain * (1.3 - mean[0])
    spread = (covariance - np.outer(gain, covariance[0]))[1, 1]
    effective = 1 / (weights**2).sum() / (4 if kind == "variance" else 1)  # resampled draws share their lines
    assert abs(weights @ x_0[:, 1] - exact[1]) < 4 * np.sqrt(spread / effective)
    assert abs(weights @ (x_0[:, 1] - weights @ x_0[:, 1]) ** 2 - spread) < 4 * spread * np.sqrt(2 / effective)
    if kind == "exact":
        log_z = dist.Normal(mean[0], np.sqrt(covariance[0, 0] + variance)).log_prob(1.3)
        assert abs(float(state.log_evidence) - log_z) < 2e-4


def test_clamping_is_biased():
    """What replacement at every step makes of the mean of the coordinate that is not known, beside the right mean."""
    diffusion, seen, num = correlated(), observation([True, False], 0.0), 20_000
    mean, covariance = law_of_linear(diffusion)
    exact = mean[1] + covariance[0, 1] / covariance[0, 0] * (1.3 - mean[0])
    clamped = condition(diffusion, None, np.array([1.3, np.nan]), key=KEY, method=Paper(num))
    assert np.allclose(clamped.draws[:, 0], 1.3, atol=1e-5)
    error = clamped.std()[1] / np.sqrt(num)
    assert clamped.mean()[1] < exact - 10 * error
    assert seen.event_shape == diffusion.event_shape


@pytest.mark.slow
# A constant r of little noise leaves weights whose mean 400 runs do not show: it is given more.
@pytest.mark.parametrize(
    ("kind", "variance", "resample"),
    [
        ("jacobian", 0.5, systematic),
        ("variance", 0.5, multinomial),
        ("gradient", 0.5, systematic),
        ("paper", 8.0, multinomial),
        ("annealed", 4.0, systematic),
    ],
)
def test_the_evidence_is_unbiased(kind, variance, resample):
    diffusion, seen = correlated(12), observation([True, True], variance)
    mean, covariance = law_of_linear(diffusion)
    exact = dist.MultivariateNormal(mean, covariance + variance * np.eye(2)).log_prob(jnp.full(2, 1.3))
    if kind in ("paper", "annealed"):
        twist = PaperTwist(seen, kind == "annealed")
    else:
        twist = ByGradient(seen) if kind == "gradient" else twist_for(diffusion, seen, kind, exact=False)
    keys = jax.random.split(KEY, 400)
    log_z = jax.lax.map(lambda key: run(diffusion, twist, seen, key, 50, resample, 0.5)[0].log_evidence, keys)
    ratio = np.exp(np.asarray(log_z, np.float64) - float(exact))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))


@pytest.mark.slow
@pytest.mark.parametrize("resample", [systematic, multinomial])
def test_the_error_of_the_evidence_covers(resample):
    diffusion, seen = correlated(12), observation([True, True], 0.5)
    mean, covariance = law_of_linear(diffusion)
    exact = dist.MultivariateNormal(mean, covariance + 0.5 * np.eye(2)).log_prob(jnp.full(2, 1.3))
    twist = PaperTwist(seen, True)

    def one(key):
        state, _ = run(diffusion, twist, seen, key, 400, resample, 0.5)
        return state.log_evidence, relative_variance(state), state.num_resampled

    log_z, variance, num_resampled = map(np.asarray, jax.lax.map(one, jax.random.split(KEY, 300)))
    covered = np.abs(log_z - float(exact)) < 1.96 * np.sqrt(variance)
    assert num_resampled.mean() > 1
    assert covered.mean() > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 300)


def test_many_observations_in_one_call():
    law = lambda x_0: dist.Normal(x_0, 1.0)  # noqa: E731
    observed = jnp.array([[0.0], [2.0]])
    options = {"key": KEY, "method": Twist(2000), "done": {}}
    found = condition_each(null_model(), law, observed, **options)
    assert [round(float(one.mean()[0])) for one in found] == [0, 1]
    assert list(options["done"].values()) == found
    assert condition_each(null_model(), law, observed, **options) == found  # the same objects, not computed again
    alone = condition(null_model(), law, observed[1], key=jax.random.fold_in(KEY, 1), method=Twist(2000))
    np.testing.assert_array_equal(found[1].draws, alone.draws)
    assert found[1].log_evidence == alone.log_evidence


@pytest.mark.parametrize(
    "likelihood",
    [
        pytest.param(lambda x_0: dist.Normal(2 * x_0[0] + 1, 0.5), id="coordinates"),
        pytest.param(
            lambda x_0: dist.Normal(jnp.array([[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]]) @ x_0 - 1, 0.5),
            id="linear",
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda x_0: dist.Normal(x_0**2, 0.5), id="any"),
    ],
)
def test_a_second_observation_looks_at_nothing_again_and_compiles_nothing(likelihood):
    """Neither in the same call nor in one after it; and its form is that which it has alone."""
    diffusion, method = correlated(6), SMC(16)
    observed = np.random.default_rng(0).normal(size=(2, *likelihood(jnp.ones(2)).batch_shape))
    condition_each(diffusion, likelihood, observed[:1], key=KEY, method=method)
    with compiled_programs() as programs:
        found = condition_each(diffusion, likelihood, observed, key=KEY, method=method)
        condition(diffusion, likelihood, observed[1], key=KEY, method=method)
    assert programs == []
    again = condition(correlated(6), likelihood, observed[1], key=jax.random.fold_in(KEY, 1), method=method)
    np.testing.assert_array_equal(found[1].draws, again.draws)
