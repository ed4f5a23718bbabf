import functools
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr
from numpyro.infer import MCMC, NUTS

import dpm_ppl as dpm
from dpm_ppl.analysis.tree import files
from dpm_ppl.analysis.tree.tree import (
    bound_group,
    held_out_elpd,
    load,
    pointwise_group,
    save,
    to_datatree,
    weights_group,
)
from dpm_ppl.likelihood.diagnostics import VERDICTS
from dpm_ppl.likelihood.ladder import Ladder
from tests.instances import DIFFUSIONS, draw_data

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
DRAWS = {"mu": RNG.normal(size=(2, 500)), "w": RNG.normal(size=(2, 500, 3)).astype(np.float32)}


@functools.cache
def measured():
    """A diffusion, its data, and what the package says of them."""
    diffusion = DIFFUSIONS["gaussian"]()
    x_0 = draw_data(diffusion, 5)
    weights = dpm.log_likelihood(diffusion, x_0, KEY, 48, keep_log_weights=True)
    return SimpleNamespace(
        diffusion=diffusion, x_0=x_0, bound=dpm.bound(diffusion, x_0, KEY, num_draws=2), weights=weights
    )


def whole_tree(**options):
    run = measured()
    return to_datatree(
        bound=bound_group(run.bound, diffusion=run.diffusion),
        weights=weights_group(run.weights),
        log_likelihood=pointwise_group(run.weights.log_likelihood),
        posterior=DRAWS,
        prior=DRAWS,
        constant_data={"scale": 2.0, "shift": np.zeros(2)},
        observed_data={"x_0": run.x_0, "bits": np.arange(5) > 2},
        **options,
    )


def awkward_tree():
    """What formats lose if nobody minds: dtypes, NaN, text, units that look like times, attributes of every kind."""
    values = {
        "half": ("row", np.array([np.nan, -np.inf, -0.0], np.float32)),
        "small": ("row", np.array([1, 2, 3], np.int8)),
        "unsigned": ("row", np.array([1, 2, 3], np.uint16)),
        "bits": ("row", np.array([True, False, True])),
        "text": ("row", np.array(["a", "é", "three"])),
        "scalar": ((), np.float32(1.5)),
        "empty": (("row", "none"), np.empty((3, 0))),
        "time": ("row", np.array([1, 2, 3]), {"units": "seconds"}),
        "date": ("row", np.array([1.5, 2.0, np.nan]), {"units": "days since 2000-01-01"}),
    }
    coords = {"row": [10, 20, 40], "name": ("row", ["x", "yy", "zzz"])}
    attrs = {"whole": 2**40, "real": 0.1, "text": "ü", "blank": "", "list": [1, 2], "reals": [0.5, 1.5], "none": "None"}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), "/a": xr.Dataset(values, coords, attrs), "/a/b": None})


def assert_same(got, expected):
    """Names, dims, dtypes, every bit of every value, and the types of attributes too."""
    assert got.identical(expected)
    assert {node.path for node in got.subtree} == {node.path for node in expected.subtree}
    for other in expected.subtree:
        one = got[other.path]
        assert list_attrs(one) == list_attrs(other)
        assert set(one.coords) == set(other.coords)
        assert set(one.indexes) == set(other.indexes)
        for name, variable in other.variables.items():
            assert one.variables[name].dtype == variable.dtype, name
            assert one.variables[name].values.tobytes() == variable.values.tobytes(), name
            assert list_attrs(one.variables[name]) == list_attrs(variable)


def list_attrs(holder):
    return sorted((name, type(value), value) for name, value in holder.attrs.items())


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
@pytest.mark.parametrize("make", [whole_tree, awkward_tree])
def test_a_file_gives_back_the_same(make, suffix, tmp_path):
    tree = make()
    save(tree, tmp_path / f"first{suffix}")
    read = load(tmp_path / f"first{suffix}")
    assert_same(read, tree)
    for again in (".zarr", ".nc"):
        save(read, tmp_path / f"again{again}")
        assert_same(load(tmp_path / f"again{again}"), tree)


KEPT_AS = {
    "bit": (True, 1),
    "bits": ([True, False], [1, 0]),
    "nothing": (None, "None"),
    "number": (np.float32(0.5), 0.5),
    "whole number": (np.int64(2**40), 2**40),
    "array": (np.arange(3), [0, 1, 2]),
    "pair": ((1, 2), [1, 2]),
    "mixed": ([1, 0.5], [1.0, 0.5]),
    "one": (["a"], "a"),
    "none": ([], []),
}


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
def test_attributes_are_kept_or_converted_the_same_in_both_formats(suffix, tmp_path):
    attrs = {name: value for name, (value, _) in KEPT_AS.items()}
    tree = xr.DataTree(xr.Dataset({"x": ("row", [1], attrs)}, attrs=attrs))
    save(tree, tmp_path / f"tree{suffix}")
    again = load(tmp_path / f"tree{suffix}")
    expected = sorted((name, type(value), value) for name, (_, value) in KEPT_AS.items())
    assert list_attrs(again) == list_attrs(again["x"]) == expected
    assert again.attrs == load_again(again, tmp_path / f"again{suffix}").attrs
    assert tree.attrs["bit"] is True


