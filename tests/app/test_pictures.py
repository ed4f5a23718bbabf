"""Pictures of what runs have drawn, by the kind of their data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpm_ppl.app.pictures import draws_picture
from dpm_ppl.app.runs import Run
from dpm_ppl.data.columns import Table
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.diffusion import Diffusion
from tests.analysis.plots.backends import close_figures
from tests.instances import DIFFUSIONS

pytestmark = pytest.mark.usefixtures("close_figures")
__all__ = ["close_figures"]

RNG = np.random.default_rng(0)
RUN = Run(Path("run"), "array", {}, 0, 1)
BEERS = pd.DataFrame({"strength": RNG.normal(5, 1, 30), "kind": ["ale", "bock", "stout"] * 10})
KINDS = {
    "table": (Dataset.from_table(Table.of_frame(BEERS)), (2, 2)),
    "vectors": (Dataset.from_continuous(RNG.normal(size=(30, 3))), (3, 3)),
    "numbers": (Dataset.from_continuous(RNG.normal(size=30)), (1, 1)),
    "single bits": (Dataset.from_binary(RNG.integers(0, 2, 30)), (2,)),
    "wide": (Dataset.from_continuous(RNG.normal(size=(30, 8))), (5, 5)),
    "points": (Dataset.from_continuous(RNG.normal(size=(30, 2))), (2,)),
    "bits": (Dataset.from_binary(RNG.integers(0, 2, (30, 7))), (2,)),
    "images": (Dataset.from_levels(RNG.integers(0, 4, (30, 5, 5)), 4), (2,)),
    "colours": (Dataset.from_levels(RNG.integers(0, 4, (30, 5, 5, 3)), 4), (2,)),
    "volumes": (Dataset.from_continuous(RNG.normal(size=(30, 2, 2, 2))), (5, 5)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_has_its_picture(kind, monkeypatch):
    """Vectors a pair plot, all else a panel for the data and one for the draws; whatever the number of data."""
    data, shape = KINDS[kind]
    monkeypatch.setattr(
        Diffusion, "sample", lambda self, key, num: np.resize(data.rows(np.arange(30)), (num, *data.event_shape))
    )
    drawn = draws_picture({"draws": (RUN, DIFFUSIONS["gaussian"]())}, data)
    plots = drawn.viz["plot"] if "plot" in drawn.viz.data_vars else drawn.viz["plot"]["x_0"]
    assert plots.shape == shape
    drawn.viz["figure"].item().canvas.draw()  # without a warning
    if kind == "table":
        axes = plots.values[1, 0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("strength", "kind")
        assert 0 < axes.get_xlim()[0] < axes.get_xlim()[1] < 12  # in the data's own units
        assert [label.get_text() for label in axes.get_yticklabels()] == ["ale", "bock", "stout"]
