"""Held-out scores of a method: K, L_null and the exact log-likelihood, each with standard error and unit."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import jax
import numpy as np

from dpm_ppl._common.checks import check_exact, check_key, check_kind, check_shape, check_sizes, whole_number
from dpm_ppl._common.chunks import MOST_DATA, MOST_STEPS, watched
from dpm_ppl._common.errors import InputError
from dpm_ppl._common.progress import count_display
from dpm_ppl._common.types import Array, PRNGKey
from dpm_ppl._common.wording import short_repr
from dpm_ppl.data.dataset import Dataset, drawn
from dpm_ppl.estimates.standard_errors import Estimate, estimate
from dpm_ppl.evaluation.kept_scores import KeptDraws, Values, identity_of
from dpm_ppl.methods.base import AbstractMethod, check_method, check_scored


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Figures over `num_points` data, each averaged over `num_draws` draws before the mean and its standard error.

    `num_sampled_steps` is how many steps of each datum and draw K was estimated from, None for all.

    K, L_null, K_minus_L_null, exact and gap (exact - K, paired) are log-densities of standardised data in `unit`, and
    so are `gaussian`, that of a Gaussian of full covariance, and `K_minus_gaussian`, paired;
    `K_original` is K for the data as given. Of images, `K_per_pixel` and `K_minus_L_null_per_pixel` are in bits per
    pixel, its colours summed, as in the paper's table. `bits_per_dim` (less is better) is there where data have levels.
    `K_continuous` is K in the limit of ever more steps, for a schedule that was learned in continuous time.
    A program has no L_null, and its K is the ELBO: the log-likelihood itself if there are neither latent sites nor
    levels.
    `K_values` and `exact_values` are K and the exact log-density of every datum, in nats.
    """

    __repr__ = short_repr

    unit: str
    num_points: int
    num_draws: int
    num_sampled_steps: int | None = None
    K: Estimate
    L_null: Estimate | None = None
    K_minus_L_null: Estimate | None = None
    K_continuous: Estimate | None = None
    K_original: Estimate
    K_values: np.ndarray
    exact_values: np.ndarray | None = None
    exact: Estimate | None = None
    gap: Estimate | None = None
    gaussian: Estimate | None = None
    K_minus_gaussian: Estimate | None = None
    K_per_pixel: Estimate | None = None
    K_minus_L_null_per_pixel: Estimate | None = None
    bits_per_dim: Estimate | None = None

    def figures(self) -> dict[str, Estimate]:
        """The estimates that are known, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Estimate)}

    def as_json(self) -> dict[str, Any]:
        """One flat object; estimates as `{"mean", "se"}`, null where unknown. Figures of single data are left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.endswith("_values")}
        return {name: value.as_json() if isinstance(value, Estimate) else value for name, value in values.items()}