def load_again(tree, path):
    save(xr.DataTree(xr.Dataset({"y": ("row", [1.0])})), path)
    save(tree, path, replace=True)
    return load(path)


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
def test_a_tree_that_arviz_made_is_written_and_read(suffix, tmp_path):
    def model(y):
        numpyro.sample("y", dist.Normal(numpyro.sample("mu", dist.Normal(0, 1)), 1.0), obs=y)

    import arviz as az

    mcmc = MCMC(NUTS(model), num_warmup=5, num_samples=5, progress_bar=False)
    mcmc.run(jax.random.key(0), np.zeros(3))
    tree = az.from_numpyro(mcmc)
    save(tree, tmp_path / f"tree{suffix}")
    again = load(tmp_path / f"tree{suffix}")
    xr.testing.assert_equal(again, tree)
    assert again["observed_data"].attrs["sample_dims"] == []


def test_the_same_input_gives_the_same_tree():
    assert_same(whole_tree(), whole_tree())
    assert "created_at" not in whole_tree().attrs
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
    stamped = whole_tree(created_at=moment, attrs={"seed": 3})
    assert datetime.fromisoformat(stamped.attrs["created_at"]) == moment
    assert stamped.attrs["seed"] == 3


def test_the_tree_says_its_units_and_versions():
    dataset = dpm.Dataset.from_levels(RNG.integers(0, 17, size=(20, 2, 3)), 17)
    attrs = to_datatree(units=dataset.units).attrs
    assert (attrs["unit"], attrs["data"], attrs["kind"]) == ("nats", "standardised", "levels")
    assert attrs["jax_version"] == jax.__version__
    converted = -(1.5 + attrs["log_det"]) / attrs["num_coordinates"] / np.log(2)
    np.testing.assert_allclose(converted, dataset.units.bits_per_dim(1.5), rtol=1e-12)


@pytest.mark.parametrize("name", DIFFUSIONS)
def test_the_terms_add_up_to_the_bound(name):
    diffusion = DIFFUSIONS[name]()
    bound = dpm.bound(diffusion, draw_data(diffusion, 3), KEY)
    group = bound_group(bound, diffusion=diffusion)
    assert dict(group.sizes) == {"datum": 3, "step": diffusion.num_steps - 1}
    assert group.step_divergences.dims == ("datum", "step")
    assert all(group[term].dims == ("datum",) for term in set(group.data_vars) - {"step_divergences"})
    np.testing.assert_array_equal(group.step, np.arange(2, diffusion.num_steps + 1))
    np.testing.assert_array_equal(group.sel(step=2).beta, diffusion.steps[1].beta)
    recomputed = group.edge - group.step_divergences.sum("step") - group.end_point
    np.testing.assert_allclose(recomputed, group.K, rtol=1e-5, atol=1e-5)
    assert group.attrs.items() >= {"unit": "nats", "num_draws": 1, "edge": diffusion.edge}.items()


