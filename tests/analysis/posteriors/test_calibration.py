import functools
import math

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal
from numpyro.infer.calibration import vsbc_diagnostic
from scipy.stats import binom

import dpm_ppl as dpm
from dpm_ppl.analysis.posteriors.calibration import Calibration, calibrate, plot_calibration, prior_simulator
from tests.analysis.plots.backends import BACKENDS, close_figures, panel  # noqa: F401

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
NUM_DATA, NUM_DRAWS = 4, 99
BY_CHANCE = 1e-3
"""p-values of what is right are allowed down to this."""


def model(y=None):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    numpyro.sample("y", dist.Normal(mu, 1.0).expand([NUM_DATA, 2]).to_event(2), obs=y)


SIMULATE = prior_simulator(model, ["y"])


def approximate(data, key, *, scale=1.0, shift=0.0):
    """The conjugate posterior N(sum y / (n + 1), 1 / (n + 1)), spoilt by as much as is asked for."""
    sd = 1 / math.sqrt(NUM_DATA + 1)
    mean = data["y"].sum(axis=0) / (NUM_DATA + 1) + shift * sd
    return {"mu": mean + scale * sd * jax.random.normal(key, (NUM_DRAWS, 2))}


halved = functools.partial(approximate, scale=0.5)
doubled = functools.partial(approximate, scale=2.0)
shifted = functools.partial(approximate, shift=0.5)


def prior(data, key):
    return {"mu": jax.random.normal(key, (NUM_DRAWS, 2))}


def log_likelihood(parameters, data):
    return {"log likelihood": dist.Normal(parameters["mu"], 1.0).log_prob(data["y"]).sum()}


def test_exact_posterior_is_uniform():
    result = calibrate(SIMULATE, approximate, KEY, num_simulations=300, quantities=log_likelihood)
    assert result.p_value > BY_CHANCE
    assert result.num_tests == 3
    assert result.verdict(level=BY_CHANCE).startswith("not rejected: p = ")
    for way in (result.shift(), result.width()):
        for estimate in way.values():
            assert np.all(np.abs(estimate.mean) < 4 * estimate.se)


@pytest.mark.parametrize(
    ("spoilt", "way"),
    [
        pytest.param(halved, "too narrow", id="half"),
        pytest.param(doubled, "too wide", id="twice", marks=pytest.mark.slow),
        pytest.param(shifted, "too high", id="shift", marks=pytest.mark.slow),
    ],
)
def test_spoilt_posterior_is_rejected_and_told_how(spoilt, way):
    result = calibrate(SIMULATE, spoilt, KEY, num_simulations=200)
    assert result.p_value < 1e-4
    assert result.verdict().startswith("rejected: p = ")
    assert f"mu {way}" in str(result)


@pytest.mark.slow
def test_level_holds_over_repetitions():
    p_values = [calibrate(SIMULATE, approximate, jax.random.key(i), num_simulations=60).p_value for i in range(60)]
    assert (np.array(p_values) <= 0.05).sum() <= binom.ppf(1 - 3e-5, 60, 0.05)


def test_prior_for_a_posterior_passes_until_data_are_looked_at():
    blind = calibrate(SIMULATE, prior, KEY, num_simulations=200)
    seeing = calibrate(SIMULATE, prior, KEY, num_simulations=200, quantities=log_likelihood)
    assert blind.p_value > BY_CHANCE
    assert seeing.p_values["log likelihood"] < 1e-6
    assert seeing.verdict(level=BY_CHANCE).partition("; ")[2] == "log likelihood too low"


def test_ranks_are_counts_of_draws_below_the_truth():
    result = calibrate(SIMULATE, approximate, KEY, num_simulations=3)
    for i, key in enumerate(jax.random.split(KEY, 3)):
        for_simulation, for_draws = jax.random.split(key)
        truth, data = SIMULATE(for_simulation)
        below = (approximate(data, for_draws)["mu"] < truth["mu"]).sum(axis=0)
        np.testing.assert_array_equal(np.floor(result.probabilities["mu"][i] * (NUM_DRAWS + 1)), below)


def test_chunks_and_the_loop_agree():
    wanted = calibrate(SIMULATE, approximate, KEY, num_simulations=3).probabilities["mu"]
    for options in ({"simulations_chunk": 2}, {"compiled": False}):
        got = calibrate(SIMULATE, approximate, KEY, num_simulations=3, **options).probabilities["mu"]
        np.testing.assert_array_equal(got, wanted)


def test_one_program_serves_all_chunks_and_calls():
    traced = []

    def counting(data, key):
        traced.append(1)
        return approximate(data, key)

    for seed in range(3):
        calibrate(SIMULATE, counting, jax.random.key(seed), num_simulations=25, simulations_chunk=10)
    assert len(traced) == 1


def test_discrete_parameters_are_uniform_too():
    """Ties are split by chance: without that, a bit's ranks are 0 or the number of zeros."""

    def simulate(key):
        key_bit, key_y = jax.random.split(key)
        bit = jax.random.bernoulli(key_bit, 0.3)
        return {"bit": bit}, bit + jax.random.normal(key_y)

    def exact(y, key):
        log_odds = jnp.log(0.3 / 0.7) + y - 0.5
        return {"bit": jax.random.bernoulli(key, jax.nn.sigmoid(log_odds), (NUM_DRAWS,))}

    def wrong(y, key):
        return {"bit": jax.random.bernoulli(key, 0.7, (NUM_DRAWS,))}

    assert calibrate(simulate, exact, KEY, num_simulations=300).p_value > BY_CHANCE
    assert calibrate(simulate, wrong, KEY, num_simulations=300).p_value < 1e-4


