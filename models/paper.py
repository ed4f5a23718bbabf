"""The rows of the paper's tables 1 and 2: what was published, and the experiment that makes each figure again.

A row is one declaration. It names an experiment of the zoo and its options; `dpm-ppl paper` fits and scores it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

QUICK_STEPS, QUICK_SAMPLES = 25, 200
"""Of `--quick`: steps of each image that K is estimated from, and draws that a Parzen window is made of."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure of the paper: K of held-out, standardised data in `unit`, with its error where one was given."""

    table: str
    value: float | None
    unit: str
    error: float = 0.0
    figure: str = "K"

    @property
    def words(self) -> str:
        """The figure as the paper has it."""
        if self.value is None:
            return "none"
        figure = f"{self.value:g}" + (f" ± {self.error:g}" if self.error else "")
        return figure if self.figure == "K" else f"{figure} ({self.figure})"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One experiment in one configuration.

    - `limit`: the highest K that any network could reach with these steps and factorised kernels, where it is known:
      `python -m benchmarks.paper_limits`.
    - `quick_updates`: those of `--quick`; the experiment's own number if None. `quick_heldout`: the most held-out data
      that it scores.
    - `needs_files`: whether its data are files that the project does not have; they lie in the folder
      `DATA/<experiment>`.
    - `picture`: the figure of the paper that its picture stands for.
    """

    data: str
    published: Published
    experiment: str
    variant: Literal["paper", "default"]
    options: Mapping[str, Any] = field(default_factory=dict)
    limit: float | None = None
    quick_updates: int | None = None
    quick_heldout: int = 1_000
    needs_files: bool = False
    picture: str = ""

    @property
    def name(self) -> str:
        """What tells it from other rows; the name of its run directory."""
        return "-".join([self.experiment, *(str(value) for value in self.options.values()), self.variant])

    @property
    def label(self) -> str:
        """Data and configuration, as a table has them."""
        return f"{self.data}, {'as in the paper' if self.variant == 'paper' else 'default'}"

    @property
    def has_parzen_window(self) -> bool:
        """Whether the published figure is that of a Parzen window."""
        return self.published.figure == "Parzen window"

    def per_unit(self, event_shape: tuple[int, ...]) -> int:
        """How many of the unit's things, such as pixels, a datum is."""
        return math.prod(event_shape[:2]) if self.published.unit == "bits/pixel" else 1


def _both(
    *,
    limits: tuple[float | None, float | None] = (None, None),
    quick: tuple[int | None, int | None] = (None, None),
    **shared: Any,
) -> tuple[Row, ...]:
    """The row in the paper's configuration and in the default one."""
    variants: tuple[Literal["paper"], Literal["default"]] = ("paper", "default")
    rows = zip(variants, limits, quick, strict=True)
    return tuple(Row(variant=one, limit=limit, quick_updates=updates, **shared) for one, limit, updates in rows)


ROWS: tuple[Row, ...] = (
    *_both(
        data="swiss roll, noise 0.02",
        published=Published(table="1", value=2.35, unit="bits/point"),
        experiment="swissroll",
        picture="Figure 1",
        limits=(2.40, None),
        quick=(None, 1_500),
    ),
    *_both(
        data="binary heartbeat",
        published=Published(table="1", value=-2.414, unit="bits/sequence"),
        experiment="heartbeat",
        picture="Figure 2",
        limits=(-2.36833, -2.36833),
        quick=(None, 4_000),
        quick_heldout=300,
    ),
    *_both(
        data="bark",
        published=Published(table="1", value=-0.55, unit="bits/pixel"),
        experiment="texture",
        picture="Figure 5",
        quick=(200, 200),
        quick_heldout=500,
        needs_files=True,
    ),
    *_both(
        data="dead leaves",
        published=Published(table="1, 2", value=1.489, unit="bits/pixel"),
        experiment="deadleaves",
        picture="Figure 4",
        quick=(200, 200),
        quick_heldout=500,
    ),
    *_both(
        data="CIFAR-10",
        published=Published(table="1", value=5.4, error=0.2, unit="bits/pixel"),
        experiment="cifar10",
        picture="Figure 3",
        quick=(50, 50),
        quick_heldout=200,
        needs_files=True,
    ),
    *_both(
        data="MNIST",
        published=Published(table="2", value=317.0, error=2.7, unit="bits/image", figure="Parzen window"),
        experiment="mnist",
        picture="Figure App.1",
        quick=(300, 150),
        quick_heldout=500,
        needs_files=True,
    ),
    *_both(
        data="digits, 8 x 8, in place of MNIST",
        published=Published(table="none", value=None, unit="bits/image"),
        experiment="digits",
        picture="As figure App.1",
        quick=(500, 250),
        quick_heldout=297,
    ),
)
"""In the order of the tables."""
