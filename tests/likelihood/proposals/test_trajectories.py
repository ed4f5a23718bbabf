"""Weights of forward trajectories: unbiased for p(x_0), whatever the kernel and however the particles move."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, first_of_path
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.diffusion.paths import log_increment, log_weight_of_paths
from dpm_ppl.diffusion.terms import log_null
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, noise_prediction
from dpm_ppl.likelihood import Trajectories, antithetic_noise, independent, stratified_noise
from dpm_ppl.schedules import Cosine, Erasure, LogSNR
from tests import reference
from tests.comparisons import assert_exact, assert_within
from tests.instances import DIFFUSIONS, FAMILIES, draw_data, instance, small
from tests.likelihood.exact import bits, density_of_scalars, probabilities_of_bits
from tests.oracles import AtRest, linear_diffusion

KEY = jax.random.key(0)
over_diffusions = pytest.mark.parametrize("make", DIFFUSIONS.values(), ids=DIFFUSIONS)
PROPOSALS = {
    "independent": Trajectories(),
    "independent, together": Trajectories(independent, 3),
    "antithetic": Trajectories(antithetic_noise, 2),
    "stratified": Trajectories(stratified_noise, 8),
}
over_proposals = pytest.mark.parametrize("proposal", PROPOSALS.values(), ids=PROPOSALS)


@eqx.filter_jit
def weights_of(diffusion, x_0, proposal, keys, steps_chunk):
    return jax.vmap(lambda key: proposal.log_weight(diffusion, x_0, key, steps_chunk=steps_chunk))(keys)


def log_weights(diffusion, x_0, proposal, num, key=KEY, steps_chunk=None):
    """`num` draws for one datum."""
    return np.asarray(weights_of(diffusion, x_0, proposal, jax.random.split(key, num), steps_chunk), np.float64)


def assert_below(log_weights, log_likelihood, *, strictly):
    """The mean log-weight is a lower bound; of single particles by more than its noise."""
    margin = 4 * log_weights.std() / np.sqrt(len(log_weights))
    assert log_weights.mean() < log_likelihood + (-margin if strictly else margin)


@over_diffusions
def test_the_sum_of_increments_is_the_log_weight_of_the_two_chains(make, x64):
    diffusion = make()
    x_0 = draw_data(diffusion, 3)

    @eqx.filter_jit
    def two_roads(diffusion, x_0):
        forward, reverse = ForwardChain(diffusion, x_0), ReverseChain(diffusion)
        path = forward.sample(KEY)
        edge = diffusion.edge_law(first_of_path(diffusion, path)).log_prob(x_0)
        after = jnp.moveaxis(path, 1, 0)
        before = jnp.concatenate([x_0[None].astype(after.dtype), after[:-1]])
        terms = jax.vmap(lambda *step: log_increment(diffusion, *step))(before, after, diffusion.steps)
        return terms.sum(axis=0) + log_null(diffusion, x_0), edge + reverse.log_prob(path) - forward.log_prob(path)

    assert_exact(*two_roads(diffusion, x_0))


@pytest.mark.parametrize(
    ("make", "steps_chunk"),
    [
        instance(make, steps_chunk, quick=steps_chunk == 3 or name == "bernoulli", name=f"{steps_chunk}-{name}")
        for name, make in DIFFUSIONS.items()
        for steps_chunk in (1, 3)
    ],
)
def test_chunks_of_steps_do_not_change_the_weights(make, steps_chunk, x64):
    diffusion = make()
    x_0 = draw_data(diffusion, 4)
    of_paths = eqx.filter_jit(log_weight_of_paths)
    whole, chunked = (of_paths(diffusion, x_0, KEY, independent, chunk) for chunk in (None, steps_chunk))
    assert whole.shape == (4,)
    assert_exact(chunked, whole)


@pytest.mark.parametrize(
    ("family", "proposal", "edge"),
    [
        instance(
            *(family, proposal, edge),
            quick=how == "independent" if edge == "fixed" else name == "gaussian",
            name=f"{name}-{how}-{edge}",
        )
        for edge in ("fixed", "learned")
        for name, family in FAMILIES.items()
        for how, proposal in PROPOSALS.items()
        if proposal.move is independent or family.kernel.reparametrised
    ],
)
def test_the_null_model_has_no_variance(family, edge, proposal):
    """In float32 too, and at a thousand steps: nothing that cancels is ever formed."""
    diffusion = Diffusion(family.kernel, Erasure(1000), AtRest(family.kernel.num_outputs), (2,), edge)
    x_0 = draw_data(diffusion, 1)[0]
    got = log_weights(diffusion, x_0, proposal, 5, steps_chunk=100)
    np.testing.assert_allclose(got, diffusion.null().log_prob(x_0), rtol=1e-4)


@over_proposals
@pytest.mark.parametrize("x_0", [0.0, -1.2])
def test_gaussian_data(x_0, proposal):
    """p(x_0) of the optimal linear chain is N(0, 0.3925)."""
    diffusion = linear_diffusion(Erasure(10), reference.optimal_reverse(reference.erasure(10), 0.25))
    got = log_weights(diffusion, jnp.asarray(x_0), proposal, 5000)
    assert_within(np.exp(got), norm.pdf(x_0, scale=np.sqrt(0.3925)))
    assert_below(got, norm.logpdf(x_0, scale=np.sqrt(0.3925)), strictly=proposal.num_particles == 1)


@pytest.mark.parametrize(
    ("edge", "proposal"),
    [
        instance(edge, proposal, quick=edge == "fixed" or how == "independent", name=f"{edge}-{how}")
        for edge in ("fixed", "learned")
        for how, proposal in PROPOSALS.items()
    ],
)
def test_a_random_network_by_quadrature(edge, proposal):
    diffusion = small(GaussianKernel(noise_prediction), LogSNR(3, 2.0, -3.0), (), edge=edge, scale=1.0)
    x_0 = jnp.array([-0.7, 0.9])
    for datum, expected in zip(x_0, density_of_scalars(diffusion, x_0), strict=True):
        got = log_weights(diffusion, datum, proposal, 5000)
        assert_within(np.exp(got), expected)
        assert_below(got, np.log(expected), strictly=proposal.num_particles == 1)


@pytest.mark.parametrize("edge", ["fixed", "learned"])
def test_all_vectors_of_bits_by_enumeration(edge):
    diffusion = small(BernoulliKernel(0.3), Cosine(4), (8,), edge=edge, network="sigmoid", scale=1.0)
    exact = probabilities_of_bits(diffusion)
    assert exact.sum() == pytest.approx(1, abs=1e-5)
    data = jnp.asarray(bits(8))
    num = 1000
    repeated = jnp.repeat(data, num, axis=0)
    weights = np.exp(
        np.asarray(eqx.filter_jit(log_weight_of_paths)(diffusion, repeated, KEY, independent, None), float)
    )
    weights = weights.reshape(256, num)
    mean, se = weights.mean(axis=1), weights.std(axis=1, ddof=1) / np.sqrt(num)
    assert (np.abs(mean - exact) < 4.5 * se).all()
    assert np.abs((mean - exact) / se).mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.15)
    assert abs(mean.sum() - 1) < 4 * np.sqrt(np.square(se).sum())


@pytest.mark.parametrize("move", [antithetic_noise, stratified_noise])
def test_particles_that_move_together_are_each_a_forward_trajectory(move):
    """Moments of x_t under the moves are those of the law, and their noise cancels or shares out."""
    law = GaussianKernel().transition(jnp.full((8, 3), 0.5), Erasure(4).steps()[1])
    draws = np.asarray(jax.vmap(lambda key: move(law, key))(jax.random.split(KEY, 20_000)), np.float64)
    noise = (draws - np.asarray(law.mean)) / np.sqrt(np.asarray(law.variance))
    assert_within(noise[:, 0, 0], 0)
    assert_within(np.square(noise[:, 5, 1]), 1)
    assert_within(noise[:, 2, 0] ** 4, 3)
    assert_within(noise[:, 0, 0] * noise[:, 0, 1], 0)
    assert noise.mean(axis=1).std() < 0.5 / np.sqrt(8)


def test_stratified_noise_falls_once_in_every_stratum():
    law = GaussianKernel().transition(jnp.zeros((8, 50)), Erasure(4).steps()[1])
    noise = np.asarray(stratified_noise(law, KEY)) / np.sqrt(np.asarray(law.variance))
    assert (np.sort(np.floor(8 * norm.cdf(noise)), axis=0) == np.arange(8)[:, None]).all()


def test_bad_proposals(unchecked):
    for wrong in (0, -1, 2.5):
        with pytest.raises(InputError, match="num_particles: expected a positive integer"):
            Trajectories(independent, wrong)
    with pytest.raises(InputError, match="even"):
        Trajectories(antithetic_noise, 3)
    with pytest.raises(InputError, match="proposal: expected independent particles, as draws of BernoulliKernel"):
        Trajectories(antithetic_noise, 2).check(DIFFUSIONS["bernoulli"]())
