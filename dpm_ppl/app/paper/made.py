"""`Made`: a row of the paper as it was made again."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpm_ppl.app.opened import OpenedRun
from dpm_ppl.estimates.standard_errors import Estimate
from dpm_ppl.evaluation.parzen import ParzenScore
from dpm_ppl.models.paper import Row


@dataclass(frozen=True, kw_only=True)
class Made:
    """A row as it was made again, its figures in the row's unit; or why it was not."""

    row: Row
    K: Estimate | None = None
    exact: Estimate | None = None
    bits_per_dim: Estimate | None = None
    seconds: float | None = None
    parzen: ParzenScore | None = None
    picture: Path | None = None
    restored: dict[str, Path] = field(default_factory=dict)
    trained: OpenedRun | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """One flat object."""
        row, figures = self.row, {name: getattr(self, name) for name in ("K", "exact", "bits_per_dim")}
        return {
            "data": row.data,
            "variant": row.variant,
            "published": row.published.value,
            "unit": row.published.unit,
            "limit": row.limit,
            **{name: None if figure is None else figure.as_json() for name, figure in figures.items()},
            "parzen": None if self.parzen is None else self.parzen.bits.as_json(),
            "num_updates": None if self.trained is None else self.trained.run.num_updates,
            "seconds": self.seconds,
            "run": None if self.trained is None else str(self.trained.run.path),
            "picture": None if self.picture is None else str(self.picture),
            **{name: str(path) for name, path in self.restored.items()},
            "not_measured": self.reason or None,
        }
