"""Masks and scales of a chain, the same or not in model and guide: `DiffusionELBO` gives what `Trace_ELBO` gives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro import handlers
from numpyro.infer import Trace_ELBO

from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, first_of_path
from dpm_ppl.diffusion.terms import fixed_edge
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.schedules import Erasure
from tests import reference
from tests.comparisons import KEY, assert_same_mean, draws, value
from tests.instances import DIFFUSIONS, draw_data
from tests.oracles import SigmaPointKernel, linear_diffusion

NUM_STEPS, VALUE = 6, 0.7
LAST = np.array([False, False, True, True])  # pairs of data, whose averages are exact


class Side:
    """What is done to the path's site in one program, and the factor by which its log-densities then count."""

    def __init__(self, factor=1.0, *, mask=None, law_mask=None, scale=None):
        self.factor, self.mask, self.law_mask, self.scale = factor, mask, law_mask, scale

    def site(self, law):
        sample = lambda: numpyro.sample("path", law if self.law_mask is None else law.mask(self.law_mask))  # noqa: E731
        if self.mask is not None:
            sample = handlers.mask(sample, mask=self.mask() if callable(self.mask) else self.mask)
        if self.scale is not None:
            sample = handlers.scale(sample, scale=self.scale)
        with numpyro.plate("data", len(LAST)):
            return sample()


def last_computed():
    """`LAST` as a program computes it: another array in the model than in the guide."""
    return jnp.arange(len(LAST)) >= 2


PLAIN = Side()
SIDES = {
    "neither": (PLAIN, PLAIN),
    "both, false": (Side(0.0, mask=False), Side(0.0, mask=False)),
    "both, true": (Side(mask=True), PLAIN),
    "both, one array": (Side(LAST, mask=LAST), Side(LAST, mask=LAST)),
    "both, by handler and by law": (Side(LAST, mask=LAST), Side(LAST, law_mask=LAST)),
    "both, computed": (Side(LAST, mask=last_computed), Side(LAST, mask=last_computed)),
    "model, false": (Side(0.0, mask=False), PLAIN),
    "model, false by law": (Side(0.0, law_mask=False), PLAIN),
    "model, array": (Side(LAST, mask=LAST), PLAIN),
    "model, array by law": (Side(LAST, law_mask=LAST), PLAIN),
    "model, array of one": (Side(0.0, law_mask=np.array([False])), PLAIN),
    "guide, false": (PLAIN, Side(0.0, mask=False)),
    "guide, array": (PLAIN, Side(LAST, law_mask=LAST)),
    "one half each": (Side(LAST, mask=LAST), Side(~LAST, law_mask=~LAST)),
    "model, scaled": (Side(0.5, scale=0.5), PLAIN),
    "guide, scaled": (PLAIN, Side(0.25, scale=0.25)),
    "both, scaled alike": (Side(0.5, scale=0.5), Side(0.5, scale=0.5)),
    "both, scaled otherwise": (Side(3.0, scale=3), Side(0.5, scale=jnp.array(0.5))),
    "masked and scaled": (Side(2 * LAST, mask=LAST, law_mask=LAST, scale=2.0), Side(0.5, scale=0.5)),
}


def programs(diffusion, sides):
    def model(x_0):
        path = sides[0].site(ReverseChain(diffusion))
        with numpyro.plate("data", len(x_0)):
            numpyro.sample("x_0", diffusion.edge_law(first_of_path(diffusion, path)), obs=x_0)

    def guide(x_0):
        sides[1].site(ForwardChain(diffusion, x_0))

    return model, guide


@pytest.fixture(scope="module")
def exact_case():
    """A linear chain, and for a datum at `VALUE` its K, the edge's share of it, and the entropy of its forward path."""
    with jax.enable_x64(True):
        betas = reference.erasure(NUM_STEPS)
        reverse = reference.optimal_reverse(betas, 0.25)
        diffusion = linear_diffusion(Erasure(NUM_STEPS), reverse, SigmaPointKernel)
        edge = float(fixed_edge(diffusion, jnp.asarray(VALUE)))
        entropy = 0.5 * np.log(2 * np.pi * np.e * betas).sum()
        return diffusion, float(reference.trajectory_bound(betas, reverse, VALUE**2)), edge, entropy


@pytest.mark.parametrize("name", SIDES)
def test_each_density_counts_as_often_as_its_own_site(name, exact_case, x64):
    """E log p(path) and E log q(path | x_0), each with the factor of its own program."""
    diffusion, K, edge, entropy = exact_case
    in_model, in_guide = (np.broadcast_to(side.factor, LAST.shape) for side in SIDES[name])
    expected = (edge + in_model * (K - edge - entropy) + in_guide * entropy).sum()
    got = value(DiffusionELBO(), *programs(diffusion, SIDES[name]), jnp.full(LAST.shape, VALUE))
    assert got == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
def test_it_gives_what_trace_elbo_gives(family):
    diffusion = DIFFUSIONS[family]()
    x_0 = draw_data(diffusion, len(LAST))
    model, guide = programs(diffusion, SIDES["masked and scaled"])
    expected = draws(Trace_ELBO(), model, guide, x_0, num=2000)
    assert_same_mean(draws(DiffusionELBO(2, steps_chunk=3), model, guide, x_0, num=1000), expected)


def test_what_is_masked_in_both_may_be_missing(exact_case, x64):
    diffusion, K, *_ = exact_case
    sides = SIDES["both, computed"]
    missing = jnp.where(LAST, VALUE, jnp.nan)

    def model(x_0):
        path = sides[0].site(ReverseChain(diffusion))
        with numpyro.plate("data", len(x_0)), handlers.mask(mask=LAST):
            numpyro.sample("x_0", diffusion.edge_law(first_of_path(diffusion, path)), obs=x_0)

    _, guide = programs(diffusion, sides)
    assert value(DiffusionELBO(), model, guide, missing) == pytest.approx(2 * K, rel=1e-9)

    def loss(slope):
        learned = eqx.tree_at(lambda d: d.network.slope, diffusion, slope)
        model, guide = programs(learned, sides)
        return DiffusionELBO(2).loss(KEY, {}, handlers.block(model, hide=["x_0"]), guide, missing)

    assert jnp.isfinite(jax.jit(jax.grad(loss))(diffusion.network.slope)).all()
