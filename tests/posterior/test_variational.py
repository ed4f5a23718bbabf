"""Guides that are reverse chains: what training makes of them, against posteriors that are known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import dpm_ppl as dpm
from dpm_ppl.networks import TimeMLP
from dpm_ppl.posterior import SMC, Paper, Twist, Variational, condition, condition_each
from dpm_ppl.posterior.by_coordinate import known_coordinates
from dpm_ppl.posterior.particles import run
from dpm_ppl.posterior.recognition import recognised
from dpm_ppl.posterior.training import lower_bound
from dpm_ppl.posterior.twists import LearnedTwist
from dpm_ppl.smc import systematic
from tests.instances import small
from tests.posterior.test_conjugate import correlated, law_of_linear, null_model

KEY = jax.random.key(0)
QUICK = Variational(num_draws=4000, num_updates=300, num_particles=16, width=16, depth=1, proposal=Paper(annealed=True))
REAL = small(dpm.GaussianKernel(), dpm.Erasure(6, beta_1=0.01), (3,))
BITS = small(dpm.BernoulliKernel(0.4, dpm.clean_rate), dpm.Erasure(6), (10,), scale=1.5)


@pytest.mark.parametrize("variance", [1.0, 4.0])
def test_the_guide_becomes_the_conjugate_posterior(variance):
    """It starts at the paper's moves, which are biased, and ends at the posterior: the bound is almost the evidence."""
    deviation, y = jnp.sqrt(variance), 1.5
    law = lambda x: dist.Normal(2 * x, 2 * deviation)  # noqa: E731
    found = condition(null_model(10), law, jnp.array([2 * y]), key=KEY, method=QUICK)
    mean, spread = y / (1 + variance), variance / (1 + variance)
    exact = float(dist.Normal(0.0, np.sqrt(1 + variance)).log_prob(y)) - np.log(2)
    assert found.verdict == "reliable"
    assert abs(found.mean()[0] - mean) < 4 * np.sqrt(spread / found.ess)
    assert abs(found.std()[0] ** 2 - spread) < 4 * spread * np.sqrt(2 / found.ess)
    assert abs(found.log_evidence.mean - exact) < 4 * found.log_evidence.se + 1e-5
    lower, error = found.statistics["lower_bound"], found.statistics["lower_bound_se"]
    assert exact - 0.002 < lower < exact + 3 * error


TWISTS = {
    "by variance": lambda: (
        REAL,
        Twist(covariance="variance"),
        known_coordinates(REAL, np.array([0.3, np.nan, np.nan])),
    ),
    "by jacobian": lambda: (REAL, Twist(), known_coordinates(REAL, np.array([0.3, -0.2, np.nan]))),
    "by gradient": lambda: (REAL, Twist(), recognised(REAL, lambda x: dist.Normal(x**2, 1.0), jnp.ones(3))),
    "the paper's": lambda: (REAL, Paper(), recognised(REAL, lambda x: dist.Normal(x, 1.0), jnp.ones(3))),
    "by rates": lambda: (BITS, Twist(), known_coordinates(BITS, np.array([1.0, 0.0] + [np.nan] * 8))),
}

QUICK_TWISTS = ("by variance",)


@pytest.mark.parametrize(
    "name",
    [*QUICK_TWISTS, *(pytest.param(name, marks=pytest.mark.slow) for name in TWISTS if name not in QUICK_TWISTS)],
)
def test_an_untrained_guide_is_the_twist(name):
    diffusion, proposal, seen = TWISTS[name]()
    twist = proposal.twist(diffusion, seen)
    sizes = (diffusion.num_coordinates + 1,), diffusion.kernel.num_outputs, diffusion.num_steps
    guide = LearnedTwist(twist, TimeMLP(*sizes, width=4, depth=1, key=KEY), jnp.ones(1))
    plain, _ = run(diffusion, twist, seen, KEY, 50, systematic, 0.0)
    weights = eqx.filter_jit(lower_bound.log_weights)(diffusion, guide, seen, KEY, 50)
    assert np.allclose(weights, plain.log_weights + plain.log_evidence + np.log(50), atol=1e-3)


def probabilities(diffusion, states):
    """p(x_0) of every state, by pushing the law of x_T down the chain."""

    def log_laws(law):
        return jnp.stack([law.log_prob(jnp.broadcast_to(to, states.shape)) for to in states], axis=1)

    law = jnp.exp(diffusion.stationary().log_prob(states))
    for t in range(diffusion.num_steps, 1, -1):
        law = law @ jnp.exp(log_laws(diffusion.reverse(states, diffusion.steps[t - 1])))
    return np.asarray(law @ jnp.exp(log_laws(diffusion.edge_law(states))), np.float64)


