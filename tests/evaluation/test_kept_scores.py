"""Scores in a file: not computed again where they are of the same, computed anew where they are not."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from dpm_ppl.data.dataset import Dataset
from dpm_ppl.diffusion import Diffusion
from dpm_ppl.evaluation import kept_scores
from dpm_ppl.evaluation.scores import score
from dpm_ppl.kernels import GaussianKernel
from dpm_ppl.methods import AbstractMethod
from dpm_ppl.methods.program import Program
from dpm_ppl.schedules import Erasure
from tests.instances import small

RNG = np.random.default_rng(0)
LEVELS = Dataset.from_levels(RNG.integers(0, 6, size=(20, 2)), 6)
KEY = jax.random.key(0)
DIFFUSION = small(GaussianKernel(), Erasure(6, beta_1=0.01))


def standard(x_0=None, num_points=None):
    with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
        return numpyro.sample("x_0", dist.Normal(0.0, 1.0).expand([2]).to_event(1), obs=x_0)


METHODS = {"diffusion": DIFFUSION, "program": Program(standard, event_shape=(2,))}


@pytest.fixture
def computed(monkeypatch):
    """The numbers of the draws that are computed."""
    numbers = []

    def count(kind):
        terms = kind.bound_terms

        def counted(self, x_0, key, draw, **chunks):
            if not isinstance(x_0, jax.core.Tracer):
                numbers.append(draw[0])
            return terms(self, x_0, key, draw, **chunks)

        monkeypatch.setattr(kind, "bound_terms", counted)

    for kind in (AbstractMethod, Diffusion):
        count(kind)
    return numbers


@pytest.mark.parametrize("name", METHODS)
def test_what_is_kept_is_what_was_computed(name, tmp_path, computed):
    at_first = score(METHODS[name], LEVELS, KEY, num_draws=3)
    with_file = [score(METHODS[name], LEVELS, KEY, num_draws=3, checkpoint=tmp_path / "it.npz") for _ in range(2)]
    assert computed == [0, 1, 2, 0, 1, 2]
    for one in with_file:
        np.testing.assert_array_equal(one.K_values, at_first.K_values)
        assert one.as_json() == at_first.as_json()


def test_an_interrupted_score_goes_on(tmp_path, computed, monkeypatch):
    monkeypatch.setattr(kept_scores, "_SECONDS_BETWEEN_SAVES", 0.0)
    whole = score(DIFFUSION, LEVELS, KEY, num_draws=3)
    computed.clear()
    add = kept_scores.KeptDraws.add

    def interrupting(kept, number, values, *, last):
        add(kept, number, values, last=last)
        if number == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(kept_scores.KeptDraws, "add", interrupting)
        with pytest.raises(KeyboardInterrupt):
            score(DIFFUSION, LEVELS, KEY, num_draws=3, checkpoint=tmp_path / "it.npz")
    again = score(DIFFUSION, LEVELS, KEY, num_draws=3, checkpoint=tmp_path / "it.npz")
    assert computed == [0, 1, 2]
    np.testing.assert_array_equal(again.K_values, whole.K_values)


OTHERS: dict[str, dict[str, Any]] = {
    "parameters": {"method": jax.tree.map(lambda leaf: 2 * leaf if eqx.is_inexact_array(leaf) else leaf, DIFFUSION)},
    "schedule": {"method": small(GaussianKernel(), Erasure(6, beta_1=0.02))},
    "data": {"data": Dataset.from_levels(np.asarray(LEVELS.source)[::-1], 6, reference=LEVELS)},
    "fewer data": {"data": LEVELS.part(slice(10))},
    "units": {"data": replace(LEVELS, units=replace(LEVELS.units, scale=np.asarray(2 * LEVELS.units.scale)))},
    "key": {"key": jax.random.key(1)},
    "draws": {"num_draws": 2},
    "chunks of steps": {"steps_chunk": 3},
}


@pytest.mark.parametrize("other", OTHERS)
def test_scores_of_something_else_are_computed_anew(other, tmp_path, computed):
    asked: dict[str, Any] = {"method": DIFFUSION, "data": LEVELS, "key": KEY, "num_draws": 1}
    score(**asked, checkpoint=tmp_path / "it.npz")
    computed.clear()
    changed = asked | OTHERS[other]
    kept = score(**changed, checkpoint=tmp_path / "it.npz")
    assert computed == list(range(changed["num_draws"]))
    np.testing.assert_array_equal(kept.K_values, score(**changed).K_values)


def test_a_damaged_file_is_named_and_its_scores_computed_anew(tmp_path, computed):
    path = tmp_path / "it.npz"
    whole = score(DIFFUSION, LEVELS, KEY, num_draws=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.warns(UserWarning, match=r"it.npz is damaged .*; its scores are computed anew"):
        again = score(DIFFUSION, LEVELS, KEY, num_draws=1, checkpoint=path)
    assert computed == [0, 0]
    np.testing.assert_array_equal(again.K_values, whole.K_values)


def test_scoring_shows_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr("dpm_ppl._common.progress._SECONDS_BETWEEN_LINES", 0.0)
    score(DIFFUSION, LEVELS, KEY, num_draws=2, data_chunk=8, progress=True)
    seen = [line.split(" of ")[0] for line in capsys.readouterr().err.splitlines()]
    assert seen == ["8", "16", "20", "28", "36", "40"]