def test_weights_have_their_ladder_and_draws():
    result = measured().weights
    group = weights_group(result)
    assert dict(group.sizes) == {"datum": 5, "num_particles": 7, "draw": 48}
    np.testing.assert_array_equal(group.num_particles, [1, 2, 4, 8, 16, 32, 48])
    assert group.ladder.dims == group.ladder_rise.dims == ("datum", "num_particles")
    assert group.ladder_rise[:, 0].isnull().all()
    np.testing.assert_array_equal(group.ladder_rise[:, 1:], result.ladder.rises)
    joined = np.logaddexp.reduce(group.log_weights.values, axis=1) - np.log(48)
    np.testing.assert_allclose(joined, group.log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(group.log_weights.mean("draw"), group.ladder[:, 0], rtol=1e-6)
    assert set(group.verdict.values) <= set(VERDICTS)
    assert group.attrs == {"unit": "nats", "particles_per_draw": 1, "interrupted": 0}


def test_data_without_draws_are_missing_from_the_ladder():
    result = measured().weights
    drawn = np.array([True, False, True])
    ladder = Ladder(np.array([1]), *np.ones((2, 2, 1)), *np.empty((2, 2, 0)))
    part = {name: value[:3] for name, value in vars(result).items() if np.shape(value)[:1] == result.se.shape}
    part |= {"num_draws": drawn * 1, "num_particles": drawn * 4, "log_weights": None}
    group = weights_group(replace(result, **part, ladder=ladder, interrupted=True))
    np.testing.assert_array_equal(group.ladder, [[1.0], [np.nan], [1.0]])
    assert (group.attrs["interrupted"], group.attrs["particles_per_draw"]) == (1, 4)
    assert "log_weights" not in group


@pytest.mark.parametrize(("shape", "expected"), [((4,), (1, 1, 4)), ((3, 4), (1, 3, 4)), ((2, 3, 4), (2, 3, 4))])
def test_pointwise_values_get_chain_and_draw(shape, expected):
    values = RNG.normal(size=shape)
    group = pointwise_group(values, name="y")
    assert group.y.dims == ("chain", "draw", "datum")
    np.testing.assert_array_equal(group.y, values.reshape(expected))
    assert group.attrs == {"unit": "nats", "draws_of": "estimates"}


def conjugate(num_draws=4000, num_data=40, centre=0.3):
    """Exact posterior draws of a Normal mean under a N(0, 1) prior, and the exact leave-one-out predictive density."""
    data = np.random.default_rng(1).normal(centre, 1.0, num_data)
    draws = np.random.default_rng(2).normal(data.sum() / (num_data + 1), (num_data + 1) ** -0.5, (4, num_draws // 4))
    log_likelihood = normal(data, draws[..., None], 1.0)
    others = (data.sum() - data) / num_data
    return data, draws, log_likelihood, normal(data, others, 1 + 1 / num_data)


def normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


def test_arviz_leaves_one_out_of_a_posterior():
    import arviz as az

    data, draws, log_likelihood, exact = conjugate()
    group = pointwise_group(log_likelihood, name="y", draws_of="parameters")
    tree = to_datatree(posterior={"mu": draws}, log_likelihood=group, observed_data={"y": data})
    result = az.loo(tree, pointwise=True)
    np.testing.assert_allclose(result.elpd_i, exact, atol=0.02)
    assert 0.7 < result.p < 1.3  # one parameter


def test_arviz_summarises_the_posterior():
    import arviz as az

    summary = az.summary(whole_tree(), round_to="none")
    assert list(summary.index) == ["mu", "w[0]", "w[1]", "w[2]"]
    np.testing.assert_allclose(summary.loc["mu", "mean"], DRAWS["mu"].mean(), rtol=1e-6)
    np.testing.assert_allclose(summary.loc["w[2]", "sd"], DRAWS["w"][..., 2].std(ddof=1), rtol=1e-3)
    assert float(summary.loc["mu", "ess_bulk"]) > 500


def test_held_out_density_is_the_sum_and_arviz_compares_it():
    import arviz as az

    better, worse = RNG.normal(-1.0, 0.3, 200), RNG.normal(-1.4, 0.3, 200)
    khat = np.where(np.arange(200) < 3, 0.9, 0.2)
    trees = {name: to_datatree(log_likelihood=pointwise_group(x)) for name, x in {"b": better, "w": worse}.items()}
    results = {"w": held_out_elpd(trees["w"]), "b": held_out_elpd(trees["b"], khat=khat)}
    np.testing.assert_allclose(results["b"].elpd, better.sum(), rtol=1e-12)
    np.testing.assert_allclose(results["b"].se, np.sqrt(200) * better.std(), rtol=1e-12)
    assert (results["b"].warning, results["w"].warning) == (True, False)
    table = az.compare(results, round_to="none")
    assert list(table.index) == ["b", "w"]
    paired = worse - better
    np.testing.assert_allclose(float(table.loc["w", "elpd_diff"]), paired.sum(), rtol=1e-9)
    np.testing.assert_allclose(float(table.loc["w", "dse"]), np.sqrt(200) * paired.std(), rtol=1e-9)
    assert table.loc["b", "diag_elpd"].startswith("3 ")


def test_arviz_plots_the_khat_of_held_out_data():
    import arviz as az

    khat = np.linspace(-0.2, 1.2, 30)
    result = held_out_elpd(pointwise_group(RNG.normal(size=30)), khat=khat)
    drawn = az.plot_khat(result, backend="none").viz["khat"]["pareto_k"].item()
    np.testing.assert_array_equal(drawn["y"], khat)


def test_held_out_density_is_the_mean_over_draws():
    _, _, log_likelihood, _ = conjugate(num_draws=400)
    got = held_out_elpd(pointwise_group(log_likelihood, draws_of="parameters"))
    np.testing.assert_allclose(got.elpd_i, np.log(np.exp(log_likelihood).mean(axis=(0, 1))), rtol=1e-10)
    assert (got.n_samples, got.n_data_points) == (400, 40)


def test_arviz_refuses_to_rank_held_out_beside_left_out():
    import arviz as az

    _, _, log_likelihood, _ = conjugate(num_draws=400)
    group = pointwise_group(log_likelihood, draws_of="parameters")
    with pytest.raises(ValueError, match="incompatible"):
        az.compare(
            {"a": held_out_elpd(group), "b": az.loo(to_datatree(posterior=DRAWS, log_likelihood=group), pointwise=True)}
        )


def tree_of(values, **attrs):
    return xr.DataTree(xr.Dataset({"x": ("row", np.asarray(values), attrs)}))


BAD = {
    "another T": (
        lambda here: bound_group(measured().bound, diffusion=DIFFUSIONS["bernoulli, clean rate, learned edge"]()),
        "diffusion",
    ),
    "a number": (lambda here: pointwise_group(1.0), "log_likelihood"),
    "no data": (lambda here: pointwise_group(np.empty(0)), "log_likelihood"),
    "text": (lambda here: pointwise_group(np.array(["a"])), "log_likelihood"),
    "four axes": (lambda here: pointwise_group(np.ones((1, 1, 1, 1))), "log_likelihood"),
    "parameters without draws": (lambda here: pointwise_group(np.ones(3), draws_of="parameters"), "log_likelihood"),
    "draws of what": (lambda here: pointwise_group(np.ones(3), draws_of="weights"), "draws_of"),
    "held-out NaN": (lambda here: held_out_elpd(pointwise_group([np.nan, 1.0])), "log_likelihood"),
    "held-out nothing": (lambda here: held_out_elpd(xr.Dataset()), "log_likelihood"),
    "held-out without group": (lambda here: held_out_elpd(to_datatree(posterior=DRAWS)), "log_likelihood"),
    "khat of others": (lambda here: held_out_elpd(pointwise_group(np.ones(3)), khat=np.ones(2)), "khat"),
    "unknown group": (lambda here: to_datatree(posteriors=DRAWS), "groups"),
    "a bound as it is": (lambda here: to_datatree(bound={"K": np.ones(3)}), "bound"),
    "draws without chains": (lambda here: to_datatree(posterior={"mu": np.ones(10)}), "posterior"),
    "draws that differ": (lambda here: to_datatree(prior={"a": np.ones((1, 9)), "b": np.ones((1, 8))}), "prior"),
    "complex draws": (lambda here: to_datatree(posterior={"mu": np.ones((1, 9), complex)}), r"posterior\['mu'\]"),
    "another suffix": (lambda here: save(tree_of([1]), here / "tree.csv"), "path"),
    "a path that is taken": (lambda here: save(tree_of([1]), here / "taken.nc"), "path"),
    "a folder that is taken": (lambda here: save(tree_of([1]), here / "taken.zarr"), "path"),
    "no folder": (lambda here: save(tree_of([1]), here / "absent" / "tree.zarr"), "path"),
    "complex array": (lambda here: save(tree_of([1j]), here / "new.nc"), "/: x"),
    "dates": (lambda here: save(tree_of(np.array(["2024"], "M8[s]")), here / "new.zarr"), "/: x"),
    **{
        f"{name} as attribute": (
            lambda here, bad=bad: save(tree_of([1], seen=bad), here / "new.nc"),
            "/: x, attribute seen",
        )
        for name, bad in {
            "a huge integer": 2**63,
            "a NUL": "a\0b",
            "a mapping": {"a": 1},
            "a list of lists": [[1, 2], [3]],
            "numbers and text": [1, "a"],
            "a complex number": 1j,
            "a set": {1},
        }.items()
    },
    "a NUL in text": (lambda here: save(tree_of(["a\0b"]), here / "new.zarr"), "/: x"),
    "nothing to load": (lambda here: load(here / "absent.nc"), "path"),
    "a damaged file": (lambda here: load(here / "taken.nc"), "path"),
    "a foreign folder": (lambda here: load(here / "taken.zarr"), "path"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_in_one_line(name, tmp_path, unchecked):
    (tmp_path / "taken.nc").write_text("text")
    (tmp_path / "taken.zarr").mkdir()
    act, argument = BAD[name]
    with pytest.raises(dpm.InputError, match=rf"^{argument}: expected [^\n]+$"):
        act(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken.nc", "taken.zarr"]


@pytest.mark.parametrize(("suffix", "package"), [(".zarr", "zarr"), (".nc", "h5netcdf"), (".nc", "h5py")])
@pytest.mark.parametrize("act", [lambda path: save(tree_of([1]), path), load])
def test_a_missing_package_is_named_with_its_extra(act, suffix, package, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(dpm.InputError, match=rf"no {package}; pip install 'dpm-ppl\[analysis\]'"):
        act(tmp_path / f"tree{suffix}")
