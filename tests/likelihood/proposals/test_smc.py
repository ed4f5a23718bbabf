from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, first_of_path
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.likelihood.proposals import smc
from dpm_ppl.likelihood.proposals.smc import BernoulliTwist, GaussianTwist, SequentialMonteCarlo
from dpm_ppl.likelihood.proposals.trajectories import Trajectories
from dpm_ppl.schedules import Erasure
from dpm_ppl.smc.resampling import multinomial, residual, stratified, systematic
from tests import reference
from tests.comparisons import KEY, assert_exact, assert_same_mean, assert_within
from tests.instances import DIFFUSIONS, FAMILIES, draw_data, instance, small
from tests.oracles import AtRest, LinearNetwork, as_given


def matched(num_steps, s2=0.25, event_shape=(), beta_1=None):
    """The optimal diffusion of data N(0, s2)."""
    schedule = Erasure(num_steps, beta_1=beta_1)
    reverse = reference.optimal_reverse(np.asarray(schedule.betas), s2)
    network = LinearNetwork(jnp.asarray(reverse.slope), jnp.log(jnp.asarray(reverse.variance)))
    return Diffusion(GaussianKernel(as_given), schedule, network, event_shape)


def log_evidences(proposal, diffusion, x_0, num):
    """Independent estimates for one datum."""
    one = partial(proposal.log_weight, diffusion, jnp.asarray(x_0), steps_chunk=None)
    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, num)), np.float64)


def followed(diffusion, x_0, num_particles, **options):
    """Last state, all particles `(T, particle, *event)` and every step's info."""

    def forward(state, step_t):
        key = jax.random.fold_in(KEY, step_t.t)
        state, info = smc.step(diffusion, state, step_t, key, **{"resample": systematic, "threshold": 0.5} | options)
        return state, (state.particles, info)

    start = smc.init(diffusion, x_0, num_particles)
    last, (particles, info) = jax.jit(lambda: jax.lax.scan(forward, start, diffusion.steps))()
    return last, particles, info


@pytest.mark.parametrize("diffusion", DIFFUSIONS.values(), ids=DIFFUSIONS)
def test_particles_left_alone_are_trajectories(diffusion, x64):
    """Their mean weight by the chains' own densities."""
    diffusion = diffusion()
    x_0 = draw_data(diffusion, 1)[0]
    last, particles, info = followed(diffusion, x_0, 5, threshold=0.0)

    @jax.jit
    def log_weights(path):
        edge = diffusion.edge_law(first_of_path(diffusion, path)).log_prob(x_0)
        return edge + ReverseChain(diffusion).log_prob(path) - ForwardChain(diffusion, x_0).log_prob(path)

    weights = np.exp(log_weights(jnp.moveaxis(particles, 0, 1)))
    assert_exact(last.log_evidence + last.rounding, np.log(weights.mean()))
    assert_exact(np.exp(last.log_weights), weights / weights.sum())
    assert not info.resampled.any()
    assert (info.ancestors == np.arange(5)).all()


def test_mean_of_particles_left_alone_is_that_of_trajectories():
    diffusion = matched(10)
    proposals = SequentialMonteCarlo(4, threshold=0.0), Trajectories(num_particles=4)
    weights = [np.exp(log_evidences(proposal, diffusion, 0.5, 2000)) for proposal in proposals]
    assert_same_mean(*weights)


def test_a_twist_changes_nothing_without_resampling(x64):
    diffusion, twist = matched(10), GaussianTwist(jnp.array(0.3), jnp.array(0.1))
    plain, twisted = (SequentialMonteCarlo(3, threshold=0.0, twist=psi) for psi in (None, twist))
    assert_exact(log_evidences(twisted, diffusion, 0.5, 10), log_evidences(plain, diffusion, 0.5, 10))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_evidence_under_the_null_model_has_no_variance(family, x64):
    diffusion = Diffusion(family.kernel, Erasure(4, beta_1=0.1), AtRest(family.kernel.num_outputs), (2,), "learned")
    x_0 = draw_data(diffusion, 1)[0]
    got = log_evidences(SequentialMonteCarlo(3, multinomial, threshold=1.0), diffusion, x_0, 5)
    assert_exact(got, np.full(5, diffusion.null().log_prob(x_0)))


