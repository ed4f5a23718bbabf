"""Guides fitted in two stages: on Gaussian targets the evidence is reached; what fails is said and given up."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.autoguide import AutoDelta, AutoLaplaceApproximation, AutoMultivariateNormal, AutoNormal
from numpyro.infer.svi import SVIState

from dpm_ppl import InputError, estimate
from dpm_ppl.guides import AutoDiffusion, FitSettings, fit_guide, fitting, stage
from dpm_ppl.training import FitResult, TrainingState
from tests.guides.targets import (
    CHAINS,
    KEY,
    KNOWN,
    OBSERVED,
    counts,
    regression,
    regression_evidence,
    regression_posterior,
)
from tests.instances import instance

QUICK = FitSettings(num_updates=40, num_base_updates=300, base_learning_rate=0.05, num_draws=2048, progress=False)


EXACT = dict(zip(("auto_base_loc", "auto_base_scale_tril"), regression_posterior(), strict=True))
EXACT["auto_base_scale_tril"] = np.linalg.cholesky(EXACT["auto_base_scale_tril"]).astype(np.float32)


def small_guide(model, base, chains="bridge", **options):
    return AutoDiffusion(model, base, 2, chains=CHAINS[chains], **options)


@pytest.mark.parametrize(
    ("base", "chains", "base_params"),
    [
        instance(AutoMultivariateNormal, "bridge", EXACT, quick=True, name="held at the posterior, bridge"),
        instance(AutoMultivariateNormal, "exchanged", EXACT, quick=True, name="held at the posterior, exchanged"),
        instance(AutoMultivariateNormal, "bridge", None, quick=False, name="fitted"),
        instance(AutoLaplaceApproximation, "bridge", None, quick=False, name="Laplace"),
    ],
)
def test_a_gaussian_posterior_is_reached(base, chains, base_params):
    settings = FitSettings(num_updates=40, num_base_updates=2000, base_learning_rate=0.02, progress=False)
    guide = small_guide(regression, base, chains, base_params=base_params)
    fitted = fit_guide(guide, KEY, OBSERVED, settings=settings)
    known = regression_evidence()
    assert not fitted.fell_back
    assert known - 1e-3 < fitted.elbo.mean < known + 3 * fitted.elbo.se + 1e-5
    mean, covariance = regression_posterior()
    draws = np.asarray(fitted.sample(jax.random.key(1), 20_000)["z"], np.float64)
    average = estimate(draws)
    assert np.all(np.abs(average.mean - mean) < 4 * average.se)
    deviations = draws - mean
    products = estimate(deviations[:, :, None] * deviations[:, None, :])
    assert np.all(np.abs(products.mean - covariance) < 4 * products.se)
    assert str(fitted).startswith("ELBO -")
    assert set(fitted.metrics) == ({"base", "guide"} if base_params is None else {"guide"})


@pytest.mark.slow
@pytest.mark.parametrize(("chains", "num_steps"), [("bridge", 8), ("exchanged", 32)])
def test_what_a_mean_field_base_leaves_is_made_up_for(chains, num_steps):
    """The correlation of a Gaussian posterior."""
    settings = FitSettings(num_updates=4000, num_base_updates=500, base_learning_rate=0.05, progress=False)
    guide = AutoDiffusion(regression, AutoNormal, num_steps, chains=CHAINS[chains])
    fitted = fit_guide(guide, KEY, OBSERVED, settings=settings)
    known = regression_evidence()
    assert fitted.base_elbo.mean < known - 0.1
    assert known - 0.02 < fitted.elbo.mean < known + 3 * fitted.elbo.se
    assert fitted.gain.mean > 5 * fitted.gain.se


def test_a_trained_guide_improves_on_its_base_and_stays_below_the_evidence():
    settings = FitSettings(num_updates=400, num_base_updates=300, base_learning_rate=0.05, progress=False)
    fitted = fit_guide(small_guide(counts, AutoNormal), KEY, settings=settings)
    known = KNOWN["positive"].log_evidence
    assert fitted.gain.mean > 3 * fitted.gain.se
    assert fitted.elbo.mean < known + 3 * fitted.elbo.se
    assert set(fitted.metrics) == {"base", "guide"}
    assert fitted.notices == ()


@pytest.mark.parametrize(
    "build",
    [
        instance(AutoNormal, quick=True, name="AutoNormal"),
        instance(lambda model: small_guide(model, AutoNormal, train_base=True), quick=False, name="joint"),
    ],
)
def test_other_guides_are_fitted_in_one_stage_that_ends_where_its_bound_no_longer_rises(build):
    settings = FitSettings(num_updates=60, num_evaluations=6, patience=2, min_gain=1e6, num_draws=512, progress=False)
    fitted = fit_guide(build(regression), KEY, OBSERVED, settings=settings)
    assert set(fitted.metrics) == {"guide"}
    assert fitted.base_elbo is fitted.gain is None
    assert [row["update"] for row in fitted.metrics["guide"]] == [0, 10, 20]
    assert any(notice.startswith("the guide stopped at update 20 of 60") for notice in fitted.notices)


@pytest.mark.parametrize(
    "train_base", [instance(None, quick=True, name="by default"), instance(False, quick=False, name="held")]
)
def test_a_fitted_base_is_trained_on_unless_it_is_held(train_base):
    settings = replace(QUICK, num_updates=5, num_base_updates=5, num_draws=512)
    fitted = fit_guide(small_guide(regression, AutoNormal, train_base=train_base), KEY, OBSERVED, settings=settings)
    rounding = {"rtol": 1e-5, "atol": 0}  # of constraints and back
    kept = [np.allclose(fitted.params[name], value, **rounding) for name, value in fitted.guide.base_params.items()]
    assert len(kept) == 2
    assert kept == [train_base is False] * 2
    assert fitted.gain is not None


def test_a_guide_made_worse_gives_way_to_its_base(monkeypatch):
    guide = small_guide(regression, AutoMultivariateNormal, base_params=EXACT)

    def spoilt(self, key, held_out):
        """Training that has led astray."""
        params = jax.tree.map(lambda leaf: leaf + 0.5, self.first_params(key))
        num_skipped = jnp.zeros((), int)
        state = SVIState(None, None, key)
        state = TrainingState(state, params, jnp.asarray(self.num_updates), num_skipped, num_skipped, key)
        return FitResult(state, params, [], False)

    monkeypatch.setattr(fitting.Stage, "trained", spoilt)
    with pytest.warns(UserWarning, match=r"bound worse by .*base guide itself"):
        fitted = fit_guide(guide, KEY, OBSERVED, settings=QUICK)
    assert fitted.fell_back
    assert fitted.elbo == fitted.base_elbo
    assert (fitted.gain.mean, fitted.gain.se) == (0, 0)
    assert "base guide itself" in str(fitted)


def test_a_rate_at_which_updates_do_not_stay_finite_is_lowered():
    def walled():
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        numpyro.factor("wall", jnp.where(jnp.abs(z) > 8, jnp.nan, 0.0))

    settings = FitSettings(num_updates=100, learning_rate=12.0, num_draws=512, progress=False)
    fitted = fit_guide(AutoNormal(walled), KEY, settings=settings)
    assert fitted.notices == ("updates of the guide did not stay finite at a rate of 12",)
    assert -1 < fitted.elbo.mean < 3 * fitted.elbo.se


def test_the_number_of_updates_follows_from_the_seconds():
    settings = FitSettings(seconds=1.0, num_evaluations=2, num_draws=512, progress=False)
    fitted = fit_guide(AutoNormal(regression), KEY, OBSERVED, settings=settings)
    *_, last = fitted.metrics["guide"]
    assert last["update"] not in (settings.num_updates, settings.num_base_updates)
    assert 0.1 < last["seconds"] < 60  # with the time that compiling takes
    assert fitted.notices == ()


def test_a_training_that_fails_is_told_and_gives_way_to_the_base(monkeypatch):
    monkeypatch.setattr(stage, "NUM_RATES", 1)

    def unbounded():
        z = numpyro.sample("z", dist.Normal(0, 1))
        numpyro.factor("hole", jnp.where(jnp.abs(z) > 0.5, jnp.nan, 0.0))

    wide = {"z_auto_base_loc": jnp.zeros(()), "z_auto_base_scale": jnp.asarray(1.0)}
    settings = replace(QUICK, num_updates=100)  # 51 in a row are too many
    with pytest.warns(UserWarning, match=r"training failed .*base guide itself"):
        fitted = fit_guide(small_guide(unbounded, AutoNormal, base_params=wide), KEY, settings=settings)
    assert fitted.fell_back


@pytest.mark.slow
def test_dropped_updates_are_counted_and_told():
    def holed():
        z = numpyro.sample("z", dist.Normal(0, 1))
        numpyro.factor("hole", jnp.where(jnp.abs(z) > 2.5, jnp.nan, 0.0))

    params = {"z_auto_base_loc": jnp.zeros(()), "z_auto_base_scale": jnp.asarray(0.8)}
    with pytest.warns(UserWarning, match="no finite weight"):
        fitted = fit_guide(small_guide(holed, AutoNormal, base_params=params), KEY, settings=QUICK)
    assert fitted.num_skipped > 0
    assert any("were not finite and dropped" in notice for notice in fitted.notices)


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_where_it_was(tmp_path):
    settings = {"num_base_updates": 20, "num_draws": 512, "progress": False, "checkpoint_dir": tmp_path}
    guide = small_guide(regression, AutoNormal)
    half = fit_guide(guide, KEY, OBSERVED, settings=FitSettings(num_updates=20, **settings))
    again = fit_guide(guide, KEY, OBSERVED, settings=FitSettings(num_updates=20, resume=True, **settings))
    assert half.elbo == again.elbo
    assert {folder.name for folder in tmp_path.iterdir()} == {"base", "guide"}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: fit_guide(regression, KEY), "guide: .*NumPyro guide"),
        (lambda: fit_guide(AutoDelta(regression), KEY), "guide: .*AutoDelta"),
        (lambda: fit_guide(AutoNormal(regression), 0), "key: .*seed 0"),
        (lambda: FitSettings(num_updates=0), "num_updates: "),
        (lambda: FitSettings(learning_rate=-1.0), "learning_rate: "),
        (lambda: FitSettings(seconds=0.0), "seconds: "),
        (lambda: FitSettings(seconds=1.0, resume=True), "resume: .*seconds"),
    ],
)
def test_refusals_name_the_argument(act, message):
    with pytest.raises(InputError, match=message):
        act()