def score(
    method: AbstractMethod,
    data: Dataset,
    key: PRNGKey,
    *,
    num_draws: int = 4,
    datum: str = "point",
    exact: Callable[[np.ndarray], np.ndarray] | None = None,
    gaussian: Callable[[np.ndarray], np.ndarray] | None = None,
    num_sampled_steps: int | None = None,
    steps_chunk: int | None = None,
    data_chunk: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Scores:
    """Score `method` on all of `data`, with fresh dequantisation and noise in each of `num_draws` draws.

    The draws of a datum share out the noise of x_t between them (`bound`), which leaves K little of it.

    Differences are paired datum by datum. `exact` and `gaussian` map standardised data to their log-density in nats,
    the latter dequantised data, in the same draws. With `num_sampled_steps` K is estimated from so many steps of each
    datum and draw, as `sampled_bound` does; the standard error covers that. `checkpoint` is a file that keeps the draws
    of K: those of the same method, data, key and sizes are not computed again. `steps_chunk` and `data_chunk` are those
    of `bound`.

    **Raises:** `InputError` for data that do not fit, and for `exact` values of another shape or of data with levels.
    """
    check_method(method)
    check_kind("data", data, Dataset, expected="a Dataset", remedy="for example Dataset.from_continuous(x)")
    if exact is not None and data.units.is_dequantised:
        raise InputError(
            "exact",
            expected="none for data with levels, whose noise the likelihood integrates out",
            got="a density of dequantised data",
            remedy="leave it out",
        )
    key, sizes = check_key(key), check_sizes(num_draws=num_draws, steps_chunk=steps_chunk, data_chunk=data_chunk)
    num_draws, *chunks = sizes
    num_sampled_steps = _sampled(method, num_sampled_steps)
    rows = np.asarray(check_scored(method, data.rows(np.arange(data.num_points))))
    known = None if exact is None else exact(np.asarray(data.draw(rows, jax.random.fold_in(key, 0))))
    if known is not None:
        expected = f"a function that gives shape ({data.num_points},)"
        check_shape("exact", known, (data.num_points,), expected=expected, remedy="return one log-density per datum")
    if known is not None:
        check_exact(known)
    draws = _draws(method, data, rows, key, (num_draws, num_sampled_steps, *chunks), checkpoint, progress)
    K = np.mean([draw["K"] for draw in draws], axis=0)
    L_null, K_continuous = (
        np.mean([draw[name] for draw in draws], axis=0) if name in draws[0] else None
        for name in ("L_null", "K_continuous")
    )
    floor = None
    if gaussian is not None:
        noisy = (_noisy(data, rows, key, number) for number in range(num_draws))
        floor = np.mean([gaussian(x_0) for x_0 in noisy], axis=0)

    with np.errstate(invalid="ignore"):  # between two infinite values there is no gap
        gap = None if known is None else known - K

    def in_bits(values: np.ndarray) -> Estimate:
        return data.units.in_units(estimate(values), "bits/point")

    num_pixels = data.units.num_pixels

    return Scores(
        unit=f"bits/{datum}",
        num_points=data.num_points,
        num_draws=num_draws,
        num_sampled_steps=num_sampled_steps,
        K=in_bits(K),
        L_null=None if L_null is None else in_bits(L_null),
        K_minus_L_null=None if L_null is None else in_bits(K - L_null),
        K_continuous=None if K_continuous is None else in_bits(K_continuous),
        K_original=in_bits(K + data.log_det),
        K_values=K,
        exact_values=known,
        exact=None if known is None else in_bits(known),
        gap=None if gap is None else in_bits(gap),
        gaussian=None if floor is None else in_bits(floor),
        K_minus_gaussian=None if floor is None else in_bits(K - floor),
        K_per_pixel=None if num_pixels is None else in_bits(K / num_pixels),
        K_minus_L_null_per_pixel=(None if num_pixels is None or L_null is None else in_bits((K - L_null) / num_pixels)),
        bits_per_dim=None if data.units.num_levels is None else data.units.bits_per_dim(estimate(K)),
    )


def _draws(
    method: AbstractMethod,
    data: Dataset,
    rows: np.ndarray,
    key: PRNGKey,
    sizes: Sequence[Any],
    checkpoint: str | os.PathLike[str] | None,
    progress: bool,
) -> list[Values]:
    """All draws, those that `checkpoint` has kept among them."""
    num_draws, num_sampled_steps, steps_chunk, data_chunk = sizes
    sampled = {"num_sampled_steps": num_sampled_steps}
    # What the memory budget makes of sizes that nobody gave rounds the draws otherwise, and they may be kept.
    most_steps, most_data = steps_chunk or MOST_STEPS, data_chunk or MOST_DATA

    def compute(method: AbstractMethod, datum: Array, key: PRNGKey) -> Any:
        return method.bound_terms(
            data.draw(datum[None], key), key, (0, num_draws), **sampled, steps_chunk=most_steps, data_chunk=1
        )

    identity = "" if checkpoint is None else identity_of(compute, method, rows, key, num_draws, most_steps, most_data)
    kept = KeptDraws(checkpoint if identity else None, identity)
    missing = [number for number in range(num_draws) if number not in kept]
    total = len(missing) * data.num_points
    with count_display(progress and bool(missing), "scores", total) as show:
        for place, number in enumerate(missing):
            x_0 = _noisy(data, rows, key, number)
            check_scored(method, x_0)
            with watched(lambda done, before=place * data.num_points: show(before + done)):
                terms = method.bound_terms(
                    x_0, key, (number, num_draws), **sampled, steps_chunk=steps_chunk, data_chunk=data_chunk
                )
            values = {name: np.asarray(term, np.float64) for name, term in terms.items()}
            kept.add(number, values, last=number == missing[-1])
    return [kept[number] for number in range(num_draws)]


def _sampled(method: AbstractMethod, num_sampled_steps: int | None) -> int | None:
    """The number of sampled steps; None where that is all of them, or there are none."""
    if num_sampled_steps is None:
        return None
    num = whole_number("num_sampled_steps", num_sampled_steps)
    return None if method.chain is None or num >= method.chain.num_steps - 1 else num


def _noisy(data: Dataset, rows: np.ndarray, key: PRNGKey, number: int) -> np.ndarray:
    """The data with the dequantising noise of a draw."""
    return drawn(data, rows, jax.random.split(jax.random.fold_in(key, number))[0])