@pytest.mark.slow
def test_guides_fitted_anew_for_every_simulation():
    """Mean field is exact here, for the posterior has independent coordinates."""

    def by_svi(data, key):
        svi = SVI(model, guide, numpyro.optim.Adam(0.05), Trace_ELBO())
        key_init, key_draw = jax.random.split(key)
        state = svi.init(key_init, data["y"])
        state, _ = jax.lax.scan(lambda state, _: svi.update(state, data["y"]), state, length=300)
        return guide.sample_posterior(key_draw, svi.get_params(state), sample_shape=(NUM_DRAWS,))

    guide = AutoNormal(model, init_scale=0.5)
    SVI(model, guide, numpyro.optim.Adam(0.05), Trace_ELBO()).init(KEY, jnp.zeros((NUM_DATA, 2)))
    result = calibrate(SIMULATE, by_svi, KEY, num_simulations=50)
    assert result.p_value > BY_CHANCE


def test_ranks_of_numpyro_where_its_own_test_sees_nothing():
    # A guide of a fixed, far too small width is symmetric, which is all that NumPyro's test asks for.
    def narrow(y=None):
        loc = numpyro.param("loc", jnp.zeros(2))
        numpyro.sample("mu", dist.Normal(loc, 0.5 / math.sqrt(NUM_DATA + 1)).to_event(1))

    found = vsbc_diagnostic(
        jax.random.PRNGKey(0), model, narrow, numpyro.optim.Adam(0.1), Trace_ELBO(), observed_sites=["y"],
        num_simulations=100, num_svi_steps=60, num_samples=NUM_DRAWS,
    )  # fmt: skip
    assert min(found.ks_pvalues["mu"]) > BY_CHANCE
    result = Calibration.of_ranks(found.ranks, NUM_DRAWS)
    assert result.p_value < 1e-4
    assert "mu too narrow" in result.verdict()


def test_tree_is_what_plot_ecdf_pit_takes():
    result = Calibration.of_ranks({"mu": RNG.integers(0, NUM_DRAWS + 1, size=(40, 2))}, NUM_DRAWS)
    tree = result.tree()
    assert tree["prior_sbc"]["mu"].shape == (1, 40, 2)
    assert tree.attrs["num_draws"] == NUM_DRAWS
    assert az.plot_ecdf_pit(tree, coverage=True, backend="none").viz["ecdf_lines"]["mu"].sizes == {"mu_dim_0": 2}


@pytest.mark.usefixtures("close_figures")
@pytest.mark.parametrize("backend", BACKENDS)
def test_plot_is_the_ecdf_less_that_of_the_uniform_law(backend):
    ranks = RNG.integers(0, 100, size=40)
    result = Calibration.of_ranks({"mu": ranks, "log likelihood": ranks[::-1] // 2}, 99)
    shown = plot_calibration(result, backend=backend)
    assert set(shown.viz["ecdf_lines"].data_vars) == {"mu", "log likelihood"}
    for name, values in result.probabilities.items():
        line = panel(shown, name).lines[0]
        np.testing.assert_allclose(line[:, 1], (values <= line[:, :1]).mean(axis=1) - line[:, 0], atol=1e-9)


def test_progress_counts_simulations(capsys):
    calibrate(SIMULATE, approximate, KEY, num_simulations=4, progress=True)
    assert capsys.readouterr().out == ""


FAILS = {
    "draws, all": ("approximate", lambda key: (0.0, jnp.full(50, jnp.nan))),
    "draws, one infinite, in some simulations": (
        "approximate",
        lambda key: (0.0, jnp.zeros(50).at[7].set(jnp.where(jax.random.bernoulli(key, 0.3), jnp.inf, 0.0))),
    ),
    "the truth": ("simulate", lambda key: (jnp.nan, jnp.zeros(50))),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("case", FAILS)
def test_what_is_not_finite_has_no_rank(case, compiled):
    argument, fail = FAILS[case]
    with pytest.raises(dpm.InputError, match=f"{argument}: expected finite .* of w that are not, in .* simulations"):
        calibrate(
            lambda key: ({"w": fail(key)[0]}, None),
            lambda data, key: {"w": fail(key)[1]},
            KEY,
            num_simulations=20,
            compiled=compiled,
        )


def test_a_quantity_may_be_infinite_and_must_be_a_number():
    def quantities(at):
        return lambda parameters, data: {"q": jnp.where(parameters["w"] < 0, at, parameters["w"])}

    def calibrated(at):
        return calibrate(
            lambda key: ({"w": jax.random.normal(key)}, None),
            lambda data, key: {"w": jax.random.normal(key, (20,))},
            KEY,
            num_simulations=200,
            quantities=quantities(at),
        )

    assert calibrated(-jnp.inf).p_value > BY_CHANCE
    with pytest.raises(dpm.InputError, match="of q that are not"):
        calibrated(jnp.nan)


def test_bad_approximations_are_refused(unchecked):
    for bad in (
        lambda data, key: {"mu": jnp.zeros((9, 3))},
        lambda data, key: {"nu": jnp.zeros((9, 2))},
        lambda data, key: {"mu": jnp.zeros(2)},
    ):
        with pytest.raises(dpm.InputError, match="approximate: expected as many draws"):
            calibrate(SIMULATE, bad, KEY, num_simulations=3)
    with pytest.raises(dpm.InputError, match="num_simulations"):
        calibrate(SIMULATE, approximate, KEY, num_simulations=1)
    with pytest.raises(dpm.InputError, match="data_sites"):
        calibrate(prior_simulator(model, ["x"]), approximate, KEY)
    for ranks in ([1, 2, 100], [-1, 3], [0.5, 1.0], [3]):
        with pytest.raises(dpm.InputError, match="ranks"):
            Calibration.of_ranks({"mu": ranks}, 99)
