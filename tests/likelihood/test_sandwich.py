"""Bounds from both sides, on data that the model makes."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.likelihood import (
    SequentialMonteCarlo,
    Trajectories,
    antithetic_noise,
    sandwich,
    stratified_noise,
)
from dpm_ppl.likelihood.sandwich import upper_bound
from dpm_ppl.schedules import Cosine, Erasure
from tests import reference
from tests.comparisons import assert_within
from tests.instances import DIFFUSIONS, FAMILIES, instance, small
from tests.likelihood.exact import probabilities_of_bits
from tests.oracles import AtRest, linear_diffusion

KEY = jax.random.key(0)


def gaussian_case():
    """A diffusion whose p(x_0) is N(0, 0.3925), and that density."""
    diffusion = linear_diffusion(Erasure(10), reference.optimal_reverse(reference.erasure(10), 0.25))
    return diffusion, lambda x_0: norm.logpdf(x_0, scale=np.sqrt(0.3925))


def test_simulated_data_are_the_models():
    x_0, _ = gaussian_case()[0].simulate(KEY, 20_000)
    assert_within(x_0, 0)
    assert_within(np.square(x_0), 0.3925)


def test_the_exact_path_has_reciprocal_weights_of_the_right_mean():
    """E 1/w = 1/p(x_0) for the paths behind x_0: over x_0 of the model too, E p(x_0)/w = 1."""
    diffusion, exact = gaussian_case()
    x_0, log_weight = diffusion.simulate(KEY, 20_000)
    assert_within(np.exp(exact(np.asarray(x_0, float)) - np.asarray(log_weight, float)), 1)


@pytest.mark.parametrize("edge", ["fixed", "learned"])
def test_reciprocal_weights_of_bits(edge):
    diffusion = small(BernoulliKernel(0.3), Cosine(4), (4,), edge=edge, network="sigmoid", scale=1.0)
    x_0, log_weight = diffusion.simulate(KEY, 20_000)
    exact = np.log(probabilities_of_bits(diffusion))[np.asarray(x_0) @ 2 ** np.arange(4)[::-1]]
    assert_within(np.exp(exact - np.asarray(log_weight, float)), 1)


@pytest.mark.parametrize("num_particles", [1, instance(4, quick=False), 64])
def test_it_holds_the_exact_value_between_its_bounds(num_particles):
    diffusion, exact = gaussian_case()
    result = sandwich(diffusion, KEY, 2000, num_particles, data_chunk=500)
    above, below = result.upper - exact(result.x_0), exact(result.x_0) - result.lower
    for side in (above, below):
        assert side.mean() > -4 * side.std() / np.sqrt(2000)
    assert result.gap.mean == pytest.approx(above.mean() + below.mean())
    if num_particles == 1:
        assert below.mean() > 4 * below.std() / np.sqrt(2000)
        assert above.mean() > 4 * above.std() / np.sqrt(2000)


def test_more_particles_close_it():
    diffusion, _ = gaussian_case()
    gaps = [sandwich(diffusion, KEY, 500, num, data_chunk=500).gap for num in (1, 16, 256)]
    for wide, narrow in pairwise(gaps):
        assert wide.mean - narrow.mean > 4 * np.hypot(wide.se, narrow.se)


@pytest.mark.parametrize(
    ("family", "edge"),
    [
        instance(family, edge, quick=(number % 2 == 0) == (edge == "fixed"), name=f"{name}-{edge}")
        for number, (name, family) in enumerate(FAMILIES.items())
        for edge in ("fixed", "learned")
    ],
)
def test_the_null_model_leaves_no_gap(family, edge):
    diffusion = Diffusion(family.kernel, Erasure(50), AtRest(family.kernel.num_outputs), (2,), edge)
    result = sandwich(diffusion, KEY, 5, 4)
    np.testing.assert_allclose(result.upper, result.lower, atol=1e-4)
    np.testing.assert_allclose(result.log_weight_exact, diffusion.null().log_prob(result.x_0), atol=1e-4)


def shared_noise(law, key):
    """All particles move by one noise."""
    return law.mean + jnp.sqrt(law.variance) * jax.random.normal(key, law.mean.shape[1:])


DEPENDENT = {
    "smc": SequentialMonteCarlo(8, threshold=1.0),
    "shared noise": Trajectories(shared_noise, 8),
    "antithetic": Trajectories(antithetic_noise, 8),
    "stratified": Trajectories(stratified_noise, 8),
}


@pytest.mark.parametrize("name", [instance(name, quick=name in ("smc", "shared noise")) for name in DEPENDENT])
def test_particles_that_depend_on_one_another_do_not_spoil_the_upper_bound(name):
    diffusion, exact = gaussian_case()
    result = sandwich(diffusion, KEY, 2000, 8, proposal=DEPENDENT[name], data_chunk=500)
    above = result.upper - exact(result.x_0)
    assert above.mean() > 4 * above.std() / np.sqrt(2000)
    np.testing.assert_array_equal(result.upper, result.log_weight_exact)


def test_one_particle_has_nobody_to_depend_on():
    diffusion, _ = gaussian_case()
    alone = sandwich(diffusion, KEY, 50, 8, proposal=Trajectories(shared_noise, 1))
    assert (alone.upper != alone.log_weight_exact).all()


ONE_OR_NONE = np.array([0.1, 0.9])  # the probabilities of a weight of 0 and of 1: its mean is p(x_0), and w_0 is 1


@pytest.mark.parametrize(
    ("chance", "num", "is_bound"),
    [
        (np.outer(ONE_OR_NONE, ONE_OR_NONE), 2, True),
        (np.diag(ONE_OR_NONE), 2, False),
        (np.diag(ONE_OR_NONE), 0, True),
    ],
    ids=["independent", "equal", "equal, the exact path alone"],
)
def test_the_upper_bound_of_two_weights_by_arithmetic(chance, num, is_bound):
    with np.errstate(divide="ignore"):
        upper = upper_bound(np.zeros(4), np.log([0, 0.5, 0.5, 1]), num)
    assert ((chance.ravel() * upper).sum() > np.log(0.9)) == is_bound


def test_what_it_says():
    text = str(sandwich(DIFFUSIONS["gaussian"](), KEY, 10, 8))
    assert "10 simulated data, 8 particles" in text
    assert "certifies simulated data only" in text


def test_bad_input(unchecked):
    with pytest.raises(InputError, match=r"^num_data: expected"):
        sandwich(small(GaussianKernel(), Erasure(3)), KEY, 0)
    with pytest.raises(InputError, match=r"^draw: expected none"):
        sandwich(small(GaussianKernel(), Erasure(3)), KEY, 5, 4, draw=lambda x_0, key: x_0)
    with pytest.raises(InputError, match=r"^num_particles: expected"):
        sandwich(small(GaussianKernel(), Erasure(3)), KEY, 5, 0)
