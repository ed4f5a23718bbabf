import functools
import io
import math

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO, psis_diagnostic
from numpyro.infer.autoguide import AutoMultivariateNormal, AutoNormal
from rich.console import Console

import dpm_ppl as dpm
from dpm_ppl.analysis.posteriors.comparison import compare_posteriors
from dpm_ppl.analysis.posteriors.distances import classifier_two_sample, sliced_wasserstein
from dpm_ppl.analysis.posteriors.draws import num_independent, posterior_tree, thinned, weighted_draws
from dpm_ppl.analysis.posteriors.plots import plot_densities, plot_intervals, plot_ranks
from dpm_ppl.analysis.posteriors.weight_checks import check_weights
from dpm_ppl.guides import FittedGuide
from tests.analysis.plots.backends import BACKENDS, close_figures, legend_names, panel  # noqa: F401

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
EXACT = RNG.normal(size=(2000, 2))

NUM_PAIRS, CORRELATION = 10, 0.95
PRECISION = np.linalg.inv([[1, CORRELATION], [CORRELATION, 1]])


def correlated(y=None):
    """A posterior of ten pairs of coordinates, strongly correlated within the pair."""
    pairs = dist.MultivariateNormal(jnp.zeros(2), precision_matrix=jnp.asarray(PRECISION, jnp.float32))
    numpyro.sample("z", pairs.expand([NUM_PAIRS]).to_event(1))


@functools.cache
def mean_field():
    guide = AutoNormal(correlated, init_scale=0.3)
    svi = SVI(correlated, guide, numpyro.optim.Adam(0.01), Trace_ELBO())
    return FittedGuide(guide, svi.run(KEY, 500, progress_bar=False).params)


@functools.cache
def full_rank():
    """Where the fit of a full-rank guide ends up, a hundredth of a standard deviation off."""
    root = np.linalg.cholesky(np.kron(np.eye(NUM_PAIRS), np.linalg.inv(PRECISION)))
    params = {"auto_loc": jnp.full(2 * NUM_PAIRS, 0.01), "auto_scale_tril": jnp.asarray(root, jnp.float32)}
    return FittedGuide(AutoMultivariateNormal(correlated), params)


def normal_guide(y=None):
    """What mean field converges to: the conditional standard deviations."""
    scale = numpyro.param("scale", jnp.ones(()))
    numpyro.sample("z", dist.Normal(jnp.zeros((NUM_PAIRS, 2)), scale).to_event(2))


@functools.cache
def chains(correlated_in_time=False):
    noise = np.random.default_rng(1).normal(size=(4, 500, 2))
    if correlated_in_time:
        for i in range(1, 500):
            noise[:, i] = 0.9 * noise[:, i - 1] + math.sqrt(1 - 0.9**2) * noise[:, i]
    return noise


def exact_log_weights(draws, scale):
    """log p - log q for p = N(0, I) and q = N(0, scale^2 I)."""
    return (-0.5 * draws**2 * (1 - scale**-2) + math.log(scale)).sum(axis=-1)


def test_mean_field_on_a_correlated_posterior_is_flagged_and_full_rank_is_not():
    result = compared()
    flagged, kept, _ = (row.weights for row in result.rows)
    assert flagged.num_draws == kept.num_draws == 400
    assert flagged.khat > 0.7
    assert flagged.verdict != "reliable"
    assert "not reliable" in result.rows[0].verdict
    assert kept.khat < 0.5
    assert kept.verdict == "reliable"
    assert "importance weights reliable" in result.rows[1].verdict


