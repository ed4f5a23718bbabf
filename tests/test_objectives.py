"""The bound as an objective: one number by every road, inside any program."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro import handlers
from numpyro.infer import SVI, RenyiELBO, Trace_ELBO

from dpm_ppl._errors import InputError
from dpm_ppl.bounds import bound
from dpm_ppl.chains import ForwardChain, ReverseChain, first_of_path, forward_chain, reverse_chain
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.objectives import DiffusionELBO, track_step_losses
from dpm_ppl.schedules import Erasure, Learned, Linear, LogSNR
from tests import reference
from tests.instances import DIFFUSIONS, draw_data, small
from tests.oracles import AtRest, SigmaPointKernel, linear_diffusion

KEY = jax.random.key(1)


def programs(diffusion):
    return partial(reverse_chain, diffusion), partial(forward_chain, diffusion)


def draws(objective, model, guide, *args, num=200, params=None, **kwargs):
    """Independent estimates of the bound, summed over the data."""

    def one(key):
        return -objective.loss(key, params or {}, model, guide, *args, **kwargs)

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, num)), np.float64)


def value(objective, model, guide, *args):
    """One estimate."""
    return float(jax.jit(lambda key: -objective.loss(key, {}, model, guide, *args))(KEY))


def assert_same_mean(values, others, num_se=4.0):
    se = np.hypot(*(x.std(axis=0, ddof=1) / np.sqrt(len(x)) for x in (values, others)))
    assert (np.abs(values.mean(axis=0) - others.mean(axis=0)) < num_se * se).all()


def warmed(num_terms):
    """Running step losses that have seen enough to be used, and differ between steps."""
    return {"mean_square": jnp.linspace(4.0, 0.25, num_terms), "visits": jnp.full(num_terms, 100)}


# The same number by four roads.


@pytest.mark.parametrize("name", [name for name in DIFFUSIONS if name != "gaussian"])  # that one: a thousand steps
def test_the_same_bound_by_every_objective(name):
    diffusion = DIFFUSIONS[name]()
    model, guide = programs(diffusion)
    x_0 = draw_data(diffusion, 4)
    of_each = bound(diffusion, jnp.tile(x_0, (500, *[1] * diffusion.event_dim)), KEY).K.reshape(500, 4)
    by_terms = np.asarray(of_each.sum(axis=1), np.float64)
    losses = {"path$step_losses": warmed(diffusion.num_steps - 1)}
    for objective, around, params in [
        (Trace_ELBO(), lambda guide: guide, {}),
        (DiffusionELBO(), lambda guide: guide, {}),
        (DiffusionELBO(2), lambda guide: guide, {}),
        (DiffusionELBO(2, step_sampling="importance"), track_step_losses, losses),
    ]:
        assert_same_mean(draws(objective, model, around(guide), x_0, params=params, num=500), by_terms)


@pytest.mark.parametrize(
    ("kernel", "network"),
    [(GaussianKernel(), "time"), (BernoulliKernel(0.2), "sigmoid")],
    ids=["gaussian", "bernoulli"],
)
def test_the_same_bound_over_a_thousand_steps(kernel, network):
    diffusion = small(kernel, Erasure(1000), scale=0.1, network=network)
    model, guide = programs(diffusion)
    x_0 = draw_data(diffusion, 4)
    all_steps = draws(DiffusionELBO(steps_chunk=250), model, guide, x_0, num=40)
    assert_same_mean(draws(Trace_ELBO(), model, guide, x_0, num=40), all_steps)
    assert_same_mean(draws(DiffusionELBO(20), model, guide, x_0, num=400), all_steps)


def test_spread_of_the_estimates():
    """More sampled steps are less noisy, and the draw of x_1 does not bring the noise of log p(x_0 | x_1) with it."""
    diffusion = Diffusion(GaussianKernel(), Erasure(8, beta_1=0.01), AtRest(2), (2,))
    x_0 = draw_data(diffusion, 4)
    few, more, every = (draws(DiffusionELBO(num), *programs(diffusion), x_0).std() for num in (1, 4, None))
    assert every < more < few
    x_1 = diffusion.marginal(x_0, diffusion.steps[0]).sample(KEY, (200,))
    assert every < diffusion.edge_law(x_1).log_prob(x_0).sum(axis=1).std()


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


# Weighted by importance.


def test_renyi_is_per_datum():
    """The log of the mean weight of every datum by itself, by hand, from the very same draws."""
    diffusion = DIFFUSIONS["gaussian"]()
    model, guide = programs(diffusion)
    x_0 = draw_data(diffusion, 5)
    num_particles = 7

    def log_weights(key):
        path = handlers.trace(handlers.seed(guide, jax.random.split(key)[1])).get_trace(x_0)["path"]["value"]
        log_p = ReverseChain(diffusion).log_prob(path) + diffusion.edge_law(path[:, 0]).log_prob(x_0)
        return log_p - ForwardChain(diffusion, x_0).log_prob(path)

    weights = jax.vmap(log_weights)(jax.random.split(jax.random.split(KEY)[1], num_particles))
    by_hand = jax.nn.logsumexp(weights, axis=0) - np.log(num_particles)
    assert value(RenyiELBO(num_particles=num_particles), model, guide, x_0) == pytest.approx(
        float(by_hand.sum()), rel=1e-5
    )
    jointly = jax.nn.logsumexp(weights.sum(axis=1)) - np.log(num_particles)
    assert abs(jointly - by_hand.sum()) > 0.01


# Training.


@pytest.mark.parametrize("num_sampled_steps", [None, 1])
def test_the_data_of_a_chain_may_be_latent(num_sampled_steps):
    """A chain that has learned nothing is the prior N(0, 1): under a Normal likelihood the posterior is conjugate."""
    diffusion = Diffusion(GaussianKernel(), LogSNR(4, first=8.0, last=-8.0), AtRest(2), ())
    y, s2 = jnp.array([1.5, -0.4, 0.0]), 0.5

    def model():
        with numpyro.plate("data", len(y)):
            path = numpyro.sample("path", ReverseChain(diffusion))
            x_0 = numpyro.sample("x_0", diffusion.edge_law(first_of_path(diffusion, path)))
            numpyro.sample("y", dist.Normal(x_0, jnp.sqrt(s2)), obs=y)

    def guide():
        loc = numpyro.param("loc", jnp.zeros(len(y)))
        scale = numpyro.param("scale", jnp.ones(len(y)), constraint=dist.constraints.positive)
        with numpyro.plate("data", len(y)):
            x_0 = numpyro.sample("x_0", dist.Normal(loc, scale))
            numpyro.sample("path", ForwardChain(diffusion, x_0))

    objective = DiffusionELBO(num_sampled_steps, num_particles=20)
    optimiser = optax.adam(optax.exponential_decay(0.05, 100, 0.3))
    result = SVI(model, guide, optimiser, objective).run(KEY, 500, progress_bar=False)
    np.testing.assert_allclose(result.params["loc"], y / (1 + s2), atol=0.03)
    np.testing.assert_allclose(result.params["scale"], np.sqrt(s2 / (1 + s2)), rtol=0.05)
    log_evidence = dist.Normal(0, jnp.sqrt(1 + s2)).log_prob(y).sum()
    assert float(result.losses[-100:].mean()) == pytest.approx(-float(log_evidence), abs=0.1)


def trained(diffusion, x_0, objective, num_updates=5):
    svi = SVI(*programs(diffusion), optax.adamw(0.05, weight_decay=1.0), objective)
    return diffusion.with_params(svi.run(KEY, num_updates, x_0, progress_bar=False).params)


@pytest.mark.parametrize("schedule", [Erasure(5), Learned(Linear(5, beta_1=0.01))], ids=["fixed", "learned"])
def test_what_the_optimiser_moves(schedule):
    """A fixed schedule stays under weight decay; of a learned one all but the first rate moves."""
    diffusion = small(GaussianKernel(), schedule)
    after = trained(diffusion, draw_data(diffusion, 10), DiffusionELBO(2))
    moved = np.asarray(after.schedule.betas != diffusion.schedule.betas)
    assert moved.tolist() == [False] + [isinstance(schedule, Learned)] * 4
    params = [eqx.filter(d.network, eqx.is_inexact_array) for d in (diffusion, after)]
    assert jax.tree.all(jax.tree.map(lambda *leaves: (leaves[0] != leaves[1]).all(), *params))


def test_gradients_agree_with_those_of_the_trajectory():
    """Over network and rates together: frozen-noise gradients of both forms of the bound have one mean."""
    diffusion = small(GaussianKernel(), Learned(Linear(4, beta_1=0.05, beta_T=0.6)), ())
    x_0 = draw_data(diffusion, 4)
    params = eqx.filter(diffusion, eqx.is_inexact_array)

    def gradients(objective, num):
        def gradient(key):
            loss = lambda params: objective.loss(key, {"diffusion$params": params}, *programs(diffusion), x_0)  # noqa: E731
            return jax.flatten_util.ravel_pytree(jax.grad(loss)(params))[0]

        return np.asarray(jax.jit(jax.vmap(gradient))(jax.random.split(KEY, num)), np.float64)

    all_steps = gradients(DiffusionELBO(), 2000)
    for other in (gradients(Trace_ELBO(), 2000), gradients(DiffusionELBO(1), 2000)):
        assert_same_mean(all_steps, other, num_se=5.0)


def test_importance_sampling_learns_where_the_loss_is():
    diffusion = small(GaussianKernel(), Erasure(6))
    model, guide = programs(diffusion)
    x_0 = draw_data(diffusion, 10)
    svi = SVI(model, track_step_losses(guide), optax.sgd(0.0), DiffusionELBO(3, step_sampling="importance"))
    result = svi.run(KEY, 40, x_0, progress_bar=False)
    losses = result.state.mutable_state["path$step_losses"]
    assert losses["visits"].sum() == 40 * 10 * 3
    exact = jnp.square(bound(diffusion, x_0, KEY, num_draws=50).step_divergences).mean(axis=0)
    assert (jnp.argsort(losses["mean_square"])[-1] == jnp.argsort(exact)[-1]).all()
    assert losses["visits"].argmax() == exact.argmax()
    before = jax.tree.map(jnp.copy, result.state.mutable_state)
    svi.evaluate(result.state, x_0)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, before, result.state.mutable_state))


# Bad input.


def without_chain(x_0):
    with numpyro.plate("data", len(x_0)):
        numpyro.sample("x_0", dist.Normal(jnp.zeros(2), 1.0).to_event(1), obs=x_0)


def with_another_law(x_0):
    with numpyro.plate("data", len(x_0)):
        numpyro.sample("path", dist.Normal(jnp.zeros((8, 2)), 1.0).to_event(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiffusionELBO(0), "num_sampled_steps: expected a positive integer or None, got 0"),
        (lambda: DiffusionELBO(2.5), "num_sampled_steps"),
        (lambda: DiffusionELBO(steps_chunk=-1), "steps_chunk"),
        (lambda: DiffusionELBO(2, step_sampling="uniform"), "step_sampling: expected 'stratified' or 'importance'"),
        (lambda: DiffusionELBO(step_sampling="importance"), "step_sampling: .*num_sampled_steps"),
        (lambda: DiffusionELBO(2, num_particles=2, step_sampling="importance"), "one particle"),
    ],
)
def test_bad_options(make, message, unchecked):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


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