@pytest.mark.parametrize(
    ("resample", "threshold", "twisted"),
    [
        (multinomial, 1.0, False),
        (stratified, 0.5, False),
        instance(systematic, 0.0, False, quick=False),
        (systematic, 1.0, True),
        instance(residual, 1.0, False, quick=False),
        (residual, 0.5, True),
    ],
)
def test_evidence_of_gaussian_data_is_the_density(resample, threshold, twisted):
    """The twist is none that fits, so that resampling is called for."""
    diffusion = matched(10)
    twist = GaussianTwist(jnp.array(1.0), jnp.array(0.1)) if twisted else None
    proposal = SequentialMonteCarlo(4, resample, threshold, twist)
    density = np.exp(reference.normal_cross_entropy(0.49, 0.3925))
    assert_within(np.exp(log_evidences(proposal, diffusion, 0.7, 4000)), density)


@eqx.filter_jit
def enumerated(diffusion):
    """p(x_0) of every state, by sums over all paths."""
    states = jnp.asarray(reference.all_states(diffusion.num_coordinates))
    probability = jnp.exp(diffusion.stationary().log_prob(states))
    for t in range(diffusion.num_steps, 0, -1):
        step_t = diffusion.steps[t - 1]
        law = diffusion.edge_law if t == 1 else partial(diffusion.reverse, step=step_t)
        before = jax.vmap(lambda x_prev, law=law: jnp.exp(law(states).log_prob(x_prev)))(states)
        probability = before @ probability
    return states, probability


@pytest.mark.parametrize(("edge", "twisted"), [("fixed", True), ("learned", False)])
def test_evidence_of_bits_is_their_enumerated_probability(edge, twisted, x64):
    """All data and draws side by side, as an estimator has them."""
    diffusion = small(BernoulliKernel(0.3), Erasure(3, beta_1=0.1), (3,), edge=edge, scale=0.8)
    states, probability = enumerated(diffusion)
    assert_exact(probability.sum(), 1.0)
    twist = BernoulliTwist(jnp.array([0.2, 0.5, 0.9]), diffusion.kernel) if twisted else None
    proposal = SequentialMonteCarlo(6, stratified, 0.9, twist)

    def of_draw(x_0, key):
        return jnp.exp(proposal.log_weight(diffusion, x_0, key, steps_chunk=None))

    of_data = jax.jit(jax.vmap(jax.vmap(of_draw, (None, 0))))
    evidence = np.asarray(of_data(states, jax.random.split(KEY, (len(states), 2000))))
    for values, expected in zip(evidence, probability, strict=True):
        assert_within(values, expected)
    assert_within(evidence.sum(axis=0), 1.0)


def test_thresholds(x64):
    """0 never resamples, 1 does at every step, and between them it takes an effective sample size that has fallen."""
    diffusion = small(GaussianKernel(), Erasure(8), scale=1.5)
    x_0 = draw_data(diffusion, 1)[0]
    _, _, always = followed(diffusion, x_0, 10, threshold=1.0)
    assert always.resampled.all()
    _, _, sometimes = followed(diffusion, x_0, 10, threshold=0.6)
    np.testing.assert_array_equal(sometimes.resampled, sometimes.ess <= 6)
    assert 0 < sometimes.resampled.sum() < 8
    assert ((sometimes.ess >= 1) & (sometimes.ess <= 10)).all()


def test_a_datum_that_the_model_rules_out_has_evidence_zero():
    """Every bit is all but certain to be on: -inf in single precision, and no NaN on the way."""

    def certain(kernel, output, x_t, step):
        return jnp.full(x_t.shape, 1e38)

    diffusion = small(BernoulliKernel(0.5, certain), Erasure(4, beta_1=0.1), (40,), edge="learned")
    assert np.isneginf(log_evidences(SequentialMonteCarlo(4), diffusion, jnp.zeros(40, int), 3)).all()


# What resampling and the twist are good for.


def test_resampling_helps_a_reverse_chain_that_fits_badly():
    diffusion, x_0 = small(GaussianKernel(), Erasure(60, beta_1=0.01), scale=1.0), jnp.array([0.5, -0.3])
    plain = log_evidences(Trajectories(num_particles=16), diffusion, x_0, 300)
    resampled = log_evidences(SequentialMonteCarlo(16), diffusion, x_0, 300)
    assert resampled.var() < 0.6 * plain.var()
    assert resampled.mean() > plain.mean() + 0.5