def test_weights_of_a_plain_guide_are_the_ratio_of_densities(x64):
    scale = 1 / math.sqrt(PRECISION[0, 0])
    guide = FittedGuide(normal_guide, {"scale": jnp.asarray(scale)}, correlated)
    draws, log_weights = weighted_draws(guide, KEY, 500, draws_chunk=64)
    z = draws["z"]
    log_p = -0.5 * np.einsum("npi,ij,npj->n", z, PRECISION, z) + 0.5 * NUM_PAIRS * np.linalg.slogdet(PRECISION)[1]
    log_q = -0.5 * (z**2).sum((1, 2)) / scale**2 - 2 * NUM_PAIRS * math.log(scale)
    np.testing.assert_allclose(log_weights, log_p - log_q, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_khat_is_that_of_numpyro():
    """The same weights: the two fits of their tail differ by a draw or two in where it starts."""
    params = {"scale": jnp.asarray(1 / math.sqrt(PRECISION[0, 0]))}
    _, log_weights = weighted_draws(FittedGuide(normal_guide, params, correlated), KEY, 500, draws_chunk=64)
    theirs = psis_diagnostic(KEY, params, correlated, normal_guide, num_particles=500)
    assert check_weights(log_weights).khat == pytest.approx(theirs, abs=0.05)


def test_guide_without_model_has_draws_and_no_weights():
    guide = FittedGuide(normal_guide, {"scale": jnp.asarray(0.5)})
    draws, log_weights = weighted_draws(guide, KEY, 400)
    assert log_weights is None
    sd = draws["z"].std()
    assert abs(sd - 0.5) < 4 * 0.5 / math.sqrt(2 * draws["z"].size)


def test_weights_with_no_tail_and_with_a_heavy_one():
    wide = check_weights(exact_log_weights(RNG.normal(size=(2000, 1)) * 1.5, 1.5))
    narrow = check_weights(exact_log_weights(RNG.normal(size=(2000, 8)) * 0.5, 0.5))
    # Weights of N(0, s^2) against N(0, 1) are bounded for s > 1, and E w^2 = s^2 / sqrt(2 s^2 - 1).
    second_moment = 1.5**2 / math.sqrt(2 * 1.5**2 - 1)
    assert wide.ess == pytest.approx(2000 / second_moment, rel=0.05)
    assert wide.verdict == "reliable"
    assert narrow.khat > 0.7
    assert narrow.verdict != "reliable"
    # The ELBO is -KL(q || p), here per coordinate (1 - s^2) / 2 + log s.
    divergence = 8 * ((1 - 0.5**2) / 2 + math.log(0.5))
    assert abs(narrow.elbo.mean - divergence) < 4 * narrow.elbo.se


def test_exact_draws_are_not_told_from_the_reference_and_others_are():
    result = compare_posteriors(
        {"exact": EXACT[:1000], "shifted": EXACT[:1000] + 0.5, "nuts": chains()},
        reference=RNG.normal(size=(1500, 2)),
        with_chains=["nuts"],
        num_draws=500,
    )
    rows = {row.name: row for row in result.rows}
    assert rows["exact"].verdict == rows["nuts"].verdict == "not told from the reference by these draws"
    assert rows["shifted"].verdict.startswith("differs from the reference (sliced W2 p = ")
    assert set(rows["exact"].distances) == {"sliced W2", "MMD²", "C2ST accuracy"}
    assert rows["reference"].verdict == "the reference"
    assert rows["reference"].distances == {}
    assert rows["nuts"].num_chains == 4
    assert rows["nuts"].rhat == pytest.approx(1.0, abs=0.02)
    assert math.isnan(rows["exact"].rhat)


def test_chains_are_thinned_until_they_are_independent():
    options = {"distances": [classifier_two_sample], "with_chains": ["slow"], "num_draws": 1000}
    result = compare_posteriors({"slow": chains(True)}, reference=EXACT, **options)
    slow = result.rows[0]
    # An autoregression with coefficient 0.9 has (1 - 0.9) / (1 + 0.9) of the draws' number.
    assert slow.ess == pytest.approx(2000 * 0.1 / 1.9, rel=0.5)
    assert slow.num_compared == num_independent(2000, slow.ess) < slow.ess
    assert result.rows[1].num_compared == 1000
    assert slow.distances["C2ST accuracy"].value.num == slow.num_compared // 2 * 2


@pytest.mark.parametrize("coefficient", [0.3, 0.9, 0.99])
def test_independent_draws_of_an_autoregression(coefficient):
    kept = num_independent(100_000, 100_000 * (1 - coefficient) / (1 + coefficient))
    assert coefficient ** (100_000 / kept) == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize("ess", [100.0, 95.0, 250.0])
def test_draws_that_are_independent_are_all_kept(ess):
    assert num_independent(100, ess) == 100


def test_too_few_independent_draws_are_not_compared():
    stuck = np.linspace(0, 1, 40)[:, None] + 1e-3 * RNG.normal(size=(40, 2))
    stuck_row, reference = compare_posteriors({"stuck": stuck}, reference=EXACT).rows
    assert stuck_row.distances == {}
    assert f"too few independent draws ({stuck_row.num_compared} of the 40 of stuck, by the order" in stuck_row.verdict
    assert reference.verdict == "the reference"


ORDERS = {
    "sorted": np.sort(EXACT, axis=0),
    "by class": np.concatenate([EXACT[:500], EXACT[500:] + 4]),
}


@pytest.mark.parametrize("order", ORDERS)
def test_data_in_an_order_that_means_nothing(order):
    """It is said that they were not compared, and why; declared independent they are what they are when shuffled."""
    data = ORDERS[order]
    shuffled, options = RNG.permutation(data), {"distances": [classifier_two_sample]}
    row = compare_posteriors({"model": EXACT * 2}, reference=data, **options).rows[0]
    assert row.distances == {}
    assert row.verdict.startswith("not compared, for there are too few independent draws (")
    assert row.verdict.endswith("by the order they come in; if that means nothing, pass independent=['reference'])")
    as_it_comes, in_no_order = (
        compare_posteriors({"model": EXACT * 2}, reference=one, independent=["reference"], **options).rows[0]
        for one in (data, shuffled)
    )
    assert as_it_comes.num_compared == in_no_order.num_compared
    for row in (as_it_comes, in_no_order):
        assert "differs from the reference" in row.verdict


def test_what_is_not_compared_is_named():
    one, other = {"beta": EXACT[:, 0], "Sigma": EXACT[:, 0]}, {"beta": EXACT[:, 1], "sigma": EXACT[:, 0], "w": EXACT}
    options = {"distances": [], "reference": 2}
    result = compare_posteriors({1: one | {"w": EXACT[:, 0]}, 2: other}, **options)
    assert (result.sites, result.reference) == (("beta",), "2")
    assert result.left_out == {"1": {"Sigma": (), "w": ()}, "2": {"sigma": (), "w": (2,)}}
    for shown in (str(result), result._repr_html_()):
        assert "not all have them in one shape: Sigma, w of 1; sigma, w (2,) of 2." in " ".join(shown.split())
    assert "Left out" not in str(compare_posteriors({"a": one, "b": one}, distances=[], reference="b"))


def test_distances_are_in_standard_deviations_of_the_reference():
    scale = np.array([100.0, 0.01])
    options = {"distances": [functools.partial(sliced_wasserstein, num_permutations=9)]}
    one = compare_posteriors({"a": EXACT + 1.0}, reference=EXACT, **options)
    two = compare_posteriors({"a": (EXACT + 1.0) * scale}, reference=EXACT * scale, **options)
    got, wanted = (result.rows[0].distances["sliced W2"].value.mean for result in (two, one))
    assert got == pytest.approx(wanted, rel=1e-9)
    assert abs(wanted - 1.0) < 0.1  # |delta|^2 / D = 1


def test_chains_that_disagree_are_told():
    apart = chains() + np.arange(4)[:, None, None]
    result = compare_posteriors({"stuck": apart}, with_chains=["stuck"])
    assert result.rows[0].verdict.startswith("its chains disagree (R-hat ")


@pytest.mark.parametrize("still", ["a", "b"])
def test_a_constant_coordinate_hides_nothing(still):
    """The others have the R-hat and the effective sample size they have without it."""
    apart = chains() + np.arange(4)[:, None, None]
    sites = {"x": apart, still: np.ones((4, 500, 2))}
    alone = compare_posteriors({"m": {"x": apart}}, with_chains=["m"]).rows[0]
    row = compare_posteriors({"m": sites}, with_chains=["m"]).rows[0]
    assert (row.rhat, row.ess) == (alone.rhat, alone.ess)
    assert row.constants == (f"{still}[0]", f"{still}[1]")
    assert row.verdict == f"{alone.verdict}; without R-hat and effective sample size, for they are constant: " + (
        f"{still}[0] and {still}[1]"
    )
    told = compare_posteriors({"m": sites}, reference="m", with_chains=["m"]).rows[0].verdict
    assert told.startswith("the reference; its chains disagree")


def test_where_nothing_varies_there_are_no_distances():
    compared = compare_posteriors({7: np.ones(20), 8: np.ones(20)}, reference=np.int64(8))
    assert compared.rows[0].distances == {}
    assert compared.rows[0].verdict.startswith("the same as the reference, in which nothing varies")


MIXING = {
    "all constant": (np.ones((4, 50, 6)), "nothing to hold it against; without R-hat", "and 1 more"),
    "each chain at its own value": (np.broadcast_to(np.arange(4.0)[:, None, None], (4, 50, 1)), "its chains", "inf"),
    "bits, half of them set": (np.tile([0, 1], 100).reshape(4, 50, 1), "nothing to hold it against", ""),
}


@pytest.mark.parametrize("case", MIXING)
def test_chains_whose_variance_vanishes(case):
    draws, starts, holds = MIXING[case]
    row = compare_posteriors({"m": draws}, with_chains=["m"]).rows[0]
    assert row.verdict.startswith(starts)
    assert holds in row.verdict


def test_common_sites_whatever_their_order_and_dims():
    named = xr.Dataset({"w": (("chain", "draw", "unit"), chains()), "m": (("chain", "draw"), chains()[..., 0])})
    result = compare_posteriors(
        {"dataset": named, "tree": posterior_tree(named), "dict": {"extra": EXACT[:, 0], "m": EXACT[:, 0], "w": EXACT}},
        reference="dict",
        distances=[classifier_two_sample],
        num_draws=200,
    )
    assert result.sites == ("m", "w")
    assert list(result.trees) == ["dataset", "tree", "dict"]
    assert result.rows[0].distances == result.rows[1].distances


@functools.cache
def nuts():
    def model():
        numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("b", dist.Normal(0.0, 1.0).expand([2]).to_event(1))

    mcmc = MCMC(
        NUTS(model), num_warmup=100, num_samples=200, num_chains=2, chain_method="sequential", progress_bar=False
    )
    mcmc.run(KEY)
    return mcmc


TREES = {
    "mcmc": (lambda: posterior_tree(nuts()), (2, 200)),
    "samples": (lambda: posterior_tree(nuts().get_samples()), (1, 400)),
    "chained": (lambda: posterior_tree(nuts().get_samples(group_by_chain=True), with_chains=True), (2, 200)),
    "array": (lambda: posterior_tree(EXACT), (1, 2000)),
    "table": (lambda: posterior_tree(pd.DataFrame(EXACT, columns=["a", "b"])), (1, 2000)),
    "DataArray": (
        lambda: posterior_tree(
            xr.DataArray(chains(), dims=("chain", "draw", "unit"), coords={"unit": [0, 1]}, name="a")
        ),
        (4, 500),
    ),
    "guide": (lambda: posterior_tree(weighted_draws(mean_field(), KEY, 400)[0]), (1, 400)),
}
every_tree = pytest.mark.parametrize(("tree", "shape"), TREES.values(), ids=TREES)


@every_tree
def test_trees_are_what_arviz_takes(tree, shape):
    tree = tree()
    posterior = tree["posterior"].to_dataset()
    assert (posterior.sizes["chain"], posterior.sizes["draw"]) == shape
    num_coordinates = sum(array.size for array in posterior.data_vars.values()) // math.prod(shape)
    assert len(az.summary(tree)) == num_coordinates
    sites = set(posterior.data_vars)
    assert set(az.plot_dist(tree, backend="none").viz["dist"].data_vars) == sites
    assert set(az.plot_forest(tree, backend="none").viz["trunk"].data_vars) == sites
    if shape[0] > 1:
        assert set(az.plot_rank(tree, backend="none").viz["ecdf_lines"].data_vars) == sites


@functools.cache
def compared():
    guides = {"mean field": mean_field(), "full rank": full_rank()}
    root = np.linalg.cholesky(np.linalg.inv(PRECISION))
    reference = np.random.default_rng(2).normal(size=(4, 200, NUM_PAIRS, 2)) @ root.T
    distances = [functools.partial(sliced_wasserstein, num_projections=20), classifier_two_sample]
    options = {"with_chains": ["reference"], "key": KEY, "num_draws": 400, "distances": distances}
    return compare_posteriors(guides, reference={"z": reference}, **options)


def test_fitted_guides_stand_beside_a_reference_in_one_call():
    result = compared()
    rough, exact, reference = result.rows
    assert "differs from the reference" in rough.verdict
    assert "not told from the reference" in exact.verdict
    assert reference.num_draws == 800
    assert set(result.summaries()) == {"mean field", "full rank", "reference"}
    sds = result.summaries(round_to="none")["mean field"]["sd"].to_numpy(float)
    assert np.median(sds) == pytest.approx(1 / math.sqrt(PRECISION[0, 0]), rel=0.1)


def test_comparison_reads_in_terminal_notebook_and_frame():
    result = compared()
    text, html, frame = str(result), result._repr_html_(), result.to_dataframe()
    found = result.rows[0].distances["sliced W2"]
    for shown in (text, html):
        assert found.format() in shown
        assert found.format_null() in shown
        assert f"{result.rows[0].weights.khat:.2f}" in shown
    for row in result.rows:
        assert f"{row.name}: {row.verdict}"[:80] in text
        assert f"<li>{row.name}: {row.verdict}</li>" in html
    assert max(map(len, text.splitlines())) <= 100
    assert html.count("<tr>") == html.count("</tr>") > 9
    assert frame.loc["mean field", "sliced W2"] == found.value.mean
    assert frame.loc["mean field", "sliced W2 se"] == found.value.se
    assert frame.loc["mean field", "khat"] == result.rows[0].weights.khat
    assert math.isnan(frame.loc["reference", "sliced W2"])
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(result)
    assert found.format() in console.export_text()


@pytest.mark.usefixtures("close_figures")
@pytest.mark.parametrize("backend", BACKENDS)
def test_plots_show_every_posterior(backend):
    result = compared()
    only = {"coords": {"z_dim_0": [0]}, "backend": backend}
    for kind in ("kde", "ecdf"):
        drawn = plot_densities(result, kind=kind, **only)
        assert drawn.backend == backend
        assert drawn.viz["dist"]["z"].sizes == {"model": 3, "z_dim_0": 1, "z_dim_1": 2}
        if backend != "none":
            assert legend_names(drawn, "model") == list(result.trees)
    intervals = plot_intervals(result, **only)
    assert set(intervals.viz["trunk"].model.values) == set(result.trees)
    if backend != "none":
        assert legend_names(intervals, "model") == list(result.trees)
    ranks = plot_ranks(result, **only)
    assert ranks.viz["ecdf_lines"]["z"].sizes == {"z_dim_0": 1, "z_dim_1": 2, "chain": 3}
    if backend != "none":
        assert legend_names(ranks, "chain") == ["mean field", "full rank", "reference"]


def test_sites_that_only_some_have_are_drawn_by_name():
    """Such as deterministic ones, which guides do not draw: of those posteriors that have them."""
    mu = np.random.default_rng(0).normal(size=(3, 40))
    result = compare_posteriors(
        {"guide": {"mu": mu[0]}, **{f"chain {i}": {"mu": mu[i], "theta": mu[i]} for i in (1, 2)}}
    )
    for plot, visual in ((plot_densities, "dist"), (plot_intervals, "trunk")):
        drawn = plot(result, var_names=["mu", "theta"], backend="none").viz[visual]
        assert set(drawn["theta"].model.values) == {"chain 1", "chain 2"}
        assert set(plot(result, backend="none").viz[visual]["mu"].model.values) == set(result.trees)
        with pytest.raises(dpm.InputError, match="var_names"):
            plot(result, var_names="tau", backend="none")


@pytest.mark.usefixtures("close_figures")
def test_titles_of_densities_do_not_overlap():
    draws = {name: np.random.default_rng(i).normal(size=(40, 9)) for i, name in enumerate("ab")}
    figure = plot_densities(compare_posteriors(draws), backend="matplotlib").viz["figure"].item()
    figure.canvas.draw()
    titles = [axes.title for axes in figure.axes if axes.get_title()]
    assert [title.get_text() for title in titles] == [f"x[{i}]" for i in range(9)]
    boxes = [title.get_window_extent() for title in titles]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert not any(box.overlaps(axes.get_window_extent()) for box in boxes for axes in figure.axes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("close_figures")
def test_ecdfs_are_those_of_the_draws(backend):
    draws = {name: np.random.default_rng(i).normal(i, 1 + i, (50 + 25 * i, 1)) for i, name in enumerate("ab")}
    collection = plot_densities(compare_posteriors(draws), kind="ecdf", backend=backend)
    ecdfs = panel(collection, "x", x_dim_0=0).lines[:2]  # behind them are the credible intervals
    for line, values in zip(ecdfs, draws.values(), strict=True):
        kept = thinned(values[None], 50)
        assert line[:, 0].min() == pytest.approx(kept.min())
        assert line[-1, 1] == 1
        np.testing.assert_allclose(line[:, 1], (kept <= line[:, 0]).mean(axis=0), atol=0.021)


def test_ranks_are_taken_of_independent_draws():
    slow = compare_posteriors({"slow": chains(True), "other": chains()}, with_chains=["slow", "other"])
    lines = plot_ranks(slow, backend="none").viz["ecdf_lines"]["x"]
    assert {len(line["x"]) for line in lines.values.ravel()} == {slow.rows[0].num_compared}


def test_thinning_is_even_and_whole():
    draws = np.arange(12.0).reshape(2, 6, 1)
    assert thinned(draws, 12)[:, 0].tolist() == list(range(12))
    assert thinned(draws, 4)[:, 0].tolist() == [0, 4, 7, 11]
    assert len(thinned(draws, 100)) == 12


def test_bad_input_is_refused(unchecked):
    bad = [
        ({}, {}, "posteriors"),
        ({"a": EXACT}, {"reference": "b"}, "reference"),
        ({"a": EXACT}, {"with_chains": ["b"]}, "with_chains"),
        ({"a": EXACT}, {"log_weights": {"b": [1.0, 2.0]}}, "log_weights"),
        ({"a": EXACT}, {"log_weights": {"a": [1.0, np.nan]}}, "log_weights"),
        ({"a": EXACT}, {"log_weights": {"a": [1.0, np.inf]}}, "1 of them NaN or"),
        ({"a": EXACT}, {"log_weights": {"a": [-np.inf, -np.inf]}}, "not all of them -inf"),
        ({"a": EXACT, "b": EXACT[:, :1]}, {}, "a site that all have"),
        ({"a": FittedGuide(normal_guide, {})}, {}, "key"),
        ({"reference": EXACT}, {"reference": EXACT}, "reference"),
        ({"a": EXACT[:3]}, {}, "site x"),
        ({"a": EXACT * np.nan}, {}, "finite"),
        ({"a": EXACT}, {"reference": np.where(EXACT > 3, np.nan, EXACT)}, "finite"),
        ({"a": xr.DataTree()}, {}, "group posterior"),
        ({"a": MCMC(NUTS(correlated), num_warmup=1, num_samples=5)}, {}, "an MCMC that has run"),
        ({"a": {"draw": EXACT}}, {}, "not named as the axes"),
        ({"a": EXACT}, {"independent": ["b"]}, "independent"),
        ({1: EXACT, "1": EXACT}, {}, "names of their own"),
        ({"a": EXACT}, {"log_weights": {"a": [0.0, 1.0, 2.0]}}, r"numbers \(2000,\), .*got shape \(3,\)"),
        ({"a": EXACT}, {"level": 5}, "level"),
        ({"a": EXACT}, {"level": np.nan}, "level"),
    ]
    for posteriors, options, what in bad:
        with pytest.raises(dpm.InputError, match=what):
            compare_posteriors(posteriors, **options)
