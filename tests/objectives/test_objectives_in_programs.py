"""The bound inside any program: plates, scales, masks, several chains, paths that are read or fixed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, first_of_path, forward_chain, reverse_chain
from dpm_ppl.kernels import GaussianKernel
from dpm_ppl.objectives.diffusion_elbo import DiffusionELBO
from dpm_ppl.schedules import Erasure
from tests import reference
from tests.comparisons import KEY, draws, programs, value
from tests.instances import DIFFUSIONS, draw_data, small
from tests.oracles import SigmaPointKernel, linear_diffusion

# Inside any program: data all at one value under a linear chain, where K is known and the averages are exact.

VALUE = 0.7
NUM_STEPS = 6


@pytest.fixture(scope="module")
def exact_case():
    with jax.enable_x64(True):
        betas = reference.erasure(NUM_STEPS)
        reverse = reference.optimal_reverse(betas, 0.25)
        diffusion = linear_diffusion(Erasure(NUM_STEPS), reverse, SigmaPointKernel)
        return diffusion, float(reference.trajectory_bound(betas, reverse, VALUE**2))


def in_nested_plates(diffusion, x_0, site):
    with numpyro.plate("outer", x_0.shape[0], dim=-2), numpyro.plate("inner", x_0.shape[1], dim=-1):
        return site(diffusion, x_0)


def model_site(diffusion, x_0):
    path = numpyro.sample("path", ReverseChain(diffusion))
    numpyro.sample("x_0", diffusion.edge_law(first_of_path(diffusion, path)), obs=x_0)


def guide_site(diffusion, x_0):
    numpyro.sample("path", ForwardChain(diffusion, x_0))


def twice(program, diffusion, x_0):
    for name in ("a", "b"):
        handlers.scope(partial(program, diffusion), prefix=name)(x_0)


def masked_inside(diffusion, x_0, site):
    with numpyro.plate("data", len(x_0)), handlers.mask(mask=jnp.arange(len(x_0)) < 4):
        site(diffusion, x_0)


def data(*shape):
    return jnp.full(shape, VALUE)


FIRST_FOUR = jnp.arange(6) < 4
PROGRAMS = {  # what becomes of the chains, their data, and how many times K that is
    "as they are": (lambda d, chain, site: partial(chain, d), 6, 6),
    "subsampled": (lambda d, chain, site: partial(chain, d, subsample_size=2), 6, 6),
    "a part of more data": (lambda d, chain, site: partial(chain, d, num_points=20, subsample_size=4), 20, 20),
    "steps in chunks": (lambda d, chain, site: partial(chain, d, steps_chunk=2), 6, 6),
    "scaled": (lambda d, chain, site: handlers.scale(partial(chain, d), scale=0.5), 6, 3),
    "masked": (lambda d, chain, site: handlers.mask(partial(chain, d), mask=FIRST_FOUR), 6, 4),
    "masked inside the plate": (lambda d, chain, site: partial(masked_inside, d, site=site), 6, 4),
    "masked and scaled": (
        lambda d, chain, site: handlers.scale(handlers.mask(partial(chain, d), mask=FIRST_FOUR), scale=2.0),
        6,
        8,
    ),
    "masked altogether": (lambda d, chain, site: handlers.mask(partial(chain, d), mask=False), 6, 0),
    "two chains": (lambda d, chain, site: partial(twice, chain, d), 6, 12),
    "nested plates": (lambda d, chain, site: partial(in_nested_plates, d, site=site), (2, 3), 6),
    "no plate": (lambda d, chain, site: partial(site, d), 6, 6),
}
OBJECTIVES = {
    "all steps": DiffusionELBO(),
    "in chunks": DiffusionELBO(steps_chunk=2),
    "three particles": DiffusionELBO(num_particles=3),
    "three particles in turn": DiffusionELBO(num_particles=3, vectorize_particles=False),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name, exact_case, x64):
    diffusion, K = exact_case
    make, shape, times = PROGRAMS[name]
    model, guide = (make(diffusion, *parts) for parts in ((reverse_chain, model_site), (forward_chain, guide_site)))
    x_0 = data(*np.atleast_1d(shape))
    assert value(DiffusionELBO(), model, guide, x_0) == pytest.approx(times * K, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_options_of_the_objective(objective, exact_case, x64):
    diffusion, K = exact_case
    assert value(objective, *programs(diffusion), data(6)) == pytest.approx(6 * K, rel=1e-9)


@pytest.mark.parametrize("name", ["subsampled", "masked", "nested plates"])
def test_sampled_steps_in_programs(name, exact_case, x64):
    """The factors of plates, masks and sampled steps multiply."""
    diffusion, K = exact_case
    make, shape, times = PROGRAMS[name]
    model, guide = (make(diffusion, *parts) for parts in ((reverse_chain, model_site), (forward_chain, guide_site)))
    values = draws(DiffusionELBO(2), model, guide, data(*np.atleast_1d(shape)))
    assert abs(values.mean() - times * K) < 4 * values.std() / np.sqrt(len(values))


# The path.


def reads_on(diffusion, read, x_0):
    """A program whose likelihood looks at x_2 of the path."""
    with numpyro.plate("data", len(x_0)):
        path = numpyro.sample("path", ReverseChain(diffusion))
        numpyro.factor("extra", read(path[:, 1]))
        numpyro.sample("x_0", diffusion.edge_law(path[:, 0]), obs=x_0)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("law", ["itself", "transition", "reverse"])
def test_reading_what_was_never_drawn_is_seen(name, law):
    diffusion = DIFFUSIONS[name]()
    x_0 = draw_data(diffusion, 4)

    def read(x_2):
        if law == "itself":
            return x_2.sum(axis=-1)
        return getattr(diffusion, law)(x_2, diffusion.steps[2]).log_prob(x_0)

    model, guide = partial(reads_on, diffusion, read), partial(forward_chain, diffusion)
    assert not np.isfinite(value(DiffusionELBO(), model, guide, x_0))


@pytest.mark.parametrize("handler", [handlers.substitute, handlers.condition], ids=["substitute", "condition"])
def test_a_path_fixed_by_the_user_is_costed_by_its_densities(handler):
    diffusion = DIFFUSIONS["gaussian"]()
    model, guide = programs(diffusion)
    x_0 = draw_data(diffusion, 4)
    path = ForwardChain(diffusion, x_0).sample(KEY)
    if handler is handlers.condition:
        model, guide = handler(model, {"path": path}), lambda x_0: None
    else:
        guide = handler(guide, {"path": path})
    log_p = ReverseChain(diffusion).log_prob(path) + diffusion.edge_law(path[:, 0]).log_prob(x_0)
    log_q = ForwardChain(diffusion, x_0).log_prob(path) * (handler is handlers.substitute)
    expected = float((log_p - log_q).sum())
    assert value(DiffusionELBO(2), model, guide, x_0) == pytest.approx(expected, rel=1e-5)


# Programs that do not fit.


def without_chain(x_0):
    with numpyro.plate("data", len(x_0)):
        numpyro.sample("x_0", dist.Normal(jnp.zeros(2), 1.0).to_event(1), obs=x_0)


def with_another_law(x_0):
    with numpyro.plate("data", len(x_0)):
        numpyro.sample("path", dist.Normal(jnp.zeros((8, 2)), 1.0).to_event(2))


@pytest.mark.parametrize(
    ("model", "objective", "message"),
    [
        (without_chain, DiffusionELBO(), "path: expected a ReverseChain in the model.* got no such site"),
        (with_another_law, DiffusionELBO(), "path: expected a ReverseChain of event shape .* or train with Trace_ELBO"),
        (
            lambda x_0: reverse_chain(small(GaussianKernel(), Erasure(5)), x_0),
            DiffusionELBO(),
            r"path: expected a ReverseChain of event shape \(8, 2\) .* got .* event shape \(5, 2\)",
        ),
        (
            lambda x_0: reverse_chain(DIFFUSIONS["gaussian"](), x_0),
            DiffusionELBO(2, step_sampling="importance"),
            "guide: expected a guide that carries running step losses.* track_step_losses",
        ),
    ],
    ids=["no chain", "another law", "another length", "untracked"],
)
def test_programs_that_do_not_fit(model, objective, message):
    diffusion = DIFFUSIONS["gaussian"]()
    with pytest.raises(InputError, match=message) as caught:
        objective.loss(KEY, {}, model, partial(forward_chain, diffusion), draw_data(diffusion, 3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "guide", "message"),
    [
        (
            forward_chain,
            reverse_chain,
            "a ForwardChain in the guide, got a ReverseChain: .* exchanged; pass reverse_chain",
        ),
        (forward_chain, forward_chain, "a ReverseChain in the model, got a ForwardChain: .* exchanged"),
        (reverse_chain, reverse_chain, "a ForwardChain in the guide, got a ReverseChain"),
    ],
    ids=["exchanged", "two forward", "two reverse"],
)
def test_exchanged_chains_are_refused(model, guide, message):
    diffusion = DIFFUSIONS["gaussian"]()
    data = draw_data(diffusion, 3)
    with pytest.raises(InputError, match=f"path: expected {message}"):
        DiffusionELBO().loss(KEY, {}, partial(model, diffusion), partial(guide, diffusion), data)