def test_resampling_without_a_twist_spoils_a_reverse_chain_that_fits():
    """The data are far more concentrated than the noise."""
    diffusion, x_0 = matched(40, 0.04, (4,), beta_1=1e-3), 0.16 * jnp.array([1.0, -1.0, 1.0, -1.0])
    plain = log_evidences(Trajectories(num_particles=16), diffusion, x_0, 300)
    resampled = log_evidences(SequentialMonteCarlo(16), diffusion, x_0, 300)
    twist = GaussianTwist(jnp.zeros(4), jnp.full(4, 0.04))
    twisted = log_evidences(SequentialMonteCarlo(16, twist=twist), diffusion, x_0, 300)
    assert resampled.var() > 20 * plain.var()
    assert twisted.var() < 1.5 * plain.var()


# Twists.


def test_gaussian_twist_of_one_point_is_its_marginal(x64):
    diffusion = Diffusion(GaussianKernel(), Erasure(6, beta_1=0.01), AtRest(2), (2, 3))
    x_0, x_t = draw_data(diffusion, 1)[0], draw_data(diffusion, 5, seed=1)
    for step_t in (diffusion.steps[0], diffusion.steps[5]):
        expected = diffusion.marginal(x_0, step_t).log_prob(x_t) - diffusion.stationary().log_prob(x_t)
        assert_exact(GaussianTwist(x_0, jnp.zeros((2, 3)))(x_t, step_t), expected)


def test_bernoulli_twist_of_one_state_is_its_marginal(x64):
    diffusion = Diffusion(BernoulliKernel(0.3), Erasure(6, beta_1=0.01), AtRest(1), (2, 3))
    x_0, x_t = draw_data(diffusion, 1)[0], draw_data(diffusion, 5, seed=1)
    for step_t in (diffusion.steps[0], diffusion.steps[5]):
        expected = diffusion.marginal(x_0, step_t).log_prob(x_t) - diffusion.stationary().log_prob(x_t)
        assert_exact(BernoulliTwist(x_0.astype(float), diffusion.kernel)(x_t, step_t), expected)


@pytest.mark.parametrize(
    ("family", "twist"),
    [
        ("gaussian", lambda kernel: GaussianTwist(jnp.array(0.4), jnp.array(0.3))),
        ("bernoulli, pi 0.2", lambda kernel: BernoulliTwist(jnp.array(0.6), kernel)),
    ],
)
def test_a_twist_is_a_density_relative_to_the_stationary_law(family, twist, x64):
    kernel, space, weights, _ = FAMILIES[family]
    for step_t in (Erasure(5, beta_1=0.1).steps()[i] for i in range(5)):
        log_density = twist(kernel)(jnp.asarray(space), step_t) + kernel.stationary(()).log_prob(space)
        assert_exact(weights @ np.exp(log_density), 1.0)


# Bad inputs.


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("num_particles", {"num_particles": 1}),
        ("num_particles", {"num_particles": 2.0}),
        ("threshold", {"num_particles": 8, "threshold": -0.1}),
        ("threshold", {"num_particles": 8, "threshold": 1.1}),
        ("threshold", {"num_particles": 8, "threshold": float("nan")}),
    ],
)
def test_bad_arguments(argument, arguments, unchecked):
    with pytest.raises(InputError) as error:
        SequentialMonteCarlo(**arguments)
    assert error.value.argument == argument


@pytest.mark.parametrize(
    "twist", [GaussianTwist(0.0, 1.0), GaussianTwist(jnp.zeros(3), jnp.ones(3)), lambda x_t, step: 0.0]
)
def test_bad_twists(twist, unchecked):
    diffusion = DIFFUSIONS["gaussian"]()
    with pytest.raises(InputError, match="twist: expected one number per particle"):
        SequentialMonteCarlo(8, twist=twist).check(diffusion)


def test_good_twists():
    diffusion = DIFFUSIONS["gaussian"]()
    SequentialMonteCarlo(8).check(diffusion)
    SequentialMonteCarlo(8, twist=GaussianTwist(jnp.zeros(2), jnp.ones(2))).check(diffusion)
