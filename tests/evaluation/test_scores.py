import json
import math
from dataclasses import fields

import jax
import numpy as np
import pytest

from dpm_ppl.app.console.tables import print_scores
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.diffusion import diffusion as module
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.evaluation.scores import Scores, score
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel
from dpm_ppl.schedules import Erasure
from tests.instances import DIFFUSIONS, draw_data, small

KEY = jax.random.key(0)
LN_2 = math.log(2)
RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(30, 2)) * [3.0, 0.5] + [10.0, -2.0]
LEVELS = RNG.integers(0, 6, size=(30, 2))


def nothing_learned(kernel=None):
    return small(kernel or GaussianKernel(), Erasure(6, beta_1=0.01), scale=0)


def standard_normal(z):
    return -0.5 * (np.square(np.asarray(z, np.float64)) + math.log(2 * math.pi)).sum(axis=1)


def values(result):
    return {name: (figure.mean, figure.se) for name, figure in result.figures().items()}


@pytest.mark.parametrize("name", ["gaussian", "bernoulli, clean rate, learned edge"])
def test_chunks_do_not_change_the_figures(name):
    diffusion = DIFFUSIONS[name]()
    source = np.asarray(draw_data(diffusion, 6))
    binary = isinstance(diffusion.kernel, BernoulliKernel)
    data = Dataset.from_binary(source) if binary else Dataset.from_continuous(source)
    whole = score(diffusion, data, KEY, num_draws=1, steps_chunk=100, data_chunk=100)
    chunked = score(diffusion, data, KEY, num_draws=1, steps_chunk=3, data_chunk=4)
    assert values(chunked).keys() == values(whole).keys()
    for figure, expected in values(whole).items():
        assert values(chunked)[figure] == pytest.approx(expected, rel=1e-5, abs=1e-5), figure


def test_draws_are_averaged_datum_by_datum_before_the_standard_error(monkeypatch):
    K, L_null = RNG.normal(size=(2, 30)), RNG.normal(size=(2, 30))
    draws = iter(zip(K, L_null, strict=True))
    monkeypatch.setattr(module, "scored", lambda *_, **__: next(draws))
    result = score(nothing_learned(), Dataset.from_continuous(REAL), KEY, num_draws=2)
    for figure, both in ((result.K, K), (result.L_null, L_null), (result.K_minus_L_null, K - L_null)):
        expected = estimate(both.mean(axis=0) / LN_2)
        assert (figure.mean, figure.se) == pytest.approx((expected.mean, expected.se), rel=1e-12)
        assert figure.num == 30


def test_each_draw_has_dequantisation_noise_of_its_own():
    data, seen = Dataset.from_levels(LEVELS, 6), []

    def watching(method, x_0, key, draw, num_draws, **_):
        seen.append((np.asarray(x_0), np.asarray(jax.random.key_data(key))))
        assert (draw, num_draws) == (len(seen) - 1, 2)
        return np.zeros(30), np.zeros(30)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "scored", watching)
        score(nothing_learned(), data, KEY, num_draws=2)
    (first, first_key), (second, second_key) = seen
    assert not np.any(first == second)
    assert np.all(first_key == second_key)  # of the noise that the draws share out between them
    np.testing.assert_array_equal(data.units.as_given(first), LEVELS)


def test_figures_of_a_known_model_in_every_unit():
    data = Dataset.from_continuous(REAL)
    result = score(nothing_learned(), data, KEY, num_draws=1, datum="pair")
    log_density = standard_normal((REAL - REAL.mean(axis=0)) / data.units.scale)
    original = log_density - 2 * math.log(data.units.scale)
    for figure, expected in ((result.K, log_density), (result.L_null, log_density), (result.K_original, original)):
        noise = 0 if figure is result.L_null else result.K_minus_L_null.se
        assert figure.mean == pytest.approx(expected.mean() / LN_2, rel=1e-5, abs=4 * noise)
    assert result.L_null.se == pytest.approx(estimate(log_density).se / LN_2, rel=1e-4)
    assert result.K_original.mean - result.K.mean == pytest.approx(-2 * math.log2(data.units.scale), rel=1e-9)
    assert (result.unit, result.num_points, result.num_draws) == ("bits/pair", 30, 1)
    assert result.exact is result.gap is result.bits_per_dim is None


def test_bits_per_dim_are_those_of_the_data_as_given():
    diffusion = small(GaussianKernel(), Erasure(6, beta_1=0.01))
    result = score(diffusion, Dataset.from_levels(LEVELS, 6), KEY, num_draws=2)
    assert result.bits_per_dim is not None
    assert result.bits_per_dim.mean == pytest.approx(-result.K_original.mean / 2, rel=1e-12)
    assert result.bits_per_dim.se == pytest.approx(result.K_original.se / 2, rel=1e-12)


def test_the_gap_is_paired():
    data = Dataset.from_continuous(REAL)
    result = score(nothing_learned(), data, KEY, num_draws=3, exact=standard_normal)
    # Here the exact value is L_null itself, which K - L_null is paired with.
    assert result.exact is not None
    assert result.gap is not None
    assert result.exact.mean == pytest.approx(result.L_null.mean, rel=1e-6)
    assert result.gap.mean == pytest.approx(-result.K_minus_L_null.mean, abs=1e-5)
    assert result.gap.se == pytest.approx(result.K_minus_L_null.se, rel=1e-4)
    assert result.gap.mean == pytest.approx(result.exact.mean - result.K.mean, rel=1e-9)


def test_the_table_fits_eighty_columns(capsys):
    names = [field.name for field in fields(Scores)]
    known = dict.fromkeys(names, Estimate(-1234.5, 0.0123, 10_000))
    known |= {"unit": "bits/sequence", "num_points": 10_000, "num_draws": 8}
    known |= {"num_sampled_steps": 25, "K_values": np.zeros(1), "exact_values": None}
    print_scores({"swissroll": Scores(**known), "digits": Scores(**known | {"exact": None, "gap": None})})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("-1234.500 ± 0.012" in line for line in lines) == 12 + 10
    for text in ("exact log-likelihood", "code length, at most", "bits/sequence", "10,000 x 8 draws"):
        assert any(text in line for line in lines)


def test_impossible_data_leave_valid_json(capsys):
    data = Dataset.from_binary(RNG.integers(0, 2, size=(10, 2)))
    result = score(nothing_learned(BernoulliKernel()), data, KEY, num_draws=1, exact=lambda x: np.full(len(x), -np.inf))
    shown = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert shown["exact"] == shown["gap"] == {"mean": None, "se": None}
    assert shown["bits_per_dim"] is None
    assert shown["L_null"]["mean"] == pytest.approx(-2)
    print_scores({"impossible": result})
    assert "-inf" in capsys.readouterr().out
