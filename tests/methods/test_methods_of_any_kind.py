"""Methods of other kinds than diffusions and programs: an exact density, and one that is written here."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro.infer import Trace_ELBO

import dpm_ppl as dpm
from dpm_ppl.analysis.comparison import compare_bounds
from dpm_ppl.experiments import AbstractOptions, Experiment, Recipe, Task
from dpm_ppl.methods import AbstractMethod, LogDensity
from dpm_ppl.models import EXPERIMENTS
from tests.command_line import call_well

KEY = jax.random.key(0)
VALUES = np.random.default_rng(0).normal(size=(300, 2))
DATA = dpm.Dataset.from_continuous(VALUES, per_coordinate=True)
NORMAL = dist.Normal().expand([2]).to_event(1)
TRUTH = LogDensity(NORMAL.log_prob, event_shape=(2,), draw=lambda key, num: NORMAL.sample(key, (num,)))


class Located(AbstractMethod):
    """A standard normal law around a place that is to be found."""

    place: Any
    event_shape: tuple[int, ...] = (2,)

    @property
    def model(self):
        def model(x_0=None, num_points=None):
            place = numpyro.param("place", self.place)
            with numpyro.plate("data", num_points or len(x_0)):
                return numpyro.sample("x_0", dist.Normal(place).to_event(1), obs=x_0)

        return model

    @property
    def guide(self):
        return lambda x_0: None

    def with_params(self, params):
        return Located(params["place"])

    def log_weight(self, x_0, key):
        return dist.Normal(self.place).to_event(1).log_prob(x_0)

    def sample(self, key, num_samples):
        return self.place + jax.random.normal(key, (num_samples, 2))

    def simulate(self, key, num_data):
        x_0 = self.sample(key, num_data)
        return x_0, self.log_weight(x_0, key)


@dataclass(frozen=True, kw_only=True)
class OfMine(AbstractOptions):
    """An experiment of one's own."""

    name: ClassVar[str] = "mine"

    def experiment(self, seed=0):
        optimiser = partial(lambda num_updates, rate: optax.adam(rate), rate=0.1)
        recipe = Recipe(
            method=Located(jnp.full(2, 2.0)),
            objective=Trace_ELBO(),
            optimiser=optimiser,
            num_updates=200,
            batch_size=50,
            averaging=0.9,
        )
        task = Task(train=DATA, heldout=DATA.part(slice(100)), exact=lambda x_0: np.asarray(NORMAL.log_prob(x_0)))
        return Experiment(options=self, seed=seed, task=task, recipe=recipe)


@pytest.mark.parametrize("method", [TRUTH, Located(jnp.zeros(2))], ids=["density", "located"])
def test_every_road_gives_the_density(method):
    x_0 = DATA.values[:20]
    expected = np.asarray(NORMAL.log_prob(x_0))
    measured = dpm.measure(method, DATA.part(slice(20)), KEY, num_particles=4, num_points=20)
    np.testing.assert_allclose(measured.scores.K_values, expected, rtol=1e-5)
    np.testing.assert_allclose(measured.weights.log_likelihood, expected, rtol=1e-5)
    drawn, log_weight = method.simulate(KEY, 5)
    np.testing.assert_allclose(log_weight, NORMAL.log_prob(drawn), rtol=1e-5)
    with numpyro.handlers.seed(rng_seed=0):
        trace = numpyro.handlers.trace(method.model).get_trace(x_0)
    site = trace["x_0"]
    np.testing.assert_allclose(site["fn"].log_prob(site["value"]), expected, rtol=1e-5)


def test_an_exact_density_is_reliable_and_certified():
    assert set(dpm.log_likelihood(TRUTH, DATA.values[:10], KEY, 4).verdict) == {"reliable"}
    assert dpm.sandwich(TRUTH, KEY, 10, 4).gap.mean == pytest.approx(0, abs=1e-5)
    compared = compare_bounds(
        {
            "truth": dpm.measure(TRUTH, DATA, KEY),
            "elsewhere": dpm.measure(Located(jnp.ones(2)), DATA, KEY),
        }
    )
    assert [entry.name for entry in compared.entries] == ["truth", "elsewhere"]


def test_what_a_density_lacks_is_said(unchecked):
    with pytest.raises(dpm.InputError, match="draw: expected a function that draws data"):
        LogDensity(NORMAL.log_prob, event_shape=(2,)).sample(KEY, 3)
    with pytest.raises(dpm.InputError, match="log_density: expected a function"):
        LogDensity(3, event_shape=(2,))
    with pytest.raises(dpm.InputError, match="proposal: expected guide for a LogDensity"):
        dpm.log_likelihood(TRUTH, DATA.values[:3], KEY, 4, proposal=dpm.Trajectories())


def test_a_method_of_ones_own_goes_through_every_command(tmp_path, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "mine", OfMine)
    run = tmp_path / "run"
    fitted = call_well("fit", "mine", "--out", run, "--json").json
    assert abs(fitted["gap"]["mean"]) < 0.05
    shown = call_well("bounds", run, "--num-particles", 8, "--sandwich", "--json").json
    assert shown["importance_weighted"][-1]["mean"] == pytest.approx(fitted["K"]["mean"], rel=1e-5)
    assert shown["sandwich"]["gap"]["mean"] == pytest.approx(0, abs=1e-4)
    call_well("sample", run, "--num-samples", 5)
    call_well("report", run, "--num-particles", 8)
    assert (run / "report.html").stat().st_size > 0
    call_well("compare", run, run, "--num-particles", 8, "--out", tmp_path / "page")
    assert (tmp_path / "page" / "compare.html").stat().st_size > 0
