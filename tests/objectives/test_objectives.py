"""The bound as an objective: one number by every road, and its gradient."""

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

from dpm_ppl._common.errors import InputError
from dpm_ppl.diffusion.bounds import bound
from dpm_ppl.diffusion.chains import ForwardChain, ReverseChain, first_of_path
from dpm_ppl.diffusion.diffusion import Diffusion
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.objectives import DiffusionELBO, track_step_losses
from dpm_ppl.schedules import Erasure, Learned, Linear, LogSNR
from tests.comparisons import KEY, assert_same_mean, draws, programs, value
from tests.instances import DIFFUSIONS, draw_data, instance, small
from tests.oracles import AtRest


def warmed(num_terms):
    """Running step losses that have seen enough to be used, and differ between steps."""
    return {"mean_square": jnp.linspace(4.0, 0.25, num_terms), "visits": jnp.full(num_terms, 100)}


# The same number by four roads.


@pytest.mark.parametrize(
    "name",
    [
        instance(name, quick=name != "bernoulli, clean rate, learned edge")
        for name in DIFFUSIONS
        if name != "gaussian"  # that one: a thousand steps
    ],
)
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
