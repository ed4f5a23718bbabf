"""The tables of compared guides: for a person, and as numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dpm_ppl._common.wording import AT_LEAST, khat_words, percentage
from dpm_ppl.analysis.text_table import TextTable
from dpm_ppl.estimates.standard_errors import Estimate, finite_or_none, is_above
from dpm_ppl.likelihood.diagnostics import RELIABLE

if TYPE_CHECKING:
    import pandas as pd

    from dpm_ppl.analysis.guides.comparison import GuideEntry


def figures_table(
    entries: "Sequence[GuideEntry]", ranks: Sequence[tuple[int, int]], log_evidence: Estimate | None, reference: str
) -> TextTable:
    """One row for each guide, the best first, and the true log evidence where it is known."""
    headings = ["rank", "guide", "ELBO", *["gap"] * (log_evidence is not None), "log evidence"]
    headings += ["EUBO", "forward ESS"] * bool(reference) + ["k-hat", "ESS", "seconds"]
    headings += ["W2", "W2 resampled"] * bool(reference)
    rows = [] if log_evidence is None else [_truth(headings, log_evidence)]
    for entry, (first, last) in zip(entries, ranks, strict=True):
        cells = _cells(entry) | {"rank": str(first) if first == last else f"{first} to {last}"}
        rows.append([cells.get(heading, "") for heading in headings])
    note = "Mean ± standard error; guides share a rank where their ELBOs are less than two standard errors apart."
    if reference:
        note += (
            f" EUBO and forward ESS are from draws of {reference}. W2: sliced Wasserstein distance to them, with the "
            "posterior's standard deviations as units, of the guide's draws and of those resampled by its weights."
        )
    return TextTable("Guides, nats", headings, rows, "cl" + "r" * (len(headings) - 2), note)


def _truth(headings: Sequence[str], log_evidence: Estimate) -> list[str]:
    known = log_evidence.plus_minus() if log_evidence.se > 0 else f"{log_evidence.mean:.4f}"
    return [{"guide": "true", "log evidence": known}.get(heading, "") for heading in headings]


def _cells(entry: "GuideEntry") -> dict[str, str]:
    cells = {"guide": entry.name, "seconds": f"{entry.seconds:.0f}"}
    found = entry.found
    if found is None:
        return cells | {"ELBO": "failed"}
    side = "" if found.verdict == RELIABLE else AT_LEAST
    cells |= {
        "ELBO": found.elbo.plus_minus(),
        "log evidence": found.log_evidence.plus_minus(side=side),
        "k-hat": khat_words(found.khat),
        "ESS": percentage(found.ess / found.num_particles),
    }
    if entry.gap is not None:
        cells["gap"] = entry.gap.plus_minus()
    if found.forward is not None:
        cells["EUBO"] = found.forward.eubo.plus_minus()
        cells["forward ESS"] = percentage(found.forward.ess / found.forward.num_draws)
    for heading, distance in (("W2", entry.distance), ("W2 resampled", entry.resampled_distance)):
        if distance is not None:
            cells[heading] = distance.format()
    return cells


def verdicts(entries: "Sequence[GuideEntry]", reference: str, most_errors: float) -> list[str]:
    """What to think of each guide, a line each."""
    lines = []
    for entry in entries:
        if entry.found is None:
            lines.append(f"{entry.name}: {entry.failure}")
            continue
        words = [entry.found.verdict, *entry.found.notices]
        if entry.fit is not None:
            words += entry.fit.notices
        if reference and entry.found.forward is None:
            words.append("its density at the draws of the reference is not known, so that lost modes go unseen")
        if entry.shortfall is not None and is_above(entry.shortfall, most_errors):
            low = f"it misses a part of the posterior: its log evidence is {entry.shortfall.plus_minus()} nats too low"
            words[0] = f"{low}, though by its weights it is {words[0]}"
        if entry.gap is not None and is_above(-entry.gap, most_errors):
            words.insert(0, "its bound lies above the true log evidence, and is not to be believed")
        lines.append(f"{entry.name}: {'; '.join(words)}")
    return lines


def as_json(
    entries: "Sequence[GuideEntry]", ranks: Sequence[tuple[int, int]], log_evidence: Estimate | None, reference: str
) -> dict[str, Any]:
    """All figures by guide."""
    return {
        "log_evidence": None if log_evidence is None else log_evidence.as_json(),
        "reference": reference or None,
        "guides": {
            entry.name: _numbers(entry) | {"ranks": list(rank)} for entry, rank in zip(entries, ranks, strict=True)
        },
    }


def _numbers(entry: "GuideEntry") -> dict[str, Any]:
    numbers: dict[str, Any] = {} if entry.found is None else entry.found.as_json()
    for name in ("gap", "shortfall"):
        figure = getattr(entry, name)
        numbers[name] = None if figure is None else figure.as_json()
    numbers["failure"] = entry.failure or None
    numbers |= {"seconds": entry.seconds, "fit_notices": list(entry.fit.notices) if entry.fit is not None else []}
    for name in ("distance", "resampled_distance"):
        distance = getattr(entry, name)
        numbers[name] = None if distance is None else distance.value.as_json() | {"exact": distance.null_mean}
    return numbers


def data_frame(entries: "Sequence[GuideEntry]", ranks: Sequence[tuple[int, int]]) -> "pd.DataFrame":
    """Columns of numbers, one row for each guide; `elbo` and `elbo_se` and so on."""
    import pandas as pd

    rows = []
    for entry, (first, last) in zip(entries, ranks, strict=True):
        row: dict[str, Any] = {"guide": entry.name, "first_rank": first, "last_rank": last, "seconds": entry.seconds}
        if entry.found is not None:
            figures = entry.found.figures() | ({} if entry.gap is None else {"gap": entry.gap})
            for name, figure in figures.items():
                row |= {name: finite_or_none(float(figure.mean)), f"{name}_se": finite_or_none(float(figure.se))}
            row |= {"khat": entry.found.khat, "ess": entry.found.ess, "verdict": entry.found.verdict}
            if entry.found.forward is not None:
                row["forward_ess"] = entry.found.forward.ess
        for name in ("distance", "resampled_distance"):
            distance = getattr(entry, name)
            row[name] = np.nan if distance is None else distance.value.mean
        rows.append(row | {"failure": entry.failure})
    return pd.DataFrame(rows).set_index("guide")