@pytest.mark.slow
def test_bits_are_learned_without_a_gradient_along_the_path():
    """From the recipe of the paper with a constant r, of whose draws a few carry all weight."""
    diffusion = small(dpm.BernoulliKernel(0.4, dpm.clean_rate), dpm.Erasure(6), (3,), scale=1.5)
    law, y = lambda x: dist.Bernoulli(jnp.where(x > 0, 0.85, 0.15)), jnp.array([1, 0, 1])
    states = (jnp.arange(8)[:, None] >> jnp.arange(3)) & 1
    joint = probabilities(diffusion, states) * np.exp(np.asarray(law(states).log_prob(y).sum(axis=1), np.float64))
    method = Variational(num_draws=4000, num_updates=300, width=16, depth=1, proposal=Paper())
    found = condition(diffusion, law, y, key=KEY, method=method)
    mean = joint @ np.asarray(states) / joint.sum()
    assert (np.abs(found.mean() - mean) < 4 * np.sqrt(mean * (1 - mean) / found.ess)).all()
    assert abs(found.log_evidence.mean - np.log(joint.sum())) < 4 * found.log_evidence.se + 1e-5
    lower, error = found.statistics["lower_bound"], found.statistics["lower_bound_se"]
    assert np.log(joint.sum()) - 0.02 < lower < np.log(joint.sum()) + 3 * error
    plain = SMC(4000, proposal=Paper(), threshold=0.0)
    assert condition(diffusion, law, y, key=KEY, method=plain).ess < 0.5 * found.ess


@pytest.fixture(scope="module")
def amortised():
    diffusion = correlated(8)
    law = lambda x: dist.Normal(x[0], 0.7)  # noqa: E731
    return diffusion, law, QUICK.amortised(diffusion, law, key=KEY, num_observations=32, progress=False)


@pytest.mark.slow
def test_one_training_serves_many_observations(amortised):
    diffusion, law, method = amortised
    mean, covariance = law_of_linear(diffusion)
    gain = covariance[:, 0] / (covariance[0, 0] + 0.49)
    spread = np.diag(covariance - np.outer(gain, covariance[0]))
    observed = jnp.array([-1.5, 0.2, 1.5])
    for y, found in zip(observed, condition_each(diffusion, law, observed, key=KEY, method=method), strict=True):
        exact = float(dist.Normal(mean[0], np.sqrt(covariance[0, 0] + 0.49)).log_prob(y))
        lower, error = found.statistics["lower_bound"], found.statistics["lower_bound_se"]
        assert (np.abs(found.mean() - mean - gain * (y - mean[0])) < 4 * np.sqrt(spread / found.ess)).all()
        assert abs(found.log_evidence.mean - exact) < 4 * found.log_evidence.se + 1e-4
        assert exact - 0.25 < lower < exact + 3 * error


@pytest.mark.slow
def test_a_trained_guide_leads_particles(amortised):
    diffusion, law, method = amortised
    mean, covariance = law_of_linear(diffusion)
    exact = float(dist.Normal(mean[0], np.sqrt(covariance[0, 0] + 0.49)).log_prob(1.0))
    found = condition(diffusion, law, jnp.array(1.0), key=KEY, method=SMC(2000, proposal=method))
    assert abs(found.log_evidence.mean - exact) < 4 * found.log_evidence.se + 1e-4


@pytest.mark.slow
def test_the_next_observation_compiles_nothing(monkeypatch):
    traced, bound = [], lower_bound.lower_bound
    monkeypatch.setattr(lower_bound, "lower_bound", lambda *args: traced.append(1) or bound(*args))
    law = lambda x: dist.Normal(x, 0.9)  # noqa: E731
    quick = Variational(num_draws=8, num_updates=2, width=3, depth=1, proposal=Paper())
    for number, y in enumerate([0.1, 0.7]):
        before = len(traced)
        condition(REAL, law, jnp.full(3, y), key=KEY, method=quick)
        assert (len(traced) > before) is (number == 0)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Variational(num_particles=1), "num_particles: expected a whole number, at least 2"),
        (lambda: Variational(learning_rate=0), "learning_rate: expected a positive number"),
        (lambda: condition(REAL, None, np.array([0.0, 0.0, np.nan]), key=KEY, method=QUICK), "clamped coordinates"),
        (lambda: QUICK.amortised(REAL, None, key=KEY), "observed: expected observations to train for"),
        (lambda: QUICK.amortised(REAL, None, np.zeros((0, 3)), key=KEY), "observed: expected observations, got none"),
        (
            lambda: Variational().amortised(REAL, None, np.array([[0, 0, np.nan], [0, np.nan, np.nan]]), key=KEY),
            "observed: expected observations of one form",
        ),
        (lambda: condition(REAL, None, np.zeros(3), key=KEY, method=Variational()), "nothing is left to infer"),
        (
            lambda: condition(REAL, lambda x: dist.Normal(x, 1.0), jnp.ones(3), key=KEY, method=SMC(8, Variational())),
            "proposal: expected a guide that has been trained",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_trained(make, expected, unchecked):
    with pytest.raises(dpm.InputError) as raised:
        make()
    assert expected in str(raised.value)


@pytest.mark.slow
def test_a_guide_for_other_observations_is_refused(amortised):
    diffusion, _, method = amortised
    with pytest.raises(dpm.InputError, match="observations of one form"):
        condition(diffusion, lambda x: dist.Normal(x[0] ** 2, 0.7), jnp.array(1.0), key=KEY, method=method)
